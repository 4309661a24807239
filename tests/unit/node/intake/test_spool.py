"""The spool: unique names, whole files only, a full disk said clearly."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from racoon.node.intake import spool as spool_module
from racoon.node.intake.spool import Spool
from racoon.platform.files import StorageFull


def test_files_are_whole_private_and_in_order(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    paths = [spool.put([b"head", memoryview(b"body"), str(number).encode()]) for number in range(5)]
    assert [file.path for file in spool.waiting(10)] == paths
    assert paths[3].read_bytes() == b"headbody3"
    assert stat.S_IMODE(paths[0].stat().st_mode) == 0o600
    assert spool.size()[:2] == (5, 45)


def test_many_threads_get_names_of_their_own(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    with ThreadPoolExecutor(16) as pool:
        paths = list(pool.map(lambda number: spool.put([str(number).encode()]), range(200)))
    assert len(set(paths)) == 200
    assert sorted(int(path.read_bytes()) for path in paths) == list(range(200))
    assert list(spool.folder.glob("*.part")) == []


def test_released_mark_travels_with_the_name(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.put([b"x"], released="burned_in_suspected")
    assert spool.waiting(1)[0].released == "burned_in_suspected"


def test_full_disk_is_said_clearly_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path / "spool")
    monkeypatch.setattr(spool_module, "RESERVE_BYTES", 1 << 60)
    with pytest.raises(StorageFull):
        spool.put([b"x"])
    assert list(spool.folder.iterdir()) == []


def test_failed_sync_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path / "spool")

    def broken(_: int) -> None:
        raise OSError(5, "input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="input/output"):
        spool.put([b"x"])
    assert list(spool.folder.glob("*.part")) == []


def test_foreign_and_partial_files(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    (spool.folder / "by-hand.dcm").write_bytes(b"x")
    stale = spool.folder / "1-2-3.part"
    stale.write_bytes(b"half")
    os.utime(stale, (1, 1))
    (spool.folder / "4-5-6.part").write_bytes(b"half")
    assert spool.sweep() == 1
    assert [file.name for file in spool.waiting(10)] == ["by-hand.dcm"]

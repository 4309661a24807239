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


def test_object_in_pieces_is_seen_when_it_is_whole(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    incoming = spool.begin()
    incoming.write([b"head"])
    incoming.write([memoryview(b"ab")[:1]] * 5000)
    assert spool.waiting(10) == []
    path = incoming.commit()
    incoming.discard()
    assert path.read_bytes() == b"head" + b"a" * 5000
    assert incoming.size_bytes == 5004


def test_object_given_up_leaves_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    incoming = spool.begin()
    incoming.write([b"half"])
    incoming.discard()
    assert list(spool.folder.iterdir()) == []


def test_disk_that_fills_up_while_an_object_arrives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path / "spool")
    incoming = spool.begin()
    monkeypatch.setattr(spool_module, "LOOK_EVERY_BYTES", 10)
    incoming.write([b"x" * 10])
    monkeypatch.setattr(spool_module, "RESERVE_BYTES", 1 << 60)
    with pytest.raises(StorageFull):
        incoming.write([b"x" * 11])
    incoming.discard()
    assert list(spool.folder.iterdir()) == []


def test_power_cut_after_an_acknowledgement_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk keeps only what was synced: bytes of a file, and names of a folder, each at its last sync."""
    spool = Spool(tmp_path / "spool")
    bytes_on_disk: dict[int, bytes] = {}
    names_on_disk: dict[str, int] = {}

    def keep(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            names_on_disk.clear()
            names_on_disk.update({entry.name: entry.inode() for entry in os.scandir(spool.folder)})
        else:
            file = os.fstat(descriptor)
            with Path(f"/proc/self/fd/{descriptor}").open("rb") as stream:
                bytes_on_disk[file.st_ino] = stream.read()

    monkeypatch.setattr(os, "fsync", keep)
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda number: spool.put([b"x" * number]), range(100, 160)))
    for number, path in enumerate(paths, 100):
        assert bytes_on_disk[names_on_disk[path.name]] == b"x" * number

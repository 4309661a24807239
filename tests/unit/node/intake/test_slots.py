"""Files made ahead: an acknowledged object survives a power cut whatever became of its last name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from racoon.node.intake._slots import READY, Slots, sealed_name
from racoon.node.intake.spool import Spool
from tests.waiting import eventually

HEAD = bytes(128) + b"DICM"


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "incoming")


@pytest.fixture
def slots(tmp_path: Path, spool: Spool) -> Iterator[Slots]:
    made = Slots(tmp_path / "arriving")
    assert made.recover(spool.folder) == 0
    eventually(lambda: len(list((tmp_path / "arriving").glob("*.slot"))) == READY)
    eventually(lambda: made.take() is not None)
    spool.use(made)
    yield made
    made.close()


def receive(spool: Spool, data: bytes) -> Path:
    incoming = spool.begin()
    incoming.write([HEAD[:100]])
    incoming.write([HEAD[100:], memoryview(data)[:5]])
    incoming.write([data[5:]])
    return incoming.commit()


def test_object_costs_one_sync_and_says_what_it_is(
    tmp_path: Path, spool: Spool, slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (synced.append(descriptor), real(descriptor))[1])
    path = receive(spool, b"pixels")
    assert len(synced) == 1
    assert path.read_bytes()[128:] == b"DICMpixels"
    assert sealed_name(path) == path.name
    assert [file.path for file in spool.waiting(5)] == [path]
    assert list(spool.folder.glob("*.part")) == []


def test_after_a_power_cut_whole_objects_go_on_under_their_names(tmp_path: Path, spool: Spool) -> None:
    """The disk may have any rename not yet, and any bytes of what was not synced."""
    first = Slots(tmp_path / "arriving")
    first.recover(spool.folder)
    spool.use(first)
    eventually(lambda: len(first._ready) == READY)
    paths = [receive(spool, bytes([number]) * 3000) for number in range(3)]
    incoming = spool.begin()
    incoming.write([HEAD, b"half"])
    first.close()
    arriving = tmp_path / "arriving"
    assert len(list(arriving.glob("*.slot"))) == 1, "the one on its way"
    contents = {path.name: path.read_bytes() for path in paths}
    for number, path in enumerate(paths):
        path.rename(arriving / f"9-{number}.slot")
    whole = contents[paths[0].name]
    (arriving / "9-7.slot").write_bytes(b"")
    (arriving / "9-8.slot").write_bytes(whole[:-1])
    (arriving / "9-9.slot").write_bytes(whole[:500] + bytes(100) + whole[600:-1] + b"x")
    (arriving / "9-10.slot").write_bytes(bytes(128) + whole[128:])
    again = Slots(arriving)
    assert again.recover(spool.folder) == 3
    again.close()
    assert {file.name: file.path.read_bytes() for file in spool.waiting(9)} == contents
    assert list(arriving.glob("*.slot")) == []
    incoming.discard()


def test_object_given_up_takes_its_slot_along(tmp_path: Path, spool: Spool, slots: Slots) -> None:
    incoming = spool.begin()
    incoming.write([HEAD, b"half"])
    (used,) = [path for path in (tmp_path / "arriving").glob("*.slot") if path.stat().st_size]
    incoming.discard()
    assert not used.exists()
    assert spool.waiting(1) == []


def test_slots_of_a_listener_that_runs_are_left_alone(tmp_path: Path, spool: Spool, slots: Slots) -> None:
    before = set((tmp_path / "arriving").iterdir())
    other = Slots(tmp_path / "arriving")
    assert other.recover(spool.folder) == 0
    assert other.take() is None
    other.close()
    assert set((tmp_path / "arriving").iterdir()) >= before


def test_more_objects_than_slots_take_the_longer_way(spool: Spool, slots: Slots) -> None:
    paths = [receive(spool, str(number).encode() * 10) for number in range(READY * 4)]
    assert sorted(paths) == sorted(file.path for file in spool.waiting(1000))

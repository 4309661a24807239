"""Whole files or none, clear words for a full disk; times with zones."""

from __future__ import annotations

import errno
import os
import stat
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racoon.errors import Unavailable
from racoon.platform import clock
from racoon.platform.files import StorageFull, create_atomically, disk_errors, write_atomically


def test_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_atomically(path, b"one")
    write_atomically(path, b"two", mode=0o640)
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(path.parent.iterdir()) == [path]


def test_only_one_creator_wins(tmp_path: Path) -> None:
    path = tmp_path / "file"
    wins: list[bytes] = []

    def create(data: bytes) -> None:
        if create_atomically(path, data):
            wins.append(data)

    threads = [threading.Thread(target=create, args=(bytes([number]) * 1000,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wins == [path.read_bytes()]
    assert list(tmp_path.iterdir()) == [path]


def test_full_disk_is_unavailable() -> None:
    with (
        pytest.raises(StorageFull, match="disk is full") as raised,
        disk_errors(),
        Path("/dev/full").open("wb", buffering=0) as stream,
    ):
        stream.write(b"x")
    assert isinstance(raised.value, Unavailable)
    with pytest.raises(PermissionError), disk_errors():
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


@given(st.datetimes(timezones=st.just(timezone(timedelta(hours=5, minutes=30)))))
def test_time_text_round_trip(moment: datetime) -> None:
    try:
        text = clock.to_text(moment)
    except OverflowError:
        return
    assert len(text) == 27
    assert clock.from_text(text) == moment
    assert clock.from_text(text).tzinfo is UTC


def test_naive_times_are_refused() -> None:
    with pytest.raises(TypeError):
        clock.to_text(datetime(2026, 1, 1))  # noqa: DTZ001 -- without a zone on purpose
    with pytest.raises(ValueError, match="zone"):
        clock.from_text("2026-01-01T00:00:00")
    assert clock.now().tzinfo is UTC

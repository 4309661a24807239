"""Files made ahead for objects that are about to arrive: an acknowledgement then costs one sync instead of two.

The name of a slot is on disk before it is used, so a sync of the file makes the object durable.  Its final name in the
spool follows by a rename that is not synced: after a power cut the object lies there or still in its slot.  A slot says
in its preamble (PS3.10 leaves these 128 bytes to the application) under which name it goes on, with size and checksum:
what is whole is handed on at the next start, and the rest, which nobody was promised, goes.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import logging
import os
import struct
import threading
import zlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from racoon.platform.files import sync_folder

LOG = logging.getLogger(__name__)

PREAMBLE_BYTES = 128
READY = 16
"""Slots that wait; half of them are gone before more are made, so that one sync of the folder serves eight objects."""

_SEAL = struct.Struct("<16s72sQL")
_MAGIC = b"RACOON received\0"
_SUFFIX = ".slot"
_RETRY_S = 1.0


@dataclass
class Slot:
    """An empty file whose name is on disk.

    Parameters
    ----------
    descriptor, path
        Of the file.
    checksum
        CRC-32 of what was written behind the preamble.
    """

    descriptor: int
    path: Path
    checksum: int = 0

    def add(self, parts: Sequence[bytes | memoryview], before: int) -> None:
        """Take pieces into the checksum; ``before`` bytes stand in front of them."""
        skip = max(PREAMBLE_BYTES - before, 0)
        for part in parts:
            self.checksum = zlib.crc32(memoryview(part)[skip:], self.checksum)
            skip = max(skip - len(part), 0)

    def seal(self, name: str, size_bytes: int) -> None:
        """Say that it is whole, and what it is called; after the next sync this holds."""
        os.pwrite(self.descriptor, _SEAL.pack(_MAGIC, name.encode(), size_bytes, self.checksum), 0)


class Slots:
    """The slots of one listener.

    Parameters
    ----------
    folder
        On the same file system as the spool; mode 0700.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        sync_folder(folder.parent)
        self._ready: deque[Slot] = deque()
        self._change = threading.Condition()
        self._numbers = itertools.count()
        self._is_closing = False
        self._thread: threading.Thread | None = None
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def recover(self, spool: Path) -> int:
        """Hand on what a power cut left here, and begin to make slots.

        Where another listener works with this folder nothing is touched, and no slot is made.

        Returns
        -------
        int
            How many objects were handed on.
        """
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            LOG.warning("another listener uses this spool")
            return 0
        found = 0
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            name = sealed_name(path)
            if name:
                path.rename(spool / name)
                found += 1
            else:
                path.unlink()
        if found:
            LOG.warning("objects received before a power cut go on", extra={"count": found})
        sync_folder(spool)
        self._thread = threading.Thread(target=self._make, name="intake-slots", daemon=True)
        self._thread.start()
        return found

    def take(self) -> Slot | None:
        """Give a slot, or None where there is none just now."""
        with self._change:
            if len(self._ready) <= READY // 2:
                self._change.notify()
            return self._ready.popleft() if self._ready else None

    def close(self) -> None:
        """Remove what was not used."""
        with self._change:
            self._is_closing = True
            self._change.notify()
        if self._thread is not None:
            self._thread.join()
        for slot in self._ready:
            os.close(slot.descriptor)
            slot.path.unlink(missing_ok=True)
        self._ready.clear()
        os.close(self._lock)

    def _make(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._is_closing or len(self._ready) <= READY // 2)
                if self._is_closing:
                    return
                missing = READY - len(self._ready)
            made: list[Slot] = []
            try:
                for _ in range(missing):
                    path = self._folder / f"{os.getpid()}-{next(self._numbers)}{_SUFFIX}"
                    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                    made.append(Slot(os.open(path, flags, 0o600), path))
                sync_folder(self._folder)
            except OSError as error:
                # Objects go the longer way meanwhile, which says what is wrong.
                LOG.warning("no files ahead", extra={"reason": os.strerror(error.errno or 0)})
                for slot in made:
                    os.close(slot.descriptor)
                    with contextlib.suppress(OSError):
                        slot.path.unlink(missing_ok=True)
                with self._change:
                    self._change.wait(_RETRY_S)
                continue
            with self._change:
                self._ready.extend(made)


def sealed_name(path: Path) -> str:
    """Give the name under which a slot goes on, or an empty text where it is not whole."""
    with path.open("rb") as stream:
        head = stream.read(PREAMBLE_BYTES)
        if len(head) < PREAMBLE_BYTES:
            return ""
        magic, name, size, checksum = _SEAL.unpack_from(head)
        if magic != _MAGIC or os.fstat(stream.fileno()).st_size != size:
            return ""
        found = 0
        while piece := stream.read(1 << 20):
            found = zlib.crc32(piece, found)
    text = bytes(name).rstrip(b"\0").decode("ascii", "replace")
    return text if found == checksum and Path(text).name == text else ""

"""The durable queue between the network and the worker: one file per received object.

A name is ``<nanoseconds>-<process>-<number>.dcm``; behind ``~`` stands a suspicion that a person overruled, or the
mark of a correction.
A file appears under its final name only when its bytes are on disk, and goes only when its outcome is
committed.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue

from racoon.node.intake._slots import Slot, Slots
from racoon.platform.files import StorageFull, disk_errors, sync_folder

NAME = re.compile(r"(\d{10,})-(\d+)-(\d+)(?:~([a-z_]+|corrects-[0-9a-f]{16}))?\.dcm")

RESERVE_BYTES = 256 << 20
"""Free space that the spool never takes: the databases beside it must go on writing."""

STALE_PARTIAL_S = 6 * 3600
"""A partial file older than this belongs to a transfer that ended with a crash; it was never acknowledged."""

LOOK_EVERY_BYTES = 64 << 20
"""How much of one object is written between two looks at the free space."""

MOST_PARTS = 256
"""Pieces of one write; the kernel takes 1024."""

_SUFFIX = ".dcm"


@dataclass(frozen=True)
class SpooledFile:
    """One object waiting.

    Parameters
    ----------
    released
        A suspicion that a person overruled, or empty.
    corrects
        Mark of a correction, or empty.
    """

    path: Path
    received_ns: int
    released: str = ""
    corrects: str = ""

    @property
    def name(self) -> str:
        """Key of the object until its outcome is committed."""
        return self.path.name


class Spool:
    """Folder of received objects.

    Parameters
    ----------
    folder
        Made with mode 0700: these files still name patients.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._numbers = itertools.count()
        self._commit = GroupCommit(folder)
        self._slots: Slots | None = None

    def use(self, slots: Slots) -> None:
        """Write objects that arrive in pieces into files made ahead, from now on."""
        self._slots = slots

    def new_name(self, released: str = "") -> str:
        """Give a name nobody else gets: time, process and a running number."""
        mark = f"~{released}" if released else ""
        return f"{time.time_ns()}-{os.getpid()}-{next(self._numbers)}{mark}{_SUFFIX}"

    def put(self, parts: Iterable[bytes | memoryview], *, released: str = "") -> Path:
        """Write one object; when this returns it survives a power cut.

        Raises
        ------
        StorageFull
            If there is no space, also for what the rest of the node needs.
        """
        contents = list(parts)
        target = self.folder / self.new_name(released)
        _look_for_space(self.folder, sum(len(part) for part in contents))
        incoming = Incoming(target, self._commit)
        try:
            incoming.write(contents)
            return incoming.commit()
        except BaseException:
            incoming.discard()
            raise

    def begin(self) -> Incoming:
        """Begin to write an object whose bytes are still on their way.

        Raises
        ------
        StorageFull
            If there is no space, also for what the rest of the node needs.
        """
        target = self.folder / self.new_name()
        _look_for_space(self.folder, 0)
        return Incoming(target, self._commit, self._slots.take() if self._slots is not None else None)

    def waiting(self, limit: int) -> list[SpooledFile]:
        """List the oldest objects."""
        found = [entry.name for entry in os.scandir(self.folder) if entry.name.endswith(_SUFFIX)]
        files = (self._parse(name) for name in sorted(found))
        return list(itertools.islice((file for file in files if file is not None), limit))

    def _parse(self, name: str) -> SpooledFile | None:
        match = NAME.fullmatch(name)
        if match is None:
            # Somebody put a file here by hand; it is taken like any other, as the newest.
            return SpooledFile(self.folder / name, time.time_ns())
        mark = match[4] or ""
        is_correction = mark.startswith("corrects-")
        return SpooledFile(
            self.folder / name,
            int(match[1]),
            released="" if is_correction else mark,
            corrects=mark if is_correction else "",
        )

    def size(self) -> tuple[int, int, float]:
        """Count what waits: objects, bytes, age of the oldest in seconds."""
        count, total, oldest = 0, 0, time.time_ns()
        for entry in os.scandir(self.folder):
            match = NAME.fullmatch(entry.name)
            with contextlib.suppress(FileNotFoundError):
                if match is not None:
                    count, total, oldest = count + 1, total + entry.stat().st_size, min(oldest, int(match[1]))
        return count, total, max(time.time_ns() - oldest, 0) / 1e9

    def remove(self, names: Iterable[str]) -> None:
        """Delete objects whose outcome is committed."""
        for name in names:
            (self.folder / name).unlink(missing_ok=True)

    def sweep(self) -> int:
        """Delete partial files of transfers that ended with a crash; give their number."""
        removed = 0
        for partial in self.folder.glob("*.part"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - partial.stat().st_mtime > STALE_PARTIAL_S:
                    partial.unlink()
                    removed += 1
        return removed


class Incoming:
    """An object on its way into the spool; others see it when it is whole and on disk.

    Parameters
    ----------
    target
        Its name afterwards.
    commit
        What makes it durable.
    slot
        File made ahead for it; what is written then begins with a preamble.
    """

    def __init__(self, target: Path, commit: GroupCommit, slot: Slot | None = None) -> None:
        self.size_bytes = 0
        self._target, self._commit, self._slot = target, commit, slot
        self._partial = target.with_suffix(".part")
        self._looked_at = 0
        if slot is not None:
            self._partial, self._descriptor = slot.path, slot.descriptor
            return
        with disk_errors():
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._descriptor = os.open(self._partial, flags, 0o600)

    def write(self, parts: Sequence[bytes | memoryview]) -> None:
        """Write the next pieces; none of them is kept.

        Raises
        ------
        StorageFull
            If there is no space.
        """
        size = sum(len(part) for part in parts)
        if self.size_bytes + size - self._looked_at > LOOK_EVERY_BYTES:
            self._looked_at = self.size_bytes
            _look_for_space(self._target.parent, size)
        with disk_errors():
            if len(parts) > MOST_PARTS:
                parts = [b"".join(parts)]
            written = os.writev(self._descriptor, parts)
            if written < size:
                _write_all(self._descriptor, b"".join(parts)[written:])
        if self._slot is not None:
            self._slot.add(parts, self.size_bytes)
        self.size_bytes += size

    def commit(self) -> Path:
        """Finish; when this returns the object survives a power cut.

        Raises
        ------
        StorageFull, OSError
            What the system said; the object then is not there.
        """
        try:
            with disk_errors():
                if self._slot is None:
                    self._commit.commit(self._descriptor, self._partial, self._target)
                else:
                    self._slot.seal(self._target.name, self.size_bytes)
                    os.fsync(self._descriptor)
                    self._partial.rename(self._target)
        except BaseException:
            self.discard()
            raise
        os.close(self._descriptor)
        self._descriptor = -1
        return self._target

    def discard(self) -> None:
        """Forget what was written; nothing happens to an object that is committed."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._partial.unlink(missing_ok=True)


def _look_for_space(folder: Path, ahead: int) -> None:
    """Look for space.

    Raises
    ------
    StorageFull
        If there is none for so many bytes ahead.
    """
    if shutil.disk_usage(folder).free < RESERVE_BYTES + ahead:
        raise StorageFull("The disk of the spool is full. Free some space; senders will try again.")


def _write_all(descriptor: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


@dataclass
class _Pending:
    partial: Path
    target: Path
    done: threading.Event = field(default_factory=threading.Event)
    error: OSError | None = None


class GroupCommit:
    """Makes files durable together: one sync of the folder serves all transfers that end at the same time.

    Each thread syncs its own file, side by side: the file system then writes one entry of its journal for several.
    The first waiting thread leads: it renames everything queued so far and syncs the folder once.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._queue: SimpleQueue[_Pending] = SimpleQueue()
        self._leader = threading.Lock()

    def commit(self, descriptor: int, partial: Path, target: Path) -> None:
        """Sync a written file, give it its final name, and return when both are on disk.

        Raises
        ------
        OSError
            What the system said; the file then has no final name.
        """
        os.fsync(descriptor)
        pending = _Pending(partial, target)
        self._queue.put(pending)
        with self._leader:
            if not pending.done.is_set():
                self._lead()
        if pending.error is not None:
            raise pending.error

    def _lead(self) -> None:
        group: list[_Pending] = []
        with contextlib.suppress(Empty):
            while True:
                group.append(self._queue.get_nowait())
        for pending in group:
            try:
                pending.partial.rename(pending.target)
            except OSError as error:
                pending.error = error
        try:
            sync_folder(self._folder)
        except OSError as error:
            for pending in group:
                pending.error = pending.error or error
        for pending in group:
            pending.done.set()

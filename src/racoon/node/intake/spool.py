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
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue

from racoon.platform.files import StorageFull, disk_errors

NAME = re.compile(r"(\d{10,})-(\d+)-(\d+)(?:~([a-z_]+|corrects-[0-9a-f]{16}))?\.dcm")

RESERVE_BYTES = 256 << 20
"""Free space that the spool never takes: the databases beside it must go on writing."""

STALE_PARTIAL_S = 6 * 3600
"""A partial file older than this belongs to a transfer that ended with a crash; it was never acknowledged."""

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
        target = self.folder / self.new_name(released)
        partial = target.with_suffix(".part")
        contents = list(parts)
        if shutil.disk_usage(self.folder).free < RESERVE_BYTES + sum(len(part) for part in contents):
            raise StorageFull("The disk of the spool is full. Free some space; senders will try again.")
        with disk_errors():
            try:
                descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                try:
                    for part in contents:
                        _write_all(descriptor, part)
                    self._commit.commit(descriptor, partial, target)
                finally:
                    os.close(descriptor)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
        return target

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


def _write_all(descriptor: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


@dataclass
class _Pending:
    descriptor: int
    partial: Path
    target: Path
    done: threading.Event = field(default_factory=threading.Event)
    error: OSError | None = None


class GroupCommit:
    """Makes files durable together: one sync of the folder serves all transfers that end at the same time.

    The first waiting thread leads: it syncs and renames everything queued so far, then syncs the folder once.
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
        pending = _Pending(descriptor, partial, target)
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
                os.fsync(pending.descriptor)
                pending.partial.rename(pending.target)
            except OSError as error:
                pending.error = error
        try:
            self._sync_folder()
        except OSError as error:
            for pending in group:
                pending.error = pending.error or error
        for pending in group:
            pending.done.set()

    def _sync_folder(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

"""A folder that somebody else fills: what lies still for a while is taken and removed."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from pathlib import Path

from racoon.errors import RacoonError
from racoon.node.intake.importing import take_in
from racoon.node.intake.spool import Spool

LOG = logging.getLogger(__name__)

REFUSED = "refused"
"""Subfolder for what could not be taken, each with its reason beside it."""

_UNFINISHED = (".part", ".tmp", ".partial", ".filepart", ".crdownload")


class WatchedFolder:
    """Takes files from a folder into the spool.

    A file is taken when its size and time did not change between two looks; it is removed once it lies safely in
    the spool. A crash in between takes it twice, and an identical object that arrives twice changes nothing.

    Parameters
    ----------
    folder
        Filled by somebody else; subfolders are followed.
    spool
        Where objects wait for the worker.
    journals
        For archives whose import was interrupted.
    largest_bytes
        Larger files are set aside.
    """

    def __init__(self, folder: Path, spool: Spool, journals: Path, *, largest_bytes: int) -> None:
        self._folder = folder
        self._spool = spool
        self._journals = journals
        self._largest_bytes = largest_bytes
        self._seen: dict[Path, tuple[int, int]] = {}

    def run(self, stop: threading.Event, *, pause_s: float) -> None:
        """Look again and again until asked to stop."""
        while not stop.is_set():
            try:
                self.look()
            except (RacoonError, OSError) as error:
                # A full disk or a share that is gone: the files stay where they are.
                LOG.warning("the watched folder waits", extra={"reason": type(error).__name__})
            stop.wait(pause_s)

    def look(self) -> int:
        """Take what has not changed since the last look; return the number of files taken."""
        self._folder.mkdir(parents=True, exist_ok=True)
        present: dict[Path, tuple[int, int]] = {}
        ready = []
        for place, folders, names in os.walk(self._folder):
            folders[:] = sorted(
                name for name in folders if not name.startswith(".") and Path(place, name) != self._refused
            )
            for name in sorted(names):
                file = Path(place, name)
                if name.startswith(".") or name.lower().endswith(_UNFINISHED):
                    continue
                with contextlib.suppress(FileNotFoundError):
                    state = file.stat()
                    present[file] = state.st_size, state.st_mtime_ns
                    if self._seen.get(file) == present[file]:
                        ready.append(file)
        self._seen = present
        return sum(self._take(file) for file in ready)

    @property
    def _refused(self) -> Path:
        return self._folder / REFUSED

    def _take(self, file: Path) -> bool:
        report = take_in(file, self._spool, self._journals, largest_bytes=self._largest_bytes)
        self._seen.pop(file, None)
        if not report.problems:
            file.unlink(missing_ok=True)
            self._remove_empty(file.parent)
            return True
        self._refused.mkdir(exist_ok=True, mode=0o700)
        target = self._refused / f"{file.stat().st_mtime_ns}-{file.name}"
        file.replace(target)
        reasons = "".join(f"{problem.name}: {problem.message}\n" for problem in report.problems)
        target.with_name(f"{target.name}.txt").write_text(reasons, encoding="utf-8", errors="replace")
        LOG.warning("a file of the watched folder was set aside", extra={"reason": report.problems[0].code})
        return False

    def _remove_empty(self, folder: Path) -> None:
        while folder != self._folder:
            try:
                folder.rmdir()
            except OSError:
                return
            folder = folder.parent

"""Small pictures kept on disk, so that a gallery does not decode the same image again for everybody who scrolls by.

It is a copy of something the archive holds, and never a way around it: who asks has asked the archive for the instance
first.  A picture goes with its series; the folder never grows beyond its bound, the longest unused go first.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import sqlalchemy as sa

from racoon.node.archive.model import InstanceRow, SeriesFacts, SeriesNotFound
from racoon.node.archive.service import Archive
from racoon.platform import clock
from racoon.platform.files import write_atomically

LARGEST_BYTES = 512 << 20
"""About a hundred thousand pictures of 128 pixels."""

KEPT_SHARE = 0.9
"""How full the folder is after it was made room in; making room is not for every picture."""

USED_AGAIN_S = 3600.0
"""How exactly the last use is noted."""


class Thumbnails:
    """Pictures by series and instance.

    Parameters
    ----------
    folder
        Where they lie; a folder of its own, that may be deleted at any time.
    largest_bytes
        What they take together at most.
    """

    def __init__(self, folder: Path, largest_bytes: int = LARGEST_BYTES) -> None:
        self._folder = folder
        self._largest_bytes = largest_bytes
        self._lock = threading.Lock()
        self._taken_bytes: int | None = None

    def get(self, archive: Archive, row: InstanceRow, frame: int, make: Callable[[], bytes]) -> bytes:
        """Return the picture of a frame, made now if it is not there.

        Parameters
        ----------
        archive
            Asked again once the picture is kept: the series may have gone meanwhile.
        row
            The instance, as the archive gave it for this request.
        frame
            Number of the frame, from 1.
        make
            Renders it from the archived object.
        """
        path = self._path(row.series_uid) / f"{row.sha256[:32]}-{frame}.jpg"
        try:
            data = path.read_bytes()
            if clock.now().timestamp() - path.stat().st_mtime > USED_AGAIN_S:
                os.utime(path)
        except OSError:
            data = make()
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, data)
            self._add(len(data))
            try:
                archive.instance(row.sop_instance_uid)
            except SeriesNotFound:
                self.forget([row.series_uid])
                raise
        return data

    def forget(self, series_uids: Sequence[str]) -> int:
        """Remove the pictures of some series; returns how many."""
        found = 0
        for uid in series_uids:
            for path in _pictures_in(self._path(uid)):
                found += self._remove(path)
            self._drop_empty(self._path(uid))
        return found

    def listen(
        self, _connection: sa.Connection, removed: Sequence[str], changed: Sequence[SeriesFacts]
    ) -> None:
        """Forget series that were deleted or lost instances; called by the archive when it deletes."""
        self.forget([*removed, *(fact.series_uid for fact in changed)])

    def size_bytes(self) -> int:
        """What the pictures take on disk now."""
        return sum(size for _, size, _ in self._all())

    def _path(self, series_uid: str) -> Path:
        # Spread over folders by the last digits: the first ones of all UIDs are the same.
        return self._folder / series_uid[-2:].replace(".", "_") / series_uid

    def _add(self, size: int) -> None:
        with self._lock:
            if self._taken_bytes is None:
                self._taken_bytes = self.size_bytes()
            else:
                self._taken_bytes += size
            if self._taken_bytes <= self._largest_bytes:
                return
            left = self.size_bytes()
            for path, size_bytes, _ in sorted(self._all(), key=lambda item: item[2]):
                if left <= KEPT_SHARE * self._largest_bytes:
                    break
                if self._remove(path):
                    left -= size_bytes
                self._drop_empty(path.parent)
            self._taken_bytes = left

    def _all(self) -> list[tuple[Path, int, float]]:
        found = []
        for group in self._folder.glob("*/*"):
            for path in _pictures_in(group):
                try:
                    state = path.stat()
                except FileNotFoundError:
                    continue
                found.append((path, state.st_size, state.st_mtime))
        return found

    def _remove(self, path: Path) -> bool:
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        return True

    def _drop_empty(self, folder: Path) -> None:
        try:
            folder.rmdir()
        except OSError:
            return


def _pictures_in(folder: Path) -> list[Path]:
    return list(folder.glob("*.jpg"))

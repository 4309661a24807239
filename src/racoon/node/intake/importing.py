"""Take files from a folder, a ZIP file or a medium with a DICOMDIR into the spool, as if a scanner had sent them.

What was taken is written to a journal, so that an import that was interrupted goes on where it stopped.  The
journal holds digests only: names of folders and files may name patients.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from racoon.node.intake._sources import Found, Member, look_through
from racoon.node.intake.model import ImportProblem, ImportRefused, ImportReport
from racoon.node.intake.spool import Spool
from racoon.standards.dicom.dicomdir import HEAD_BYTES, looks_like_dicom

DEFAULT_LARGEST_BYTES = 2 << 30

Progress = Callable[[int], None]


class Journal:
    """Digests of what an import has taken already.

    Parameters
    ----------
    folder
        Where journals of interrupted imports lie.
    path
        What is imported.
    """

    def __init__(self, folder: Path, path: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.name = _digest(str(path.resolve()))
        self._file = folder / f"{self.name}.journal"
        self._taken: set[str] = set()
        if self._file.exists():
            lines = self._file.read_text(encoding="ascii", errors="replace").splitlines()
            self._taken.update(line for line in lines if len(line) == len(self.name))
        self._stream = self._file.open("a", encoding="ascii")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def has(self, stamp: str) -> bool:
        """Tell whether this file was taken before."""
        return _digest(stamp) in self._taken

    def add(self, stamp: str) -> None:
        """Remember a file that lies in the spool.

        It is not synced: what a power cut takes out of the journal is taken again, and an identical object
        that arrives twice changes nothing.
        """
        self._stream.write(_digest(stamp) + "\n")
        self._stream.flush()

    def finish(self) -> None:
        """Forget an import that came to its end."""
        self._stream.close()
        self._file.unlink(missing_ok=True)


def count_files(path: Path, *, largest_bytes: int = DEFAULT_LARGEST_BYTES) -> int:
    """Count what :func:`take_in` will look at, for a progress bar.

    Raises
    ------
    ImportRefused
        If there is no such path.
    """
    return sum(1 for _ in look_through(path, largest_bytes=largest_bytes))


def take_in(
    path: Path,
    spool: Spool,
    journals: Path,
    *,
    largest_bytes: int = DEFAULT_LARGEST_BYTES,
    dicom_only: bool = False,
    progress: Progress | None = None,
) -> ImportReport:
    """Put everything below a path into the spool.

    Parameters
    ----------
    path
        Folder, ZIP file, DICOMDIR or single file.
    spool
        Where objects wait for the worker.
    journals
        Folder for the journal of an interrupted import.
    largest_bytes
        Larger files are named as a problem and left out.
    dicom_only
        Leave out what does not begin like DICOM, such as the viewer on a patient's CD; otherwise it ends in
        quarantine, where nothing is overlooked.
    progress
        Called with the number of files looked at.

    Returns
    -------
    ImportReport
        Each file taken then ends archived, as a duplicate, or in quarantine with its reason.

    Raises
    ------
    ImportRefused
        If there is no such path.
    StorageFull
        If the spool's disk is full.  Run the same import again when there is space; it goes on.
    """
    if not path.exists():
        raise ImportRefused("There is no such file or folder.")
    counts = _Counts()
    with Journal(journals, path) as journal:
        for item in look_through(path, largest_bytes=largest_bytes):
            counts.look_at(item, spool, journal, dicom_only=dicom_only)
            if progress is not None:
                progress(counts.seen)
        if not counts.problems:
            journal.finish()
    return counts.report()


class _Counts:
    def __init__(self) -> None:
        self.seen = self.taken = self.taken_bytes = self.taken_before = self.left_out = 0
        self.problems: list[ImportProblem] = []

    def look_at(self, item: Found, spool: Spool, journal: Journal, *, dicom_only: bool) -> None:
        self.seen += 1
        if isinstance(item, ImportProblem):
            self.problems.append(item)
        elif journal.has(item.stamp):
            self.taken_before += 1
        elif dicom_only and not looks_like_dicom(_read(item, HEAD_BYTES)):
            self.left_out += 1
        else:
            self._take(item, spool, journal)

    def _take(self, item: Member, spool: Spool, journal: Journal) -> None:
        try:
            data = item.read(item.size_bytes + 1)
        except Exception:  # noqa: BLE001 - decompressors are foreign code fed with foreign bytes
            code, message = (
                ("damaged", "The file inside the ZIP file is damaged.")
                if "!" in item.name
                else ("unreadable", "The file cannot be read.")
            )
            self.problems.append(ImportProblem(item.name, code, message))
            return
        if len(data) != item.size_bytes:
            self.problems.append(
                ImportProblem(item.name, "changed", "The file changed while it was read. Import it again.")
            )
            return
        spool.put([data])
        journal.add(item.stamp)
        self.taken += 1
        self.taken_bytes += len(data)

    def report(self) -> ImportReport:
        return ImportReport(
            self.seen, self.taken, self.taken_bytes, self.taken_before, self.left_out, tuple(self.problems)
        )


def _read(item: Member, limit: int) -> bytes:
    try:
        return item.read(limit)
    except Exception:  # noqa: BLE001 - decompressors are foreign code fed with foreign bytes
        # It may be DICOM: the attempt to take it will say what is wrong with it.
        return b"DICM"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]

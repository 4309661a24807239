"""What lies below a path: files, members of ZIP files, what a DICOMDIR names; safe against hostile archives.

Nothing is unpacked to disk, and no archive is opened before its own table of contents is believable.
"""

from __future__ import annotations

import io
import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from racoon.node.intake.model import ImportProblem, ImportRefused
from racoon.standards.dicom import dicomdir
from racoon.standards.dicom.elements import MalformedDicom

LARGEST_RATIO = 200
"""An archive that unpacks to more than this many times its size is a bomb: images shrink to a half or a third."""

ALWAYS_ALLOWED_BYTES = 1 << 30
"""Small archives may exceed the ratio up to here: empty masks compress a thousandfold."""

MOST_MEMBERS = 2_000_000

DEEPEST_NESTING = 3
"""A ZIP file inside a ZIP file inside a ZIP file is an export of an export; beyond, it is an attack."""

_ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
_LOCAL_HEADER_BYTES = 30
_ENCRYPTED = 0x1

_BROKEN = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, RuntimeError, ValueError, OSError,
)  # fmt: skip
"""What the standard library raises for archives that are broken, encrypted or packed in a foreign way."""


@dataclass(frozen=True)
class Member:
    """One file that could be imported.

    Parameters
    ----------
    name
        As a person finds it: path below the import, members of an archive behind ``!``.
    stamp
        What makes it the same file in a later run: place, size, time or checksum.
    size_bytes
        As the folder or the archive states it.
    read
        Returns the content, or as much as asked for.
    """

    name: str
    stamp: str
    size_bytes: int
    read: Callable[[int], bytes]


Found = Member | ImportProblem


@dataclass
class _Budget:
    """What may still be unpacked of one archive, whatever is nested in it."""

    left: int

    def take(self, size: int) -> bool:
        self.left -= size
        return self.left >= 0


def look_through(path: Path, *, largest_bytes: int) -> Iterator[Found]:
    """Yield everything below a path, in a stable order.

    Parameters
    ----------
    path
        Folder, ZIP file, DICOMDIR or single file.
    largest_bytes
        Larger files are a problem instead of a member.

    Raises
    ------
    ImportRefused
        If there is no such path.
    """
    if path.is_dir():
        yield from _folder(path, largest_bytes)
    elif not path.is_file():
        raise ImportRefused("There is no such file or folder.")
    elif path.name.upper() == dicomdir.NAME:
        yield from _listed(path, path.parent, largest_bytes, only_missing=False)
    else:
        yield from _file(path, path.name, largest_bytes)


def _folder(root: Path, largest_bytes: int) -> Iterator[Found]:
    problems: list[ImportProblem] = []

    def remember(error: OSError) -> None:
        name = os.path.relpath(error.filename or root, root)
        problems.append(ImportProblem(name, "unreadable", "The folder cannot be opened."))

    for place, folders, names in os.walk(root, onerror=remember):
        folders.sort()
        for name in sorted(names):
            file = Path(place, name)
            if name.upper() == dicomdir.NAME:
                yield from _listed(file, root, largest_bytes, only_missing=True)
            elif file.is_file():
                yield from _file(file, str(file.relative_to(root)), largest_bytes)
    yield from problems


def _listed(index: Path, root: Path, largest_bytes: int, *, only_missing: bool) -> Iterator[Found]:
    """Follow a DICOMDIR; in a folder that is looked through anyway only what it names in vain is news."""
    label = os.path.relpath(index, root)
    try:
        entries = dicomdir.referenced_files(index.read_bytes())
    except MalformedDicom as error:
        yield ImportProblem(label, "bad_dicomdir", error.public_message)
        return
    except OSError:
        yield ImportProblem(label, "unreadable", "The file cannot be read.")
        return
    for components in entries:
        file = dicomdir.locate(index.parent, components)
        if file is None:
            yield ImportProblem(
                f"{label}:{'/'.join(components)}", "missing", "The DICOMDIR names a file that is gone."
            )
        elif not only_missing:
            yield from _file(file, os.path.relpath(file, root), largest_bytes)


def _file(file: Path, name: str, largest_bytes: int) -> Iterator[Found]:
    try:
        with file.open("rb") as stream:
            start = stream.read(4)
            state = os.fstat(stream.fileno())
    except OSError:
        yield ImportProblem(name, "unreadable", "The file cannot be read.")
        return
    stamp = f"{file.resolve()}\0{state.st_size}\0{state.st_mtime_ns}"
    # Only what begins as an archive is one: an encapsulated document may end with a ZIP directory.
    if start in _ZIP_STARTS:
        with file.open("rb") as stream:
            budget = _Budget(max(state.st_size * LARGEST_RATIO, ALWAYS_ALLOWED_BYTES))
            yield from _archive(stream, state.st_size, name, stamp, largest_bytes, budget, 1)
    elif state.st_size > largest_bytes:
        yield _too_large(name)
    else:
        yield Member(name, stamp, state.st_size, lambda limit: _read(file, limit))


def _read(file: Path, limit: int) -> bytes:
    with file.open("rb") as stream:
        return stream.read(limit)


def _too_large(name: str) -> ImportProblem:
    return ImportProblem(name, "too_large", "The file is larger than dicom.max_object_mb allows.")


def _archive(
    stream: BinaryIO,
    size: int,
    name: str,
    stamp: str,
    largest_bytes: int,
    budget: _Budget,
    depth: int,
) -> Iterator[Found]:
    try:
        archive = zipfile.ZipFile(stream)
    except _BROKEN:
        yield ImportProblem(name, "bad_archive", "The ZIP file is damaged or cut off.")
        return
    with archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        suspicion = _suspicion(members, size, budget, depth)
        if suspicion:
            yield ImportProblem(name, "archive_bomb", suspicion)
            return
        for member in members:
            yield from _archived(archive, member, name, stamp, largest_bytes, budget, depth)


def _suspicion(members: list[zipfile.ZipInfo], size: int, budget: _Budget, depth: int) -> str:
    """Say why a table of contents is not believable; empty when it is."""
    if depth > DEEPEST_NESTING:
        return "Archives are nested deeper than any export does it."
    if len(members) > MOST_MEMBERS:
        return "The ZIP file lists more files than any export holds."
    if _overlap(sorted((member.header_offset, member.compress_size) for member in members), size):
        return "Files inside the ZIP file overlap: it was made to unpack without end."
    if not budget.take(sum(member.file_size for member in members)):
        return f"The ZIP file unpacks to more than {LARGEST_RATIO} times its size."
    return ""


def _overlap(places: list[tuple[int, int]], size: int) -> bool:
    """Tell whether two members share bytes, or one lies behind the end (Fifield, WOOT 2019)."""
    following = [start for start, _ in places[1:]] + [size]
    return any(
        start + _LOCAL_HEADER_BYTES + length > after
        for (start, length), after in zip(places, following, strict=True)
    )


def _archived(
    archive: zipfile.ZipFile,
    member: zipfile.ZipInfo,
    parent: str,
    stamp: str,
    largest_bytes: int,
    budget: _Budget,
    depth: int,
) -> Iterator[Found]:
    name = f"{parent}!{member.filename}"
    if Path(member.filename).name.upper() == dicomdir.NAME:
        return
    if member.flag_bits & _ENCRYPTED:
        yield ImportProblem(name, "encrypted", "The file is encrypted; unpack it with its password first.")
        return
    own = f"{stamp}\0{member.filename}\0{member.file_size}\0{member.CRC}"

    def read(limit: int) -> bytes:
        with archive.open(member) as stream:
            return stream.read(limit)

    try:
        is_archive = read(4) in _ZIP_STARTS
        if member.file_size > largest_bytes:
            yield _too_large(name)
        elif is_archive:
            data = read(member.file_size)
            yield from _archive(io.BytesIO(data), len(data), name, own, largest_bytes, budget, depth + 1)
        else:
            yield Member(name, own, member.file_size, read)
    except _BROKEN:
        yield ImportProblem(name, "damaged", "The file inside the ZIP file is damaged.")

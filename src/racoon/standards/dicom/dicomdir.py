"""Removable media (PS3.10 section 8, PS3.3 annex F): what a DICOMDIR names, and how a file looks like DICOM."""

from __future__ import annotations

from pathlib import Path

from racoon.standards.dicom.elements import MalformedDicom
from racoon.standards.dicom.reading import items_of, read_file

NAME = "DICOMDIR"

_DIRECTORY_RECORDS = 0x00041220
_REFERENCED_FILE = 0x00041500

HEAD_BYTES = 132
"""Preamble and prefix: so much of a file is needed by :func:`looks_like_dicom`."""


def looks_like_dicom(head: bytes) -> bool:
    """Tell by its first bytes whether a file claims to be DICOM.

    Parameters
    ----------
    head
        The first :data:`HEAD_BYTES` bytes, or fewer of a short file.

    Returns
    -------
    bool
        Also true for the bare data sets of old archives, which start with group 0002 or 0008.
    """
    return head[128:132] == b"DICM" or head[:4] == b"DICM" or head[:2] in (b"\x02\x00", b"\x08\x00")


def referenced_files(data: bytes) -> tuple[tuple[str, ...], ...]:
    """Read which files a DICOMDIR names.

    Parameters
    ----------
    data
        The DICOMDIR itself.

    Returns
    -------
    tuple of tuple of str
        Folders and name of each file, as written (PS3.10 section 8.5: upper case, eight characters).

    Raises
    ------
    MalformedDicom
        If it is no DICOMDIR, or if it names a place outside its own folder.
    """
    dataset = read_file(data).dataset
    records = dataset.get(_DIRECTORY_RECORDS)
    if records is None:
        raise MalformedDicom("The file is not a DICOMDIR: it has no directory records.")
    found = []
    for record in items_of(records):
        element = record.get(_REFERENCED_FILE)
        if element is None or not element.value:
            continue
        text = bytes(element.value).decode("ascii", errors="replace")
        components = tuple(part.strip(" \0") for part in text.split("\\"))
        if any(part in ("", ".", "..") or "/" in part or "\0" in part for part in components):
            raise MalformedDicom("The DICOMDIR names a file outside its own folder.")
        found.append(components)
    return tuple(dict.fromkeys(found))


def locate(folder: Path, components: tuple[str, ...]) -> Path | None:
    """Find a file of a DICOMDIR, whatever the copy did to the case of its name.

    Parameters
    ----------
    folder
        Where the DICOMDIR lies.
    components
        One entry of :func:`referenced_files`.

    Returns
    -------
    Path or None
        None when the file is not there.
    """
    place = folder
    for part in components:
        exact = place / part
        if exact.exists():
            place = exact
            continue
        # Linux shows ISO 9660 in lower case, some copies keep the version ";1" behind the name.
        wanted = part.casefold()
        names = (entry for entry in place.iterdir()) if place.is_dir() else iter(())
        match = next((entry for entry in names if entry.name.casefold().partition(";")[0] == wanted), None)
        if match is None:
            return None
        place = match
    return place if place.is_file() else None

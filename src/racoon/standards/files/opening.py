"""What kind of file a path is, and the errors of reading it."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from racoon.errors import Defect, Refused

Kind = Literal["nifti", "nrrd", "dicom"]

_LARGEST_MEMBER_BYTES = 1 << 30
"""A member of an archive that unpacks to more is no slice of an image."""


class UnreadableImage(Defect):
    """A file that is not there, or not an image or mask this program can read."""

    code = "files.unreadable"


class OtherGrid(Refused):
    """A mask whose voxels are not those of the image; resampling would be a guess."""

    code = "files.other_grid"


def kind_of(path: Path) -> Kind:
    """Tell the format by the name; folders, archives and everything else are taken for DICOM.

    Raises
    ------
    UnreadableImage
        If nothing is there.
    """
    if not path.exists():
        raise UnreadableImage(f"{path.name} does not exist; give the path of a file or of a DICOM folder.")
    name = path.name.lower()
    if name.endswith((".nii", ".nii.gz", ".hdr", ".img")):
        return "nifti"
    return "nrrd" if name.endswith((".nrrd", ".nhdr")) else "dicom"


def dicom_files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of every file of a folder, a ZIP or TAR archive, or the file itself."""
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.is_file():
                yield file.name, file.read_bytes()
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for item in sorted(archive.infolist(), key=lambda item: item.filename):
                if not item.is_dir() and item.file_size <= _LARGEST_MEMBER_BYTES:
                    yield item.filename, archive.read(item)
    elif tarfile.is_tarfile(path):
        with tarfile.open(path) as tar:
            for member in tar:
                stream = tar.extractfile(member) if member.size <= _LARGEST_MEMBER_BYTES else None
                if stream is not None:
                    yield member.name, stream.read()
    else:
        yield path.name, path.read_bytes()


def stream_of(content: bytes) -> io.BytesIO:
    """Open bytes as a file."""
    return io.BytesIO(content)

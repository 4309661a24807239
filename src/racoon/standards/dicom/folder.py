"""A folder of DICOM files as series: which files belong together, without reading pixels."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from racoon.errors import Defect, Refused
from racoon.standards.dicom.plane import Frame, UnsuitableObject, frames_of
from racoon.standards.dicom.volume import stored_range_of

_DIRECTORY_RECORDS = 0x00041220


class NoSuchSeries(Refused):
    """The folder does not hold the series that was asked for, or several where one was meant."""

    code = "dicom.no_such_series"
    status = 404


@dataclass
class SeriesFiles:
    """The files of one series.

    Parameters
    ----------
    series_uid
        Series Instance UID.
    files, headers
        Paths and headers without pixel data, in the order of the paths.
    """

    series_uid: str
    files: list[Path] = field(default_factory=list)
    headers: list[Dataset] = field(default_factory=list)


@dataclass(frozen=True)
class FolderContent:
    """What a folder holds.

    Parameters
    ----------
    series
        By Series Instance UID, in the order of their first files.
    unreadable
        Number of files that are no DICOM objects.
    """

    series: dict[str, SeriesFiles]
    unreadable: int


def read_folder(folder: Path, progress: Callable[[int, int], None] | None = None) -> FolderContent:
    """Read the headers of all files below a folder.

    Parameters
    ----------
    folder
        Searched with all its subfolders; a single file is read too.
    progress
        Called with (done, total).

    Raises
    ------
    NoSuchSeries
        If there is no such folder.
    """
    if not folder.exists():
        raise NoSuchSeries("There is no such folder.")
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else [folder]
    series: dict[str, SeriesFiles] = {}
    unreadable = 0
    for done, file in enumerate(files, start=1):
        header = _read_header(file)
        if header is None:
            unreadable += 1
        else:
            uid = str(header.get("SeriesInstanceUID") or "")
            found = series.setdefault(uid, SeriesFiles(uid))
            found.files.append(file)
            found.headers.append(header)
        if progress is not None:
            progress(done, len(files))
    return FolderContent(series, unreadable)


def _read_header(file: Path) -> Dataset | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = pydicom.dcmread(file, stop_before_pixels=True)
            return header if len(header) and _DIRECTORY_RECORDS not in header else None
    except (InvalidDicomError, OSError, ValueError, EOFError, KeyError, AttributeError, NotImplementedError):
        # Whatever a reader says about a file that is none of its own.
        return None


def frames_of_series(series: SeriesFiles) -> tuple[list[Frame], tuple[int, int] | None]:
    """Read the planes of a series and the range of its stored values.

    Returns
    -------
    list of Frame, tuple or None
        As ``volume.arrange`` and ``volume.build_volume`` want them.  ``sop_instance_uid`` of a frame is the index
        of its file here: files that are copies of each other, or have lost their UIDs, must not be mixed up.

    Raises
    ------
    UnsuitableObject
        If an object has no place in space, or is no image.
    """
    frames: list[Frame] = []
    ranges: list[tuple[int, int] | None] = []
    for index, header in enumerate(series.headers):
        if "Rows" not in header or "Columns" not in header:
            raise UnsuitableObject("The object is no image.")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = frames_of(header)
                ranges.append(stored_range_of(header))
            frames += [replace(frame, sop_instance_uid=str(index)) for frame in found]
        except Defect:
            raise
        except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
            raise UnsuitableObject("The header of an image contradicts itself.") from error
    known = [item for item in ranges if item is not None]
    if not known or len(known) < len(ranges):
        return frames, None
    return frames, (min(low for low, _ in known), max(high for _, high in known))

"""From a folder of files to one volume, or to the reasons why it is none."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset

from racoon.standards.dicom.folder import NoSuchSeries, SeriesFiles, frames_of_series, read_folder
from racoon.standards.dicom.pixels import decode_frame
from racoon.standards.dicom.plane import Frame
from racoon.standards.dicom.resampling import resample_volume, stacks_of
from racoon.standards.dicom.stack import Arrangement, Finding, arrange
from racoon.standards.dicom.volume import Volume, build_volume


@dataclass(frozen=True)
class SeriesGeometry:
    """What a series looks like in space, before a pixel is decoded.

    Parameters
    ----------
    series
        Its files.
    whole
        All its planes as one stack, with everything irregular about them.
    stacks
        The stacks it consists of; one when it is regular or cannot be told apart.
    stored_range
        Smallest and largest stored value that the headers allow, None for float pixel data.
    """

    series: SeriesFiles
    whole: Arrangement
    stacks: tuple[Arrangement, ...]
    stored_range: tuple[int, int] | None

    def stack(self, number: int) -> Arrangement:
        """Return a stack by its number from 1; 0 is the whole series.

        Raises
        ------
        NoSuchSeries
            If there is no such stack.
        """
        if not 0 <= number <= len(self.stacks):
            raise NoSuchSeries(f"The series has {len(self.stacks)} stack(s); there is no number {number}.")
        return self.whole if number == 0 else self.stacks[number - 1]


def read_geometry(
    folder: Path, series_uid: str = "", progress: Callable[[int, int], None] | None = None
) -> SeriesGeometry:
    """Read the headers of a series and sort its planes.

    Parameters
    ----------
    folder
        Folder of the series; other files in it do no harm.
    series_uid
        Needed when several image series lie there.
    progress
        Called with (done, total) files.

    Raises
    ------
    NoSuchSeries
        If the series is not there, or several are and none was named.
    UnsuitableObject
        If an object of it cannot be a slice.
    """
    found = read_folder(folder, progress).series
    if series_uid:
        if series_uid not in found:
            raise NoSuchSeries(
                "The folder does not hold this series. `racoon dicom classify` lists what is there."
            )
        series = found[series_uid]
    else:
        images = [item for item in found.values() if any("Rows" in header for header in item.headers)]
        if not images:
            raise NoSuchSeries("The folder holds no DICOM images.")
        if len(images) > 1:
            raise NoSuchSeries(
                f"The folder holds {len(images)} image series. `racoon dicom classify` lists them; "
                "name one with --series."
            )
        series = images[0]
    frames, stored_range = frames_of_series(series)
    return SeriesGeometry(series, arrange(frames), tuple(stacks_of(frames)), stored_range)


def load_volume(geometry: SeriesGeometry, *, stack: int = 0, resample: bool = False) -> Volume:
    """Decode a series, or one stack of it.

    Parameters
    ----------
    geometry
        From :func:`read_geometry`.
    stack
        Number of the stack from 1; 0 takes the whole series.
    resample
        Interpolate an irregular stack instead of refusing it.

    Raises
    ------
    IrregularSeries
        If it is no regular grid, or interpolation would invent an image.
    UndecodablePixels
        If a frame cannot be decoded faithfully.
    """
    arrangement = geometry.stack(stack)
    pixels = _Pixels(geometry.series)
    if resample and not arrangement.is_regular:
        return resample_volume(arrangement, pixels.load)
    return build_volume(arrangement, geometry.stored_range, pixels.load)


class _Pixels:
    """Decodes frames; the last object read stays open, because a multi-frame one is asked for often."""

    def __init__(self, series: SeriesFiles) -> None:
        self._files = series.files
        self._recent: tuple[str, Dataset] | None = None

    def load(self, frame: Frame) -> npt.NDArray[np.generic]:
        if self._recent is None or self._recent[0] != frame.sop_instance_uid:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                dataset = pydicom.dcmread(self._files[int(frame.sop_instance_uid)])
            self._recent = frame.sop_instance_uid, dataset
        return decode_frame(self._recent[1], frame.number - 1)


def describe_finding(finding: Finding) -> dict[str, Any]:
    """Write a finding as JSON."""
    return {
        "code": finding.code.value,
        "message": finding.message,
        "forbids_stack": finding.forbids_stack,
        "values": dict(finding.values),
    }


def describe_stack(stack: Arrangement) -> dict[str, Any]:
    """Write a stack as JSON; without a regular grid it has no shape, spacing or affine."""
    regular = stack.is_regular and stack.affine is not None
    first = stack.frames[0] if stack.frames else None
    affine = stack.affine if regular else None
    return {
        "is_regular": regular,
        "frames": len(stack.frames),
        "shape": [len(stack.frames), first.rows, first.columns] if regular and first else None,
        "spacing_mm": None if affine is None else np.linalg.norm(affine[:3, :3], axis=0).round(6).tolist(),
        "affine_lps": None if affine is None else affine.round(9).tolist(),
        "findings": [describe_finding(finding) for finding in stack.findings],
    }


def describe_volume(volume: Volume) -> dict[str, Any]:
    """Write a volume that was built as JSON."""
    return {
        "is_regular": True,
        "frames": volume.image.shape[0],
        "shape": list(volume.image.shape),
        "spacing_mm": [round(value, 6) for value in volume.image.spacing_mm],
        "affine_lps": volume.image.affine.round(9).tolist(),
        "findings": [describe_finding(finding) for finding in volume.findings],
    }

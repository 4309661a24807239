"""From the planes of a series to one array in output units with a true affine.

Arrays are (slice, row, column), world is LPS in mm, slices are sorted along ``row direction x column
direction`` (PS3.3 C.7.6.2.1.1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from racoon.science.image import Image
from racoon.standards.dicom.plane import Frame, UnsuitableObject, frames_of
from racoon.standards.dicom.stack import Arrangement, Finding, FindingCode, IrregularSeries, arrange

__all__ = [
    "Arrangement",
    "Finding",
    "FindingCode",
    "Frame",
    "IrregularSeries",
    "UnsuitableObject",
    "Volume",
    "arrange",
    "build_volume",
    "frames_of",
    "stored_range_of",
]


@dataclass(frozen=True, eq=False)
class Volume:
    """A regular volume and where each slice came from.

    Parameters
    ----------
    image
        Voxels in output units (HU for CT), int16 where that is exact, else float32.
    instance_uids, frame_numbers
        SOP Instance UID and frame number (from 1) of each slice.
    findings
        Harmless irregularities.
    """

    image: Image
    instance_uids: tuple[str, ...]
    frame_numbers: tuple[int, ...]
    findings: tuple[Finding, ...] = ()


def build_volume(
    arrangement: Arrangement,
    stored_range: tuple[int, int] | None,
    load_pixels: Callable[[Frame], npt.NDArray[np.generic]],
) -> Volume:
    """Decode all frames into one array in output units.

    Parameters
    ----------
    arrangement
        Regular stack made by :func:`arrange`.
    stored_range
        Smallest and largest value that Bits Stored allows, or None for float pixel data; where it does not
        prove that int16 is exact, each frame's own values decide.
    load_pixels
        Returns the stored values (row, column) of a frame.

    Returns
    -------
    Volume

    Raises
    ------
    IrregularSeries
        If the frames are not one regular grid.
    """
    if not arrangement.is_regular or arrangement.affine is None:
        raise IrregularSeries(arrangement.findings)
    frames = arrangement.frames
    is_provably_exact = _fits_16_bits(frames, stored_range)
    dtype = np.int16 if is_provably_exact or _has_whole_rescale(frames, stored_range) else np.float32
    voxels: npt.NDArray[np.generic] = np.empty((len(frames), frames[0].rows, frames[0].columns), dtype)
    for index, frame in enumerate(frames):
        stored = load_pixels(frame)
        if voxels.dtype == np.int16 and not is_provably_exact and not _fits_16_bits([frame], _range(stored)):
            voxels = voxels.astype(np.float32)
        voxels[index] = _rescaled(stored, frame, voxels.dtype)
    return Volume(
        image=Image(voxels, arrangement.affine),
        instance_uids=tuple(frame.sop_instance_uid for frame in frames),
        frame_numbers=tuple(frame.number for frame in frames),
        findings=arrangement.findings,
    )


def _rescaled(stored: npt.NDArray[Any], frame: Frame, dtype: np.dtype[np.generic]) -> npt.NDArray[np.generic]:
    if frame.slope == 1 and frame.intercept == 0:
        return stored
    if dtype == np.int16:
        # int16 wraps, and the sum is in range: an overflow half way cancels out.
        scaled = stored if frame.slope == 1 else stored.astype(np.int32) * int(frame.slope)
        shifted: npt.NDArray[np.generic] = scaled.astype(np.int16) + np.int16(frame.intercept)
        return shifted
    result: npt.NDArray[np.generic] = stored.astype(np.float64) * frame.slope + frame.intercept
    return result


def _range(stored: npt.NDArray[Any]) -> tuple[int, int]:
    return int(stored.min()), int(stored.max())


def _has_whole_rescale(frames: Sequence[Frame], stored_range: tuple[int, int] | None) -> bool:
    if stored_range is None:
        return False
    return all(
        frame.slope == int(frame.slope) and frame.intercept == int(frame.intercept) for frame in frames
    )


def _fits_16_bits(frames: Sequence[Frame], stored_range: tuple[int, int] | None) -> bool:
    """Tell whether every value in the range is a 16-bit integer after rescale, zero included."""
    if stored_range is None or not _has_whole_rescale(frames, stored_range):
        return False
    for slope, intercept in {(frame.slope, frame.intercept) for frame in frames}:
        ends = [value * slope + intercept for value in (*stored_range, 0)]
        if min(ends) < -32768 or max(ends) > 32767:
            return False
    return True


def stored_range_of(dataset: Dataset) -> tuple[int, int] | None:
    """Smallest and largest stored value the header allows; None for float pixel data."""
    if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset or "BitsStored" not in dataset:
        return None
    bits = int(dataset.BitsStored)
    if int(dataset.get("PixelRepresentation", 0)):
        return -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return 0, (1 << bits) - 1

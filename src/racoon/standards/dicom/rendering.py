"""Stored values turned into grey levels for the eye: modality rescale, window, polarity (PS3.3 C.11.1,
C.11.2).

For research use and for orientation; it is no diagnostic display pipeline.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image as Picture
from pydicom.dataset import Dataset

from racoon.errors import Refused
from racoon.standards.dicom.pixels import UndecodablePixels, decode_colour_frame, decode_frame

PictureFormat = Literal["png", "jpeg"]

VoiFunction = Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]

AUTOMATIC_PERCENTILES = (1.0, 99.0)
"""An image without a window is shown between these: single hot pixels and the air around do not decide."""


class BadWindow(Refused):
    """A window that is not ``center,width,function``."""

    code = "dicomweb.bad_window"
    status = 400


@dataclass(frozen=True)
class Window:
    """What part of the values becomes black to white, in output units (HU for CT)."""

    centre: float
    width: float
    function: VoiFunction = "LINEAR"

    @classmethod
    def parse(cls, text: str) -> Window:
        """Read ``center,width[,function]`` (PS3.18 section 8.3.5.1.4).

        Raises
        ------
        BadWindow
            If it is not that.
        """
        pieces = text.split(",")
        try:
            centre, width = float(pieces[0]), float(pieces[1])
        except (ValueError, IndexError) as error:
            raise BadWindow("A window is written as centre,width,function.") from error
        name = pieces[2].upper().replace("-", "_") if len(pieces) > 2 else "LINEAR"
        if name not in ("LINEAR", "LINEAR_EXACT", "SIGMOID") or len(pieces) > 3:
            raise BadWindow("The function of a window is linear, linear-exact or sigmoid.")
        is_wide_enough = width >= 1 if name == "LINEAR" else width > 0
        if not np.isfinite([centre, width]).all() or not is_wide_enough:
            raise BadWindow("The width of a window must be at least 1.")
        return cls(centre, width, name)  # type: ignore[arg-type]  # checked above


def header_window(dataset: Dataset) -> Window | None:
    """Return the first window the object itself proposes, or None."""
    centre, width = dataset.get("WindowCenter"), dataset.get("WindowWidth")
    groups = dataset.get("SharedFunctionalGroupsSequence") or ()
    if centre in (None, "") and groups and groups[0].get("FrameVOILUTSequence"):
        item = groups[0].FrameVOILUTSequence[0]
        centre, width = item.get("WindowCenter"), item.get("WindowWidth")
    try:
        first_centre = float(centre[0] if _is_multiple(centre) else centre)
        first_width = float(width[0] if _is_multiple(width) else width)
    except (TypeError, ValueError, IndexError):
        return None
    return (
        Window(first_centre, max(first_width, 1.0))
        if np.isfinite([first_centre, first_width]).all()
        else None
    )


def _is_multiple(value: Any) -> bool:
    return hasattr(value, "__len__") and not isinstance(value, str)


def automatic_window(values: npt.NDArray[Any]) -> Window:
    """Return a window that shows most of the values."""
    low, high = np.percentile(values, AUTOMATIC_PERCENTILES)
    return Window(float(low + high) / 2, max(float(high - low), 1.0))


def output_values(dataset: Dataset, index: int) -> npt.NDArray[Any]:
    """Decode a frame and apply the modality rescale."""
    stored = decode_frame(dataset, index)
    slope, intercept = _rescale(dataset, index)
    if slope == 1 and intercept == 0:
        return stored
    if slope == int(slope) and intercept == int(intercept) and stored.dtype.itemsize <= 2:
        return stored.astype(np.int32) * int(slope) + int(intercept)
    return stored.astype(np.float64) * slope + intercept


def _rescale(dataset: Dataset, index: int) -> tuple[float, float]:
    item = dataset
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence")
    if per_frame and index < len(per_frame):
        shared = (dataset.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
        group = per_frame[index].get("PixelValueTransformationSequence") or shared.get(
            "PixelValueTransformationSequence"
        )
        item = group[0] if group else dataset
    slope, intercept = item.get("RescaleSlope"), item.get("RescaleIntercept")
    return (
        1.0 if slope in (None, "") else float(slope),
        0.0 if intercept in (None, "") else float(intercept),
    )


def apply_window(values: npt.NDArray[Any], window: Window) -> npt.NDArray[np.uint8]:
    """Map values to 0 (black) … 255 (white) as PS3.3 C.11.2.1.2 and C.11.2.1.3 define it."""
    centre, width = window.centre, window.width
    scaled = values.astype(np.float32)
    if window.function == "SIGMOID":
        exponent = np.clip(-4 * (scaled - centre) / width, -80, 80)
        return np.asarray(255 / (1 + np.exp(exponent)) + 0.5).astype(np.uint8)
    if window.function == "LINEAR":
        centre, width = centre - 0.5, width - 1
        if width <= 0:
            return np.where(scaled <= centre, 0, 255).astype(np.uint8)
    scaled -= centre - width / 2
    scaled *= 255 / width
    np.clip(scaled, 0, 255, out=scaled)
    scaled += 0.5
    return scaled.astype(np.uint8)


def render_frame(dataset: Dataset, index: int = 0, window: Window | None = None) -> npt.NDArray[np.uint8]:
    """Render one frame: (row, column) of grey levels, or (row, column, 3) of RGB for colour images.

    Parameters
    ----------
    dataset
        Object with pixel data and file meta.
    index
        Frame, from 0.
    window
        The window to use; by default the object's own, else an automatic one.

    Raises
    ------
    UndecodablePixels
        If the pixels cannot be decoded faithfully.
    """
    if int(dataset.get("SamplesPerPixel", 1)) == 3 or _is_palette(dataset):
        return decode_colour_frame(dataset, index)
    values = output_values(dataset, index)
    if int(dataset.get("BitsAllocated", 16)) == 1 or dataset.get("SegmentationType") == "LABELMAP":
        return np.where(values > 0, 255, 0).astype(np.uint8)
    grey = apply_window(values, window or header_window(dataset) or automatic_window(values))
    return 255 - grey if str(dataset.get("PhotometricInterpretation", "")) == "MONOCHROME1" else grey


def _is_palette(dataset: Dataset) -> bool:
    return (
        str(dataset.get("PhotometricInterpretation", "")) == "PALETTE COLOR"
        and "RedPaletteColorLookupTableData" in dataset
        and dataset.get("SegmentationType") != "LABELMAP"
    )


def encode_picture(
    pixels: npt.NDArray[np.uint8], format_name: PictureFormat, *, size: int | None = None, quality: int = 90
) -> bytes:
    """Write a picture.

    Parameters
    ----------
    pixels
        Grey (row, column) or RGB (row, column, 3).
    format_name
        ``png`` keeps every grey level, ``jpeg`` is smaller.
    size
        Largest edge in pixels; the picture is only ever made smaller.
    quality
        JPEG quality, 1 to 100.
    """
    picture = Picture.fromarray(pixels)
    if size is not None and max(picture.size) > size:
        picture.thumbnail((size, size), Picture.Resampling.BILINEAR)
    buffer = io.BytesIO()
    if format_name == "png":
        # Level 1 is four times as fast as the default and 10 % larger: the network is the hospital's own.
        picture.save(buffer, "PNG", compress_level=1)
    else:
        picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


__all__ = [
    "BadWindow",
    "PictureFormat",
    "UndecodablePixels",
    "Window",
    "apply_window",
    "automatic_window",
    "encode_picture",
    "header_window",
    "output_values",
    "render_frame",
]

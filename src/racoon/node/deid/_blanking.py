"""Regions of the pixels overwritten: where a machine is known to write text (PS3.15 section E.3.1)."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon.errors import Defect
from racoon.standards.dicom.elements import PIXEL_DATA, Dataset, Element
from racoon.standards.dicom.reading import DicomFile, items_of
from racoon.standards.dicom.uids import EXPLICIT_LITTLE_ENDIAN

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom are outside."""

_REGIONS = 0x00186011
_X0, _Y0, _X1, _Y1 = 0x00186018, 0x0018601A, 0x0018601C, 0x0018601E


class CannotBlank(Defect):
    """Pixels that have to be overwritten and cannot be decoded to be so."""

    code = "deid.cannot_blank"


def kept_and_blanked(rule: Mapping[str, Any], file: DicomFile) -> tuple[list[Box] | None, list[Box]]:
    """Say which boxes stay (None: everything) and which are overwritten.

    Raises
    ------
    CannotBlank
        If the rule needs the image's own regions and there are none.
    """
    kept = _ultrasound_regions(file) if rule.get("blank") == "outside_ultrasound_regions" else None
    if kept is not None and not kept:
        raise CannotBlank("The frame does not say where its image regions are.")
    boxes = [(int(b[0]), int(b[1]), int(b[2]), int(b[3])) for b in rule.get("blank_boxes", ())]
    return kept, boxes


def _ultrasound_regions(file: DicomFile) -> list[Box]:
    element = file.dataset.get(_REGIONS)
    boxes = [_box(item, file) for item in (() if element is None else items_of(element))]
    return [box for box in boxes if box is not None]


def _box(item: Dataset, file: DicomFile) -> Box | None:
    order = "big" if file.is_big_endian else "little"
    values = [item.get(tag) for tag in (_X0, _Y0, _X1, _Y1)]
    if any(value is None or len(value.value) != 4 for value in values):
        return None
    x0, y0, x1, y1 = (int.from_bytes(value.value, order) for value in values if value is not None)  # type: ignore[arg-type]  # the order is one of the two words
    return (x0, y0, x1 + 1, y1 + 1) if x0 < x1 and y0 < y1 else None


def blank(data: bytes, file: DicomFile, kept: list[Box] | None, boxes: list[Box]) -> DicomFile:
    """Give the file with native pixels of which nothing is left outside ``kept`` and inside ``boxes``.

    Parameters
    ----------
    data
        The whole file as it was read.
    file
        The same, parsed.

    Raises
    ------
    CannotBlank
        If the pixels cannot be decoded to exactly what was stored.
    """
    # pydicom decodes; only the few images that need blanking pay for it.
    import pydicom  # noqa: PLC0415

    from racoon.standards.dicom.pixels import (  # noqa: PLC0415
        UndecodablePixels,
        decode_colour_frame,
        decode_frame,
        frame_count,
    )

    try:
        dataset = pydicom.dcmread(io.BytesIO(data), force=True)
        is_colour = int(dataset.get("SamplesPerPixel", 1)) == 3
        decode = decode_colour_frame if is_colour else decode_frame
        frames = [_blanked(np.array(decode(dataset, n)), kept, boxes) for n in range(frame_count(dataset))]
    except (UndecodablePixels, ValueError, KeyError, AttributeError, TypeError) as error:
        raise CannotBlank("The pixels cannot be decoded.") from error
    allocated = int(dataset.BitsAllocated)
    if allocated not in (8, 16) or any(frame.dtype.itemsize * 8 != allocated for frame in frames):
        raise CannotBlank("The pixels have an unusual depth.")
    value = np.stack(frames).astype(frames[0].dtype.newbyteorder("<")).tobytes()
    changed = Dataset(file.dataset)
    changed[PIXEL_DATA] = Element(PIXEL_DATA, "OW" if allocated > 8 else "OB", value)
    if is_colour:
        changed[0x00280004] = Element(0x00280004, "CS", b"RGB ")
        changed[0x00280006] = Element(0x00280006, "US", b"\0\0")
    return DicomFile(
        file.meta, changed, EXPLICIT_LITTLE_ENDIAN, is_big_endian=False, tolerated=file.tolerated
    )


def _blanked(frame: npt.NDArray[Any], kept: list[Box] | None, boxes: list[Box]) -> npt.NDArray[Any]:
    if kept is not None:
        stays = np.zeros(frame.shape[:2], dtype=bool)
        for x0, y0, x1, y1 in kept:
            stays[y0:y1, x0:x1] = True
        frame[~stays] = 0
    for x0, y0, x1, y1 in boxes:
        frame[y0:y1, x0:x1] = 0
    return frame

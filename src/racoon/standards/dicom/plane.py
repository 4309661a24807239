"""One image plane in space, read from a single-frame or a multi-frame object (PS3.3 C.7.6.2, C.7.6.16).

Positions and directions are LPS in mm; the first three direction cosines point along a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from racoon.errors import Defect

DIMENSION_KEYWORDS = (
    "AcquisitionNumber",
    "TemporalPositionIdentifier",
    "EchoNumbers",
    "DiffusionBValue",
    "TriggerTime",
)
"""What tells stacks of one series apart in single-frame objects."""

PLANE_KEYWORDS = (
    "SOPInstanceUID",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "Rows",
    "Columns",
    "BitsStored",
    "PixelRepresentation",
    "NumberOfFrames",
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    *DIMENSION_KEYWORDS,
)
"""All that :func:`frames_of` and ``volume.stored_range_of`` read; a reader may skip the rest of a header."""


class UnsuitableObject(Defect):
    """An object that cannot be a slice: no plane in space, colour, or no linear rescale."""

    code = "volume.unsuitable_object"


@dataclass(frozen=True)
class Frame:
    """One image plane: a single-frame instance, or a frame of a multi-frame one.

    Parameters
    ----------
    number
        Frame number from 1.
    position_mm
        Image Position (Patient), LPS.
    orientation
        Image Orientation (Patient): six direction cosines, row direction first.
    pixel_spacing_mm
        Between rows, between columns.
    thickness_mm
        Slice thickness, or None.
    slope, intercept
        Rescale to output units.
    dimensions
        What may tell stacks apart at the same position: acquisition, temporal position, echo, b-value, stack.
    """

    sop_instance_uid: str
    number: int
    position_mm: tuple[float, float, float]
    orientation: tuple[float, float, float, float, float, float]
    pixel_spacing_mm: tuple[float, float]
    rows: int
    columns: int
    thickness_mm: float | None = None
    slope: float = 1.0
    intercept: float = 0.0
    dimensions: tuple[str, ...] = ()


def frames_of(dataset: Dataset) -> list[Frame]:
    """Read the planes of an instance; pixel data are not needed.

    Raises
    ------
    UnsuitableObject
        If position, orientation or pixel spacing is missing, or the rescale is a lookup table.
    """
    if "PerFrameFunctionalGroupsSequence" in dataset:
        return _frames_of_multi_frame(dataset)
    if "ModalityLUTSequence" in dataset:
        raise UnsuitableObject(
            "The pixel values are translated by a table; this is not supported in volumes."
        )
    if int(dataset.get("NumberOfFrames") or 1) > 1:
        raise UnsuitableObject("The object has several frames without a place in space for each.")
    dimensions = tuple(str(dataset.get(keyword) or "") for keyword in DIMENSION_KEYWORDS)
    return [_frame(dataset, 1, dataset, dataset, dataset, dataset, dimensions)]


def _frames_of_multi_frame(dataset: Dataset) -> list[Frame]:
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]

    def group(item: Dataset, name: str) -> Dataset:
        found = item.get(name) or shared.get(name)
        return found[0] if found else Dataset()

    frames = []
    for number, item in enumerate(dataset.PerFrameFunctionalGroupsSequence, start=1):
        content = group(item, "FrameContentSequence")
        diffusion = group(item, "MRDiffusionSequence")
        echo = group(item, "MREchoSequence")
        dimensions = (
            str(content.get("StackID") or ""),
            str(content.get("TemporalPositionIndex") or ""),
            str(echo.get("EffectiveEchoTime") or ""),
            str(diffusion.get("DiffusionBValue") or ""),
            str(diffusion.get("DiffusionDirectionality") or ""),
        )
        frames.append(
            _frame(
                dataset,
                number,
                group(item, "PlanePositionSequence"),
                group(item, "PlaneOrientationSequence"),
                group(item, "PixelMeasuresSequence"),
                group(item, "PixelValueTransformationSequence"),
                dimensions,
            )
        )
    return frames


def _frame(
    dataset: Dataset,
    number: int,
    place: Dataset,
    plane: Dataset,
    measures: Dataset,
    transformation: Dataset,
    dimensions: tuple[str, ...],
) -> Frame:
    try:
        position = [float(value) for value in place.ImagePositionPatient]
        orientation = [float(value) for value in plane.ImageOrientationPatient]
        spacing = [float(value) for value in measures.PixelSpacing]
        frame = Frame(
            sop_instance_uid=str(dataset.SOPInstanceUID),
            number=number,
            position_mm=(position[0], position[1], position[2]),
            orientation=_unit_directions(orientation),
            pixel_spacing_mm=(spacing[0], spacing[1]),
            rows=int(dataset.Rows),
            columns=int(dataset.Columns),
            thickness_mm=_positive(measures.get("SliceThickness")),
            slope=_or_default(transformation.get("RescaleSlope"), 1.0),
            intercept=_or_default(transformation.get("RescaleIntercept"), 0.0),
            dimensions=dimensions,
        )
    except (AttributeError, TypeError, ValueError, IndexError) as error:
        raise UnsuitableObject(
            "The image does not say where it lies in space: position, orientation or spacing is missing."
        ) from error
    if min(frame.pixel_spacing_mm) <= 0:
        raise UnsuitableObject("The image has a pixel spacing that is not positive.")
    return frame


def _unit_directions(cosines: Sequence[float]) -> tuple[float, float, float, float, float, float]:
    row, column = np.asarray(cosines[:3]), np.asarray(cosines[3:6])
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if abs(lengths[0] - 1) > 0.01 or abs(lengths[1] - 1) > 0.01 or abs(float(row @ column)) > 0.01:
        raise ValueError("the directions of rows and columns are not two orthogonal unit vectors")
    x, y = row / lengths[0], column / lengths[1]
    return (float(x[0]), float(x[1]), float(x[2]), float(y[0]), float(y[1]), float(y[2]))


def _positive(value: Any) -> float | None:
    number = _or_default(value, 0.0)
    return number if number > 0 else None


def _or_default(value: Any, default: float) -> float:
    return default if value in (None, "") else float(value)

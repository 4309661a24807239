"""Numbers of a finding, computed from the archived image it was drawn on."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset

from racoon.domain.finding import Finding, FindingKind, Quantity
from racoon.node.archive.model import InstanceRow
from racoon.node.archive.service import Archive
from racoon.node.reading.findings.model import OutsideImage
from racoon.node.reading.scaling import Scale, scale_of
from racoon.science.geometry import (
    ImagePlane,
    angle_deg,
    ellipse_area_mm2,
    ellipse_pixels,
    length_mm,
    pixel_statistics,
    polygon_area_mm2,
    polygon_pixels,
    two_axes_mm,
)
from racoon.science.image import Image
from racoon.science.segmentation import punch
from racoon.science.segmentation.punch import Shape
from racoon.standards.dicom.plane import frames_of
from racoon.standards.dicom.rendering import output_values

TOLERANCE_MM = 0.05
"""Browsers keep points in 32-bit floats: at a metre from the origin that is 0.00006 mm; positions in headers are
rounded to 0.01 mm and worse."""

UNITS = {"CT": "[hnsf'U]"}
"""Unit of the pixel values; what has none in DICOM is arbitrary and comparable within one series only."""

ARBITRARY = "[arb'U]"


def numbers_of(archive: Archive, row: InstanceRow, finding: Finding) -> tuple[Quantity, ...]:
    """Compute the numbers of a finding after checking that it lies on its image.

    Raises
    ------
    OutsideImage
        If the image has no such frame, another frame of reference, or the points are not on it.
    """
    dataset = pydicom.dcmread(io.BytesIO(archive.read_object(row)))
    points = finding.place.points_mm
    if finding.kind is FindingKind.SECTION:
        _check_section(archive, dataset, finding)
        long_axis, short_axis = two_axes_mm(points[2:])
        return Quantity("long_axis", long_axis, "mm"), Quantity("short_axis", short_axis, "mm")
    plane = plane_of(dataset, finding)
    scale = scale_of(archive, finding.place.series_uid, str(dataset.get("Modality", "")))
    match finding.kind:
        case FindingKind.LENGTH:
            return (Quantity("length", length_mm(points[0], points[1]), "mm"),)
        case FindingKind.BIDIRECTIONAL:
            long_axis, short_axis = two_axes_mm(points)
            return Quantity("long_axis", long_axis, "mm"), Quantity("short_axis", short_axis, "mm")
        case FindingKind.ELLIPSE:
            area = Quantity("area", ellipse_area_mm2(points), "mm2")
            return area, *_statistics(dataset, scale, finding, ellipse_pixels(points, plane))
        case FindingKind.PROBE:
            return _value(dataset, scale, finding, plane)
        case FindingKind.ANGLE:
            return (Quantity("angle", angle_deg(points), "deg"),)
        case FindingKind.RECTANGLE | FindingKind.FREEHAND:
            area = Quantity("area", polygon_area_mm2(points, plane), "mm2")
            return area, *_statistics(dataset, scale, finding, polygon_pixels(points, plane))
        case FindingKind.SEGMENT:
            return ()
        case FindingKind.SPHERE | FindingKind.CYLINDER | FindingKind.CUBE:
            return _punched(archive, dataset, scale, finding, plane)


def _check_section(archive: Archive, dataset: Dataset, finding: Finding) -> None:
    """Check that a section lies in its volume, its diameters in its plane, and its middle nearest to its image.

    Raises
    ------
    OutsideImage
    """
    place = finding.place
    points = np.asarray(place.points_mm, dtype=np.float64)
    middle, normal = points[0], points[1] - points[0]
    reach = float(np.linalg.norm(normal))
    if reach < TOLERANCE_MM or np.abs((points[2:] - middle) @ normal / reach).max() > TOLERANCE_MM:
        raise OutsideImage("The diameters of a section lie in its plane. Measure them in the section.")
    plane = _frame_of(dataset, finding)
    arrangement = archive.arrange(place.series_uid)
    if arrangement.affine is None or not arrangement.is_regular:
        raise OutsideImage("These pictures are no volume, so no section lies in it.")
    inverse = np.linalg.inv(arrangement.affine)
    index = points[[0, 2, 3, 4, 5]] @ inverse[:3, :3].T + inverse[:3, 3]
    size = np.array([len(arrangement.frames), plane.rows, plane.columns])
    slack = 0.5 + TOLERANCE_MM / np.linalg.norm(arrangement.affine[:3, :3], axis=0)
    if (index < -slack).any() or (index > size - 1 + slack).any():
        raise OutsideImage("The finding does not lie in the volume it names. Measure inside the picture.")
    nearest = arrangement.frames[int(np.clip(np.rint(index[0, 0]), 0, size[0] - 1))]
    if (nearest.sop_instance_uid, nearest.number) != (place.sop_instance_uid, place.frame):
        raise OutsideImage("A section names the image that its middle lies nearest to.")


def plane_of(dataset: Dataset, finding: Finding) -> ImagePlane:
    """Return the plane of the frame a finding names; checks that the finding lies on it."""
    plane = _frame_of(dataset, finding)
    if not plane.holds(finding.place.points_mm, TOLERANCE_MM):
        raise OutsideImage("The finding does not lie on the image it names. Draw it inside the picture.")
    return plane


def _frame_of(dataset: Dataset, finding: Finding) -> ImagePlane:
    place = finding.place
    if str(dataset.get("FrameOfReferenceUID", "")) != place.frame_of_reference_uid:
        raise OutsideImage("The image has another frame of reference than the finding names.")
    frames = frames_of(dataset)
    if place.frame > len(frames):
        raise OutsideImage("The image has no frame of this number.")
    frame = frames[place.frame - 1]
    along = frame.orientation
    return ImagePlane(
        frame.position_mm,
        (along[0], along[1], along[2]),
        (along[3], along[4], along[5]),
        frame.pixel_spacing_mm,
        frame.rows,
        frame.columns,
    )


def _values(dataset: Dataset, scale: Scale, finding: Finding) -> npt.NDArray[np.generic] | None:
    """Decode the image; colour has no value that could be averaged."""
    if int(dataset.get("SamplesPerPixel", 1)) != 1:
        return None
    return _scaled(output_values(dataset, finding.place.frame - 1), scale)


def _scaled(values: npt.NDArray[np.generic], scale: Scale) -> npt.NDArray[np.generic]:
    return values if scale.factor == 1.0 else values.astype(np.float64) * scale.factor


PUNCHES: Mapping[FindingKind, tuple[Shape, float]] = {
    FindingKind.SPHERE: ("sphere", 1.0),
    FindingKind.CYLINDER: ("cylinder", math.sqrt(2.0)),
    FindingKind.CUBE: ("cube", math.sqrt(3.0)),
}
"""Shape of a kind, and how far its corners reach compared with half its size."""


def _punched(
    archive: Archive, dataset: Dataset, scale: Scale, finding: Finding, plane: ImagePlane
) -> tuple[Quantity, ...]:
    """Punch a piece out of the volume: its size, and the values of the voxels whose centres lie inside."""
    points = finding.place.points_mm
    shape, corner = PUNCHES[finding.kind]
    name = "length" if shape == "cube" else "diameter"
    diameter = Quantity(name, 2 * length_mm(points[0], points[1]), "mm")
    arrangement = archive.arrange(finding.place.series_uid)
    if (
        arrangement.affine is None
        or not arrangement.is_regular
        or diameter.value <= 0
        or int(dataset.get("SamplesPerPixel", 1)) != 1
    ):
        return (diameter,)
    # Only the slices that the piece can reach are read.
    inverse = np.linalg.inv(arrangement.affine)
    middle = float((inverse @ np.array([*points[0], 1.0]))[0])
    reach = float(np.linalg.norm(inverse[0, :3])) * corner * diameter.value / 2 + 1
    low = max(0, int(np.floor(middle - reach)))
    high = min(len(arrangement.frames), int(np.ceil(middle + reach)) + 1)
    slices = []
    for frame in arrangement.frames[low:high]:
        source = pydicom.dcmread(io.BytesIO(archive.read_object(archive.instance(frame.sop_instance_uid))))
        slices.append(output_values(source, frame.number - 1))
    affine = arrangement.affine.copy()
    affine[:3, 3] += affine[:3, 0] * low
    upright = np.cross(plane.along_row, plane.along_column)
    found = punch(
        Image(np.stack(slices), affine), points[0], diameter.value, shape=shape, axis=upright.tolist()
    )
    if found is None:
        return (diameter,)
    inside = found.patch[found.mask]
    volume = Quantity("volume", inside.size * abs(float(np.linalg.det(affine[:3, :3]))) / 1000, "mL")
    return diameter, volume, *_described(dataset, scale, _scaled(inside, scale))


def _unit(dataset: Dataset, scale: Scale) -> str:
    return scale.unit or UNITS.get(str(dataset.get("Modality", "")), ARBITRARY)


def _statistics(
    dataset: Dataset, scale: Scale, finding: Finding, pixels: npt.NDArray[np.bool_]
) -> tuple[Quantity, ...]:
    values = _values(dataset, scale, finding)
    return () if values is None else _described(dataset, scale, values[pixels])


def _described(dataset: Dataset, scale: Scale, values: npt.NDArray[np.generic]) -> tuple[Quantity, ...]:
    found = pixel_statistics(values)
    if found is None:
        return ()
    unit = _unit(dataset, scale)
    return (
        Quantity("mean", found.mean, unit),
        Quantity("sd", found.sd, unit),
        Quantity("minimum", found.minimum, unit),
        Quantity("maximum", found.maximum, unit),
    )


def _value(dataset: Dataset, scale: Scale, finding: Finding, plane: ImagePlane) -> tuple[Quantity, ...]:
    values = _values(dataset, scale, finding)
    if values is None:
        return ()
    row, column = np.floor(plane.pixels_of(finding.place.points_mm)[0, :2] + 0.5).astype(int)
    row, column = np.clip(row, 0, plane.rows - 1), np.clip(column, 0, plane.columns - 1)
    return (Quantity("value", float(values[row, column]), _unit(dataset, scale)),)

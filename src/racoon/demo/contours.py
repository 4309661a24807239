"""Radiotherapy contours (RTSTRUCT) as masks on the grid of their images."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from racoon.demo.series import Affine
from racoon.errors import Defect

OFF_SLICE = 0.2
"""Largest distance of a contour from its slice, in slices."""


class ContourDefect(Defect):
    """A structure set that does not fit its images."""

    code = "demo.contours"


def rasterise(
    structures: Dataset, region: str, shape: tuple[int, int, int], affine: Affine
) -> npt.NDArray[np.bool_]:
    """Fill the closed planar contours of one region.

    Parameters
    ----------
    structures
        RT Structure Set.
    region
        ROI name.
    shape, affine
        Of the images: (slice, row, column) and 4x4 to LPS mm.

    Returns
    -------
    numpy.ndarray
        Voxels whose centre lies inside an odd number of contours: a contour inside another is a hole, the
        convention of planning systems that have no other way to write one (DICOM PS3.3 C.8.8.6).
    """
    numbers = {str(item.ROIName): int(item.ROINumber) for item in structures.StructureSetROISequence}
    if region not in numbers:
        raise ContourDefect(
            f"The structure set has no region {region!r}.", details={"regions": list(numbers)}
        )
    mask = np.zeros(shape, dtype=bool)
    inverse = np.linalg.inv(affine)
    for item in structures.ROIContourSequence:
        if int(item.ReferencedROINumber) != numbers[region]:
            continue
        for contour in item.get("ContourSequence", []):
            if contour.ContourGeometricType != "CLOSED_PLANAR":
                continue
            points = np.array([float(value) for value in contour.ContourData]).reshape(-1, 3)
            index = np.c_[points, np.ones(len(points))] @ inverse.T
            level = float(index[:, 0].mean())
            if float(np.abs(index[:, 0] - round(level)).max()) > OFF_SLICE:
                raise ContourDefect("A contour lies between the slices.", details={"slice": level})
            if 0 <= round(level) < shape[0]:
                mask[round(level)] ^= fill_polygon(index[:, 1:3], (shape[1], shape[2]))
    return mask


def fill_polygon(points: npt.NDArray[np.float64], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Tell which pixel centres lie inside a polygon, by the even-odd rule.

    Parameters
    ----------
    points
        (n, 2) corners as (row, column), pixel centres at whole numbers.
    shape
        (rows, columns).
    """
    crossings = np.zeros((shape[0], shape[1] + 1), dtype=np.int32)
    first = points
    second = np.roll(points, -1, axis=0)
    for (r0, c0), (r1, c1) in zip(first, second, strict=True):
        if r0 == r1:
            continue
        low, high = (r0, r1) if r0 < r1 else (r1, r0)
        # Half-open, so that a corner on a row counts once.
        rows = np.arange(max(int(np.ceil(low)), 0), min(int(np.ceil(high)), shape[0]))
        columns = c0 + (rows - r0) * (c1 - c0) / (r1 - r0)
        np.add.at(crossings, (rows, np.clip(np.ceil(columns), 0, shape[1]).astype(int)), 1)
    inside: npt.NDArray[np.bool_] = np.cumsum(crossings, axis=1)[:, :-1] % 2 == 1
    return inside

"""The sixteen segments of the left ventricle (AHA), and means of parametric maps in them.

For short-axis stacks: slices run along the long axis.  The apex proper, segment 17, is not in such a stack.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from racoon.science.biomarkers.acquisition import Context
from racoon.science.biomarkers.definition import Measured, Parameters, Region
from racoon.science.biomarkers.organs import enhancement_limit
from racoon.science.biomarkers.region import mean_of

SEGMENTS = 16

SEPTUM_FROM_MM = 5.0
"""The middle of a right ventricle that lies beside the left one is farther from it than this."""


FROM_SEPTUM_OF_SIX = (2, 1, 6, 5, 4, 3)
"""Segments of the basal ring, each of 60°, from the middle of the septum over the anterior wall."""

FROM_SEPTUM_OF_FOUR = (14, 13, 16, 15)
"""Segments of the apical ring, each of 90°; the first is centred on the septum."""


def aha_segments(myocardium: Region, right_ventricle: Region) -> NDArray[np.uint8]:
    """Number the voxels of the myocardium by AHA segment.

    Parameters
    ----------
    myocardium
        Left ventricular myocardium in a short-axis stack.
    right_ventricle
        Its cavity on the same image: shows where the septum is, and which end is the base.

    Returns
    -------
    ndarray
        Array of the myocardium's box, 1 to 16 inside its mask, else 0; all 0 where the right ventricle lies on no
        side of the myocardium or towards neither end, so that there is no septum or no base.

    Notes
    -----
    Rings are thirds of the slices with myocardium.  The base is the end with more of the right ventricle, which
    does not reach the apex.  Anterior is the side of the ring that looks more to the front and to the head.
    """
    numbers = np.zeros(myocardium.mask.shape, np.uint8)
    if myocardium.box is None or right_ventricle.box is None:
        return numbers
    affine = np.asarray(myocardium.affine, dtype=np.float64)
    slices = np.flatnonzero(myocardium.mask.any(axis=(1, 2)))
    septum = _middle(right_ventricle) - _middle(myocardium)
    rings = np.minimum(2, 3 * np.arange(slices.size) // max(1, slices.size))
    towards_base = _towards_base(myocardium, right_ventricle, slices)
    if towards_base > 0:
        rings = rings[::-1]
    normal = np.cross(affine[:3, 1], affine[:3, 2])
    normal /= np.linalg.norm(normal)
    to_septum = septum - (septum @ normal) * normal
    distance_mm = float(np.linalg.norm(to_septum))
    if towards_base == 0 or distance_mm < SEPTUM_FROM_MM:
        return numbers
    to_septum /= distance_mm
    to_front = np.cross(normal, to_septum)
    if to_front @ np.array([0.0, -1.0, 1.0]) < 0:
        to_front = -to_front
    for index, ring in zip(slices, rings, strict=True):
        rows, columns = np.nonzero(myocardium.mask[index])
        places = np.column_stack([np.full(rows.size, index), rows, columns, np.ones(rows.size)])
        world = (places @ affine.T)[:, :3]
        offset = world - world.mean(axis=0)
        angle = np.degrees(np.arctan2(offset @ to_front, offset @ to_septum)) % 360.0
        if ring < 2:
            order = np.asarray(FROM_SEPTUM_OF_SIX) + 6 * ring
            numbers[index, rows, columns] = order[np.minimum(5, (angle // 60.0).astype(int))]
        else:
            order = np.asarray(FROM_SEPTUM_OF_FOUR)
            numbers[index, rows, columns] = order[((angle + 45.0) % 360.0 // 90.0).astype(int) % 4]
    return numbers


def _middle(region: Region) -> NDArray[np.float64]:
    centre = np.argwhere(region.mask).mean(axis=0)
    world: NDArray[np.float64] = (region.affine @ np.array([*centre, 1.0]))[:3]
    return world


def _towards_base(myocardium: Region, right_ventricle: Region, slices: NDArray[np.intp]) -> int:
    """Sign of the slice direction that leads to the base; 0 where both halves hold as much right ventricle."""
    assert myocardium.box is not None
    assert right_ventricle.box is not None
    middle = float(slices.mean()) + myocardium.box.start[0]
    areas = np.count_nonzero(right_ventricle.mask, axis=(1, 2))
    positions = np.arange(areas.size) + right_ventricle.box.start[0]
    return int(np.sign(int(areas[positions > middle].sum()) - int(areas[positions < middle].sum())))


def _segment(region: Region, context: Context, parameters: Parameters) -> NDArray[np.bool_] | None:
    """Voxels of one segment; None where the image does not show it."""
    number = int(parameters["segment"])
    if not 1 <= number <= SEGMENTS:
        return None
    if "aha" not in region.memo:
        region.memo["aha"] = aha_segments(region, context.structures["right_ventricle"])
    inside: NDArray[np.bool_] = region.memo["aha"] == number
    return inside if inside.any() else None


def _shown(region: Region, inside: NDArray[np.bool_]) -> int:
    """Slice with the most of a segment."""
    start = region.box.start[0] if region.box else 0
    return int(np.count_nonzero(inside, axis=(1, 2)).argmax()) + start


def segment_mean(region: Region, context: Context, parameters: Parameters) -> Measured:
    """Mean of the image values in one AHA segment of the myocardium."""
    inside = _segment(region, context, parameters)
    if inside is None:
        return Measured(math.nan, "level_missing")
    return Measured(mean_of(region.crop[inside]), "", _shown(region, inside))


def segment_enhanced_share(region: Region, context: Context, parameters: Parameters) -> Measured:
    """Share of one AHA segment that is brighter than remote myocardium by n standard deviations, in per cent."""
    inside = _segment(region, context, parameters)
    if inside is None:
        return Measured(math.nan, "level_missing")
    bright = region.crop[inside] > enhancement_limit(context, parameters)
    return Measured(100.0 * float(np.mean(bright)), "", _shown(region, inside))

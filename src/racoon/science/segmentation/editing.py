"""What helps a person who draws a mask: growing from a point, filling between slices, smoothing, margins, islands.

All of it in millimetres on the image's own grid; each function returns a new mask and never changes its input.
Work is done inside the box that can change, so the price follows the size of the thing and not of the image.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import cc3d
import numpy as np
from numpy.typing import NDArray

from racoon.science.geometry import bounding_box, find_parts
from racoon.science.geometry.box import Box

Volume = NDArray[np.bool_]


def grow_region(values: NDArray[Any], seed: Sequence[int], lowest: float, highest: float) -> Volume:
    """Take what hangs together with a voxel over faces and has values in a range.

    Parameters
    ----------
    values
        Array (slice, row, column) in output units.
    seed
        Index (slice, row, column) to start from.
    lowest, highest
        Range, both ends included.

    Returns
    -------
    numpy.ndarray
        Boolean array of the same shape; empty when the seed itself is outside the range.
    """
    inside = (values >= lowest) & (values <= highest)
    if not inside[tuple(seed)]:
        return np.zeros(values.shape, np.bool_)
    parts = np.asarray(cc3d.connected_components(np.ascontiguousarray(inside).view(np.uint8), connectivity=6))
    found: Volume = parts == parts[tuple(seed)]
    return found


def fill_between(mask: Volume, spacing_mm: Sequence[float]) -> Volume:
    """Fill empty slices between drawn ones by interpolating the shape.

    Parameters
    ----------
    mask
        Boolean array (slice, row, column).
    spacing_mm
        Along (slice, row, column).

    Notes
    -----
    Signed distances of the two drawn slices are mixed in proportion to the place between them
    (Raya and Udupa 1990, doi:10.1109/42.52980).  Drawn slices stay as they are.
    """
    filled = mask.copy()
    box = bounding_box(mask)
    if box is None:
        return filled
    crop = filled[box.slices]
    drawn = np.flatnonzero(crop.any(axis=(1, 2)))
    for first, last in itertools.pairwise(drawn):
        if last - first < 2:
            continue
        ends = [_signed_distance(crop[index], spacing_mm[1:]) for index in (first, last)]
        for index in range(first + 1, last):
            part = (index - first) / (last - first)
            crop[index] = ends[0] * (1 - part) + ends[1] * part > 0
    return filled


def smooth(mask: Volume, spacing_mm: Sequence[float], width_mm: float) -> Volume:
    """Smooth a mask in three dimensions: a Gaussian of this standard deviation, cut at one half.

    Nothing is smoothed beyond the image: its edge continues outward.
    """
    from scipy import ndimage  # noqa: PLC0415 - only editing needs it

    def work(crop: Volume) -> Volume:
        sigma = [width_mm / step for step in spacing_mm]
        blurred = ndimage.gaussian_filter(crop.astype(np.float32), sigma, mode="nearest", truncate=3.0)
        found: Volume = blurred > 0.5
        return found

    return _in_box(mask, spacing_mm, 3 * width_mm, work)


def with_margin(mask: Volume, spacing_mm: Sequence[float], margin_mm: float) -> Volume:
    """Grow a mask by a margin, or shrink it by a negative one, in true millimetres.

    A voxel is added when its centre is at most the margin away from the centre of a voxel of the mask, and taken
    away when a centre outside the mask is that near; outside the image counts as inside the mask, so that a mask
    that the image cuts off does not shrink from that side.
    """
    from scipy import ndimage  # noqa: PLC0415 - only editing needs it

    def work(crop: Volume) -> Volume:
        rounding = 1e-6
        if margin_mm >= 0:
            away = ndimage.distance_transform_edt(~crop, sampling=spacing_mm)
            grown: Volume = away <= margin_mm + rounding
            return grown
        if crop.all():
            return crop
        depth = ndimage.distance_transform_edt(crop, sampling=spacing_mm)
        shrunk: Volume = depth > -margin_mm + rounding
        return shrunk

    return _in_box(mask, spacing_mm, max(margin_mm, 0.0), work)


def without_islands(mask: Volume, voxel_volume_ml: float, smallest_ml: float) -> Volume:
    """Keep the largest connected part, and other parts of at least a volume."""
    kept = np.zeros_like(mask)
    parts = find_parts(mask)
    if parts.box is None:
        return kept
    numbers = [
        number
        for number, count in enumerate(parts.voxel_counts, start=1)
        if number == 1 or count * voxel_volume_ml >= smallest_ml
    ]
    kept[parts.box.slices] = np.isin(parts.labels, numbers)
    return kept


def _in_box(
    mask: Volume, spacing_mm: Sequence[float], reach_mm: float, work: Callable[[Volume], Volume]
) -> Volume:
    result = np.zeros_like(mask)
    box = bounding_box(mask)
    if box is None:
        return result
    reach = int(np.ceil(reach_mm / min(spacing_mm))) + 1
    crop: Box = box.grown(reach, mask.shape)
    result[crop.slices] = work(np.ascontiguousarray(mask[crop.slices]))
    return result


def _signed_distance(plane: NDArray[np.bool_], spacing_mm: Sequence[float]) -> NDArray[np.float64]:
    """Distance to the outline, positive inside; the outline runs half way between voxels."""
    from scipy import ndimage  # noqa: PLC0415 - only editing needs it

    # A frame of background: a shape that fills its box still has an outside.
    padded = np.pad(plane, 1)
    inside = ndimage.distance_transform_edt(padded, sampling=spacing_mm)
    outside = ndimage.distance_transform_edt(~padded, sampling=spacing_mm)
    distance: NDArray[np.float64] = (inside - outside)[1:-1, 1:-1]
    return distance

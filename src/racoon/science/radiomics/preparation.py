"""From an image and a mask to what features see: crop, resample, re-segment, discretise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from racoon.science.geometry import bounding_box
from racoon.science.image import Image
from racoon.science.radiomics.configuration import Configuration

Floats = NDArray[np.float64]

_ORDER = {"nearest": 0, "linear": 1, "cubic": 3}


@dataclass(frozen=True, eq=False)
class Prepared:
    """A region ready for features; arrays (slice, row, column).

    Parameters
    ----------
    voxels
        Intensities.
    morphological, intensity
        The mask before and after re-segmentation.
    spacing_mm
        Between voxels along (slice, row, column).
    levels
        Grey levels from 1; 0 outside the intensity mask.
    level_count
        Number of grey levels.
    """

    voxels: Floats
    morphological: NDArray[np.bool_]
    intensity: NDArray[np.bool_]
    spacing_mm: tuple[float, float, float]
    levels: NDArray[np.int64]
    level_count: int


def prepare(image: Image, mask: NDArray[np.bool_], settings: Configuration) -> Prepared | None:
    """Prepare a region.

    Returns
    -------
    Prepared or None
        ``None`` when the mask is empty before or after re-segmentation.

    Notes
    -----
    Grids are aligned at their centres and a new axis has ``ceil(n · old / new)`` voxels (IBSI 2.4); cropping
    never moves the grid, because the crop's place in the full grid is kept.
    """
    box = bounding_box(mask)
    if box is None:
        return None
    spacing = np.array(image.spacing_mm)
    # Splines look beyond their neighbours; six voxels are far enough for 1e-4 of the value.
    wide = box.grown(6, image.voxels.shape)
    voxels = np.asarray(image.voxels[wide.slices], dtype=np.float64)
    region: NDArray[np.bool_] = mask[wide.slices]
    if settings.spacing_mm is not None and settings.interpolation != "none":
        old = spacing
        spacing = np.array(settings.spacing_mm[::-1])
        spacing = np.where(spacing > 0, spacing, old)
        grid = _grid(image.voxels.shape, np.array(wide.start), np.array(wide.stop), old, spacing)
        soft = _sample(region.astype(np.float64), grid, _ORDER.get(settings.mask_interpolation, 0))
        voxels = _sample(voxels, grid, _ORDER[settings.interpolation])
        region = soft >= 0.5 - 1e-9
        if settings.round_intensities:
            voxels = np.rint(voxels)
    # Local peaks look 6.2 mm around a voxel, so a rim of the image stays.
    inner = bounding_box(region)
    if inner is None:
        return None
    kept = inner.grown(max(1, int(np.ceil(7.0 / spacing.min()))), region.shape)
    voxels, region = voxels[kept.slices], region[kept.slices]
    intensity = _resegmented(voxels, region, settings)
    if not intensity.any():
        return None
    levels, count = _discretised(voxels, intensity, settings)
    steps = (float(spacing[0]), float(spacing[1]), float(spacing[2]))
    return Prepared(voxels, region, intensity, steps, levels, count)


def _grid(
    shape: tuple[int, ...], start: NDArray[Any], stop: NDArray[Any], old: Floats, new: Floats
) -> list[Floats]:
    """Places of the new voxels along each axis, as indices of the crop."""
    axes = []
    for axis in range(3):
        size = shape[axis]
        count = int(np.ceil(round(size * old[axis] / new[axis], 6)))
        first = (size - 1) / 2.0 - (count - 1) / 2.0 * new[axis] / old[axis]
        places = first + np.arange(count) * new[axis] / old[axis] - start[axis]
        axes.append(places[(places > -0.5) & (places < stop[axis] - start[axis] - 0.5)])
    return axes


def _sample(array: Floats, grid: list[Floats], order: int) -> Floats:
    """Interpolate on a grid parallel to the old one: axis by axis for lines, splines for the rest."""
    from scipy import ndimage  # noqa: PLC0415 - only resampling needs it

    if order == 1:
        for axis, places in enumerate(grid):
            at = np.clip(places, 0, array.shape[axis] - 1)
            low = np.minimum(np.floor(at).astype(np.int64), max(array.shape[axis] - 2, 0))
            high = np.minimum(low + 1, array.shape[axis] - 1)
            share = (at - low).reshape([-1 if other == axis else 1 for other in range(3)])
            array = np.take(array, low, axis) * (1 - share) + np.take(array, high, axis) * share
        return array
    if all(
        len(places) == size and np.allclose(places, np.arange(size))
        for places, size in zip(grid, array.shape, strict=True)
    ):
        return array
    index = np.meshgrid(*grid, indexing="ij")
    found: Floats = ndimage.map_coordinates(array, index, order=order, mode="nearest")
    return found


def _resegmented(voxels: Floats, region: NDArray[np.bool_], settings: Configuration) -> NDArray[np.bool_]:
    kept = region & np.isfinite(voxels)
    inside = voxels[kept]
    if settings.range_min is not None:
        kept = kept & (voxels >= settings.range_min)
    if settings.range_max is not None:
        kept = kept & (voxels <= settings.range_max)
    if settings.outlier_sd is not None and inside.size:
        # Mean and SD of the mask after the range, as in the reference manual's example of both together.
        base = voxels[kept]
        if base.size:
            reach = settings.outlier_sd * base.std()
            kept = kept & (np.abs(voxels - base.mean()) <= reach)
    return kept


def _discretised(
    voxels: Floats, mask: NDArray[np.bool_], settings: Configuration
) -> tuple[NDArray[np.int64], int]:
    values = voxels[mask]
    levels = np.zeros(voxels.shape, np.int64)
    if settings.discretisation == "fixed_bin_size":
        start = settings.bin_start
        if start is None:
            start = settings.range_min if settings.range_min is not None else float(values.min())
        bins = np.floor((values - start) / settings.bin_width).astype(np.int64) + 1
    elif settings.discretisation == "fixed_bin_number":
        low, high = float(values.min()), float(values.max())
        width = (high - low) / settings.bin_number if high > low else 1.0
        bins = np.minimum(np.floor((values - low) / width).astype(np.int64) + 1, settings.bin_number)
    else:
        bins = np.rint(values).astype(np.int64)
        if bins.min() < 1:
            bins = bins - int(bins.min()) + 1
    levels[mask] = np.maximum(bins, 1)
    return levels, int(bins.max())

"""Body composition: muscle and fat at a vertebral level, and liver and bone on unenhanced CT."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from racoon.science.biomarkers.acquisition import Context
from racoon.science.biomarkers.definition import Formula, Measured, Parameters, Region
from racoon.science.biomarkers.region import mean_of


def level_slice(region: Region, context: Context, level: str) -> int | None:
    """Slice through the middle of a vertebra; the only slice of a mask that has one.

    Returns
    -------
    int or None
        Index in the full image; None when there is neither.
    """
    if region.box is None:
        return None
    vertebra = context.structures.get(f"vertebra_{level.lower()}")
    if vertebra is not None and vertebra.box is not None:
        return (vertebra.box.start[0] + vertebra.box.stop[0] - 1) // 2
    return region.box.start[0] if region.box.shape[0] == 1 else None


def _at_level(region: Region, context: Context, parameters: Parameters) -> tuple[Region | None, int | None]:
    place = level_slice(region, context, str(parameters["level"]))
    if place is None or region.box is None or not region.box.start[0] <= place < region.box.stop[0]:
        return None, place
    own = place - region.box.start[0]
    start, stop = region.box.start, region.box.stop
    box = type(region.box)((place, start[1], start[2]), (place + 1, stop[1], stop[2]))
    return region.part(box, region.mask[own : own + 1]), place


def area_at_level(region: Region, context: Context, parameters: Parameters) -> Measured:
    """Area in cm² of the voxels in an interval, in the slice of a vertebral level."""
    cut, place = _at_level(region, context, parameters)
    if cut is None:
        return Measured(math.nan, "level_missing")
    inside = cut.within(float(parameters["lower_hu"]), float(parameters["upper_hu"]))
    return Measured(inside.size * region.pixel_mm2 / 100.0, "", place)


def attenuation_at_level(region: Region, context: Context, parameters: Parameters) -> Measured:
    """Mean HU of the voxels in an interval, in the slice of a vertebral level."""
    cut, place = _at_level(region, context, parameters)
    if cut is None:
        return Measured(math.nan, "level_missing")
    inside = cut.within(float(parameters["lower_hu"]), float(parameters["upper_hu"]))
    return (
        Measured(mean_of(inside), "", place) if inside.size else Measured(math.nan, "nothing_in_range", place)
    )


def index_at_level(region: Region, context: Context, parameters: Parameters) -> Measured:
    """Area at a vertebral level over squared height, in cm²/m²."""
    found = area_at_level(region, context, parameters)
    return Measured(found.value / float(parameters["height_m"]) ** 2, found.reason, found.key_slice)


def skeletal_muscle_index(area_cm2: float, height_m: float) -> float:
    """Muscle area over squared height in cm²/m²."""
    return area_cm2 / height_m**2


def muscle_gauge(region: Region, context: Context, parameters: Parameters) -> Measured:
    """Muscle index times mean muscle HU."""
    index, density = (
        index_at_level(region, context, parameters),
        attenuation_at_level(region, context, parameters),
    )
    return Measured(index.value * density.value, index.reason or density.reason, index.key_slice)


def fat_ratio(region: Region, context: Context, parameters: Parameters) -> Measured:
    """Visceral over subcutaneous fat area in the slice of a vertebral level."""
    visceral = area_at_level(region, context, parameters)
    own = {**parameters, "lower_hu": parameters["sat_lower_hu"], "upper_hu": parameters["sat_upper_hu"]}
    subcutaneous = area_at_level(context.structures["subcutaneous_fat"], context, own)
    reason = visceral.reason or subcutaneous.reason
    if not reason and subcutaneous.value == 0.0:
        reason = "nothing_in_range"
    value = visceral.value / subcutaneous.value if not reason else math.nan
    return Measured(value, reason, visceral.key_slice)


def interval_volume(region: Region, _context: Context, parameters: Parameters) -> Measured:
    """Volume in mL of the voxels in an interval."""
    inside = region.within(float(parameters["lower_hu"]), float(parameters["upper_hu"]))
    return Measured(inside.size * region.voxel_ml)


def without_rim(region: Region, margin_mm: float) -> Region:
    """The region without a rim, found once; the whole region when nothing would be left."""
    if region.box is None:
        return region
    key = f"eroded {margin_mm}"
    if key not in region.memo:
        core = _deeper_than(region.mask, region.spacing_mm, margin_mm)
        region.memo[key] = region.part(region.box, core) if core.any() else region
    found: Region = region.memo[key]
    return found


_SLICES_AT_ONCE = 24


def _deeper_than(
    mask: NDArray[np.bool_], spacing_mm: tuple[float, float, float], margin_mm: float
) -> NDArray[np.bool_]:
    """Mark voxels farther from the outside than a margin, some slices at a time.

    Distances need forty bytes a voxel; whether one is larger than the margin is decided within the margin, so slices
    with that much more on both sides give the same answer as the whole.
    """
    from scipy import ndimage  # noqa: PLC0415 - only measuring needs it

    halo = math.ceil(margin_mm / spacing_mm[0]) + 1
    padded = np.pad(mask, ((halo, halo), (1, 1), (1, 1)))
    core = np.empty_like(mask)
    for start in range(0, mask.shape[0], _SLICES_AT_ONCE):
        stop = min(start + _SLICES_AT_ONCE, mask.shape[0])
        part = padded[start : stop + 2 * halo]
        depth = ndimage.distance_transform_edt(part, sampling=spacing_mm)
        core[start:stop] = depth[halo : halo + stop - start, 1:-1, 1:-1] > margin_mm
    return core


def _core_mean(region: Region, parameters: Parameters) -> float:
    return without_rim(region, float(parameters["erosion_mm"])).mean


def not_eroded(region: Region, _context: Context) -> str:
    """Warn about a structure too small to leave out its rim."""
    return "rim_included" if region.box is not None and without_rim(region, 5.0) is region else ""


def core_attenuation(region: Region, _context: Context, parameters: Parameters) -> Measured:
    """Mean HU without the rim."""
    return Measured(_core_mean(region, parameters))


def liver_and_spleen(combine: Callable[[float, float], float]) -> Formula:
    """Combine the mean HU of liver and spleen, both without their rims."""

    def compute(region: Region, context: Context, parameters: Parameters) -> Measured:
        liver, spleen = _core_mean(region, parameters), _core_mean(context.structures["spleen"], parameters)
        value = combine(liver, spleen)
        return Measured(value) if math.isfinite(value) else Measured(math.nan, "nothing_in_range")

    return compute


def ratio_of(liver: float, spleen: float) -> float:
    """Liver over spleen; NaN without a spleen to divide by."""
    return liver / spleen if spleen else math.nan


def difference_of(liver: float, spleen: float) -> float:
    """Liver minus spleen."""
    return liver - spleen


def pdff_percent(liver_hu: float, slope: float = -0.58, intercept: float = 38.2) -> float:
    """Proton density fat fraction estimated from unenhanced liver HU, in per cent."""
    return slope * liver_hu + intercept


def fat_fraction(region: Region, _context: Context, parameters: Parameters) -> Measured:
    """Fat fraction of the liver estimated from its mean HU, in per cent."""
    slope, intercept = float(parameters["slope"]), float(parameters["intercept"])
    return Measured(pdff_percent(_core_mean(region, parameters), slope, intercept))

"""Bone: trabecular density of vertebral bodies, mineral density by calibration, loss of height."""

from __future__ import annotations

import math

import numpy as np

from racoon.science.biomarkers.acquisition import Context
from racoon.science.biomarkers.definition import Measured, Parameters, Region
from racoon.science.geometry import find_parts


def trabecular_core(region: Region, erosion_mm: float, height_share: float) -> Region | None:
    """The inner part of a vertebral body: without its rim, and only the middle part of its height.

    Parameters
    ----------
    region
        Vertebra; arch and processes are dropped with the rim, because they are thinner.
    erosion_mm
        Thickness of cortex and partial volume that is left out.
    height_share
        Part of the height that is kept, around the middle; the end plates stay out.
    """
    from scipy import ndimage  # noqa: PLC0415 - only measuring needs it

    if region.box is None:
        return None
    padded = np.pad(region.mask, 1)
    depth = ndimage.distance_transform_edt(padded, sampling=region.spacing_mm)[1:-1, 1:-1, 1:-1]
    core = depth > erosion_mm
    parts = find_parts(core, connectivity=6)
    if parts.box is None:
        return None
    body = np.zeros_like(core)
    body[parts.box.slices] = parts.largest()
    slices = np.flatnonzero(body.any(axis=(1, 2)))
    margin = (1.0 - height_share) / 2.0 * slices.size
    body[: slices[0] + math.floor(margin)] = False
    body[slices[-1] + 1 - math.floor(margin) :] = False
    return region.part(region.box, body)


def trabecular(region: Region, _context: Context, parameters: Parameters) -> Measured:
    """Mean HU of the trabecular core."""
    core = trabecular_core(region, float(parameters["erosion_mm"]), float(parameters["height_share"]))
    if core is None or core.voxel_count == 0:
        return Measured(math.nan, "nothing_in_range")
    return Measured(core.mean, "", core.key_slice)


def calibration_line(rods: tuple[tuple[float, float], ...]) -> tuple[float, float]:
    """Slope and intercept of mineral density on HU by least squares.

    Parameters
    ----------
    rods
        Pairs of (HU read, known density in mg/cm³); two or more.  Rods of a phantom, or tissue of known density
        (air and blood) for calibration without a phantom.
    """
    if len(rods) < 2:
        raise ValueError("a calibration needs two rods")
    slope, intercept = np.polyfit([hu for hu, _ in rods], [density for _, density in rods], 1)
    return float(slope), float(intercept)


def mineral(region: Region, context: Context, parameters: Parameters) -> Measured:
    """Density in mg/cm³ by a given calibration line."""
    found = trabecular(region, context, parameters)
    density = float(parameters["slope_mg_per_cm3_per_hu"]) * found.value + float(
        parameters["intercept_mg_per_cm3"]
    )
    return Measured(density, found.reason, found.key_slice)


def internal_mineral(region: Region, context: Context, parameters: Parameters) -> Measured:
    """Density in mg/cm³, calibrated on blood and fat of the same image."""
    found = trabecular(region, context, parameters)
    if found.reason:
        return found
    blood, fat = context.structures["aorta"].mean, context.structures["subcutaneous_fat"].mean
    if blood == fat:
        return Measured(math.nan, "nothing_in_range")
    slope, intercept = calibration_line(
        ((blood, float(parameters["blood_mg_per_cm3"])), (fat, float(parameters["fat_mg_per_cm3"])))
    )
    return Measured(slope * found.value + intercept, "", found.key_slice)


def height_loss_percent(heights_mm: tuple[float, float, float]) -> float:
    """Loss of the lowest of anterior, middle and posterior height against the highest, in per cent."""
    return 100.0 * (1.0 - min(heights_mm) / max(heights_mm))


def genant_grade(loss_percent: float) -> int:
    """Semiquantitative grade: 0 below 20 %, 1 to 25 %, 2 to 40 %, 3 above (Genant 1993)."""
    return sum(loss_percent >= limit for limit in (20.0, 25.0)) + (loss_percent > 40.0)


def body_heights_mm(region: Region) -> tuple[float, float, float] | None:
    """Anterior, middle and posterior height of a vertebral body mask, in mm.

    The middle third from left to right is used; rows are cut into three equal parts from front to back, and
    each height is the median column height of its part.
    """
    if region.box is None:
        return None
    columns = region.mask.any(axis=(0, 1))
    filled = np.flatnonzero(columns)
    third = max(1, filled.size // 3)
    middle = region.mask[:, :, filled[0] + third : filled[-1] + 1 - third]
    if middle.shape[2] == 0:
        middle = region.mask
    counts = middle.sum(axis=0) * region.spacing_mm[0]
    rows = np.flatnonzero(counts.any(axis=1))
    if rows.size < 3:
        return None
    parts = np.array_split(counts[rows[0] : rows[-1] + 1], 3)
    heights = [float(np.median(part[part > 0])) if (part > 0).any() else math.nan for part in parts]
    if not all(math.isfinite(height) for height in heights):
        return None
    # Rows run towards the back (larger y) unless the grid is flipped.
    front, back = (heights[0], heights[2]) if region.affine[1, 1] > 0 else (heights[2], heights[0])
    return front, heights[1], back


def height_loss(region: Region, _context: Context, _parameters: Parameters) -> Measured:
    """Largest loss of height of a vertebral body, in per cent."""
    heights = body_heights_mm(region)
    return Measured(height_loss_percent(heights)) if heights else Measured(math.nan, "nothing_in_range")


def genant(region: Region, context: Context, parameters: Parameters) -> Measured:
    """Grade of the height loss, 0 to 3."""
    loss = height_loss(region, context, parameters)
    return Measured(float(genant_grade(loss.value)), "") if not loss.reason else loss

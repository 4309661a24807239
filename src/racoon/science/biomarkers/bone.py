"""Bone: trabecular density of vertebral bodies, mineral density by calibration, loss of height."""

from __future__ import annotations

import math

import numpy as np

from racoon.science.biomarkers.definition import (
    Context,
    Definition,
    Measured,
    Parameters,
    Region,
    Validity,
    enough_voxels,
    whole_structure,
)
from racoon.science.biomarkers.densities import HOUNSFIELD
from racoon.science.geometry import find_parts

_UNENHANCED_120 = Validity(frozenset({"CT"}), kvp=(120.0, 120.0), unenhanced=True)


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


def _trabecular(region: Region, _context: Context, parameters: Parameters) -> Measured:
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


def _mineral(region: Region, context: Context, parameters: Parameters) -> Measured:
    found = _trabecular(region, context, parameters)
    density = float(parameters["slope_mg_per_cm3_per_hu"]) * found.value + float(
        parameters["intercept_mg_per_cm3"]
    )
    return Measured(density, found.reason, found.key_slice)


def _internal_mineral(region: Region, context: Context, parameters: Parameters) -> Measured:
    found = _trabecular(region, context, parameters)
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


def _height_loss(region: Region, _context: Context, _parameters: Parameters) -> Measured:
    heights = body_heights_mm(region)
    return Measured(height_loss_percent(heights)) if heights else Measured(math.nan, "nothing_in_range")


def _genant(region: Region, context: Context, parameters: Parameters) -> Measured:
    loss = _height_loss(region, context, parameters)
    return Measured(float(genant_grade(loss.value)), "") if not loss.reason else loss


_CORE: Parameters = {"erosion_mm": 4.0, "height_share": 0.6}
_GENANT = "Genant 1993, doi:10.1002/jbmr.5650080915"

DEFINITIONS = (
    Definition(
        id="trabecular_attenuation",
        version="1",
        title_de="Trabekuläre Dichte des Wirbelkörpers",
        title_en="Trabecular attenuation of the vertebral body",
        unit=HOUNSFIELD,
        formula="mean HU of the largest part deeper than erosion_mm, middle height_share of its height",
        source="Pickhardt 2013, doi:10.7326/0003-4819-158-8-201304160-00003",
        compute_formula=_trabecular,
        validity=_UNENHANCED_120,
        defaults=_CORE,
        applies_to=("vertebra",),
        quality=(enough_voxels,),
        ranges="L1: ≤ 110 specific, ≤ 160 sensitive for osteoporosis",
    ),
    Definition(
        id="bone_mineral_density",
        version="1",
        title_de="Knochenmineraldichte",
        title_en="Volumetric bone mineral density",
        unit="mg/cm3",
        formula="slope_mg_per_cm3_per_hu × trabecular_attenuation + intercept_mg_per_cm3",
        source="ACR practice parameter (a guideline without DOI); rods: Wang 2017, doi:10.1038/s41598-017-06608-y",
        compute_formula=_mineral,
        validity=Validity(frozenset({"CT"}), unenhanced=True),
        defaults={**_CORE, "slope_mg_per_cm3_per_hu": 0.0, "intercept_mg_per_cm3": 0.0},
        required=("slope_mg_per_cm3_per_hu",),
        applies_to=("vertebra",),
        quality=(enough_voxels,),
        ranges="< 80 osteoporosis, 80–120 osteopenia",
    ),
    Definition(
        id="bone_mineral_density_phantomless",
        version="1",
        title_de="Knochenmineraldichte ohne Phantom",
        title_en="Volumetric bone mineral density without a phantom",
        unit="mg/cm3",
        formula="line through (mean HU of the aorta, blood_mg_per_cm3) and (of subcutaneous fat, fat_mg_per_cm3), at "
        "trabecular_attenuation",
        source="Kaesmacher 2017, doi:10.1097/RCT.0000000000000518 (internal references); densities are the site's own",
        compute_formula=_internal_mineral,
        validity=Validity(frozenset({"CT"}), unenhanced=True),
        defaults={**_CORE, "blood_mg_per_cm3": 0.0, "fat_mg_per_cm3": 0.0},
        required=("blood_mg_per_cm3", "fat_mg_per_cm3"),
        needs=("aorta", "subcutaneous_fat"),
        applies_to=("vertebra",),
        quality=(enough_voxels,),
        ranges="< 80 osteoporosis, 80–120 osteopenia; as good as the site's own densities of blood and fat",
    ),
    Definition(
        id="vertebral_height_loss",
        version="1",
        title_de="Höhenminderung des Wirbelkörpers",
        title_en="Height loss of the vertebral body",
        unit="%",
        formula="100 × (1 − lowest / highest of anterior, middle and posterior height), middle third of the width",
        source=_GENANT,
        compute_formula=_height_loss,
        method="length",
        applies_to=("vertebral_body",),
        quality=(whole_structure,),
    ),
    Definition(
        id="genant_grade",
        version="1",
        title_de="Grad der Wirbelkörperfraktur",
        title_en="Grade of vertebral fracture",
        unit="{score}",
        formula="0 below 20 % height loss, 1 to 25 %, 2 to 40 %, 3 above",
        source=_GENANT,
        compute_formula=_genant,
        method="length",
        applies_to=("vertebral_body",),
        quality=(whole_structure,),
    ),
)

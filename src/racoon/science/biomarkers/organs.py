"""Heart function, brain and PET: ratios between structures, and uptake."""

from __future__ import annotations

import math

import numpy as np

from racoon.science.biomarkers.acquisition import Context
from racoon.science.biomarkers.definition import Formula, Measured, Parameters, Region
from racoon.science.geometry import thickness_between


def _ml(region: Region) -> float:
    return region.voxel_count * region.voxel_ml


def ejection_fraction(end_diastolic_ml: float, end_systolic_ml: float) -> float:
    """Ejection fraction in per cent."""
    return 100.0 * (end_diastolic_ml - end_systolic_ml) / end_diastolic_ml


def body_surface_m2(height_cm: float, weight_kg: float) -> float:
    """Body surface after Mosteller 1987, √(height · weight / 3600)."""
    return math.sqrt(height_cm * weight_kg / 3600.0)


def extracellular_volume(
    native_myocardium_ms: float,
    post_myocardium_ms: float,
    native_blood_ms: float,
    post_blood_ms: float,
    haematocrit: float,
) -> float:
    """Extracellular volume in per cent from T1 before and after contrast medium.

    Notes
    -----
    ``(1 − Hct) · ΔR1 myocardium / ΔR1 blood``; Messroghli 2017, doi:10.1186/s12968-017-0389-8.
    """
    myocardium = 1.0 / post_myocardium_ms - 1.0 / native_myocardium_ms
    blood = 1.0 / post_blood_ms - 1.0 / native_blood_ms
    return 100.0 * (1.0 - haematocrit) * myocardium / blood


def ejected_share(phase: str) -> Formula:
    """Share of the volume that is gone at the end of a phase, in per cent."""

    def compute(region: Region, context: Context, _parameters: Parameters) -> Measured:
        return Measured(ejection_fraction(_ml(region), _ml(context.structures[phase])))

    return compute


def left_stroke(region: Region, context: Context, _parameters: Parameters) -> Measured:
    """Stroke volume of the left ventricle in mL."""
    return Measured(_ml(region) - _ml(context.structures["lv_end_systole"]))


def right_stroke(region: Region, context: Context, _parameters: Parameters) -> Measured:
    """Stroke volume of the right ventricle in mL."""
    return Measured(_ml(region) - _ml(context.structures["rv_end_systole"]))


def myocardial_mass(region: Region, _context: Context, parameters: Parameters) -> Measured:
    """Mass in g: volume times density of the myocardium."""
    return Measured(_ml(region) * float(parameters["density_g_per_ml"]))


def enhancement_limit(context: Context, parameters: Parameters) -> float:
    """Mean of the remote myocardium plus n of its standard deviations."""
    remote = context.structures["remote_myocardium"]
    return remote.mean + float(parameters["sd"]) * float(np.std(remote.values, dtype=np.float64))


def enhanced_share(region: Region, context: Context, parameters: Parameters) -> Measured:
    """Share of the myocardium brighter than the remote one by n standard deviations."""
    limit = enhancement_limit(context, parameters)
    return Measured(100.0 * int(np.count_nonzero(region.values > limit)) / region.voxel_count)


def enhanced_mass(region: Region, context: Context, parameters: Parameters) -> Measured:
    """Mass in g of the myocardium brighter than the remote one by n standard deviations."""
    share = enhanced_share(region, context, parameters).value / 100.0
    return Measured(share * _ml(region) * float(parameters["density_g_per_ml"]))


def half_maximum(region: Region, _context: Context, parameters: Parameters) -> Measured:
    # The maximum of enhanced myocardium; the mask holds no blood.
    """Share of the myocardium at or above half of its largest value."""
    limit = float(parameters["share_of_maximum"]) * float(region.values.max())
    return Measured(100.0 * int(np.count_nonzero(region.values >= limit)) / region.voxel_count)


def share_of(name: str) -> Formula:
    """Share that the region has of another structure, in per cent."""

    def compute(region: Region, context: Context, _parameters: Parameters) -> Measured:
        return Measured(100.0 * _ml(region) / _ml(context.structures[name]))

    return compute


def cortical_thickness(region: Region, context: Context, parameters: Parameters) -> Measured:
    """Mean distance between the two surfaces of the cortex, in mm."""
    white = context.structures["white_matter"]
    if region.box is None or white.box is None:
        return Measured(math.nan, "empty_mask")
    low = np.minimum(region.box.start, white.box.start)
    high = np.maximum(region.box.stop, white.box.stop)
    inner, grey = np.zeros(tuple(high - low), bool), np.zeros(tuple(high - low), bool)
    for target, source in ((inner, white), (grey, region)):
        if source.box is not None:
            start = np.array(source.box.start) - low
            place = tuple(slice(a, a + n) for a, n in zip(start, source.mask.shape, strict=True))
            target[place] |= source.mask
    found = thickness_between(inner, inner | grey, region.affine, largest_mm=float(parameters["largest_mm"]))
    return Measured(found.mean_mm)


def highest_uptake(region: Region, _context: Context, _parameters: Parameters) -> Measured:
    """Largest SUV."""
    peak = int(np.asarray(region.values).argmax())
    place = int(np.argwhere(region.mask)[peak][0]) + (region.box.start[0] if region.box else 0)
    return Measured(float(region.values[peak]), "", place)


def mean_uptake(region: Region, _context: Context, _parameters: Parameters) -> Measured:
    """Mean SUV of the active part."""
    return Measured(region.mean)


def _active(region: Region, parameters: Parameters) -> float:
    """Least value that counts: a fixed one, or a share of the maximum; 0 takes the whole mask."""
    return max(
        float(parameters["threshold_suv"]), float(parameters["share_of_maximum"]) * float(region.values.max())
    )


def tumour_volume(region: Region, _context: Context, parameters: Parameters) -> Measured:
    """Volume in mL of the active part."""
    limit = _active(region, parameters)
    inside = region.values >= limit if limit > 0 else np.ones(region.voxel_count, bool)
    return Measured(int(np.count_nonzero(inside)) * region.voxel_ml)


def total_glycolysis(region: Region, _context: Context, parameters: Parameters) -> Measured:
    """Mean SUV times volume of the active part."""
    limit = _active(region, parameters)
    values = region.values[region.values >= limit] if limit > 0 else region.values
    return Measured(float(values.sum(dtype=np.float64)) * region.voxel_ml)

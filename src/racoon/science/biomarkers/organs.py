"""Heart function, brain and PET: ratios between structures, and uptake."""

from __future__ import annotations

import math

import numpy as np

from racoon.science.biomarkers.definition import (
    Context,
    Definition,
    Formula,
    Measured,
    Parameters,
    Region,
    Validity,
    whole_structure,
)
from racoon.science.geometry import thickness_between

_MR = Validity(frozenset({"MR"}))
_PT = Validity(frozenset({"PT"}), uptake=True)
_SCMR = "Schulz-Menger 2020 (SCMR), doi:10.1186/s12968-020-00610-6"
_THICKNESS = "Fischl 2000, doi:10.1073/pnas.200033797"


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


def _fraction(phase: str) -> Formula:
    def compute(region: Region, context: Context, _parameters: Parameters) -> Measured:
        return Measured(ejection_fraction(_ml(region), _ml(context.structures[phase])))

    return compute


def _stroke(region: Region, context: Context, _parameters: Parameters) -> Measured:
    return Measured(_ml(region) - _ml(context.structures["lv_end_systole"]))


def _right_stroke(region: Region, context: Context, _parameters: Parameters) -> Measured:
    return Measured(_ml(region) - _ml(context.structures["rv_end_systole"]))


def _mass(region: Region, _context: Context, parameters: Parameters) -> Measured:
    return Measured(_ml(region) * float(parameters["density_g_per_ml"]))


def _enhanced_share(region: Region, context: Context, parameters: Parameters) -> Measured:
    remote = context.structures["remote_myocardium"]
    limit = remote.mean + float(parameters["sd"]) * float(np.std(remote.values, dtype=np.float64))
    return Measured(100.0 * int(np.count_nonzero(region.values > limit)) / region.voxel_count)


def _enhanced_mass(region: Region, context: Context, parameters: Parameters) -> Measured:
    share = _enhanced_share(region, context, parameters).value / 100.0
    return Measured(share * _ml(region) * float(parameters["density_g_per_ml"]))


def _half_maximum(region: Region, _context: Context, parameters: Parameters) -> Measured:
    # The maximum of enhanced myocardium; the mask holds no blood.
    limit = float(parameters["share_of_maximum"]) * float(region.values.max())
    return Measured(100.0 * int(np.count_nonzero(region.values >= limit)) / region.voxel_count)


def _share_of(name: str) -> Formula:
    def compute(region: Region, context: Context, _parameters: Parameters) -> Measured:
        return Measured(100.0 * _ml(region) / _ml(context.structures[name]))

    return compute


def _cortex(region: Region, context: Context, parameters: Parameters) -> Measured:
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


def _suv_max(region: Region, _context: Context, _parameters: Parameters) -> Measured:
    peak = int(np.asarray(region.values).argmax())
    place = int(np.argwhere(region.mask)[peak][0]) + (region.box.start[0] if region.box else 0)
    return Measured(float(region.values[peak]), "", place)


def _suv_mean(region: Region, _context: Context, _parameters: Parameters) -> Measured:
    return Measured(region.mean)


def _active(region: Region, parameters: Parameters) -> float:
    """Least value that counts: a fixed one, or a share of the maximum; 0 takes the whole mask."""
    return max(
        float(parameters["threshold_suv"]), float(parameters["share_of_maximum"]) * float(region.values.max())
    )


def _mtv(region: Region, _context: Context, parameters: Parameters) -> Measured:
    limit = _active(region, parameters)
    inside = region.values >= limit if limit > 0 else np.ones(region.voxel_count, bool)
    return Measured(int(np.count_nonzero(inside)) * region.voxel_ml)


def _tlg(region: Region, _context: Context, parameters: Parameters) -> Measured:
    limit = _active(region, parameters)
    values = region.values[region.values >= limit] if limit > 0 else region.values
    return Measured(float(values.sum(dtype=np.float64)) * region.voxel_ml)


_PET: Parameters = {"threshold_suv": 0.0, "share_of_maximum": 0.0}
_WAHL = "Wahl 2009 (PERCIST), doi:10.2967/jnumed.108.057307"


def _pet(
    name: str, german: str, english: str, unit: str, formula: str, compute: Formula, defaults: Parameters
) -> Definition:
    return Definition(
        id=name,
        version="1",
        title_de=german,
        title_en=english,
        unit=unit,
        formula=formula,
        source=_WAHL,
        compute_formula=compute,
        validity=_PT,
        defaults=defaults,
    )


def _ratio(
    name: str,
    titles: tuple[str, str],
    formula: str,
    compute: Formula,
    where: tuple[str, ...],
    needs: tuple[str, ...],
    source: str,
) -> Definition:
    return Definition(
        id=name,
        version="1",
        title_de=titles[0],
        title_en=titles[1],
        unit="%",
        formula=formula,
        source=source,
        compute_formula=compute,
        method="volumetric",
        applies_to=where,
        needs=needs,
        quality=(whole_structure,),
    )


DEFINITIONS = (
    _ratio(
        "lv_ejection_fraction",
        ("Linksventrikuläre Ejektionsfraktion", "Left ventricular ejection fraction"),
        "100 × (EDV − ESV) / EDV",
        _fraction("lv_end_systole"),
        ("lv_end_diastole",),
        ("lv_end_systole",),
        _SCMR,
    ),
    _ratio(
        "rv_ejection_fraction",
        ("Rechtsventrikuläre Ejektionsfraktion", "Right ventricular ejection fraction"),
        "100 × (EDV − ESV) / EDV",
        _fraction("rv_end_systole"),
        ("rv_end_diastole",),
        ("rv_end_systole",),
        _SCMR,
    ),
    Definition(
        id="lv_stroke_volume",
        version="1",
        title_de="Schlagvolumen",
        title_en="Stroke volume",
        unit="mL",
        formula="EDV − ESV",
        source=_SCMR,
        compute_formula=_stroke,
        method="volumetric",
        applies_to=("lv_end_diastole",),
        needs=("lv_end_systole",),
        quality=(whole_structure,),
    ),
    Definition(
        id="lv_mass",
        version="1",
        title_de="Linksventrikuläre Masse",
        title_en="Left ventricular mass",
        unit="g",
        formula="density_g_per_ml × volume of the myocardium",
        source=_SCMR,
        compute_formula=_mass,
        method="volumetric",
        defaults={"density_g_per_ml": 1.05},
        applies_to=("lv_myocardium",),
        quality=(whole_structure,),
    ),
    Definition(
        id="rv_stroke_volume",
        version="1",
        title_de="Schlagvolumen des rechten Ventrikels",
        title_en="Right ventricular stroke volume",
        unit="mL",
        formula="EDV − ESV",
        source=_SCMR,
        compute_formula=_right_stroke,
        method="volumetric",
        applies_to=("rv_end_diastole",),
        needs=("rv_end_systole",),
        quality=(whole_structure,),
    ),
    Definition(
        id="lge_mass",
        version="1",
        title_de="Spätanreicherung des Myokards: Masse",
        title_en="Late gadolinium enhancement: mass",
        unit="g",
        formula="density_g_per_ml × volume of voxels above mean + sd × SD of remote myocardium",
        source=_SCMR,
        compute_formula=_enhanced_mass,
        validity=Validity(frozenset({"MR"}), enhanced=True),
        defaults={"sd": 5.0, "density_g_per_ml": 1.05},
        applies_to=("lv_myocardium",),
        needs=("remote_myocardium",),
        quality=(whole_structure,),
    ),
    Definition(
        id="lge_half_maximum",
        version="1",
        title_de="Spätanreicherung des Myokards (halbes Maximum)",
        title_en="Late gadolinium enhancement (half maximum)",
        unit="%",
        formula="100 × voxels at or above share_of_maximum × the maximum / voxels of the myocardium",
        source="Amado 2004, doi:10.1016/j.jacc.2004.09.020",
        compute_formula=_half_maximum,
        validity=Validity(frozenset({"MR"}), enhanced=True),
        defaults={"share_of_maximum": 0.5},
        applies_to=("lv_myocardium",),
        quality=(whole_structure,),
    ),
    Definition(
        id="lge_percent",
        version="1",
        title_de="Spätanreicherung des Myokards",
        title_en="Late gadolinium enhancement",
        unit="%",
        formula="100 × voxels above mean + sd × SD of remote myocardium / voxels of the myocardium",
        source=_SCMR,
        compute_formula=_enhanced_share,
        validity=Validity(frozenset({"MR"}), enhanced=True),
        defaults={"sd": 5.0},
        applies_to=("lv_myocardium",),
        needs=("remote_myocardium",),
        quality=(whole_structure,),
    ),
    _ratio(
        "lesion_load",
        ("Läsionslast des Gehirns", "Lesion load of the brain"),
        "100 × lesion volume / brain volume",
        _share_of("brain"),
        ("white_matter_lesion",),
        ("brain",),
        "Wardlaw 2013 (STRIVE), doi:10.1016/S1474-4422(13)70124-8",
    ),
    _ratio(
        "brain_parenchymal_fraction",
        ("Hirnparenchymanteil", "Brain parenchymal fraction"),
        "100 × brain volume / intracranial volume",
        _share_of("intracranial_volume"),
        ("brain",),
        ("intracranial_volume",),
        "Rudick 1999, doi:10.1212/WNL.53.8.1698",
    ),
    _ratio(
        "hippocampus_percent",
        ("Hippocampus am Schädelinnenvolumen", "Hippocampus of intracranial volume"),
        "100 × volume / intracranial volume",
        _share_of("intracranial_volume"),
        ("hippocampus", "hippocampus_left", "hippocampus_right"),
        ("intracranial_volume",),
        "no paper: the proportion method, a volume as a share of the intracranial one",
    ),
    Definition(
        id="cortical_thickness",
        version="1",
        title_de="Kortikale Dicke",
        title_en="Cortical thickness",
        unit="mm",
        formula="mean of the closest-point distances white → pial and pial → white surface, cut at largest_mm",
        source=_THICKNESS,
        compute_formula=_cortex,
        validity=_MR,
        method="length",
        defaults={"largest_mm": 5.0},
        applies_to=("cortex",),
        needs=("white_matter",),
        quality=(whole_structure,),
    ),
    _pet("suv_max", "SUVmax", "SUVmax", "g/mL", "largest value in the mask", _suv_max, {}),
    _pet("suv_mean", "SUVmean", "SUVmean", "g/mL", "mean value in the mask", _suv_mean, {}),
    _pet(
        "mtv",
        "Metabolisches Tumorvolumen",
        "Metabolic tumour volume",
        "mL",
        "volume of the mask at or above threshold_suv and share_of_maximum (0: all)",
        _mtv,
        _PET,
    ),
    _pet(
        "tlg",
        "Gesamtglykolyse",
        "Total lesion glycolysis",
        "g",
        "Σ SUV × voxel volume over the voxels of mtv",
        _tlg,
        _PET,
    ),
)

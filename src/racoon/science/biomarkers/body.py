"""Body composition: muscle and fat at a vertebral level, and liver and bone on unenhanced CT."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from racoon.science.biomarkers.definition import (
    Context,
    Definition,
    Formula,
    Measured,
    Parameters,
    Region,
    Validity,
    enough_voxels,
    whole_structure,
)
from racoon.science.biomarkers.densities import CT, HOUNSFIELD
from racoon.science.biomarkers.region import mean_of

_MUSCLE = ("skeletal_muscle", "pectoralis_muscle")
_DERSTINE = "Derstine 2018, doi:10.1038/s41598-018-29825-5"
_UNENHANCED_120 = Validity(frozenset({"CT"}), kvp=(120.0, 120.0), unenhanced=True)


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


def _area(region: Region, context: Context, parameters: Parameters) -> Measured:
    cut, place = _at_level(region, context, parameters)
    if cut is None:
        return Measured(math.nan, "level_missing")
    inside = cut.within(float(parameters["lower_hu"]), float(parameters["upper_hu"]))
    return Measured(inside.size * region.pixel_mm2 / 100.0, "", place)


def _attenuation(region: Region, context: Context, parameters: Parameters) -> Measured:
    cut, place = _at_level(region, context, parameters)
    if cut is None:
        return Measured(math.nan, "level_missing")
    inside = cut.within(float(parameters["lower_hu"]), float(parameters["upper_hu"]))
    return (
        Measured(mean_of(inside), "", place) if inside.size else Measured(math.nan, "nothing_in_range", place)
    )


def _index(region: Region, context: Context, parameters: Parameters) -> Measured:
    found = _area(region, context, parameters)
    return Measured(found.value / float(parameters["height_m"]) ** 2, found.reason, found.key_slice)


def skeletal_muscle_index(area_cm2: float, height_m: float) -> float:
    """Muscle area over squared height in cm²/m²."""
    return area_cm2 / height_m**2


def _gauge(region: Region, context: Context, parameters: Parameters) -> Measured:
    index, density = _index(region, context, parameters), _attenuation(region, context, parameters)
    return Measured(index.value * density.value, index.reason or density.reason, index.key_slice)


def _fat_ratio(region: Region, context: Context, parameters: Parameters) -> Measured:
    visceral = _area(region, context, parameters)
    own = {**parameters, "lower_hu": parameters["sat_lower_hu"], "upper_hu": parameters["sat_upper_hu"]}
    subcutaneous = _area(context.structures["subcutaneous_fat"], context, own)
    reason = visceral.reason or subcutaneous.reason
    if not reason and subcutaneous.value == 0.0:
        reason = "nothing_in_range"
    value = visceral.value / subcutaneous.value if not reason else math.nan
    return Measured(value, reason, visceral.key_slice)


def _interval_volume(region: Region, _context: Context, parameters: Parameters) -> Measured:
    inside = region.within(float(parameters["lower_hu"]), float(parameters["upper_hu"]))
    return Measured(inside.size * region.voxel_ml)


def _eroded(region: Region, margin_mm: float) -> Region:
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
    return _eroded(region, float(parameters["erosion_mm"])).mean


def not_eroded(region: Region, _context: Context) -> str:
    """Warn about a structure too small to leave out its rim."""
    return "rim_included" if region.box is not None and _eroded(region, 5.0) is region else ""


def _liver(region: Region, _context: Context, parameters: Parameters) -> Measured:
    return Measured(_core_mean(region, parameters))


def _liver_spleen(combine: Callable[[float, float], float]) -> Formula:
    def compute(region: Region, context: Context, parameters: Parameters) -> Measured:
        liver, spleen = _core_mean(region, parameters), _core_mean(context.structures["spleen"], parameters)
        value = combine(liver, spleen)
        return Measured(value) if math.isfinite(value) else Measured(math.nan, "nothing_in_range")

    return compute


def pdff_percent(liver_hu: float, slope: float = -0.58, intercept: float = 38.2) -> float:
    """Proton density fat fraction estimated from unenhanced liver HU, in per cent."""
    return slope * liver_hu + intercept


def _pdff(region: Region, _context: Context, parameters: Parameters) -> Measured:
    slope, intercept = float(parameters["slope"]), float(parameters["intercept"])
    return Measured(pdff_percent(_core_mean(region, parameters), slope, intercept))


_VOLUME_INTERVALS = (
    ("vat_volume", "Viszerales Fett: Volumen", "Visceral fat: volume", ("visceral_cavity",), -150, -50),
    ("sat_volume", "Subkutanes Fett: Volumen", "Subcutaneous fat: volume", ("subcutaneous_fat",), -190, -30),
    ("imat_volume", "Intramuskuläres Fett: Volumen", "Intramuscular fat: volume", _MUSCLE, -190, -30),
    ("muscle_volume", "Skelettmuskel: Volumen", "Skeletal muscle: volume", _MUSCLE, -29, 150),
)

_AREAS = (
    (
        "sma",
        "Muskelfläche",
        "Skeletal muscle area",
        _MUSCLE,
        -29,
        150,
        "L3",
        "L3: mean − 2 SD of healthy US adults",
    ),
    ("lama", "Muskelfläche niedriger Dichte", "Low-attenuation muscle area", _MUSCLE, -29, 29, "L3", ""),
    ("nama", "Muskelfläche normaler Dichte", "Normal-attenuation muscle area", _MUSCLE, 30, 150, "L3", ""),
    ("imat", "Intramuskuläre Fettfläche", "Intramuscular fat area", _MUSCLE, -190, -30, "L3", ""),
    ("vat_area", "Viszerale Fettfläche", "Visceral fat area", ("visceral_cavity",), -150, -50, "L3", ""),
    ("sat_area", "Subkutane Fettfläche", "Subcutaneous fat area", ("subcutaneous_fat",), -190, -30, "L3", ""),
    (
        "pectoralis_area",
        "Pektoralisfläche (T4)",
        "Pectoralis muscle area (T4)",
        ("pectoralis_muscle",),
        -29,
        150,
        "T4",
        "",
    ),
)

_LIVER: Parameters = {"erosion_mm": 5.0}


def _level(
    name: str,
    german: str,
    english: str,
    unit: str,
    formula: str,
    compute: Formula,
    defaults: Parameters,
    *,
    where: tuple[str, ...] = _MUSCLE,
    needs: tuple[str, ...] = (),
    ranges: str = "",
) -> Definition:
    required = ("height_m",) if "height_m" in defaults else ()
    return Definition(
        id=name,
        version="1",
        title_de=german,
        title_en=english,
        unit=unit,
        formula=formula,
        source=_DERSTINE,
        compute_formula=compute,
        validity=CT,
        defaults=defaults,
        required=required,
        applies_to=where,
        needs=needs,
        ranges=ranges,
    )


def _one_liver(
    name: str,
    german: str,
    english: str,
    unit: str,
    formula: str,
    compute: Formula,
    *,
    defaults: Parameters = _LIVER,
    source: str = "Kodama 2007, doi:10.2214/AJR.06.0992",
    ranges: str = "",
) -> Definition:
    return Definition(
        id=name,
        version="1",
        title_de=german,
        title_en=english,
        unit=unit,
        formula=formula,
        source=source,
        compute_formula=compute,
        validity=_UNENHANCED_120,
        defaults=defaults,
        applies_to=("liver",),
        needs=("spleen",) if "spleen" in name else (),
        quality=(whole_structure, enough_voxels, not_eroded),
        ranges=ranges,
    )


_INTERVAL: Parameters = {"lower_hu": -29, "upper_hu": 150, "level": "L3"}

DEFINITIONS = (
    *(
        _level(
            name,
            german,
            english,
            "cm2",
            "pixels with lower_hu <= HU <= upper_hu in the slice through the middle of the vertebra × pixel area",
            _area,
            {"lower_hu": low, "upper_hu": high, "level": level},
            where=where,
            ranges=ranges,
        )
        for name, german, english, where, low, high, level, ranges in _AREAS
    ),
    _level(
        "smi",
        "Skelettmuskelindex",
        "Skeletal muscle index",
        "cm2/m2",
        "sma / height_m²",
        _index,
        {**_INTERVAL, "height_m": 0.0},
        ranges="low: < 34.4 women, < 45.4 men (L3)",
    ),
    _level(
        "smra",
        "Mittlere Muskeldichte",
        "Skeletal muscle radiation attenuation",
        HOUNSFIELD,
        "mean HU of the pixels counted by sma",
        _attenuation,
        _INTERVAL,
        ranges="low: < 34.3 women, < 38.5 men (L3)",
    ),
    _level(
        "smg",
        "Skelettmuskel-Gauge",
        "Skeletal muscle gauge",
        "cm2.[hnsf'U]/m2",
        "smi × smra",
        _gauge,
        {**_INTERVAL, "height_m": 0.0},
    ),
    _level(
        "vat_sat_ratio",
        "Verhältnis viszerales zu subkutanem Fett",
        "Ratio of visceral to subcutaneous fat",
        "1",
        "vat_area / sat_area",
        _fat_ratio,
        {"lower_hu": -150, "upper_hu": -50, "sat_lower_hu": -190, "sat_upper_hu": -30, "level": "L3"},
        where=("visceral_cavity",),
        needs=("subcutaneous_fat",),
    ),
    *(
        Definition(
            id=name,
            version="1",
            title_de=german,
            title_en=english,
            unit="mL",
            formula="voxels with lower_hu <= HU <= upper_hu × voxel volume",
            source="Mitsiopoulos 1998, doi:10.1152/jappl.1998.85.1.115",
            compute_formula=_interval_volume,
            validity=CT,
            defaults={"lower_hu": low, "upper_hu": high},
            applies_to=where,
            quality=(whole_structure,),
        )
        for name, german, english, where, low, high in _VOLUME_INTERVALS
    ),
    _one_liver(
        "liver_attenuation",
        "Leberdichte",
        "Liver attenuation",
        HOUNSFIELD,
        "mean HU of the liver without a rim of erosion_mm",
        _liver,
        ranges="< 40 HU moderate to severe steatosis; 48 HU specific for ≥ 30 %",
    ),
    _one_liver(
        "liver_spleen_ratio",
        "Verhältnis Leber zu Milz",
        "Liver to spleen ratio",
        "1",
        "liver_attenuation / mean HU of the spleen, same erosion",
        _liver_spleen(lambda liver, spleen: liver / spleen if spleen else math.nan),
        ranges="< 1.0 steatosis",
    ),
    _one_liver(
        "liver_spleen_difference",
        "Differenz Leber minus Milz",
        "Liver minus spleen",
        HOUNSFIELD,
        "liver_attenuation − mean HU of the spleen, same erosion",
        _liver_spleen(lambda liver, spleen: liver - spleen),
        ranges="< −10 HU steatosis",
    ),
    _one_liver(
        "liver_pdff",
        "Geschätzter Fettanteil der Leber",
        "Estimated liver fat fraction",
        "%",
        "slope × liver_attenuation + intercept",
        _pdff,
        defaults={**_LIVER, "slope": -0.58, "intercept": 38.2},
        source="Pickhardt 2018, in Starekova 2021, doi:10.1148/radiol.2021204288",
    ),
)

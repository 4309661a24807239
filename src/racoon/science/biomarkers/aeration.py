"""Lungs beyond the classic thresholds: aeration bands, air trapping, opacities by threshold, severity scores."""

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
    whole_structure,
)
from racoon.science.biomarkers.lung import DENSITOMETRY, UNENHANCED_120
from racoon.science.biomarkers.structures import LOBES, LUNGS

_GATTINONI = "Gattinoni 2001, doi:10.1164/ajrccm.164.9.2103121"


def _band(region: Region, _context: Context, parameters: Parameters) -> Measured:
    inside = region.within(float(parameters["lower_hu"]), float(parameters["upper_hu"]))
    return Measured(100.0 * inside.size / region.voxel_count)


def _below(region: Region, _context: Context, parameters: Parameters) -> Measured:
    below = int(np.count_nonzero(region.values < float(parameters["threshold_hu"])))
    return Measured(100.0 * below / region.voxel_count)


def _perc15_density(region: Region, _context: Context, _parameters: Parameters) -> Measured:
    return Measured(float(np.quantile(region.values, 0.15, method="inverted_cdf")) + 1000.0)


def _perc15_adjusted(region: Region, context: Context, parameters: Parameters) -> Measured:
    density = _perc15_density(region, context, parameters).value
    volume_ml = region.voxel_count * region.voxel_ml
    return Measured(density * volume_ml / float(parameters["predicted_tlv_ml"]))


def severity_points(percent: float) -> int:
    """Points 0 to 5 of one lobe: 0; under 5; 5 to 25; over 25 to under 50; 50 to 75; over 75 per cent.

    The published tables leave gaps (25 to 26 %); this closed form is ours.
    """
    if not percent > 0.0:
        return 0
    for points, is_reached in ((5, percent > 75), (4, percent >= 50), (3, percent > 25), (2, percent >= 5)):
        if is_reached:
            return points
    return 1


def total_severity_points(percent: float) -> int:
    """Points 0 to 4 of one lobe: 0; up to 25; up to 50; up to 75; above."""
    if not percent > 0.0:
        return 0
    return 1 + sum(percent > limit for limit in (25.0, 50.0, 75.0))


def _lobe_shares(region: Region, context: Context) -> list[float]:
    shares = []
    for lobe in LOBES:
        other = context.structures[lobe]
        # The union, as for the involvement: some lobe masks leave consolidations out.
        shared = region.voxel_count + other.voxel_count - region.join(other)
        shares.append(100.0 * shared / other.voxel_count)
    return shares


def _severity(region: Region, context: Context, _parameters: Parameters) -> Measured:
    return Measured(float(sum(severity_points(share) for share in _lobe_shares(region, context))))


def _total_severity(region: Region, context: Context, _parameters: Parameters) -> Measured:
    return Measured(float(sum(total_severity_points(share) for share in _lobe_shares(region, context))))


def _doubling_time(region: Region, _context: Context, parameters: Parameters) -> Measured:
    volume = region.voxel_count * region.voxel_ml
    growth = math.log(volume / float(parameters["previous_volume_ml"]))
    if growth == 0.0:
        return Measured(math.nan, "nothing_in_range")
    return Measured(math.log(2.0) * float(parameters["interval_days"]) / growth)


def _aeration(name: str, german: str, english: str, lower_hu: int, upper_hu: int) -> Definition:
    return Definition(
        id=f"aeration_{name}",
        version="1",
        title_de=f"Lungenanteil {german} ({lower_hu} bis {upper_hu} HU)",
        title_en=f"Share of {english} lung ({lower_hu} to {upper_hu} HU)",
        unit="%",
        formula="100 × voxels with lower_hu <= HU <= upper_hu / voxels of the lungs",
        source=_GATTINONI,
        compute_formula=_band,
        validity=Validity(frozenset({"CT"}), unenhanced=True),
        defaults={"lower_hu": lower_hu, "upper_hu": upper_hu},
        applies_to=LUNGS,
        quality=DENSITOMETRY,
    )


def _share_below(threshold: int, german: str, english: str, source: str) -> Definition:
    return Definition(
        id=f"laa_{-threshold}",
        version="1",
        title_de=german,
        title_en=english,
        unit="%",
        formula="100 × voxels with HU < threshold_hu / voxels of the lungs (strictly below)",
        source=source,
        compute_formula=_below,
        validity=UNENHANCED_120,
        defaults={"threshold_hu": threshold},
        applies_to=LUNGS,
        quality=DENSITOMETRY,
    )


def _opacity(name: str, german: str, english: str, lower_hu: int, upper_hu: int) -> Definition:
    return Definition(
        id=f"{name}_percent",
        version="1",
        title_de=f"{german} nach Schwelle ({lower_hu} bis {upper_hu} HU)",
        title_en=f"{english} by threshold ({lower_hu} to {upper_hu} HU)",
        unit="%",
        formula="100 × voxels with lower_hu <= HU <= upper_hu / voxels of the lungs; vessels are counted too",
        source="no standard exists; the thresholds are parameters, and masks are better where they exist",
        compute_formula=_band,
        validity=Validity(frozenset({"CT"}), unenhanced=True),
        defaults={"lower_hu": lower_hu, "upper_hu": upper_hu},
        applies_to=LUNGS,
        quality=DENSITOMETRY,
    )


def _score(name: str, german: str, english: str, formula: str, compute: object) -> Definition:
    return Definition(
        id=name,
        version="1",
        title_de=german,
        title_en=english,
        unit="{score}",
        formula=formula,
        source="Pan 2020, doi:10.1148/radiol.2020200370; Li 2020, doi:10.1007/s00330-020-06817-6",
        compute_formula=_severity if compute is _severity else _total_severity,
        validity=Validity(frozenset({"CT"})),
        applies_to=("lung_opacity",),
        needs=LOBES,
        method="volumetric",
        quality=(whole_structure,),
    )


DEFINITIONS = (
    _share_below(
        -910,
        "Lungenanteil unter −910 HU",
        "Low attenuation area below −910 HU",
        "Mishima 1999, doi:10.1073/pnas.96.16.8829",
    ),
    _share_below(
        -856,
        "Lungenanteil unter −856 HU (Exspiration)",
        "Low attenuation area below −856 HU (expiration, air trapping)",
        "Schroeder 2013, doi:10.2214/AJR.12.10102",
    ),
    _aeration("hyper", "überbläht", "hyperinflated", -1000, -901),
    _aeration("normal", "normal belüftet", "normally aerated", -900, -501),
    _aeration("poor", "schlecht belüftet", "poorly aerated", -500, -101),
    _aeration("none", "nicht belüftet", "non-aerated", -100, 100),
    _opacity("ggo", "Milchglas", "Ground-glass opacity", -700, -300),
    _opacity("consolidation", "Konsolidierung", "Consolidation", -299, 50),
    Definition(
        id="perc_15_density",
        version="1",
        title_de="15. Perzentile als Dichte",
        title_en="15th percentile as density",
        unit="g/L",
        formula="15th percentile of HU (inverted CDF) + 1000",
        source="Parr 2004, doi:10.1164/rccm.200403-326OC",
        compute_formula=_perc15_density,
        validity=UNENHANCED_120,
        applies_to=LUNGS,
        quality=DENSITOMETRY,
    ),
    Definition(
        id="perc_15_adjusted",
        version="1",
        title_de="15. Perzentile, auf das vorhergesagte Lungenvolumen bezogen",
        title_en="15th percentile adjusted to the predicted lung volume",
        unit="g/L",
        formula="(15th percentile of HU + 1000) × measured lung volume / predicted_tlv_ml",
        source="Parr 2008, doi:10.1186/1465-9921-9-21",
        compute_formula=_perc15_adjusted,
        validity=UNENHANCED_120,
        defaults={"predicted_tlv_ml": 0.0},
        required=("predicted_tlv_ml",),
        applies_to=("lung",),
        quality=DENSITOMETRY,
    ),
    _score(
        "ct_severity_score",
        "CT-Schweregrad (0–25)",
        "CT severity score (0–25)",
        "sum over five lobes: 0 %: 0; <5: 1; 5–25: 2; >25–<50: 3; 50–75: 4; >75: 5",
        _severity,
    ),
    _score(
        "total_severity_score",
        "Gesamtschweregrad TSS (0–20)",
        "Total severity score TSS (0–20)",
        "sum over five lobes: 0 %: 0; ≤25: 1; ≤50: 2; ≤75: 3; >75: 4",
        _total_severity,
    ),
    Definition(
        id="volume_doubling_time",
        version="1",
        title_de="Volumenverdopplungszeit",
        title_en="Volume doubling time",
        unit="d",
        formula="ln 2 × interval_days / ln(volume / previous_volume_ml)",
        source="MacMahon 2017 (Fleischner), doi:10.1148/radiol.2017161659",
        compute_formula=_doubling_time,
        defaults={"previous_volume_ml": 0.0, "interval_days": 0.0},
        required=("previous_volume_ml", "interval_days"),
        applies_to=("nodule", "lesion", "tumour"),
        method="volumetric",
        ranges="below 400 d suspicious, above 600 d rarely malignant (Fleischner 2017)",
    ),
)

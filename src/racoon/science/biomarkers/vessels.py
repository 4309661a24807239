"""Fat around the heart, and diameters of the great vessels perpendicular to their centreline."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

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
from racoon.science.biomarkers.densities import CT, HOUNSFIELD
from racoon.science.biomarkers.evidence import section_of
from racoon.science.biomarkers.region import mean_of
from racoon.science.biomarkers.structures import AORTA, CORONARIES
from racoon.science.geometry import Centreline, Section, Tube

_FAT: Parameters = {"lower_hu": -190, "upper_hu": -30}
_EAT = "Commandeur 2018, doi:10.1109/TMI.2018.2804799"
_ACC = "ACC/AHA 2022, doi:10.1161/CIR.0000000000001106"


def _fat_volume(region: Region, _context: Context, parameters: Parameters) -> Measured:
    inside = region.within(float(parameters["lower_hu"]), float(parameters["upper_hu"]))
    return Measured(inside.size * region.voxel_ml)


def _fat_mean(region: Region, _context: Context, parameters: Parameters) -> Measured:
    inside = region.within(float(parameters["lower_hu"]), float(parameters["upper_hu"]))
    return Measured(mean_of(inside)) if inside.size else Measured(math.nan, "nothing_in_range")


def _pericoronary(region: Region, context: Context, parameters: Parameters) -> Measured:
    tube = Tube(*region.with_rim())
    line = tube.centreline(3.0)
    if line is None:
        return Measured(math.nan, "no_tube")
    diameter = float(np.median([cut.equivalent_mm for cut in _sections(tube, line, 10.0) if cut]))
    wider = region.grown(diameter)
    if wider is None:
        return Measured(math.nan, "empty_mask")
    box, mask = wider
    inner = region.grown(0.0)
    if inner is not None and region.box is not None:
        place = tuple(
            slice(low - start, high - start)
            for low, high, start in zip(region.box.start, region.box.stop, box.start, strict=True)
        )
        mask[place] &= ~region.mask
    return _fat_mean(region.part(box, mask), context, parameters)


def _sections(tube: Tube, line: Centreline, reach_mm: float) -> list[Section | None]:
    pairs = zip(line.points_mm, line.tangents, strict=True)
    return [tube.section(point, tangent, reach_mm) for point, tangent in pairs]


@dataclass(frozen=True)
class Cut:
    """A section with its place along the line and the slice its middle lies in."""

    place: int
    section: Section
    slice_index: int


def cuts_of(region: Region, reach_mm: float) -> tuple[list[Cut], Centreline | None]:
    """Sections along the centreline, computed once for all diameters of a vessel."""
    key = f"sections {reach_mm}"
    if key not in region.memo:
        region.memo[key] = _compute_cuts(region, reach_mm)
    found: tuple[list[Cut], Centreline | None] = region.memo[key]
    return found


def _compute_cuts(region: Region, reach_mm: float) -> tuple[list[Cut], Centreline | None]:
    tube = Tube(*region.with_rim())
    line = tube.centreline()
    if line is None:
        return [], None
    inverse = np.linalg.inv(region.affine)
    start = region.box.start[0] if region.box else 0
    found = []
    # The first and last sections cut the rim of the mask, not the vessel.
    radius_mm = math.sqrt(
        region.voxel_count * region.voxel_ml * 1000.0 / (math.pi * max(line.length_mm, 1.0))
    )
    margin = min(math.ceil(1.5 * radius_mm), len(line.points_mm) // 4)
    for place in range(margin, len(line.points_mm) - margin, 2):
        cut = tube.section(line.points_mm[place], line.tangents[place], reach_mm)
        if cut is not None and not cut.is_open:
            index = float((inverse @ np.array([*cut.centre_mm, 1.0]))[0])
            found.append(Cut(place, cut, round(index) + start))
    return found, line


def _largest(
    region: Region, parameters: Parameters, choose: Callable[[list[Cut], Centreline], list[Cut]]
) -> Measured:
    cuts, line = cuts_of(region, float(parameters["reach_mm"]))
    if line is None or not cuts:
        return Measured(math.nan, "no_tube")
    wanted = choose(cuts, line)
    if not wanted:
        return Measured(math.nan, "level_missing")
    best = max(wanted, key=lambda cut: cut.section.equivalent_mm)
    seen = section_of(best.section, line.tangents[best.place])
    return Measured(best.section.equivalent_mm, "", best.slice_index, seen)


def _everywhere(region: Region, _context: Context, parameters: Parameters) -> Measured:
    return _largest(region, parameters, lambda cuts, _line: cuts)


ARCH_LIMB_MM = 30.0
"""Both limbs have to reach this far below the top of the arch, or the mask shows no arch."""


def _limb(name: str) -> Formula:
    def choose(cuts: list[Cut], line: Centreline) -> list[Cut]:
        heights = line.points_mm[:, 2]
        top = int(heights.argmax())
        if min(heights[top] - heights[0], heights[top] - heights[-1]) < ARCH_LIMB_MM:
            return []
        # The descending aorta is the longer limb and lies further back (larger y in LPS).
        front_first = line.points_mm[: top + 1, 1].mean() < line.points_mm[top:, 1].mean()
        before = [cut for cut in cuts if cut.place < top and heights[top] - heights[cut.place] > ARCH_LIMB_MM]
        after = [cut for cut in cuts if cut.place > top and heights[top] - heights[cut.place] > ARCH_LIMB_MM]
        arch = [cut for cut in cuts if heights[top] - heights[cut.place] <= ARCH_LIMB_MM]
        ascending, descending = (before, after) if front_first else (after, before)
        return {"ascending": ascending, "arch": arch, "descending": descending}[name]

    def compute(region: Region, _context: Context, parameters: Parameters) -> Measured:
        return _largest(region, parameters, choose)

    return compute


def _ratio(region: Region, context: Context, parameters: Parameters) -> Measured:
    trunk = _everywhere(region, context, parameters)
    aorta = _limb("ascending")(context.structures["aorta"], context, parameters)
    reason = trunk.reason or aorta.reason
    value = trunk.value / aorta.value if not reason else math.nan
    return Measured(value, reason, trunk.key_slice, trunk.evidence)


def _fat(
    name: str, titles: tuple[str, str], unit: str, compute: Formula, where: str, ranges: str = ""
) -> Definition:
    return Definition(
        id=name,
        version="1",
        title_de=titles[0],
        title_en=titles[1],
        unit=unit,
        formula=f"voxels of the {where} with lower_hu <= HU <= upper_hu",
        source=_EAT,
        compute_formula=compute,
        validity=Validity(frozenset({"CT"}), kvp=(120.0, 120.0), unenhanced=True),
        defaults=_FAT,
        applies_to=("pericardium",) if "sac" in where else ("mediastinum",),
        quality=(whole_structure,),
        ranges=ranges,
    )


def _vessel(
    name: str, titles: tuple[str, str], compute: Formula, where: tuple[str, ...], ranges: str
) -> Definition:
    return Definition(
        id=name,
        version="1",
        title_de=titles[0],
        title_en=titles[1],
        unit="mm",
        formula="largest 2√(A/π) of the sections perpendicular to the smoothed, recentred centreline",
        source=_ACC,
        compute_formula=compute,
        validity=CT,
        defaults={"reach_mm": 60.0},
        method="length",
        applies_to=where,
        quality=(whole_structure,),
        ranges=ranges,
    )


def dilation(formula: Formula) -> Formula:
    """Turn a diameter into a flag: 1 above the limit, else 0; the picture stays that of the diameter."""

    def compute(region: Region, context: Context, parameters: Parameters) -> Measured:
        found = formula(region, context, parameters)
        if found.reason:
            return found
        return Measured(
            float(found.value > float(parameters["limit_mm"])), "", found.key_slice, found.evidence
        )

    return compute


def _trunk_dilated(region: Region, context: Context, parameters: Parameters) -> Measured:
    limits = {"M": 29.0, "F": 27.0}
    limit = float(parameters["limit_mm"]) or limits.get(str(parameters["sex"]).upper(), 0.0)
    if not limit:
        return Measured(math.nan, "parameter_missing")
    return dilation(_everywhere)(region, context, {**parameters, "limit_mm": limit})


def flag(
    name: str,
    titles: tuple[str, str],
    rule: tuple[str, str],
    compute: Formula,
    where: tuple[str, ...],
    defaults: Parameters,
    needs: tuple[str, ...] = (),
) -> Definition:
    """A definition that says whether a vessel is dilated: 1 or 0.

    Parameters
    ----------
    rule
        In one line, and its source.
    """
    return Definition(
        id=name,
        version="1",
        title_de=titles[0],
        title_en=titles[1],
        unit="1",
        formula=rule[0],
        source=rule[1],
        compute_formula=compute,
        validity=CT,
        defaults={"reach_mm": 60.0, **defaults},
        method="length",
        applies_to=where,
        needs=needs,
        quality=(whole_structure,),
    )


DEFINITIONS = (
    flag(
        "aorta_ascending_dilated",
        ("Aorta ascendens erweitert", "Ascending aorta dilated"),
        (
            "1 when the largest perpendicular diameter is above limit_mm, else 0",
            "Erbel 2014 (ESC), doi:10.1093/eurheartj/ehu281",
        ),
        dilation(_limb("ascending")),
        ("aorta",),
        {"limit_mm": 40.0},
    ),
    flag(
        "pulmonary_trunk_dilated",
        ("Truncus pulmonalis erweitert", "Pulmonary trunk dilated"),
        (
            "1 when the largest perpendicular diameter is above 29 mm in men, 27 mm in women, or limit_mm, else 0",
            "Truong 2012 (Framingham), doi:10.1161/CIRCIMAGING.111.968610",
        ),
        _trunk_dilated,
        ("pulmonary_trunk",),
        {"limit_mm": 0.0, "sex": ""},
    ),
    _fat(
        "eat_volume",
        ("Epikardiales Fett: Volumen", "Epicardial fat: volume"),
        "mL",
        _fat_volume,
        "pericardial sac",
        "high above 125 mL",
    ),
    _fat(
        "eat_attenuation",
        ("Epikardiales Fett: mittlere Dichte", "Epicardial fat: mean density"),
        HOUNSFIELD,
        _fat_mean,
        "pericardial sac",
    ),
    _fat(
        "pat_volume",
        ("Parakardiales Fett: Volumen", "Paracardial fat: volume"),
        "mL",
        _fat_volume,
        "mediastinum outside the heart",
    ),
    _fat(
        "pat_attenuation",
        ("Parakardiales Fett: mittlere Dichte", "Paracardial fat: mean density"),
        HOUNSFIELD,
        _fat_mean,
        "mediastinum outside the heart",
    ),
    Definition(
        id="pcat_attenuation",
        version="1",
        title_de="Perikoronares Fett: mittlere Dichte",
        title_en="Pericoronary fat: mean density",
        unit=HOUNSFIELD,
        formula="mean HU of −190…−30 within one median vessel diameter of the vessel's wall",
        source="Oikonomou 2018 (CRISP-CT), doi:10.1016/S0140-6736(18)31114-0",
        compute_formula=_pericoronary,
        validity=Validity(frozenset({"CT"}), kvp=(120.0, 120.0), enhanced=True, gated=True),
        defaults=_FAT,
        applies_to=CORONARIES,
        ranges="high risk from −70.1 HU (right coronary artery, 10–50 mm)",
    ),
    _vessel(
        "aorta_max_diameter",
        ("Aorta: größter Durchmesser", "Aorta: largest diameter"),
        _everywhere,
        AORTA,
        "surgery from 55 mm (ESC 2014)",
    ),
    _vessel(
        "aorta_ascending_diameter",
        ("Aorta ascendens: größter Durchmesser", "Ascending aorta: largest diameter"),
        _limb("ascending"),
        ("aorta",),
        "dilated above 40 mm (ESC 2014)",
    ),
    _vessel(
        "aorta_arch_diameter",
        ("Aortenbogen: größter Durchmesser", "Aortic arch: largest diameter"),
        _limb("arch"),
        ("aorta",),
        "",
    ),
    _vessel(
        "aorta_descending_diameter",
        ("Aorta descendens: größter Durchmesser", "Descending aorta: largest diameter"),
        _limb("descending"),
        ("aorta",),
        "aneurysm of the abdominal aorta from 30 mm",
    ),
    _vessel(
        "pulmonary_trunk_diameter",
        ("Truncus pulmonalis: größter Durchmesser", "Pulmonary trunk: largest diameter"),
        _everywhere,
        ("pulmonary_trunk",),
        "> 29 mm men, > 27 mm women (Framingham)",
    ),
    Definition(
        id="pa_ao_ratio",
        version="1",
        title_de="Verhältnis Truncus pulmonalis zu Aorta ascendens",
        title_en="Ratio of pulmonary trunk to ascending aorta",
        unit="1",
        formula="largest perpendicular diameter of the pulmonary trunk / of the ascending aorta",
        source="Truong 2012 (Framingham), doi:10.1161/CIRCIMAGING.111.968610",
        compute_formula=_ratio,
        validity=CT,
        defaults={"reach_mm": 60.0},
        method="length",
        applies_to=("pulmonary_trunk",),
        needs=("aorta",),
        ranges="> 1 abnormal",
    ),
)

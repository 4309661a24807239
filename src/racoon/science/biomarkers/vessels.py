"""Fat around the heart, and diameters of the great vessels perpendicular to their centreline."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from racoon.science.biomarkers.acquisition import Context
from racoon.science.biomarkers.definition import Formula, Measured, Parameters, Region
from racoon.science.biomarkers.evidence import section_of
from racoon.science.biomarkers.region import mean_of
from racoon.science.geometry import Centreline, Section, Tube


def fat_volume(region: Region, _context: Context, parameters: Parameters) -> Measured:
    """Volume in mL of the fat in the region."""
    inside = region.within(float(parameters["lower_hu"]), float(parameters["upper_hu"]))
    return Measured(inside.size * region.voxel_ml)


def fat_mean(region: Region, _context: Context, parameters: Parameters) -> Measured:
    """Mean HU of the fat in the region."""
    inside = region.within(float(parameters["lower_hu"]), float(parameters["upper_hu"]))
    return Measured(mean_of(inside)) if inside.size else Measured(math.nan, "nothing_in_range")


def pericoronary_region(region: Region) -> Region | None:
    """The tissue within one median vessel diameter of an artery's wall, the artery left out.

    Returns
    -------
    Region or None
        ``None`` when the mask is no tube.
    """
    tube = Tube(*region.with_rim())
    line = tube.centreline(3.0)
    if line is None or region.box is None:
        return None
    diameter = float(np.median([cut.equivalent_mm for cut in _sections(tube, line, 10.0) if cut]))
    wider = region.grown(diameter)
    if wider is None:
        return None
    box, mask = wider
    place = tuple(
        slice(low - start, high - start)
        for low, high, start in zip(region.box.start, region.box.stop, box.start, strict=True)
    )
    mask[place] &= ~region.mask
    return region.part(box, mask)


def pericoronary_fat(region: Region, context: Context, parameters: Parameters) -> Measured:
    """Mean HU of the fat within one vessel diameter of the wall."""
    around = pericoronary_region(region)
    return Measured(math.nan, "no_tube") if around is None else fat_mean(around, context, parameters)


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


def largest_anywhere(region: Region, _context: Context, parameters: Parameters) -> Measured:
    """Largest perpendicular diameter of the whole vessel, in mm."""
    return _largest(region, parameters, lambda cuts, _line: cuts)


ARCH_LIMB_MM = 30.0
"""Both limbs have to reach this far below the top of the arch, or the mask shows no arch."""


def largest_in_limb(name: str) -> Formula:
    """Largest perpendicular diameter of one part of the aorta, in mm."""

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


def trunk_to_aorta(region: Region, context: Context, parameters: Parameters) -> Measured:
    """Pulmonary trunk over ascending aorta."""
    trunk = largest_anywhere(region, context, parameters)
    aorta = largest_in_limb("ascending")(context.structures["aorta"], context, parameters)
    reason = trunk.reason or aorta.reason
    value = trunk.value / aorta.value if not reason else math.nan
    return Measured(value, reason, trunk.key_slice, trunk.evidence)


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


def trunk_dilated(region: Region, context: Context, parameters: Parameters) -> Measured:
    """1 when the pulmonary trunk is wider than the limit of the sex, else 0."""
    limits = {"M": 29.0, "F": 27.0}
    limit = float(parameters["limit_mm"]) or limits.get(str(parameters["sex"]).upper(), 0.0)
    if not limit:
        return Measured(math.nan, "parameter_missing")
    return dilation(largest_anywhere)(region, context, {**parameters, "limit_mm": limit})

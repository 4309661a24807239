"""Diameters of the aorta at nine named levels, each perpendicular to its centreline.

A level is found from the course of the centreline and, where they are there, from the masks of the pulmonary
trunk, the vertebrae and the lungs.  A level that lies outside the mask has no diameter, and says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from racoon.science.biomarkers.acquisition import Context
from racoon.science.biomarkers.definition import Formula, Measured, Parameters, Region
from racoon.science.biomarkers.evidence import section_of
from racoon.science.biomarkers.vessels import ARCH_LIMB_MM, Cut, cuts_of
from racoon.science.geometry import Centreline

ROOT_MM = 20.0
"""Sinuses of Valsalva: the widest of the sections in the first part of the ascending aorta, this long."""

JUNCTION_MM = 25.0
"""Sinotubular junction: the narrowest section within this length behind the sinuses."""

ARCH_MM = 20.0
"""The proximal arch lies this far before the top of the arch; the descending aorta begins twice as far behind."""

Levels = Callable[[Sequence[Cut], "Course", Context], list[Cut]]


class Course:
    """The centreline of an aorta with an arch, walked with the blood.

    Parameters
    ----------
    line
        Centreline, either end first.

    Notes
    -----
    The descending aorta lies further back than the ascending one (larger y in LPS).
    """

    def __init__(self, line: Centreline) -> None:
        heights = line.points_mm[:, 2]
        self.top = int(heights.argmax())
        limbs = (heights[self.top] - heights[0], heights[self.top] - heights[-1])
        self.has_arch = min(limbs) >= ARCH_LIMB_MM
        self.points_mm = line.points_mm
        before, after = line.points_mm[: self.top + 1, 1].mean(), line.points_mm[self.top :, 1].mean()
        self.is_forward = bool(before < after)
        steps = np.linalg.norm(np.diff(line.points_mm, axis=0), axis=1)
        along = np.concatenate([[0.0], np.cumsum(steps)])
        self.along_mm = along if self.is_forward else along[-1] - along
        """Length from the ascending aorta's lower end to each point."""

    def height_mm(self, cut: Cut) -> float:
        """Position of a section along the body's axis, LPS z."""
        return float(self.points_mm[cut.place, 2])

    def way_mm(self, cut: Cut) -> float:
        """Length with the blood to a section."""
        return float(self.along_mm[cut.place])

    def after_top_mm(self, cut: Cut) -> float:
        """Length behind the top of the arch; negative in the ascending part."""
        return self.way_mm(cut) - float(self.along_mm[self.top])


def _nearest(cuts: Sequence[Cut], distance: Callable[[Cut], float], largest_mm: float) -> list[Cut]:
    """Return the section nearest to a place, if one is near enough."""
    if not cuts:
        return []
    best = min(cuts, key=distance)
    return [best] if distance(best) <= largest_mm else []


def ascending_part(cuts: Sequence[Cut], course: Course) -> list[Cut]:
    """Sections before the top of the arch."""
    return [cut for cut in cuts if course.after_top_mm(cut) < 0]


def descending_part(cuts: Sequence[Cut], course: Course) -> list[Cut]:
    """Sections behind the top of the arch."""
    return [cut for cut in cuts if course.after_top_mm(cut) > 0]


def at_sinus(cuts: Sequence[Cut], course: Course, _context: Context) -> list[Cut]:
    """Choose the widest section of the root."""
    ascending = ascending_part(cuts, course)
    # The lowest sections cut the rim of the mask and are left out already.
    first = min((course.way_mm(cut) for cut in ascending), default=0.0)
    near = [cut for cut in ascending if course.way_mm(cut) <= first + ROOT_MM]
    return [max(near, key=lambda cut: cut.section.equivalent_mm)] if near else []


def at_junction(cuts: Sequence[Cut], course: Course, context: Context) -> list[Cut]:
    """Choose the narrowest section behind the sinuses."""
    sinus = at_sinus(cuts, course, context)
    if not sinus:
        return []
    start = course.way_mm(sinus[0])
    near = [cut for cut in ascending_part(cuts, course) if start < course.way_mm(cut) <= start + JUNCTION_MM]
    return [min(near, key=lambda cut: cut.section.equivalent_mm)] if near else []


def _bifurcation_mm(course: Course, context: Context) -> float:
    """Height of the pulmonary bifurcation: the upper third of the trunk's mask, else midway up the limb."""
    trunk = context.structures.get("pulmonary_trunk")
    if trunk is not None and trunk.box is not None:
        middle = np.argwhere(trunk.mask).mean(axis=0)
        return float((trunk.affine @ np.array([*middle, 1.0]))[2])
    limb = course.points_mm[: course.top + 1] if course.is_forward else course.points_mm[course.top :]
    return float((limb[:, 2].min() + limb[:, 2].max()) / 2.0)


def at_bifurcation(part: Callable[[Sequence[Cut], Course], list[Cut]]) -> Levels:
    """Choose the section of a part at the height of the pulmonary bifurcation."""

    def choose(cuts: Sequence[Cut], course: Course, context: Context) -> list[Cut]:
        height = _bifurcation_mm(course, context)
        return _nearest(part(cuts, course), lambda cut: abs(course.height_mm(cut) - height), 5.0)

    return choose


def around_top(offset_mm: float) -> Levels:
    """Choose the section this far behind the top of the arch; negative means before it."""

    def choose(cuts: Sequence[Cut], course: Course, _context: Context) -> list[Cut]:
        return _nearest(cuts, lambda cut: abs(course.after_top_mm(cut) - offset_mm), 5.0)

    return choose


def at_vertebra(name: str) -> Levels:
    """Choose the section of the descending part at the middle of a vertebra."""

    def choose(cuts: Sequence[Cut], course: Course, context: Context) -> list[Cut]:
        vertebra = context.structures.get(name)
        if vertebra is None or vertebra.box is None:
            return []
        middle = np.argwhere(vertebra.mask).mean(axis=0)
        height = float((vertebra.affine @ np.array([*middle, 1.0]))[2])
        return _nearest(descending_part(cuts, course), lambda cut: abs(course.height_mm(cut) - height), 5.0)

    return choose


def below_kidneys(cuts: Sequence[Cut], course: Course, context: Context) -> list[Cut]:
    """The widest section below the middle of both kidneys, where the renal arteries leave."""
    heights = []
    for name in ("kidney_left", "kidney_right"):
        kidney = context.structures.get(name)
        if kidney is None or kidney.box is None:
            return []
        middle = np.argwhere(kidney.mask).mean(axis=0)
        heights.append(float((kidney.affine @ np.array([*middle, 1.0]))[2]))
    below = [cut for cut in descending_part(cuts, course) if course.height_mm(cut) < min(heights)]
    return [max(below, key=lambda cut: cut.section.equivalent_mm)] if below else []


def diameter_at(levels: Levels) -> Formula:
    """Area-equivalent diameter, in mm, of the section that a rule chooses."""

    def compute(region: Region, context: Context, parameters: Parameters) -> Measured:
        cuts, line = cuts_of(region, float(parameters["reach_mm"]))
        if line is None or not cuts:
            return Measured(math.nan, "no_tube")
        course = Course(line)
        if not course.has_arch:
            return Measured(math.nan, "level_missing")
        found = levels(cuts, course, context)
        if not found:
            return Measured(math.nan, "level_missing")
        seen = section_of(found[0].section, line.tangents[found[0].place])
        return Measured(found[0].section.equivalent_mm, "", found[0].slice_index, seen)

    return compute

"""Where a value was taken, in words that a picture can draw: lines and planes in LPS mm, plain JSON."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from racoon.science.geometry import Section, plane_axes
from racoon.science.geometry.diameters import Ends

_AROUND = 1.6
"""How far a picture reaches, in half lengths of what it shows."""

_LEAST_MM = 15.0


def line_in_plane(ends: Ends) -> dict[str, Any]:
    """Show a line in a plane that holds it and stands as upright as it can."""
    first, second = np.array(ends[0]), np.array(ends[1])
    length = float(np.linalg.norm(second - first))
    if length == 0.0:
        return {"lines_mm": [ends]}
    across = (second - first) / length
    # The body's axis; for a line along it, its front.
    upright = np.array([0.0, 0.0, 1.0]) if abs(across[2]) < 0.9 else np.array([0.0, 1.0, 0.0])
    up = upright - (upright @ across) * across
    up /= np.linalg.norm(up)
    return {"lines_mm": [ends], "plane": _plane((first + second) / 2.0, across, up, length)}


def section_of(section: Section, tangent: NDArray[np.float64]) -> dict[str, Any]:
    """Show the plane perpendicular to a centreline in which a section was cut."""
    across, up = plane_axes(tangent)
    plane = _plane(np.array(section.centre_mm), across, up, section.largest_mm)
    return {"plane": {**plane, "circle_mm": section.equivalent_mm}}


def _plane(
    centre: NDArray[np.float64], across: NDArray[np.float64], up: NDArray[np.float64], width_mm: float
) -> dict[str, Any]:
    return {
        "centre_mm": centre.tolist(),
        "across": across.tolist(),
        "up": up.tolist(),
        "reach_mm": max(_LEAST_MM, _AROUND * width_mm / 2.0 + 10.0),
    }

"""Single subjects as points that are links: for pages of the site whose subjects they are, never for CENTRAL.  SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from racoon.web.words import axis_number

WIDTH, LEFT, RIGHT, TOP, STEP = 960, 30, 30, 12, 7.0
HIGHEST = 14
"""Points above each other; more lie upon one another."""


@dataclass(frozen=True)
class Point:
    """One subject.

    Parameters
    ----------
    value
        Where it stands.
    path
        What it opens.
    label
        Read out, and shown under the mouse.
    """

    value: float
    path: str
    label: str


def points_figure(title: str, points: Sequence[Point], unit: str, language: str = "en") -> str:
    """Draw points in columns over an axis.

    Parameters
    ----------
    title
        Read out by screen readers.
    points
        Those that are not finite are left out.
    unit
        As people write it.
    language
        Of the numbers.

    Returns
    -------
    str
        SVG; empty without a point.
    """
    shown = sorted((point for point in points if math.isfinite(point.value)), key=lambda point: point.value)
    if not shown:
        return ""
    low, high = shown[0].value, shown[-1].value
    span = (high - low) or 1.0
    columns = int((WIDTH - LEFT - RIGHT) / STEP)
    stacks: dict[int, list[Point]] = {}
    for point in shown:
        stacks.setdefault(round((point.value - low) / span * columns), []).append(point)
    tall = min(max(len(stack) for stack in stacks.values()), HIGHEST)
    floor = TOP + STEP * tall
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {floor + 40:g}" role="group" '
            f'aria-label={quoteattr(title)} font-family="sans-serif" font-size="13">'
        ),
        f'<line x1="{LEFT}" y1="{floor + 4:g}" x2="{WIDTH - RIGHT}" y2="{floor + 4:g}" stroke="#8888"/>',
    ]
    for place, stack in sorted(stacks.items()):
        for number, point in enumerate(stack):
            x, y = LEFT + place * STEP, floor - STEP * min(number, HIGHEST - 1)
            parts.append(
                f"<a href={quoteattr(point.path)} aria-label={quoteattr(point.label)}>"
                f"<title>{escape(point.label)}</title>"
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2" fill="#2f7fb5"/></a>'
            )
    for share in (0.0, 0.5, 1.0):
        value, anchor = low + share * span, ("start", "middle", "end")[int(share * 2)]
        x = LEFT + share * (WIDTH - LEFT - RIGHT)
        text = escape(f"{axis_number(value, language)} {unit}".strip())
        parts.append(
            f'<text x="{x:.1f}" y="{floor + 24:g}" text-anchor="{anchor}" fill="currentColor">{text}</text>'
        )
    return "".join([*parts, "</svg>"])

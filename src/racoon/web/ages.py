"""Predicted against chronological age, in groups by predicted age, with the line where both are equal.  SVG."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 520, 360, 76, 20, 16, 56


def ages_figure(title: str, groups: Sequence[tuple[float, float]], names: tuple[str, str]) -> str:
    """Draw one point for each group.

    Parameters
    ----------
    title
        Read out by screen readers.
    groups
        Mean predicted and mean chronological age.
    names
        Of the axes: predicted, chronological.

    Returns
    -------
    str
        SVG; empty without a group.
    """
    if not groups:
        return ""
    ages = [age for pair in groups for age in pair]
    low, high = 10.0 * (min(ages) // 10), 10.0 * (max(ages) // 10 + 1)

    def x(age: float) -> float:
        return LEFT + (age - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(age: float) -> float:
        return HEIGHT - BOTTOM - (age - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    box = f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="sans-serif" font-size="13"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {box}><title>{escape(title)}</title>']
    for step in range(round((high - low) / 10) + 1):
        age = low + 10 * step
        parts.append(_line(x(low), y(age), x(high), y(age), "#8883"))
        parts.append(_line(x(age), y(low), x(age), y(high), "#8883"))
        parts.append(_text(x(age), HEIGHT - BOTTOM + 18, f"{age:.0f}"))
        parts.append(_text(LEFT - 16, y(age) + 4, f"{age:.0f}"))
    parts.append(_line(x(low), y(low), x(high), y(high), "#888", dashes="5 4"))
    parts += [
        f'<circle cx="{x(predicted):.1f}" cy="{y(age):.1f}" r="6" fill="#2f7fb5"/>'
        for predicted, age in groups
    ]
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, names[0]))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(_text(18, middle, names[1], f' transform="rotate(-90 18 {middle:.1f})"'))
    return "".join([*parts, "</svg>"])


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, *, dashes: str = "") -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-dasharray="{dashes}"/>'


def _text(x: float, y: float, text: str, turned: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle" fill="currentColor"{turned}>{escape(text)}</text>'

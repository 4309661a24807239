"""Differences of two methods against their mean (Bland, Altman), with bias and limits.  SVG."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from racoon.web.words import axis_number

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 300, 70, 90, 16, 40


def differences_figure(
    title: str,
    pairs: Sequence[tuple[float, float]],
    lines: tuple[float, float, float],
    unit: str,
    language: str = "en",
) -> str:
    """Draw one point for each pair.

    Parameters
    ----------
    title
        For people who cannot see it.
    pairs
        First method, second method.
    lines
        Lower limit, bias, upper limit of agreement.
    unit
        As people write it.
    language
        Of the numbers.

    Returns
    -------
    str
        SVG; empty without a pair.
    """
    if not pairs:
        return ""
    points = [((first + second) / 2.0, first - second) for first, second in pairs]
    heights = [*lines, *(difference for _, difference in points)]
    x_low, x_high = _span([mean for mean, _ in points])
    y_low, y_high = _span(heights)

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            LEFT + (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - (y - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM),
        )

    box = f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="sans-serif" font-size="13"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {box}><title>{escape(title)}</title>']
    for height, dashes in zip(lines, ("6 4", "", "6 4"), strict=True):
        x, y = place(x_high, height)
        parts.append(
            f'<line x1="{LEFT}" y1="{y:.1f}" x2="{x:.1f}" y2="{y:.1f}" stroke="#c4561b" stroke-width="1.5" '
            f'stroke-dasharray="{dashes}"/>'
        )
        text = f"{axis_number(height, language, '.3g')} {unit}"
        parts.append(f'<text x="{x + 6:.1f}" y="{y + 4:.1f}" fill="currentColor">{escape(text)}</text>')
    for mean, difference in points:
        x, y = place(mean, difference)
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#2f7fb5" fill-opacity="0.7"/>')
    for value, anchor in ((x_low, "start"), (x_high, "end")):
        x, _ = place(value, y_low)
        text = axis_number(value, language)
        parts.append(
            f'<text x="{x:.1f}" y="{HEIGHT - 14}" text-anchor="{anchor}" fill="currentColor">{text}</text>'
        )
    return "".join([*parts, "</svg>"])


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    rim = 0.06 * (high - low) or 0.5
    return low - rim, high + rim

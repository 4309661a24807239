"""Distributions as small multiples: one row for each group on one common axis.  SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from xml.sax.saxutils import escape

from racoon.web.words import axis_number

WIDTH, ROW, LEFT, RIGHT, TOP = 720, 74, 210, 24, 30
BARS = 30
LONGEST_NAME = 28
_MEDIAN = {"en": "median", "de": "Median"}


def distribution_figure(
    title: str, groups: Mapping[str, Sequence[float]], unit: str, language: str = "en"
) -> str:
    """Draw a histogram for each group, all with the same bars, with number and median beside it.

    Parameters
    ----------
    title
        Read out by screen readers.
    groups
        Name to finite values; empty groups are left out.
    unit
        As people write it.
    language
        Of the numbers and words.

    Returns
    -------
    str
        SVG; empty when there is no value.
    """
    filled = {name: values for name, values in groups.items() if len(values)}
    if not filled:
        return ""
    everything = [value for values in filled.values() for value in values]
    low, high = min(everything), max(everything)
    if low == high:
        low, high = low - 0.5, high + 0.5
    width = (high - low) / BARS
    tables = {name: _counts(values, low, width) for name, values in filled.items()}
    height = TOP + ROW * len(filled) + 34
    box = f'viewBox="0 0 {WIDTH} {height}" role="img" font-family="sans-serif" font-size="13"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {box}><title>{escape(title)}</title>']
    step = (WIDTH - LEFT - RIGHT) / BARS
    for place, (name, counts) in enumerate(tables.items()):
        base = TOP + ROW * (place + 1) - 18
        values = filled[name]
        shown = name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
        parts.append(_text(0, base - 22, shown, "start"))
        middle_text = f"{_MEDIAN[language]} {axis_number(median(values), language)} {unit}"
        parts.append(_text(0, base - 4, f"n = {len(values)}, {middle_text}", "start"))
        # Shares, not numbers: a small scanner's distribution stays as visible as a large one's.
        highest = max(counts)
        for bar, count in enumerate(counts):
            if count:
                tall = (ROW - 26) * count / highest
                parts.append(
                    f'<rect x="{LEFT + bar * step:.1f}" y="{base - tall:.1f}" width="{step - 1:.1f}" '
                    f'height="{tall:.1f}" fill="#2f7fb5"/>'
                )
        parts.append(
            f'<line x1="{LEFT}" y1="{base}" x2="{WIDTH - RIGHT}" y2="{base}" stroke="currentColor" '
            'stroke-width="0.5"/>'
        )
        middle = LEFT + (median(values) - low) / (high - low) * (WIDTH - LEFT - RIGHT)
        parts.append(
            f'<line x1="{middle:.1f}" y1="{base - ROW + 26}" x2="{middle:.1f}" y2="{base + 5}" '
            'stroke="#c4561b" stroke-width="2"/>'
        )
    for share in (0.0, 0.5, 1.0):
        x = LEFT + share * (WIDTH - LEFT - RIGHT)
        anchor = {0.0: "start", 0.5: "middle", 1.0: "end"}[share]
        parts.append(_text(x, height - 12, axis_number(low + share * (high - low), language), anchor))
    parts.append(_text(0, height - 12, unit, "start"))
    return "".join([*parts, "</svg>"])


def stack_figures(figures: Sequence[str]) -> str:
    """Put figures below each other in one SVG; empty ones are left out."""
    shown = [figure for figure in figures if figure]
    heights = [int(figure.partition(f'viewBox="0 0 {WIDTH} ')[2].partition('"')[0]) for figure in shown]
    parts, top = [], 0
    for figure, height in zip(shown, heights, strict=True):
        head = f'<svg x="0" y="{top}" width="{WIDTH}" height="{height}" '
        parts.append(figure.replace("<svg ", head, 1))
        top += height + 12
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}">{"".join(parts)}</svg>'


def _counts(values: Sequence[float], low: float, width: float) -> list[int]:
    counts = [0] * BARS
    for value in values:
        counts[min(BARS - 1, math.floor((value - low) / width))] += 1
    return counts


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="currentColor">{escape(text)}</text>'

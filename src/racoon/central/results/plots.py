"""Small plots as inline SVG: no script, no file beside, readable in print and by a screen reader.  Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from racoon.web.charts import linked
from racoon.web.words import axis_number

WIDTH = 640
ROW = 26
LEFT, RIGHT = 190, 90
_QUIET = 'fill="currentColor" fill-opacity="0.7"'
_GRID = 'stroke="currentColor" stroke-opacity="0.15"'
_POOLED = "#c4561b"
_SERIES = ("#2f7fb5", "#c4561b", "#4c8a4a", "#7a4f9a", "#8a6d3b", "#3b8686", "#a23b4a", "#5b6b7a")
_KIND_COLOURS = {"federated": _SERIES[0], "pooled": _SERIES[1], "local": _SERIES[2], "baseline": "#7d8a96"}


def forest(title: str, rows: Sequence[Mapping[str, Any]], unit: str, language: str = "en") -> str:
    """Draw mean ± SD per row.

    Parameters
    ----------
    title
        Read out by screen readers.
    rows
        ``name``, ``mean``, ``sd``, ``n``, ``is_pooled``, and ``link`` where a row opens a page; a row without mean is
        drawn as "suppressed".
    unit
        Unit of mean and SD.
    language
        Of the numbers.
    """
    shown = [row for row in rows if row["mean"] is not None]
    if not shown:
        return ""
    low = float(min(row["mean"] - (row["sd"] or 0) for row in shown))
    high = float(max(row["mean"] + (row["sd"] or 0) for row in shown))
    ticks = nice_ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])
    span = (high - low) or 1.0

    def x(value: float) -> float:
        return LEFT + (value - low) / span * (WIDTH - LEFT - RIGHT)

    height = ROW * len(rows) + 44
    parts = [_open(title, height, has_links=any(row.get("link") for row in rows))]
    parts += _axis(ticks, x, ROW * len(rows) + 8, unit, language)
    for index, row in enumerate(rows):
        y = ROW * index + ROW / 2 + 4
        strong = ' font-weight="600"' if row.get("is_pooled") else ""
        parts.append(
            f'<text x="{LEFT - 12}" y="{y + 4:.1f}" text-anchor="end"{strong}>{escape(row["name"])}</text>'
        )
        if row["mean"] is None:
            parts.append(f'<text x="{LEFT}" y="{y + 4:.1f}" {_QUIET}>{escape(row.get("note", "–"))}</text>')
            continue
        colour = _POOLED if row.get("is_pooled") else _SERIES[0]
        sd = row["sd"] or 0.0
        parts.append(
            f'<line x1="{x(row["mean"] - sd):.1f}" x2="{x(row["mean"] + sd):.1f}" y1="{y:.1f}" y2="{y:.1f}" '
            f'stroke="{colour}" stroke-width="2"/>'
        )
        if row.get("is_pooled"):
            centre = x(row["mean"])
            parts.append(
                f'<path d="M{centre - 7:.1f} {y:.1f} L{centre:.1f} {y - 7:.1f} L{centre + 7:.1f} {y:.1f} '
                f'L{centre:.1f} {y + 7:.1f} Z" fill="{colour}"/>'
            )
        else:
            dot = f'<circle cx="{x(row["mean"]):.1f}" cy="{y:.1f}" r="5" fill="{colour}"/>'
            parts.append(linked(dot, row.get("link", ""), f"{title}, {row['name']}"))
        parts.append(f'<text x="{WIDTH - RIGHT + 12}" y="{y + 4:.1f}" {_QUIET}>n = {row["n"]}</text>')
    return "".join([*parts, "</svg>"])


def histogram(title: str, document: Mapping[str, Any] | None, unit: str, language: str = "en") -> str:
    """Draw released cells; a cell nobody released is hatched, values outside the bins stand at the ends.

    Parameters
    ----------
    title
        Read out by screen readers.
    document
        JSON form of ``science.statistics.Histogram``; ``None`` draws nothing.
    unit
        Unit of the bins.
    language
        Of the numbers.
    """
    if document is None:
        return ""
    bins, cells = document["bins"], document["cells"]
    inner = cells[1:-1]
    first, last = _occupied(inner)
    inner = inner[first:last]
    most = max((cell or 0 for cell in inner), default=0)
    if not inner or most == 0:
        return ""
    lower = float(bins["lower"] + first * bins["width"])
    upper = float(bins["lower"] + last * bins["width"])
    height, floor, left, right = 190, 150, 44, WIDTH - 16
    bar = (right - left) / len(inner)
    scale = (right - left) / (upper - lower)

    def x(value: float) -> float:
        return left + (value - lower) * scale

    parts = [_open(title, height), _HATCH]
    parts += _axis(nice_ticks(lower, upper, inside=True), x, floor, unit, language)
    parts.append(f'<text x="{left - 6}" y="22" text-anchor="end" {_QUIET}>{most}</text>')
    for index, cell in enumerate(inner):
        place = f'x="{left + index * bar:.2f}" width="{max(bar - 0.6, 0.4):.2f}"'
        if cell is None:
            parts.append(f'<rect {place} y="{floor - 14}" height="14" fill="url(#hatch)"/>')
        elif cell:
            tall = cell / most * (floor - 16)
            parts.append(f'<rect {place} y="{floor - tall:.1f}" height="{tall:.1f}" fill="{_SERIES[0]}"/>')
    return "".join([*parts, "</svg>"])


def bars(title: str, rows: Sequence[Mapping[str, Any]], language: str = "en", metric: str = "Dice") -> str:
    """Draw scores between 0 and 1.

    Parameters
    ----------
    title
        Read out by screen readers.
    rows
        ``name``, ``value`` (``None`` draws a dash), ``kind`` (federated, pooled, local, baseline: the colour).
    language
        Of the numbers.
    metric
        What they are, under the axis.
    """
    if not rows:
        return ""
    height = ROW * len(rows) + 44

    def x(value: float) -> float:
        return LEFT + value * (WIDTH - LEFT - RIGHT)

    parts = [_open(title, height)]
    parts += _axis([0, 0.2, 0.4, 0.6, 0.8, 1.0], x, ROW * len(rows) + 8, metric, language)
    for index, row in enumerate(rows):
        y = ROW * index + 6
        parts.append(f'<text x="{LEFT - 12}" y="{y + 14}" text-anchor="end">{escape(row["name"])}</text>')
        if row["value"] is None:
            parts.append(f'<text x="{LEFT}" y="{y + 14}" {_QUIET}>–</text>')
            continue
        colour = _KIND_COLOURS.get(row["kind"], _SERIES[4])
        value = min(max(row["value"], 0.0), 1.0)
        score = axis_number(row["value"], language, ".3f")
        size = f'width="{max(x(value) - LEFT, 1):.1f}" height="{ROW - 10}"'
        parts.append(f'<rect x="{LEFT}" y="{y}" {size} rx="2" fill="{colour}"/>')
        parts.append(f'<text x="{x(value) + 8:.1f}" y="{y + 13}" fill="currentColor">{score}</text>')
    return "".join([*parts, "</svg>"])


def curves(
    title: str, lines: Mapping[str, Sequence[tuple[int, float]]], axis: str, language: str = "en"
) -> str:
    """Draw one line per site over the rounds; a round without a site is a gap of its line.

    Parameters
    ----------
    title
        Read out by screen readers.
    lines
        Site → (round, value), rounds ascending.
    axis
        Words of the horizontal axis.
    language
        Of the numbers.
    """
    shown = {site: points for site, points in sorted(lines.items()) if points}
    if not shown:
        return ""
    values = [value for points in shown.values() for _, value in points]
    last = max(number for points in shown.values() for number, _ in points)
    heights = nice_ticks(min(0.0, *values), max(values))
    left, right, floor = 60, WIDTH - 140, 190
    step = max(1, math.ceil(last / 10))

    def x(number: float) -> float:
        return left + (number - 1) / max(last - 1, 1) * (right - left)

    def y(value: float) -> float:
        return floor - (value - heights[0]) / (heights[-1] - heights[0]) * (floor - 12)

    parts = [_open(title, max(floor + 44, 20 + 18 * len(shown)))]
    parts += _axis(list(range(1, last + 1, step)), x, floor, axis, language)
    for tick in heights:
        label = axis_number(tick, language, ".6g")
        parts.append(f'<line x1="{left}" x2="{right}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" {_GRID}/>')
        parts.append(f'<text x="{left - 8}" y="{y(tick) + 4:.1f}" text-anchor="end" {_QUIET}>{label}</text>')
    for place, (site, points) in enumerate(shown.items()):
        colour = _SERIES[place % len(_SERIES)]
        path = ""
        before = None
        for number, value in points:
            path += f"{'L' if before == number - 1 else 'M'}{x(number):.1f} {y(value):.1f} "
            before = number
        parts.append(f'<path d="{path.strip()}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{x(number):.1f}" cy="{y(value):.1f}" r="2.5" fill="{colour}"/>'
            for number, value in points
        ]
        parts.append(f'<circle cx="{right + 18}" cy="{18 + 18 * place}" r="5" fill="{colour}"/>')
        parts.append(f'<text x="{right + 28}" y="{22 + 18 * place}">{escape(site)}</text>')
    return "".join([*parts, "</svg>"])


def nice_ticks(low: float, high: float, *, inside: bool = False, wanted: int = 5) -> list[float]:
    """Choose round numbers that cover a range (or lie inside it)."""
    # Nearer than an axis can show; without it the step of the narrowest ranges would be 0.
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-9):
        return [low, low + 1.0]
    raw = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(raw))
    step = next((factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw), 10 * power)
    first = math.ceil(low / step) if inside else math.floor(low / step)
    last = math.floor(high / step) if inside else math.ceil(high / step)
    return [number * step for number in range(first, last + 1)] or [low, high]


def _occupied(cells: Sequence[int | None]) -> tuple[int, int]:
    used = [index for index, cell in enumerate(cells) if cell is None or cell > 0]
    filled = [index for index, cell in enumerate(cells) if cell]
    if not filled:
        return 0, 0
    margin = max(1, len(cells) // 50)
    first, last = min(filled), max(filled)
    near = [index for index in used if first - margin <= index <= last + margin]
    return max(min(near) - margin, 0), min(max(near) + margin + 1, len(cells))


def _open(title: str, height: float, *, has_links: bool = False) -> str:
    # What holds links is no single picture to a screen reader.
    role = f'role="group" aria-label={quoteattr(title)}' if has_links else 'role="img"'
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:g}" width="100%" overflow="visible" {role} class="plot" '
        f'font-family="inherit" font-size="13" fill="currentColor"><title>{escape(title)}</title>'
    )


def _axis(
    ticks: Sequence[float], x: Callable[[float], float], y: float, unit: str, language: str
) -> list[str]:
    parts = []
    for tick in ticks:
        at = f"{x(tick):.1f}"
        label = axis_number(tick, language, ".6g")
        parts.append(f'<line x1="{at}" x2="{at}" y1="4" y2="{y}" {_GRID}/>')
        parts.append(f'<text x="{at}" y="{y + 16}" text-anchor="middle" {_QUIET}>{label}</text>')
    centre = (x(ticks[0]) + x(ticks[-1])) / 2
    parts.append(f'<text x="{centre:.1f}" y="{y + 32}" text-anchor="middle" {_QUIET}>{escape(unit)}</text>')
    return parts


_HATCH = (
    '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" '
    'patternTransform="rotate(45)"><rect width="6" height="6" fill="none"/>'
    '<line x1="0" y1="0" x2="0" y2="6" stroke="#8796a3" stroke-width="2"/></pattern></defs>'
)

"""Figures of an analysis beyond survival and ratios: a violin per site, ROC, calibration, funnel, series.  SVG.

Numbers come from released sums only: a violin is drawn from a site's released histogram, never from values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from racoon.web.figures import COLOURS, WIDTH

LEFT, RIGHT, TOP, ROW = 120, 30, 40, 44
HEIGHT = 400
_GRID = "#8883"
_AXIS_WANTED = 5

DIAGONAL_KINDS = frozenset({"roc", "calibration"})
"""Plots of two shares: the diagonal says what chance, or a perfect prediction, would give."""


@dataclass(frozen=True)
class Violin:
    """The distribution of one site.

    Parameters
    ----------
    name
        Site.
    lower, width
        Lower edge of the first bin, and width of the bins.
    cells
        Released counts; ``None`` where a cell stayed at the site.
    """

    name: str
    lower: float
    width: float
    cells: Sequence[int | None]

    @property
    def n(self) -> int:
        """Subjects in the cells that were released."""
        return sum(cell or 0 for cell in self.cells)

    @property
    def median(self) -> float | None:
        """Median, linear within its bin; ``None`` when cells are missing or empty."""
        if None in self.cells or self.n == 0:
            return None
        half, below = self.n / 2, 0
        for place, cell in enumerate(self.cells):
            count = cell or 0
            if below + count >= half and count:
                return self.lower + self.width * (place + (half - below) / count)
            below += count
        return None


def violin_figure(title: str, violins: Sequence[Violin], unit: str) -> str:
    """Draw the distributions of several sites below each other.

    Parameters
    ----------
    title
        Read out by screen readers.
    violins
        One per site; bins may differ, as each site's gate widens them.
    unit
        Unit of the bins.

    Returns
    -------
    str
        SVG; empty when no site released anything.
    """
    shown = [item for item in violins if item.n]
    if not shown:
        return ""
    used = [
        (item.lower + item.width * place, item.lower + item.width * (place + 1))
        for item in shown
        for place, cell in enumerate(item.cells)
        if cell or cell is None
    ]
    low, high = min(start for start, _ in used), max(end for _, end in used)
    bottom = TOP + ROW * len(shown) + 8
    axis = _Axis(low, high, LEFT, WIDTH - RIGHT)
    parts = [_open(title, bottom + 44), *_ticks_below(axis, TOP, bottom, unit)]
    for number, item in enumerate(shown):
        middle = TOP + ROW * number + ROW / 2
        parts.append(_text(LEFT - 10, middle, item.name, "end"))
        parts.append(_text(LEFT - 10, middle + 15, f"n = {item.n}", "end", size=11))
        # Areas are equal for equal shares: a wide bin is as many times lower.
        density = [((cell or 0) / item.n / item.width) for cell in item.cells]
        most = max(density)
        upper, lower_side = [], []
        occupied = [place for place, cell in enumerate(item.cells) if cell]
        for place in range(occupied[0], occupied[-1] + 1):
            half = density[place] / most * (ROW / 2 - 3)
            for edge in (place, place + 1):
                x = axis(item.lower + item.width * edge)
                upper.append(f"{x:.1f} {middle - half:.1f}")
                lower_side.append(f"{x:.1f} {middle + half:.1f}")
        outline = " L".join([*upper, *lower_side[::-1]])
        colour = COLOURS[number % len(COLOURS)]
        parts.append(f'<path d="M{outline} Z" fill="{colour}" fill-opacity="0.45" stroke="{colour}"/>')
        for place, cell in enumerate(item.cells):
            if cell is None:
                x = axis(item.lower + item.width * place)
                wide = item.width / (high - low) * (WIDTH - RIGHT - LEFT)
                parts.append(
                    f'<rect x="{x:.1f}" y="{middle - 2:.1f}" width="{wide:.1f}" height="4" fill="none" '
                    'stroke="#8796a3" stroke-dasharray="3"/>'
                )
        if (median := item.median) is not None:
            parts.append(
                _line(
                    axis(median), middle - ROW / 2 + 4, axis(median), middle + ROW / 2 - 4, "currentColor", 2
                )
            )
    return "".join([*parts, "</svg>"])


def plot_figure(title: str, plot: Mapping[str, Any], say: Callable[[str], str] = str) -> str:
    """Draw a plot of a result table.

    Parameters
    ----------
    title
        Read out by screen readers.
    plot
        ``kind``, ``x``, ``y`` (what the axes show) and ``series``: ``name``, ``x``, ``y``, ``low``, ``high``,
        ``is_line``.
    say
        Translates the words on the axes.

    Returns
    -------
    str
        SVG; empty without a finite point.
    """
    series = [item for item in plot["series"] if _finite(item["x"]) and _finite(item["y"])]
    if not series:
        return ""
    if plot["kind"] == "network":
        return _network(title, series)
    xs = [float(value) for item in series for value in item["x"]]
    ys = [
        float(value)
        for item in series
        for key in ("y", "low", "high")
        for value in item[key]
        if _is_number(value)
    ]
    is_share = plot["kind"] in DIAGONAL_KINDS
    across = _Axis(0, 1, LEFT, WIDTH - RIGHT) if is_share else _Axis(min(xs), max(xs), LEFT, WIDTH - RIGHT)
    up = _Axis(0, 1, HEIGHT, TOP) if is_share else _Axis(min(ys), max(ys), HEIGHT, TOP)
    total = HEIGHT + 60 + 20 * len(series)
    parts = [_open(title, total), *_ticks_below(across, TOP, HEIGHT, say(plot["x"]))]
    for tick in up.ticks:
        parts.append(_line(LEFT, up(tick), WIDTH - RIGHT, up(tick), _GRID))
        parts.append(_text(LEFT - 8, up(tick) + 4, _number(tick), "end"))
    parts.append(_text(LEFT, TOP - 4, say(plot["y"]), "start"))
    if is_share:
        parts.append(_dashed(across(0), up(0), across(1), up(1)))
    for number, item in enumerate(series):
        colour = COLOURS[number % len(COLOURS)]
        points = [(across(float(x)), up(float(y))) for x, y in zip(item["x"], item["y"], strict=True)]
        if item["is_line"] and len(points) > 1:
            path = " L".join(f"{x:.1f} {y:.1f}" for x, y in points)
            parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        else:
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in points]
        for (x, _), low, high in zip(points, item["low"], item["high"], strict=False):
            if _is_number(low) and _is_number(high):
                parts.append(_line(x, up(float(low)), x, up(float(high)), colour, 1))
        row = HEIGHT + 60 + 20 * number
        parts.append(f'<rect x="{LEFT}" y="{row - 10}" width="12" height="12" fill="{colour}"/>')
        parts.append(_text(LEFT + 18, row, say(item["name"]), "start"))
    return "".join([*parts, "</svg>"])


@dataclass(frozen=True)
class _Axis:
    """From values to places, over round numbers."""

    low: float
    high: float
    start: float
    end: float

    @property
    def ticks(self) -> list[float]:
        span = self.high - self.low
        if span <= 1e-12 * max(abs(self.low), abs(self.high), 1e-12):
            return [self.low]
        power = 10.0 ** math.floor(math.log10(span / _AXIS_WANTED))
        step = next((f * power for f in (1, 2, 2.5, 5, 10) if f * power >= span / _AXIS_WANTED), 10 * power)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]

    def __call__(self, value: float) -> float:
        span = self.high - self.low
        share = (value - self.low) / span if span else 0.5
        return self.start + min(max(share, -0.02), 1.02) * (self.end - self.start)


def _network(title: str, series: Sequence[Mapping[str, Any]]) -> str:
    """Draw nodes on a circle and the edges between them; an edge's width is its first limit, if it has one."""
    middle_x, middle_y, radius = WIDTH / 2, HEIGHT / 2 + 20, HEIGHT / 2 - 50
    names = sorted({item["name"] for item in series if len(item["x"]) == 1})
    places = {
        name: (
            middle_x + radius * math.cos(2 * math.pi * number / max(len(names), 1)),
            middle_y + radius * math.sin(2 * math.pi * number / max(len(names), 1)),
        )
        for number, name in enumerate(names)
    }
    parts = [_open(title, HEIGHT + 40)]
    for item in series:
        if len(item["x"]) < 2:
            continue
        ends = [
            (middle_x + radius * float(x), middle_y + radius * float(y))
            for x, y in zip(item["x"], item["y"], strict=True)
        ]
        width = 1 + 4 * min(abs(float(item["low"][0])), 1.0) if item["low"] else 1.5
        parts.append(_line(*ends[0], *ends[1], "#8888", width))
    for item in series:
        if len(item["x"]) == 1:
            x, y = middle_x + radius * float(item["x"][0]), middle_y + radius * float(item["y"][0])
        elif item["name"] in places:
            x, y = places[item["name"]]
        else:
            continue
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="{COLOURS[0]}"/>')
        parts.append(_text(x, y - 10, str(item["name"]), "middle"))
    return "".join([*parts, "</svg>"])


def _ticks_below(axis: _Axis, top: float, bottom: float, label: str) -> list[str]:
    parts = []
    for tick in axis.ticks:
        parts.append(_line(axis(tick), top, axis(tick), bottom, _GRID))
        parts.append(_text(axis(tick), bottom + 18, _number(tick), "middle"))
    parts.append(_text((axis.start + axis.end) / 2, bottom + 36, label, "middle"))
    return parts


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _finite(values: Sequence[Any]) -> bool:
    return bool(values) and all(_is_number(value) for value in values)


def _number(value: float) -> str:
    return f"{value:.6g}".replace("-", "−")


def _open(title: str, height: float) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img" '
        f'font-family="sans-serif" font-size="13"><title>{escape(title)}</title>{_text(20, 20, title, "start")}'
    )


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width:g}"/>'


def _dashed(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#888888" stroke-dasharray="5"/>'


def _text(x: float, y: float, text: str, anchor: str, *, size: int = 13) -> str:
    small = "" if size == 13 else f' font-size="{size}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="currentColor"{small}>{escape(text)}</text>'

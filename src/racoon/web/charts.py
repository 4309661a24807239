"""Distributions of several sites beside each other, a violin per site.  SVG.

Numbers come from released sums only: a violin is drawn from a site's released histogram, never from values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from racoon.web.figures import COLOURS, WIDTH
from racoon.web.words import axis_number

LEFT, RIGHT, TOP, ROW = 120, 30, 40, 44
_GRID = "#8883"
_AXIS_WANTED = 5


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
    link
        What it opens; empty for nothing.
    """

    name: str
    lower: float
    width: float
    cells: Sequence[int | None]
    link: str = ""

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


def violin_figure(title: str, violins: Sequence[Violin], unit: str, language: str = "en") -> str:
    """Draw the distributions of several sites below each other.

    Parameters
    ----------
    title
        Read out by screen readers.
    violins
        One per site; bins may differ, as each site's gate widens them.
    unit
        Unit of the bins.
    language
        Of the numbers.

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
    has_links = any(item.link for item in shown)
    parts = [_open(title, bottom + 44, has_links=has_links), *_ticks_below(axis, TOP, bottom, unit, language)]
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
        shape = f'<path d="M{outline} Z" fill="{colour}" fill-opacity="0.45" stroke="{colour}"/>'
        parts.append(linked(shape, item.link, f"{title}, {item.name}"))
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


def _ticks_below(axis: _Axis, top: float, bottom: float, label: str, language: str) -> list[str]:
    parts = []
    for tick in axis.ticks:
        parts.append(_line(axis(tick), top, axis(tick), bottom, _GRID))
        parts.append(_text(axis(tick), bottom + 18, axis_number(tick, language, ".6g"), "middle"))
    parts.append(_text((axis.start + axis.end) / 2, bottom + 36, label, "middle"))
    return parts


def linked(drawing: str, link: str, label: str) -> str:
    """Make a part of a figure open a page; without an address it stays as it is."""
    if not link:
        return drawing
    return (
        f'<a href={quoteattr(link)} rel="noreferrer" aria-label={quoteattr(label)}>'
        f"<title>{escape(label)}</title>{drawing}</a>"
    )


def _open(title: str, height: float, *, has_links: bool = False) -> str:
    # What holds links is no single picture to a screen reader.
    role = f'role="group" aria-label={quoteattr(title)}' if has_links else 'role="img"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" {role} '
        f'font-family="sans-serif" font-size="13"><title>{escape(title)}</title>{_text(20, 20, title, "start")}'
    )


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width:g}"/>'


def _text(x: float, y: float, text: str, anchor: str, *, size: int = 13) -> str:
    small = "" if size == 13 else f' font-size="{size}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="currentColor"{small}>{escape(text)}</text>'

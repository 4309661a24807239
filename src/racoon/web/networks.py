"""What goes with what, as a ring of circles with lines between them, and how common each is.  SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

WIDTH, HEIGHT, RADIUS, ROW = 900, 480, 185, 26
LONGEST_NAME = 40

MORE, LESS = "#c4561b", "#2f7fb5"
"""Lines of pairs that occur together more, and less, often than by chance."""

_CIRCLE = "#5b7c99"


def network_figure(
    conditions: Sequence[tuple[str, int, int]], links: Sequence[tuple[str, str, float]]
) -> str:
    """Draw the ring, and below it a bar for the prevalence of each condition.

    Parameters
    ----------
    conditions
        Name, number of subjects that have it, number of whom it is known; most common first.
    links
        Two names and their odds ratio.

    Returns
    -------
    str
        SVG.
    """
    title = f"{len(conditions)} conditions, {len(links)} links"
    ring, bars = ring_figure(title, conditions, links), prevalence_figure(title, conditions)
    height = HEIGHT + _height(conditions)
    below = bars.replace("<svg ", f'<svg y="{HEIGHT}" width="{WIDTH}" height="{_height(conditions)}" ', 1)
    above = ring.replace("<svg ", f'<svg width="{WIDTH}" height="{HEIGHT}" ', 1)
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">{above}{below}</svg>'


def ring_figure(
    title: str, conditions: Sequence[tuple[str, int, int]], links: Sequence[tuple[str, str, float]]
) -> str:
    """Draw the ring: the area of a circle follows the prevalence, the width of a line the odds ratio.

    Parameters
    ----------
    title
        Read out by screen readers.
    conditions, links
        As in :func:`network_figure`; a link to a name that is not shown is left out.
    """
    shares = {name: present / known for name, present, known in conditions if known}
    places = {
        name: (
            WIDTH / 2 + RADIUS * math.sin(2 * math.pi * index / max(1, len(shares))),
            HEIGHT / 2 - RADIUS * math.cos(2 * math.pi * index / max(1, len(shares))),
        )
        for index, name in enumerate(shares)
    }
    parts = [_open(title, HEIGHT)]
    for first, second, ratio in links:
        if first not in places or second not in places:
            continue
        (x1, y1), (x2, y2) = places[first], places[second]
        width = min(8.0, 1.0 + abs(math.log(ratio)) * 1.5)
        parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{MORE if ratio > 1 else LESS}" '
            f'stroke-width="{width:.1f}" stroke-opacity="0.7"/>'
        )
    for name, (x, y) in places.items():
        size = 4.0 + 22.0 * math.sqrt(shares[name])
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}" fill="{_CIRCLE}" stroke="#fff"/>')
        # Names at top and bottom stand over and under their circle, those at the sides beside it.
        lean = (x - WIDTH / 2) / RADIUS
        if abs(lean) < 0.15:
            above = y < HEIGHT / 2
            parts.append(_text(x, y - size - 6 if above else y + size + 16, name, "middle"))
        elif lean > 0:
            parts.append(_text(x + size + 5, y + 4, name, "start"))
        else:
            parts.append(_text(x - size - 5, y + 4, name, "end"))
    return "".join([*parts, "</svg>"])


def prevalence_figure(title: str, conditions: Sequence[tuple[str, int, int]]) -> str:
    """Draw a bar for each condition, as long as its share of those of whom it is known.

    Parameters
    ----------
    title
        Read out by screen readers.
    conditions
        As in :func:`network_figure`.
    """
    parts = [_open(title, _height(conditions))]
    left, longest = 330, WIDTH - 330 - 110
    for index, (name, present, known) in enumerate(item for item in conditions if item[2]):
        y = 6 + index * ROW
        parts.append(_text(left - 12, y + 14, name, "end"))
        parts.append(
            f'<rect x="{left}" y="{y}" width="{longest}" height="18" fill="{_CIRCLE}" opacity="0.15"/>'
        )
        parts.append(
            f'<rect x="{left}" y="{y}" width="{longest * present / known:.1f}" height="18" fill="{_CIRCLE}"/>'
        )
        share = f"{100 * present / known:.0f} %"
        parts.append(_text(WIDTH - 4, y + 14, f"{present}/{known}, {share}", "end"))
    return "".join([*parts, "</svg>"])


def _height(conditions: Sequence[tuple[str, int, int]]) -> int:
    return 12 + ROW * sum(1 for item in conditions if item[2])


def _open(title: str, height: int) -> str:
    box = f'viewBox="0 0 {WIDTH} {height}" role="img" font-family="sans-serif" font-size="14"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {box}><title>{escape(title)}</title>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    shown = text if len(text) <= LONGEST_NAME else text[: LONGEST_NAME - 1] + "…"
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="currentColor">{escape(shown)}</text>'

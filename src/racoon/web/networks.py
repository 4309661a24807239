"""What goes with what, as a ring of circles with lines between them, and how common each is.  SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

SIDE, RADIUS, ROW = 620, 190, 24

MORE, LESS = "#c4561b", "#2f7fb5"
"""Lines of pairs that occur together more, and less, often than by chance."""


def network_figure(
    conditions: Sequence[tuple[str, int, int]], links: Sequence[tuple[str, str, float]]
) -> str:
    """Draw a network and a bar for the prevalence of each condition.

    Parameters
    ----------
    conditions
        Name, number of subjects that have it, number of whom it is known; most common first.
    links
        Two names and their odds ratio.

    Returns
    -------
    str
        SVG; area of a circle and length of a bar follow the prevalence, width of a line the odds ratio.
    """
    shares = {name: present / known for name, present, known in conditions if known}
    places = {
        name: (
            SIDE / 2 + RADIUS * math.sin(2 * math.pi * index / max(1, len(shares))),
            SIDE / 2 - RADIUS * math.cos(2 * math.pi * index / max(1, len(shares))),
        )
        for index, name in enumerate(shares)
    }
    height = SIDE + ROW * len(shares) + 40
    box = f'viewBox="0 0 {SIDE} {height}" role="img" font-family="sans-serif" font-size="13"'
    title = f"{len(shares)} conditions, {len(links)} links"
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {box}><title>{title}</title>']
    for first, second, ratio in links:
        (x1, y1), (x2, y2) = places[first], places[second]
        width = min(8.0, 1.0 + abs(math.log(ratio)) * 1.5)
        parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{MORE if ratio > 1 else LESS}" '
            f'stroke-width="{width:.1f}" stroke-opacity="0.7"/>'
        )
    for name, (x, y) in places.items():
        size = 4.0 + 26.0 * math.sqrt(shares[name])
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}" fill="#5b7c99" stroke="#fff"/>')
        side = "start" if x >= SIDE / 2 else "end"
        away = size + 5 if side == "start" else -size - 5
        parts.append(
            f'<text x="{x + away:.1f}" y="{y + 4:.1f}" text-anchor="{side}" fill="currentColor">{escape(name)}</text>'
        )
    for index, (name, present, known) in enumerate(item for item in conditions if item[0] in shares):
        y = SIDE + 20 + index * ROW
        parts.append(f'<text x="0" y="{y + 12}" fill="currentColor">{escape(name)}</text>')
        parts.append(
            f'<rect x="240" y="{y}" width="{300 * present / known:.1f}" height="14" fill="#5b7c99"/>'
        )
        parts.append(
            f'<text x="{SIDE}" y="{y + 12}" text-anchor="end" fill="currentColor">{present}/{known}</text>'
        )
    return "".join([*parts, "</svg>"])

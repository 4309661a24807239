"""Plots of an analysis: ROC, calibration, decision curves, funnels, time series, incidence, networks.  SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

from racoon.web.figures import COLOURS
from racoon.web.words import axis_number

WIDTH, HEIGHT = 640, 400
LEFT, RIGHT, TOP, BOTTOM = 80, 170, 40, 60

Say = Callable[[str], str]


def plot_figure(title: str, plot: Mapping[str, Any], say: Say = str, language: str = "en") -> str:
    """Draw a plot of a result table.

    Parameters
    ----------
    title
        Read out by screen readers.
    plot
        JSON form: ``kind``, ``x``, ``y``, ``series``.
    say
        Translates the words on the axes.
    language
        Of the numbers.
    """
    if plot["kind"] == "network":
        return _network(title, plot["series"], language)
    series = [line for line in plot["series"] if len(line["x"])]
    if not series:
        return ""
    x_low, x_high = _range([value for line in series for value in line["x"]], plot["kind"])
    y_low, y_high = _range(
        [value for line in series for key in ("y", "low", "high") for value in line[key]], plot["kind"]
    )
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def x(value: float) -> float:
        return LEFT + (value - x_low) / (x_high - x_low) * (right - LEFT)

    def y(value: float) -> float:
        share = (value - y_low) / (y_high - y_low)
        return TOP + share * (bottom - TOP) if plot["kind"] == "funnel" else bottom - share * (bottom - TOP)

    parts = [_open(title, HEIGHT)]
    for tick in _ticks(y_low, y_high):
        parts.append(_line(LEFT, y(tick), right, y(tick), "#8883"))
        parts.append(_text(LEFT - 8, y(tick) + 4, axis_number(tick, language), "end"))
    if plot["kind"] != "prevalence":  # there each point has its name beside it
        parts += [
            _text(x(tick), bottom + 18, axis_number(tick, language), "middle")
            for tick in _ticks(x_low, x_high)
        ]
    parts.append(_text((LEFT + right) / 2, bottom + 40, say(plot["x"]), "middle"))
    parts.append(
        f'<text x="18" y="{(TOP + bottom) / 2:.1f}" text-anchor="middle" fill="currentColor" '
        f'transform="rotate(-90 18 {(TOP + bottom) / 2:.1f})">{escape(say(plot["y"]))}</text>'
    )
    if plot["kind"] in {"roc", "calibration"}:
        parts.append(_line(x(0), y(0), x(1), y(1), "#888", dashes="4 4"))
    for place, line in enumerate(series):
        colour = COLOURS[place % len(COLOURS)]
        parts += _series(line, x, y, colour)
        parts.append(_text(right + 10, TOP + 20 * place + 10, say(line["name"]), "start", colour))
    return "".join([*parts, "</svg>"])


def _series(
    line: Mapping[str, Any], x: Callable[[float], float], y: Callable[[float], float], colour: str
) -> list[str]:
    parts = []
    if line["is_line"]:
        for key, width in (("low", "0.6"), ("high", "0.6"), ("y", "2")):
            points = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in zip(line["x"], line[key], strict=False))
            if points:
                parts.append(
                    f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}"/>'
                )
        return parts
    for place, (a, b) in enumerate(zip(line["x"], line["y"], strict=True)):
        if line["low"]:
            parts.append(_line(x(a), y(line["low"][place]), x(a), y(line["high"][place]), colour))
        parts.append(f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="4" fill="{colour}"/>')
    return parts


def _range(values: Sequence[float], kind: str) -> tuple[float, float]:
    if kind in {"roc", "calibration"}:
        return 0.0, 1.0
    low, high = min(values), max(values)
    if kind in {"incidence", "prevalence"} and low >= 0 and high <= 1:
        low, high = 0.0, max(high, 0.01)
    elif kind == "funnel" and low >= 0:
        low = 0.0
    margin = 0.05 * (high - low) or 0.5
    return (low, high + margin) if low == 0 else (low - margin, high + margin)


def _ticks(low: float, high: float) -> list[float]:
    step = 10 ** math.floor(math.log10((high - low) / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (factor * step) <= 6)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _network(title: str, series: Sequence[Mapping[str, Any]], language: str) -> str:
    """Nodes on a circle; width and colour of an edge tell size and sign of the correlation."""
    *edges, nodes = series
    middle, reach = (WIDTH / 2, 230.0), 140.0

    def at(x: float, y: float) -> tuple[float, float]:
        return middle[0] + reach * x, middle[1] - reach * y

    parts = [_open(title, 440)]
    for edge in sorted(edges, key=lambda item: abs(item["low"][0])):
        phi = edge["low"][0]
        (x1, y1), (x2, y2) = (at(*end) for end in zip(edge["x"], edge["y"], strict=True))
        colour = COLOURS[0] if phi >= 0 else COLOURS[1]
        parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
            f'stroke-width="{0.5 + 12 * abs(phi):.1f}" stroke-opacity="{0.25 + 0.7 * min(abs(phi) * 2, 1):.2f}">'
            f"<title>{escape(edge['name'])}: {axis_number(phi, language, '.2f')}</title></line>"
        )
    for name, x, y in zip(nodes["name"].split("|"), nodes["x"], nodes["y"], strict=True):
        px, py = at(x, y)
        parts.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="7" fill="currentColor"/>')
        anchor = "middle" if abs(x) < 0.3 else "start" if x > 0 else "end"
        tx, ty = at(1.12 * x, 1.12 * y)
        parts.append(_text(tx, ty + (14 if y < -0.9 else 4), name, anchor))
    return "".join([*parts, "</svg>"])


def _open(title: str, height: float) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img" '
        f'font-family="sans-serif" font-size="13"><title>{escape(title)}</title>'
        f"{_text(20, 20, title, 'start')}"
    )


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, *, dashes: str = "") -> str:
    extra = f' stroke-dasharray="{dashes}"' if dashes else ""
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="1.5"{extra}/>'


def _text(x: float, y: float, text: str, anchor: str, colour: str = "currentColor") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'

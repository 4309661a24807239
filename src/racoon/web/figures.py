"""Figures of an analysis as one would print them: survival curves with numbers at risk, forests of ratios.  SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from racoon.web.words import axis_number

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP = 140, 30, 40
COLOURS = ("#2f7fb5", "#c4561b", "#4c8a4a", "#7a4f9a", "#8a6d3b", "#3b8686")
"""Told apart by people with any colour vision, in print with the names beside the lines."""


@dataclass(frozen=True)
class Steps:
    """One step curve.

    Parameters
    ----------
    name
        Shown beside it.
    times, values, low, high
        Ends of the steps, in the plan's unit, and heights from 0 to 1.
    at_risk
        Subjects at risk at each time.
    """

    name: str
    times: Sequence[float]
    values: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    at_risk: Sequence[int]


@dataclass(frozen=True)
class Ratio:
    """One line of a forest: a ratio with its interval."""

    name: str
    value: float
    low: float
    high: float


def survival_figure(
    title: str,
    curves: Sequence[Steps],
    unit: str,
    time: str = "time",
    at_risk: str = "at risk",
    language: str = "en",
) -> str:
    """Draw survival curves with limits, and numbers at risk below.

    Parameters
    ----------
    title
        Read out by screen readers.
    curves
        One per group; at least one.
    unit
        Unit of the times.
    time, at_risk
        Words beside the axis and the numbers.
    language
        Of the numbers.
    """
    last = max(curve.times[-1] for curve in curves)
    bottom = HEIGHT - 60
    total = HEIGHT + 22 * len(curves) + 20

    def x(moment: float) -> float:
        return LEFT + moment / last * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return bottom - value * (bottom - TOP)

    parts = [_open(title, total)]
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(_line(LEFT, y(tick), WIDTH - RIGHT, y(tick), "#8883"))
        parts.append(_text(LEFT - 8, y(tick) + 4, axis_number(tick, language, "g"), "end"))
    ticks = _ticks(curves[0].times)
    parts += [_text(x(tick), bottom + 18, axis_number(tick, language, ".3g"), "middle") for tick in ticks]
    parts.append(
        _text((LEFT + WIDTH - RIGHT) / 2, bottom + 38, f"{time} ({unit})" if unit else time, "middle")
    )
    for place, curve in enumerate(curves):
        colour = COLOURS[place % len(COLOURS)]
        for values, style in ((curve.low, "0.5"), (curve.high, "0.5"), (curve.values, "2")):
            points = [f"M{x(0):.1f} {y(1):.1f}"]
            for moment, value in zip(curve.times, values, strict=True):
                points.append(f"H{x(moment):.1f} V{y(value):.1f}")
            parts.append(
                f'<path d="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="{style}"/>'
            )
        row = HEIGHT + 22 * place + 10
        parts.append(_text(LEFT - 28, row, curve.name, "end", colour))
        parts += [_text(x(tick), row, str(_at_risk(curve, tick)), "middle") for tick in ticks]
    parts.append(_text(LEFT, HEIGHT - 10, at_risk, "start"))
    return "".join([*parts, "</svg>"])


def _ticks(times: Sequence[float]) -> list[float]:
    """Ends of the intervals, where numbers at risk are known; some of them when there are many."""
    step = math.ceil(len(times) / 7)
    return [0.0, *times[::-1][::step][::-1]]


def _at_risk(curve: Steps, time: float) -> int:
    """Subjects at risk at a time: those of the first step that ends there or later."""
    for end, count in zip(curve.times, curve.at_risk, strict=True):
        if end >= time - 1e-9:
            return count
    return 0


def ratio_figure(title: str, ratios: Sequence[Ratio], label: str, language: str = "en") -> str:
    """Draw ratios on a logarithmic axis around 1.

    Parameters
    ----------
    title
        Read out by screen readers.
    ratios
        Positive, with finite limits.
    label
        What the ratio is, e.g. ``hazard ratio``.
    language
        Of the numbers.
    """
    reach = max((abs(math.log(limit)) for ratio in ratios for limit in (ratio.low, ratio.high)), default=1.0)
    reach = max(1.05 * reach, math.log(1.25))
    left, right = 200, 150
    height = TOP + 28 * len(ratios) + 50

    def x(value: float) -> float:
        return left + (math.log(value) + reach) / (2 * reach) * (WIDTH - left - right)

    parts = [_open(title, height), _line(x(1), TOP - 10, x(1), height - 40, "#8888")]
    for place, ratio in enumerate(ratios):
        y = TOP + 28 * place + 10
        parts.append(_text(left - 12, y + 4, ratio.name, "end"))
        parts.append(_line(x(ratio.low), y, x(ratio.high), y, COLOURS[0]))
        parts.append(
            f'<rect x="{x(ratio.value) - 4:.1f}" y="{y - 4}" width="8" height="8" fill="{COLOURS[0]}"/>'
        )
        value, low, high = (
            axis_number(number, language, ".2f") for number in (ratio.value, ratio.low, ratio.high)
        )
        text = f"{value} ({low}–{high})"
        parts.append(_text(WIDTH - right + 12, y + 4, text, "start"))
    for factor in (-0.8, 0.0, 0.8):
        place_on_axis = math.exp(factor * reach)
        written = axis_number(place_on_axis, language, ".2g")
        parts.append(_text(x(place_on_axis), height - 24, written, "middle"))
    parts.append(_text(x(1), height - 6, label, "middle"))
    return "".join([*parts, "</svg>"])


def _open(title: str, height: float) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img" '
        f'font-family="sans-serif" font-size="13"><title>{escape(title)}</title>'
        f"{_text(20, 20, title, 'start')}"
    )


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="1.5"/>'


def _text(x: float, y: float, text: str, anchor: str, colour: str = "currentColor") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'

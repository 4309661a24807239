"""Our own figures as PNG: the few SVG elements that they use, drawn with Pillow.

A result bundle holds each figure as SVG and as PNG, the same bytes for the same figure on every machine; a general
renderer would take fonts from the system.  Not here: SVG from anybody else.
"""

from __future__ import annotations

import functools
import io
import itertools
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image, ImageColor, ImageDraw, ImageFont

SCALE = 2
"""Pixels per unit: 1280 wide is 10.8 cm at 300 dpi, one column of a journal."""

SMOOTH = 2
"""Drawn larger and made smaller by this factor: smooth edges."""

INK = "#1c2a33"
MARGIN = 8
_FACTOR = SCALE * SMOOTH
_PART = re.compile(r"([MLHVZ])|(-?\d+(?:\.\d+)?)")
_RIGHT, _MIDDLE = "end", "middle"

_NOT_IN_FONT = str.maketrans({"−": "-", "–": "-", "≥": ">", "≤": "<", "…": "..."})
"""Signs that Pillow's own font lacks, and what stands for them in print."""

Point = tuple[float, float]


def svg_to_png(svg: str) -> bytes:
    """Draw a figure.

    Parameters
    ----------
    svg
        As made by ``web.figures`` or ``central.results.plots``.

    Returns
    -------
    bytes
        PNG on white ground, without any time in it.
    """
    root = ET.fromstring(svg)  # noqa: S314 - our own figure
    _, _, width, height = (float(part) for part in root.attrib["viewBox"].split())
    size = (round((width + 2 * MARGIN) * _FACTOR), round((height + 2 * MARGIN) * _FACTOR))
    image = Image.new("RGB", size, "white")
    pen = _Pen(ImageDraw.Draw(image), float(root.get("font-size", "13")))
    for element in root:
        pen.draw(element, {})
    small = image.resize((size[0] // SMOOTH, size[1] // SMOOTH), Image.Resampling.BOX)
    stream = io.BytesIO()
    # A dozen colours and their blends; a palette makes a third of the bytes.
    small.quantize(64, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
        stream, "PNG", dpi=(300, 300)
    )
    return stream.getvalue()


@dataclass(frozen=True)
class _Pen:
    """Draws elements one by one."""

    canvas: ImageDraw.ImageDraw
    font_size: float

    def draw(self, element: ET.Element, inherited: Mapping[str, str]) -> None:
        kind = element.tag.rpartition("}")[2]
        own = {**inherited, **element.attrib}
        if kind in {"g", "a"}:
            for child in element:
                self.draw(child, {key: own[key] for key in ("fill", "stroke") if key in own})
        elif kind == "line":
            ends = (_at(own["x1"], own["y1"]), _at(own["x2"], own["y2"]))
            self._stroke(list(ends), own)
        elif kind == "rect":
            self._rectangle(own)
        elif kind == "circle":
            (x, y), radius = _at(own["cx"], own["cy"]), float(own["r"]) * _FACTOR
            box = (x - radius, y - radius, x + radius, y + radius)
            self.canvas.ellipse(box, fill=_colour(own, "fill", "currentColor"))
        elif kind == "path":
            self._path(own)
        elif kind == "polyline":
            numbers = [float(part) for part in re.split(r"[\s,]+", own["points"].strip())]
            self._stroke([_at(x, y) for x, y in zip(numbers[::2], numbers[1::2], strict=True)], own)
        elif kind == "text":
            self._text(own, "".join(element.itertext()))
        elif kind not in {"title", "defs"}:
            raise ValueError(f"figures don't use the element {kind}")

    def _stroke(self, points: list[Point], own: Mapping[str, str]) -> None:
        colour = _colour(own, "stroke", "none")
        if colour is None or len(points) < 2:
            return
        width = max(round(float(own.get("stroke-width", "1")) * _FACTOR), 1)
        if "stroke-dasharray" in own:
            length = float(own["stroke-dasharray"].split()[0]) * _FACTOR
            for start, end in itertools.pairwise(points):
                self._dashes(start, end, length, colour, width)
        else:
            self.canvas.line(points, fill=colour, width=width, joint="curve")

    def _dashes(self, start: Point, end: Point, length: float, colour: tuple[int, ...], width: int) -> None:
        distance = ((end[0] - start[0]) ** 2 + (end[1] - start[1]) ** 2) ** 0.5
        count = int(distance / (2 * length)) + 1
        for number in range(count):
            parts = [min((2 * number + step) * length / (distance or 1.0), 1.0) for step in (0, 1)]
            ends = [tuple(a + part * (b - a) for a, b in zip(start, end, strict=True)) for part in parts]
            self.canvas.line(ends, fill=colour, width=width)

    def _rectangle(self, own: Mapping[str, str]) -> None:
        left, top = _at(own.get("x", "0"), own.get("y", "0"))
        right, bottom = left + float(own["width"]) * _FACTOR, top + float(own["height"]) * _FACTOR
        if own.get("fill", "").startswith("url("):  # hatched: a value nobody released
            self.canvas.rectangle((left, top, right, bottom), outline="#8796a3", width=_FACTOR)
            return
        fill, outline = _colour(own, "fill", "currentColor"), _colour(own, "stroke", "none")
        width = max(round(float(own.get("stroke-width", "1")) * _FACTOR), 1)
        self.canvas.rectangle((left, top, max(right, left), max(bottom, top)), fill, outline, width)

    def _path(self, own: Mapping[str, str]) -> None:
        lines, is_closed = _lines(own["d"])
        fill = _colour(own, "fill", "currentColor")
        for points in lines:
            if fill is not None and len(points) > 2:
                self.canvas.polygon(points, fill=fill)
            self._stroke([*points, points[0]] if is_closed else points, own)

    def _text(self, own: Mapping[str, str], text: str) -> None:
        font = _font(round(float(own.get("font-size", self.font_size)) * _FACTOR))
        x, y = _at(own["x"], own["y"])
        anchor = {_RIGHT: "rs", _MIDDLE: "ms"}.get(own.get("text-anchor", "start"), "ls")
        colour = _colour(own, "fill", "currentColor")
        bold = _FACTOR // 4 if own.get("font-weight") == "600" else 0
        plain = text.translate(_NOT_IN_FONT)
        if "transform" not in own:
            self.canvas.text((x, y), plain, fill=colour, font=font, anchor=anchor, stroke_width=bold)
            return
        # The one turn that figures use: the name of an upright axis, around its own place.
        if not own["transform"].startswith("rotate(-90 "):
            raise ValueError("figures turn a text by a quarter to the left, or not at all")
        left, top, right, bottom = self.canvas.textbbox((0, 0), plain, font=font, anchor=anchor)
        mask = Image.new("L", (round(right - left) + 2, round(bottom - top) + 2), 0)
        ImageDraw.Draw(mask).text((-left, -top), plain, fill=255, font=font, anchor=anchor)
        place = (round(x + top), round(y - right))
        self.canvas.bitmap(place, mask.transpose(Image.Transpose.ROTATE_90), fill=colour)


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Load the font that Pillow carries with it: every machine has the same."""
    return ImageFont.load_default(size)


def _at(x: str | float, y: str | float) -> Point:
    return (float(x) + MARGIN) * _FACTOR, (float(y) + MARGIN) * _FACTOR


def _colour(own: Mapping[str, str], key: str, usual: str) -> tuple[int, int, int] | None:
    """Read a colour; what is translucent is mixed with white."""
    text = own.get(key, usual)
    if text == "none":
        return None
    found = ImageColor.getrgb(INK if text == "currentColor" else text)
    share = found[3] / 255 if len(found) == 4 else 1.0
    share *= float(own.get(f"{key}-opacity", "1")) * float(own.get("opacity", "1"))
    red, green, blue = (round(255 + (part - 255) * share) for part in found[:3])
    return red, green, blue


def _lines(path: str) -> tuple[list[list[Point]], bool]:
    """Read a path of straight lines."""
    lines: list[list[Point]] = []
    x = y = 0.0
    numbers: list[float] = []
    command, is_closed = "", False
    for letter, number in _PART.findall(path):
        if letter:
            command, numbers = letter, []
            is_closed |= letter == "Z"
            continue
        numbers.append(float(number))
        if command in {"M", "L"} and len(numbers) < 2:
            continue
        if command in {"M", "L"}:
            x, y = numbers
        elif command == "H":
            x = numbers[0]
        else:
            y = numbers[0]
        numbers = []
        if command == "M":
            lines.append([])
            command = "L"
        lines[-1].append(((x + MARGIN) * _FACTOR, (y + MARGIN) * _FACTOR))
    return lines, is_closed

"""Figures and their pixels, and tables as Parquet: drawn from released cells, the same bytes each time."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from racoon.standards.parquet import write_parquet
from racoon.web.charts import Violin, violin_figure
from racoon.web.figures import Steps, survival_figure
from racoon.web.points import Point, points_figure
from racoon.web.raster import svg_to_png

VIOLINS = [
    Violin("ALPHA", 0, 10, [0, 5, 40, 20, 0]),
    Violin("BRAVO", 0, 20, [None, 30]),
    Violin("EMPTY", 0, 1, [0]),
]


def test_a_violin_shows_each_site_and_no_withheld_cell() -> None:
    drawing = violin_figure("Age", VIOLINS, "a")
    root = ET.fromstring(drawing)
    paths = [item for item in root.iter() if item.tag.endswith("path")]
    assert len(paths) == 2
    assert "EMPTY" not in drawing
    assert 'stroke-dasharray="3"' in drawing, "a cell that stayed at the site is marked"
    assert VIOLINS[0].median == pytest.approx(20 + 10 * (32.5 - 5) / 40)
    assert VIOLINS[1].median is None
    assert violin_figure("Age", [VIOLINS[2]], "a") == ""


def test_pixels_show_what_the_vectors_say() -> None:
    curve = Steps("treated", [30, 60], [0.9, 0.5], [0.8, 0.4], [1, 0.6], [100, 40])
    drawing = survival_figure("Survival", [curve], "d")
    first, second = svg_to_png(drawing), svg_to_png(drawing)
    assert first == second
    image = np.asarray(Image.open(io.BytesIO(first)).convert("RGB")).astype(int)
    blue = (abs(image - np.array([0x2F, 0x7F, 0xB5])).sum(axis=2) < 60).sum()
    assert blue > 3000
    assert (image == 255).all(axis=2).mean() > 0.8
    assert svg_to_png(violin_figure("Age", VIOLINS, "a"))
    text = '<text x="30" y="30" text-anchor="middle" transform="rotate(-90 30 30)">IIIIIIIIII</text>'
    turned = f'<svg viewBox="0 0 60 60">{text}</svg>'
    upright = np.asarray(Image.open(io.BytesIO(svg_to_png(turned))).convert("L")) < 128
    assert np.ptp(np.nonzero(upright)[0]) > np.ptp(np.nonzero(upright)[1])
    line = '<polyline points="0,0 20,0 20,20" fill="none" stroke="#000000" stroke-dasharray="4 4"/>'
    drawn = np.asarray(
        Image.open(io.BytesIO(svg_to_png(f'<svg viewBox="0 0 20 20">{line}</svg>'))).convert("L")
    )
    assert 20 < (drawn < 128).sum() < 120
    with pytest.raises(ValueError, match="don't use the element"):
        svg_to_png('<svg viewBox="0 0 1 1"><script/></svg>')


def test_points_are_links_with_names() -> None:
    points = [Point(float(place % 7), f"/reading/series/{place}", f"P{place} <b>") for place in range(50)]
    root = ET.fromstring(points_figure("age", points, "a"))
    links = [item for item in root.iter() if item.tag.endswith("}a")]
    assert len(links) == 50
    assert all(link.get("aria-label") for link in links)
    assert points_figure("age", [Point(float("nan"), "/", "P")], "a") == ""


@pytest.mark.parametrize("rows", [0, 1, 7, 300])
def test_parquet_is_read_by_others_as_it_was_written(rows: int) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the reader of others is the extra 'parquet'")
    columns = {
        "whole": [None if place % 3 == 0 else place - 2**40 for place in range(rows)],
        "number": [None if place % 4 == 1 else place / 7 for place in range(rows)],
        "both": [place if place % 2 else place / 3 for place in range(rows)],
        "truth": [None if place % 5 == 0 else place % 2 == 0 for place in range(rows)],
        "word": [None if place % 6 == 0 else f"Größe {place} | , \n" for place in range(rows)],
        "mixed": [place if place % 2 else "x" for place in range(rows)],
        "empty": [None] * rows,
    }
    content = write_parquet(columns)
    assert content == write_parquet(columns)
    found = parquet.read_table(io.BytesIO(content)).to_pydict()
    expected = columns | {"mixed": [str(value) for value in columns["mixed"]]}
    assert found == expected


def test_columns_have_one_length() -> None:
    for wrong in ({}, {"a": [1], "b": []}):
        with pytest.raises(ValueError, match="one length"):
            write_parquet(wrong)

"""The main figures of an analysis against pictures that people have looked at, within a tolerance.

After a wanted change: ``python -m tests.unit.web.test_figures`` writes the pictures anew; look at
each before it is kept.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from racoon.web.charts import Violin, violin_figure
from racoon.web.figures import Ratio, Steps, ratio_figure, survival_figure
from racoon.web.plots import plot_figure
from racoon.web.raster import svg_to_png

REFERENCES = Path(__file__).parent / "references"
WIDTH = 400
MEAN_DIFFERENCE = 1.5
"""Of 255 grey levels, over all pixels; another font moves less, a missing line or label more."""


def survival() -> str:
    times = [30.0, 60.0, 90.0, 120.0]
    small = Steps("effusion", times, [0.8, 0.62, 0.5, 0.41], [0.72, 0.52, 0.39, 0.3], [0.87, 0.71, 0.6, 0.52],
                  [120, 92, 66, 41])  # fmt: skip
    large = Steps("no effusion", times, [0.93, 0.88, 0.83, 0.78], [0.89, 0.83, 0.77, 0.71],
                  [0.96, 0.92, 0.88, 0.84], [310, 281, 240, 190])  # fmt: skip
    return survival_figure("Survival by effusion", [small, large], "d")


def forest() -> str:
    ratios = [
        Ratio("effusion", 2.2, 1.6, 3.0),
        Ratio("muscle", 0.7, 0.5, 0.98),
        Ratio("age", 1.03, 1.01, 1.05),
    ]
    return ratio_figure("Death", ratios, "hazard ratio")


def line(name: str, x: list[float], y: list[float], half: float, *, is_line: bool) -> dict[str, Any]:
    limits = ([value - half for value in y], [value + half for value in y]) if half else ([], [])
    return {"name": name, "x": x, "y": y, "low": limits[0], "high": limits[1], "is_line": is_line}


def roc() -> str:
    series = [
        line("model", [0.0, 0.1, 0.3, 0.6, 1.0], [0.0, 0.5, 0.8, 0.95, 1.0], 0, is_line=True),
        line("score", [0.0, 0.2, 0.5, 0.8, 1.0], [0.0, 0.4, 0.7, 0.9, 1.0], 0, is_line=True),
    ]
    axes = {"x": "false positive rate", "y": "sensitivity"}
    return plot_figure("Death: ROC", {"kind": "roc", **axes, "series": series})


def calibration() -> str:
    series = [line("model", [0.1, 0.3, 0.5, 0.7, 0.9], [0.12, 0.27, 0.52, 0.66, 0.91], 0.06, is_line=False)]
    axes = {"x": "predicted risk", "y": "observed share"}
    return plot_figure("Death: calibration", {"kind": "calibration", **axes, "series": series})


def violins() -> str:
    return violin_figure(
        "Age",
        [
            Violin("ALPHA", 0, 10, [0, 0, 5, 12, 30, 44, 38, 21, 9, 0]),
            Violin("BRAVO", 0, 20, [0, 14, 52, 40, None]),
            Violin("CHARLIE", 20, 5, [6, 9, 14, 22, 31, 28, 17, 12, 8, 6]),
        ],
        "a",
    )


FIGURES: dict[str, Callable[[], str]] = {
    "survival": survival,
    "forest": forest,
    "roc": roc,
    "calibration": calibration,
    "violins": violins,
}


def picture(drawing: str) -> Image.Image:
    """Draw in grey and small: what a person would see from afar."""
    image = Image.open(io.BytesIO(svg_to_png(drawing))).convert("L")
    return image.resize((WIDTH, round(WIDTH * image.height / image.width)), Image.Resampling.LANCZOS)


def difference(first: Image.Image, second: Image.Image) -> float:
    pixels: list[NDArray[np.float64]] = [np.asarray(image, dtype=np.float64) for image in (first, second)]
    return float(np.abs(pixels[0] - pixels[1]).mean())


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_looks_as_it_did(name: str) -> None:
    kept = Image.open(REFERENCES / f"{name}.png")
    drawn = picture(FIGURES[name]())
    assert drawn.size == kept.size
    assert difference(drawn, kept) < MEAN_DIFFERENCE


def test_a_missing_line_is_seen() -> None:
    kept = Image.open(REFERENCES / "survival.png")
    times = [30.0, 60.0, 90.0, 120.0]
    other = Steps("effusion", times, [0.95, 0.9, 0.85, 0.8], [0.9] * 4, [1.0] * 4, [120, 92, 66, 41])
    drawn = picture(survival_figure("Survival by effusion", [other, other], "d"))
    assert difference(drawn, kept) > MEAN_DIFFERENCE


if __name__ == "__main__":
    for known, draw in FIGURES.items():
        picture(draw()).save(REFERENCES / f"{known}.png", optimize=True)

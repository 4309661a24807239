"""The cases a model segments worst, as pictures: for people at the site whose images they are, and for nobody else."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from racoon.domain.plan import CLASSIFICATION, TrainingPlan
from racoon.learning.cases import Case
from racoon.platform.files import write_atomically

SHOWN = 6
"""Pictures per model: enough to see how it fails, few enough to look at."""

SIDE = 320
"""Shortest side of a picture in pixels."""

LINE = 22
"""Height of a line of text under a picture."""

REFERENCE, PREDICTED = (86, 180, 233), (230, 159, 0)
"""Sky blue and orange, told apart by colour-blind people too (doi:10.1038/nmeth.1618)."""


def worst_cases(per_case: Mapping[str, Sequence[float | None]], *, largest_first: bool = False) -> list[str]:
    """Return the names of the cases with the worst mean score, the worst first; undefined ones are none.

    Parameters
    ----------
    per_case
        Case → a score per label.
    largest_first
        Whether the scores are errors.
    """
    means = {
        name: sum(known) / len(known)
        for name, values in per_case.items()
        if (known := [value for value in values if value is not None])
    }
    sign = -1.0 if largest_first else 1.0
    return sorted(means, key=lambda name: (sign * means[name], name))[:SHOWN]


def draw_case(case: Case, predicted: npt.NDArray[np.uint8]) -> bytes:
    """Draw the slice on which reference and prediction differ most, with the outlines of both.

    Parameters
    ----------
    case
        Prepared case.
    predicted
        Class indices of the same shape.

    Returns
    -------
    bytes
        PNG; the reference in :data:`REFERENCE`, the prediction in :data:`PREDICTED`.
    """
    wrong = (predicted != case.classes).sum(axis=(1, 2))
    shown = int(wrong.argmax()) if wrong.any() else int((case.classes > 0).sum(axis=(1, 2)).argmax())
    colours, factor = _enlarged(case.image[shown])
    for classes, colour in ((case.classes[shown], REFERENCE), (predicted[shown], PREDICTED)):
        colours[outline(np.repeat(np.repeat(classes, factor, axis=0), factor, axis=1))] = colour
    return _png(colours)


def draw_reading(plan: TrainingPlan, case: Case, truth: float, read: Sequence[float]) -> bytes:
    """Draw the middle slice of an image that was judged as a whole, and under it what is true and what was read.

    Parameters
    ----------
    plan
        Its labels or unit.
    case
        Prepared case.
    truth, read
        As ``readings`` has them.

    Returns
    -------
    bytes
        PNG; the truth in :data:`REFERENCE`, the reading in :data:`PREDICTED`.
    """
    from PIL import Image, ImageDraw

    if plan.task == CLASSIFICATION:
        said = int(np.argmax(read))
        lines = (_word(plan, int(truth)), f"{_word(plan, said)} {100 * read[said]:.0f} %")
    else:
        unit = plan.target.unit if plan.target else ""
        lines = (f"{truth:.4g} {unit}", f"{read[0]:.4g} {unit}")
    colours, _ = _enlarged(case.image[len(case.image) // 2])
    picture = Image.fromarray(np.pad(colours, [(0, 2 * LINE), (0, 0), (0, 0)]))
    pen = ImageDraw.Draw(picture)
    for number, (line, colour) in enumerate(zip(lines, (REFERENCE, PREDICTED), strict=True)):
        pen.text((4, len(colours) + number * LINE + 3), line, fill=colour, font_size=LINE - 6)
    return _png(np.asarray(picture))


def _word(plan: TrainingPlan, index: int) -> str:
    label = plan.labels[index]
    return (label.meaning or label.key)[:32]


def _enlarged(plane: npt.NDArray[np.generic]) -> tuple[npt.NDArray[np.uint8], int]:
    """Return a plane in grey, at least :data:`SIDE` pixels wide and high, and how often each pixel is repeated."""
    values = np.asarray(plane, np.float32)
    low, high = float(values.min()), float(values.max())
    grey = ((values - low) * (255.0 / max(high - low, 1e-6))).astype(np.uint8)
    factor = max(1, -(-SIDE // min(grey.shape)))
    return np.repeat(np.repeat(np.stack([grey] * 3, axis=-1), factor, axis=0), factor, axis=1), factor


def _png(colours: npt.NDArray[np.uint8]) -> bytes:
    # A trainer that draws nothing does not need it.
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(colours).save(stream, "PNG")
    return stream.getvalue()


def outline(classes: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Return the pixels of structures that touch another class along a row or a column."""
    padded = np.pad(classes, 1)
    inner = padded[1:-1, 1:-1]
    edge = np.zeros(inner.shape, bool)
    for rows, columns in ((slice(0, -2), slice(1, -1)), (slice(2, None), slice(1, -1))):
        edge |= padded[rows, columns] != inner
        edge |= padded[columns, rows] != inner
    found: npt.NDArray[np.bool_] = edge & (inner > 0)
    return found


def picture_name(number: int) -> str:
    """Return the file name of the picture at a place, counted from 0; it says nothing of the case."""
    return f"worst-{number}.png"


def save_pictures(folder: Path, pictures: Sequence[bytes]) -> None:
    """Write the pictures, the worst first, and take away what an earlier evaluation left."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("worst-*.png"):
        path.unlink()
    for number, picture in enumerate(pictures):
        write_atomically(folder / picture_name(number), picture, mode=0o600)

"""Pictures of the worst cases: which cases, which slice, which outlines."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from racoon.learning.gallery import (
    PREDICTED,
    REFERENCE,
    SHOWN,
    draw_case,
    outline,
    save_pictures,
    worst_cases,
)
from racoon.node.compute.failures import pictures_of
from tests.unit.learning.making import make_cases


def test_the_lowest_mean_comes_first_and_what_is_undefined_is_no_failure() -> None:
    scores: dict[str, tuple[float | None, ...]] = {f"c{n}": (n / 10, None) for n in range(9)}
    found = worst_cases({**scores, "none": (None, None), "both": (0.0, 0.1)})
    assert found == ["c0", "both", "c1", "c2", "c3", "c4"][:SHOWN]


def test_an_outline_is_the_structures_own_border() -> None:
    classes = np.zeros((5, 6), np.uint8)
    classes[1:4, 1:5] = 1
    classes[1:4, 3:5] = 2
    wanted = classes > 0
    wanted[2, 1:5] = [True, True, True, True]
    assert (outline(classes) == wanted).all()
    classes[:] = 1
    inner = outline(classes)
    assert not inner[1:-1, 1:-1].any()
    assert inner[0].all()


def test_a_picture_shows_the_slice_of_the_largest_difference_with_both_outlines() -> None:
    (case,) = make_cases(1, 1)
    predicted = case.classes.copy()
    predicted[3] = np.roll(predicted[3], 3, axis=0)
    marked = replace(case, image=np.where(np.arange(6)[:, None, None] == 3, case.image, np.float16(9.0)))
    picture = np.asarray(Image.open(io.BytesIO(draw_case(marked, predicted))))
    assert picture.shape == (320, 320, 3)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 10
    for colour in (REFERENCE, PREDICTED):
        assert (picture == colour).all(axis=-1).any()
    perfect = np.asarray(Image.open(io.BytesIO(draw_case(case, case.classes))))
    assert not (perfect == REFERENCE).all(axis=-1).any()
    assert (perfect == PREDICTED).all(axis=-1).any()


def test_pictures_are_kept_by_place_and_older_ones_go(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "job" / "worst"
    save_pictures(folder, [b"a", b"b", b"c"])
    save_pictures(folder, [b"d"])
    assert [shown.picture.read_bytes() for shown in pictures_of(tmp_path, "job")] == [b"d"]
    assert pictures_of(tmp_path, "another") == []

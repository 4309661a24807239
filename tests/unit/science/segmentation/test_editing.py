"""What helps a person who draws: each function against a shape whose answer is known by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from racoon.science.segmentation import fill_between, grow_region, smooth, with_margin, without_islands

SPACING = (2.5, 0.8, 0.5)
MASKS = arrays(np.bool_, (5, 7, 6), elements=st.booleans())


def ball(radius_mm: float, shape: tuple[int, int, int] = (13, 31, 41)) -> np.ndarray:
    axes = [(np.arange(size) - size // 2) * step for size, step in zip(shape, SPACING, strict=True)]
    grid = np.meshgrid(*axes, indexing="ij")
    return np.sqrt(sum(axis**2 for axis in grid)) <= radius_mm + 1e-9


def test_growing_stops_at_the_range_and_at_corners() -> None:
    values = np.zeros((3, 4, 4), np.int16)
    values[1, 1, 1:3] = 100
    values[1, 2, 3] = 100  # touches only over an edge
    values[2, 1, 2] = 130
    grown = grow_region(values, (1, 1, 1), 90, 120)
    assert np.argwhere(grown).tolist() == [[1, 1, 1], [1, 1, 2]]
    assert grow_region(values, (1, 1, 1), 90, 130).sum() == 3
    assert not grow_region(values, (0, 0, 0), 90, 120).any()


def test_a_cylinder_is_filled_exactly_and_a_cone_in_between() -> None:
    row, column = np.mgrid[:21, :21]
    away = np.hypot((row - 10) * SPACING[1], (column - 10) * SPACING[2])
    drawn = np.zeros((7, 21, 21), np.bool_)
    drawn[1], drawn[5] = away <= 3.0, away <= 3.0
    filled = fill_between(drawn, SPACING)
    assert (filled[1:6] == (away <= 3.0)).all()
    assert not filled[[0, 6]].any()
    drawn[5] = away <= 5.0
    sizes = fill_between(drawn, SPACING)[1:6].sum(axis=(1, 2))
    assert (np.diff(sizes) >= 0).all()
    assert sizes[0] < sizes[2] < sizes[4]


@given(MASKS)
def test_filling_keeps_what_was_drawn(mask: np.ndarray) -> None:
    filled = fill_between(mask, SPACING)
    assert (filled[mask.any(axis=(1, 2))] == mask[mask.any(axis=(1, 2))]).all()


@pytest.mark.parametrize("margin_mm", [2.5, 4.0])
def test_a_margin_is_in_true_millimetres(margin_mm: float) -> None:
    point = ball(0.0)
    assert point.sum() == 1
    assert (with_margin(point, SPACING, margin_mm) == ball(margin_mm)).all()


@given(MASKS)
def test_shrinking_undoes_no_more_than_growing_did(mask: np.ndarray) -> None:
    grown = with_margin(mask, SPACING, 1.0)
    assert (grown >= mask).all()
    assert (with_margin(grown, SPACING, -1.0) >= mask).all()
    assert (with_margin(mask, SPACING, -1.0) <= mask).all()


def test_smoothing_takes_specks_and_keeps_the_size_of_a_ball() -> None:
    mask = ball(8.0)
    volume = mask.sum()
    mask[1, 1, 1] = True
    smoothed = smooth(mask, SPACING, 1.0)
    assert not smoothed[1, 1, 1]
    assert smoothed.sum() == pytest.approx(volume, rel=0.05)


def test_islands_go_by_their_volume() -> None:
    mask = np.zeros((3, 10, 10), np.bool_)
    mask[1, 1:4, 1:4] = True
    mask[1, 7:9, 7:9] = True
    mask[1, 1, 8] = True
    voxel_ml = 0.001
    assert without_islands(mask, voxel_ml, 0.004).sum() == 13
    assert without_islands(mask, voxel_ml, np.inf).sum() == 9
    assert not without_islands(np.zeros_like(mask), voxel_ml, 1).any()

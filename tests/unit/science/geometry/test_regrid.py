"""Regridding: what is linear in space comes back exactly, whatever the planes did."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from racoon.science.geometry.regrid import regrid_planes

ROWS, COLUMNS = 12, 9


@given(
    gaps=st.lists(st.floats(0.5, 8.0), min_size=1, max_size=8),
    lean=st.tuples(st.floats(-0.9, 0.9), st.floats(-0.9, 0.9)),
    step=st.floats(0.4, 3.0),
    slope=st.tuples(*[st.floats(-5, 5)] * 3),
)
def test_linear_field_is_reproduced_exactly(
    gaps: list[float], lean: tuple[float, float], step: float, slope: tuple[float, float, float]
) -> None:
    heights = np.concatenate([[3.0], 3.0 + np.cumsum(gaps)])
    offsets = np.outer(heights - heights[0], lean)

    def field(height: object, row: object, column: object) -> np.ndarray:
        return np.asarray(slope[0] * height + slope[1] * row + slope[2] * column)

    row, column = np.mgrid[:ROWS, :COLUMNS]
    planes = [field(h, row + o[0], column + o[1]) for h, o in zip(heights, offsets, strict=True)]
    result = regrid_planes(lambda index: planes[index], heights, offsets, step_mm=step, fill=-9999)

    index = np.indices(result.voxels.shape)
    expected = field(
        heights[0] + index[0] * step, index[1] + result.first_row, index[2] + result.first_column
    )
    covered = result.voxels != -9999
    np.testing.assert_allclose(result.voxels[covered], expected[covered], atol=2e-3)
    assert covered[0].sum() == ROWS * COLUMNS, "the first plane lies on the grid"
    assert result.outside == pytest.approx(1 - covered.mean())
    assert (result.voxels.shape[0] - 1) * step <= heights[-1] - heights[0] + 1e-3


def test_even_upright_planes_stay_what_they_are() -> None:
    planes = np.random.default_rng(1).normal(size=(5, ROWS, COLUMNS)).astype(np.float32)
    result = regrid_planes(
        lambda index: planes[index], np.arange(5) * 2.0, np.zeros((5, 2)), step_mm=2.0, fill=0
    )
    np.testing.assert_array_equal(result.voxels, planes)
    assert (result.first_row, result.first_column, result.outside) == (0, 0, 0.0)


@pytest.mark.parametrize("heights", [[1.0], [1.0, 1.0], [2.0, 1.0]])
def test_planes_without_order_are_a_programming_error(heights: list[float]) -> None:
    with pytest.raises(ValueError, match="ascending"):
        regrid_planes(
            lambda _: np.zeros((2, 2)), np.array(heights), np.zeros((len(heights), 2)), step_mm=1, fill=0
        )

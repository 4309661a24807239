"""Drawn sizes against arithmetic done another way: the affine, and a fine grid of points."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from racoon.science.geometry import (
    ImagePlane,
    angle_deg,
    ellipse_area_mm2,
    ellipse_pixels,
    length_mm,
    pixel_statistics,
    polygon_area_mm2,
    polygon_pixels,
    two_axes_mm,
)


def oblique(rows: int = 40, columns: int = 50, spacing: tuple[float, float] = (0.7, 1.3)) -> ImagePlane:
    row = np.array([2.0, 1.0, 2.0]) / 3
    column = np.array([-2.0, 2.0, 1.0]) / 3
    return ImagePlane((10.0, -20.0, 30.0), tuple(row), tuple(column), spacing, rows, columns)


def at(plane: ImagePlane, row: float, column: float) -> tuple[float, float, float]:
    x, y, z = plane.affine @ (row, column, 1)
    return float(x), float(y), float(z)


INDEX = st.tuples(st.floats(0, 39), st.floats(0, 49))


@given(INDEX, INDEX)
def test_length_is_the_distance_of_the_affine(start: tuple[float, float], end: tuple[float, float]) -> None:
    plane = oblique()
    expected = math.hypot((end[0] - start[0]) * 0.7, (end[1] - start[1]) * 1.3)
    assert length_mm(at(plane, *start), at(plane, *end)) == pytest.approx(expected, abs=1e-9)


@given(INDEX)
def test_indices_survive_the_way_to_millimetres_and_back(index: tuple[float, float]) -> None:
    plane = oblique()
    row, column, distance = plane.pixels_of([at(plane, *index)])[0]
    assert (row, column, distance) == pytest.approx((*index, 0), abs=1e-9)


def test_plane_holds_its_pixels_to_their_outer_edges_and_nothing_else() -> None:
    plane = oblique()
    assert plane.holds([at(plane, -0.5, -0.5), at(plane, 39.5, 49.5)], 0.01)
    assert not plane.holds([at(plane, -0.6, 0)], 0.01)
    assert not plane.holds([at(plane, 0, 49.7)], 0.01)
    above = np.asarray(at(plane, 3, 3)) + 0.1 * np.cross(plane.along_row, plane.along_column)
    assert not plane.holds([(float(above[0]), float(above[1]), float(above[2]))], 0.01)
    assert not plane.holds([(math.nan, 0.0, 0.0)], 0.01)


def test_long_axis_is_the_longer_one_in_whatever_order_it_was_drawn() -> None:
    points = [(0.0, 0.0, 0.0), (3.0, 0.0, 0.0), (1.0, -2.0, 0.0), (1.0, 2.0, 0.0)]
    assert two_axes_mm(points) == (4, 3)
    assert ellipse_area_mm2(points) == pytest.approx(math.pi * 2 * 1.5)


@pytest.mark.parametrize("turn", [0.0, 0.4, 1.2])
def test_ellipse_takes_the_pixels_whose_centres_it_holds(turn: float) -> None:
    plane = oblique()
    centre = np.asarray(at(plane, 18.2, 25.4))
    first = 8.0 * (
        math.cos(turn) * np.asarray(plane.along_row) + math.sin(turn) * np.asarray(plane.along_column)
    )
    second = 5.0 * (
        -math.sin(turn) * np.asarray(plane.along_row) + math.cos(turn) * np.asarray(plane.along_column)
    )
    points = [tuple(map(float, centre + sign * axis)) for axis in (first, second) for sign in (-1, 1)]
    found = ellipse_pixels(points, plane)
    expected = np.zeros((40, 50), np.bool_)
    for row in range(40):
        for column in range(50):
            offset = np.asarray(at(plane, row, column)) - centre
            expected[row, column] = (offset @ first / 64) ** 2 + (offset @ second / 25) ** 2 <= 1
    np.testing.assert_array_equal(found, expected)
    assert found.sum() * 0.7 * 1.3 == pytest.approx(ellipse_area_mm2(points), rel=0.05)


def test_ellipse_at_the_border_is_cut_and_one_without_width_is_empty() -> None:
    plane = oblique()
    corner = [at(plane, 0, -6), at(plane, 0, 6), at(plane, -6, 0), at(plane, 6, 0)]
    found = ellipse_pixels(corner, plane)
    assert found[0, 0]
    assert found[0, 6]
    assert not found[0, 7]
    line = [at(plane, 5, 5), at(plane, 5, 9), at(plane, 5, 7), at(plane, 5, 7)]
    assert not ellipse_pixels(line, plane).any()


def test_statistics_have_divisor_n_and_none_of_nothing() -> None:
    found = pixel_statistics(np.array([1, 2, 3, 6], np.int16))
    assert found is not None
    assert (found.count, found.mean, found.minimum, found.maximum) == (4, 3, 1, 6)
    assert found.sd == pytest.approx(math.sqrt(14 / 4))
    assert pixel_statistics(np.array([], np.int16)) is None


@given(st.floats(1e-3, math.pi - 1e-3), st.floats(0.1, 50), st.floats(0.1, 50), st.floats(-math.pi, math.pi))
def test_an_angle_is_what_it_was_made_of(angle: float, first: float, second: float, turn: float) -> None:
    corner = np.array([10.0, -20.0, 30.0])
    u, v = np.array([2.0, 1.0, 2.0]) / 3, np.array([-2.0, 2.0, 1.0]) / 3
    ends = [
        corner + length * (math.cos(at) * u + math.sin(at) * v)
        for length, at in ((first, turn), (second, turn + angle))
    ]
    assert angle_deg([tuple(ends[0]), tuple(corner), tuple(ends[1])]) == pytest.approx(
        math.degrees(angle), abs=1e-6
    )


@given(st.lists(st.tuples(st.floats(0.3, 30), st.floats(0.3, 40)), min_size=3, max_size=3))
def test_a_triangle_on_an_oblique_plane(corners: list[tuple[float, float]]) -> None:
    plane = oblique()
    points = [at(plane, row, column) for row, column in corners]
    sides = np.asarray(points[1:]) - np.asarray(points[0])
    area = float(np.linalg.norm(np.cross(*sides))) / 2
    assert polygon_area_mm2(points, plane) == pytest.approx(area, abs=1e-6)


def test_pixels_of_an_outline_are_those_of_its_rectangles() -> None:
    plane = oblique()
    ell = [(2.5, 3.5), (2.5, 20.5), (8.5, 20.5), (8.5, 9.5), (30.5, 9.5), (30.5, 3.5)]
    expected = np.zeros((plane.rows, plane.columns), np.bool_)
    expected[3:9, 4:21] = True
    expected[9:31, 4:10] = True
    points = [at(plane, row, column) for row, column in ell]
    assert (polygon_pixels(points, plane) == expected).all()
    assert (polygon_pixels(points[::-1], plane) == expected).all()
    assert polygon_area_mm2(points, plane) == pytest.approx(expected.sum() * 0.7 * 1.3)

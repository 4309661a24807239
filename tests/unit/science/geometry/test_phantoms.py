"""Analytic phantoms with exact answers: spheres, discs, boxes, ellipses, oblique grids."""

import math

import numpy as np
import pytest

from racoon.science.geometry import (
    axial_area_mm2,
    axial_diameters,
    bounding_box,
    dice,
    equivalent_diameter_mm,
    find_parts,
    jaccard,
    largest_slice,
    max_diameter_mm,
    surface_distances,
    volume_ml,
)


def scaled(*spacing: float) -> np.ndarray:
    return np.diag([*spacing, 1.0])


def ball(radius: float, step: float) -> np.ndarray:
    """Sphere sampled at voxel centres, its centre between eight voxels."""
    half = math.ceil((radius + 2) / step)
    axis = (np.arange(-half, half) + 0.5) * step
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    return z**2 + y**2 + x**2 <= radius**2


@pytest.mark.parametrize(("step", "voxel_mm3", "error"), [(1.0, 33552, 0.00124), (0.5, 33512, 0.00005)])
def test_sphere_volume_is_right_to_the_voxel(step, voxel_mm3, error):
    measured = volume_ml(ball(20.0, step), scaled(step, step, step)) * 1000
    exact = 4 / 3 * math.pi * 20**3
    assert measured == pytest.approx(voxel_mm3, abs=1.0)
    assert (measured - exact) / exact == pytest.approx(error, abs=2e-5)


@pytest.mark.parametrize(("step", "area", "diameter"), [(1.0, 1264, 40.117), (0.5, 1256, 39.990)])
def test_disc_gives_the_equivalent_diameter(step, area, diameter):
    axis = (np.arange(-50, 50) + 0.5) * step
    y, x = np.meshgrid(axis, axis, indexing="ij")
    disc = ((y**2 + x**2) <= 20.0**2)[None]
    measured = float(axial_area_mm2(disc, scaled(3, step, step))[0])
    assert measured == pytest.approx(area, abs=1e-9)
    assert equivalent_diameter_mm(measured) == pytest.approx(diameter, abs=5e-4)


def test_shifted_box_has_the_known_overlap_and_distance():
    first = np.zeros((20, 20, 20), bool)
    first[4:14, 4:14, 4:14] = True
    second = np.roll(first, 2, axis=2)
    spacing = (3.0, 1.0, 0.7)
    found = surface_distances(first, second, scaled(*spacing), tolerances_mm=(0.5, 1.4, 1.5))
    assert dice(first, second) == pytest.approx(0.8)
    assert jaccard(first, second) == pytest.approx(2 / 3)
    assert found.hd_mm == pytest.approx(1.4)
    assert found.hd95_mm == pytest.approx(1.4)
    assert found.nsd[1.4] == 1.0
    assert found.nsd[0.5] < 1.0


def test_nothing_against_nothing_is_undefined_and_never_perfect():
    empty, box = np.zeros((4, 4, 4), bool), np.zeros((4, 4, 4), bool)
    box[1:3, 1:3, 1:3] = True
    assert math.isnan(dice(empty, empty))
    assert dice(empty, box) == 0.0
    assert math.isnan(surface_distances(empty, box, scaled(1, 1, 1)).hd_mm)
    assert math.isnan(max_diameter_mm(empty, scaled(1, 1, 1)))
    assert math.isnan(axial_diameters(empty, scaled(1, 1, 1)).long_mm)
    assert bounding_box(empty) is None
    assert find_parts(empty).count == 0


def test_oblique_anisotropic_grid_keeps_the_volume():
    angle = math.radians(20)
    turn = np.array(
        [[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]]
    )
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-0.8, 0.8, 5.0])
    affine = affine[:, [2, 1, 0, 3]]
    mask = np.zeros((6, 7, 8), bool)
    mask[1:4, 2:6, 3:7] = True
    assert volume_ml(mask, affine) * 1000 == pytest.approx(3 * 4 * 4 * 3.2)


def test_two_spheres_have_the_diameter_of_their_union():
    axis = np.arange(-45, 46) * 1.0
    z, y, x = np.meshgrid(np.arange(-12, 13) * 1.0, np.arange(-12, 13) * 1.0, axis, indexing="ij")
    pair = (z**2 + y**2 + (x - 25) ** 2 <= 100) | (z**2 + y**2 + (x + 25) ** 2 <= 100)
    # Voxel corners reach half a voxel beyond the centres on either side.
    assert 70.0 <= max_diameter_mm(pair, scaled(1, 1, 1)) <= 70.0 + math.sqrt(3)
    assert find_parts(pair).voxel_counts == (int(pair.sum()) // 2,) * 2


@pytest.mark.parametrize("step", [1.0, 0.5])
def test_rotated_ellipse_gives_long_and_short_axis(step):
    axis = np.arange(-40, 41) * step
    y, x = np.meshgrid(axis, axis, indexing="ij")
    angle = math.radians(30)
    along, across = x * math.cos(angle) + y * math.sin(angle), -x * math.sin(angle) + y * math.cos(angle)
    mask = np.zeros((3, *y.shape), bool)
    mask[1] = (along / 15) ** 2 + (across / 6) ** 2 <= 1
    found = axial_diameters(mask, scaled(5, step, step))
    slack = math.sqrt(2) * step
    assert 30 - 0.3 * step <= found.long_mm <= 30 + slack
    assert 12 - 0.5 * step <= found.short_mm <= 12 + slack
    assert found.slice_index == 1
    assert largest_slice(mask) == 1


def test_single_pixel_has_the_diagonal_as_diameter():
    mask = np.zeros((1, 3, 3), bool)
    mask[0, 1, 1] = True
    found = axial_diameters(mask, scaled(3, 0.7, 0.7))
    assert found.long_mm == pytest.approx(0.7 * math.sqrt(2))
    assert found.short_mm == pytest.approx(0.7 * math.sqrt(2))
    assert max_diameter_mm(mask, scaled(3, 0.7, 0.7)) == pytest.approx(math.sqrt(9 + 2 * 0.49))


def test_long_axis_ends_lie_in_the_world_at_the_measured_distance():
    mask = np.zeros((4, 9, 9), bool)
    mask[2, 1:8, 3] = True
    affine = scaled(2.0, 0.5, 0.5)
    affine[:3, 3] = [10, 20, 30]
    found = axial_diameters(mask, affine)
    first, second = np.array(found.long_ends_mm)
    assert np.linalg.norm(first - second) == pytest.approx(found.long_mm)
    assert first[0] == second[0] == pytest.approx(10 + 2 * 2.0)


def test_concave_structure_is_measured_on_its_hull():
    ring = np.zeros((1, 11, 11), bool)
    ring[0, 0, :] = ring[0, :, 0] = True
    found = axial_diameters(ring, scaled(1, 1, 1))
    assert found.long_mm == pytest.approx(11 * math.sqrt(2), abs=1.0)

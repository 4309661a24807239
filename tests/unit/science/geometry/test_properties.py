"""Laws that hold for every mask: flips, transposed axes, upsampling, symmetry, brute force."""

import math

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.ndimage import binary_erosion, generate_binary_structure, label
from scipy.spatial.distance import cdist

from racoon.science.geometry import (
    axial_diameters,
    bounding_box,
    dice,
    find_parts,
    max_diameter_mm,
    surface_distances,
    volume_ml,
)


def masks_of(shape):
    """Any mask of a shape, drawn as bytes at once: one draw for each voxel took most of the time of these tests."""
    count = math.prod(shape)
    drawn = st.binary(min_size=(count + 7) // 8, max_size=(count + 7) // 8)
    return drawn.map(
        lambda data: np.unpackbits(np.frombuffer(data, np.uint8))[:count].reshape(shape).astype(bool)
    )


masks = st.tuples(*[st.integers(1, 6)] * 3).flatmap(masks_of)
some = masks.filter(lambda mask: mask.any())


@st.composite
def affines(draw):
    spacing = [draw(st.floats(0.3, 5.0)) for _ in range(3)]
    angle = draw(st.floats(-math.pi, math.pi))
    turn = np.array(
        [[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]]
    )
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag(spacing)
    affine[:3, 3] = [draw(st.floats(-200, 200)) for _ in range(3)]
    return affine


def flipped(mask, affine, axis):
    moved = affine.copy()
    moved[:3, 3] += affine[:3, axis] * (mask.shape[axis] - 1)
    moved[:3, axis] *= -1
    return np.flip(mask, axis), moved


@given(some, affines(), st.integers(0, 2))
def test_flipping_an_axis_changes_nothing(mask, affine, axis):
    turned, moved = flipped(mask, affine, axis)
    assert math.isclose(volume_ml(mask, affine), volume_ml(turned, moved), rel_tol=1e-12)
    assert math.isclose(max_diameter_mm(mask, affine), max_diameter_mm(turned, moved), rel_tol=1e-9)
    first, second = axial_diameters(mask, affine), axial_diameters(turned, moved)
    assert math.isclose(first.long_mm, second.long_mm, rel_tol=1e-9)


@given(some, affines(), st.permutations([0, 1, 2]))
def test_permuting_axes_keeps_volume_and_3d_diameter(mask, affine, order):
    moved = affine[:, [*order, 3]]
    turned = np.transpose(mask, order)
    assert math.isclose(volume_ml(mask, affine), volume_ml(turned, moved), rel_tol=1e-12)
    assert math.isclose(max_diameter_mm(mask, affine), max_diameter_mm(turned, moved), rel_tol=1e-9)


@given(some, affines())
def test_nearest_neighbour_upsampling_keeps_volume_and_diameters(mask, affine):
    fine = mask.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    finer = affine.copy()
    finer[:3, :3] /= 2
    finer[:3, 3] -= finer[:3, :3] @ np.full(3, 0.5)
    assert math.isclose(volume_ml(mask, affine), volume_ml(fine, finer), rel_tol=1e-12)
    assert math.isclose(max_diameter_mm(mask, affine), max_diameter_mm(fine, finer), rel_tol=1e-9)
    assert math.isclose(
        axial_diameters(mask, affine).long_mm, axial_diameters(fine, finer).long_mm, rel_tol=1e-9
    )


@given(some, affines())
def test_diameters_equal_brute_force_over_all_corners(mask, affine):
    offsets = np.array([[i, j, k] for i in (-0.5, 0.5) for j in (-0.5, 0.5) for k in (-0.5, 0.5)])
    corners = (np.argwhere(mask)[:, None, :] + offsets).reshape(-1, 3) @ affine[:3, :3].T
    assert math.isclose(max_diameter_mm(mask, affine), cdist(corners, corners).max(), rel_tol=1e-9)
    flat = np.array([[0, j, k] for j in (-0.5, 0.5) for k in (-0.5, 0.5)])
    longest = 0.0
    for index in range(mask.shape[0]):
        voxels = np.argwhere(mask)
        here = (voxels[voxels[:, 0] == index][:, None, :] + flat).reshape(-1, 3) @ affine[:3, :3].T
        longest = max(longest, cdist(here, here).max() if len(here) else 0.0)
    found = axial_diameters(mask, affine)
    assert math.isclose(found.long_mm, longest, rel_tol=1e-9)
    assert 0 < found.short_mm <= found.long_mm * (1 + 1e-9)


@given(st.data(), affines())
def test_distances_are_symmetric_and_equal_brute_force(data, affine):
    shape = data.draw(st.tuples(*[st.integers(1, 5)] * 3))
    first, second = (data.draw(masks_of(shape).filter(lambda mask: mask.any())) for _ in range(2))
    forth, back = surface_distances(first, second, affine), surface_distances(second, first, affine)
    surfaces = [
        np.argwhere(mask & ~binary_erosion(mask, border_value=0)) @ affine[:3, :3].T
        for mask in (first, second)
    ]
    table = cdist(*surfaces)
    assert math.isclose(forth.hd_mm, max(table.min(0).max(), table.min(1).max()), abs_tol=1e-9)
    assert math.isclose(forth.assd_mm, np.concatenate([table.min(0), table.min(1)]).mean(), abs_tol=1e-9)
    assert math.isclose(forth.hd_mm, back.hd_mm, abs_tol=1e-9)
    assert math.isclose(forth.hd95_mm, back.hd95_mm, abs_tol=1e-9)
    assert dice(first, second) == dice(second, first)
    assert surface_distances(first, first, affine).hd_mm == 0.0


@given(masks)
def test_box_holds_every_voxel_and_touches_each_side(mask):
    box = bounding_box(mask)
    if box is None:
        assert not mask.any()
        return
    where = np.argwhere(mask)
    assert box.start == tuple(where.min(0))
    assert box.stop == tuple(where.max(0) + 1)


@example(np.array([[[True], [False], [True]]]), 26)
@given(masks, st.sampled_from([6, 18, 26]))
def test_parts_are_disjoint_sorted_complete_and_those_of_another_library(mask, connectivity):
    parts = find_parts(mask, connectivity=connectivity)
    steps = {6: 1, 18: 2, 26: 3}[connectivity]
    labels, count = label(mask, generate_binary_structure(3, steps))
    assert sorted(parts.voxel_counts) == sorted(np.bincount(labels.ravel())[1:])
    assert parts.count == count
    assert sum(parts.voxel_counts) == mask.sum()
    assert list(parts.voxel_counts) == sorted(parts.voxel_counts, reverse=True)
    for number, count in enumerate(parts.voxel_counts, start=1):
        assert parts.mask(number).sum() == count

"""The synthetic anatomy is what it says: invertible, plausible, and exact about its findings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from racoon.demo.anatomy.findings import compute_fraction, discretise, lump
from racoon.demo.anatomy.grid import Grid, catmull_rom, draw_field
from racoon.demo.anatomy.tree import grow_tree, splat
from racoon.demo.anatomy.warp import compute_jacobian, draw_displacement
from racoon.demo.case import Case, Style, make_case

PLAUSIBLE_ML = {
    "right_lung": (1000, 4000),
    "left_lung": (900, 3600),
    "heart": (300, 1000),
    "liver": (700, 2400),
    "spleen": (80, 500),
    "right_kidney": (60, 300),
    "left_kidney": (60, 300),
    "aorta": (70, 350),
}
"""Widest ranges of adults; a scan that ends below the kidneys cuts some of them."""


@given(seed=st.integers(0, 2**32))
def test_warp_is_invertible_everywhere(seed: int) -> None:
    grid = Grid((30, 40, 40), (11.0, 9.0, 9.0))
    fields = draw_displacement(np.random.default_rng(seed), grid, 5.5)
    dz, dy, dx = (field.evaluate(0, 30) for field in fields)
    assert compute_jacobian((dz, dy, dx), grid).min() > 0.1


def test_field_is_the_same_slab_by_slab() -> None:
    grid = Grid((20, 16, 16), (5.0, 8.0, 8.0))
    field = draw_field(np.random.default_rng(1), grid, 12)
    whole = field.evaluate(0, 20)
    parts = np.concatenate([field.evaluate(start, start + 4) for start in range(0, 20, 4)])
    np.testing.assert_allclose(whole, parts, atol=1e-5)


def test_interpolation_reproduces_a_line() -> None:
    positions = np.linspace(12, 78, 40)
    taps = catmull_rom(positions, 0, 10, 10)
    knots = np.broadcast_to(10 * np.arange(10, dtype=np.float32)[:, None, None], (10, 1, 1)).copy()
    np.testing.assert_allclose(taps.apply(knots, 0)[:, 0, 0], positions, atol=1e-3)


@given(seed=st.integers(0, 2**32), radius=st.floats(5, 18))
def test_supersampled_volume_of_a_sphere_is_exact_to_one_percent(seed: int, radius: float) -> None:
    grid = Grid((24, 48, 48), (2.5, 1.0, 1.0), 30.0)
    rng = np.random.default_rng(seed)
    centre = (rng.uniform(-2, 2), rng.uniform(-2, 2), rng.uniform(-2, 2))
    shape, _ = lump(rng, centre, (radius, radius, radius), lobes=1, roughness=0.0)
    whole = (slice(None), slice(None), slice(None))
    fraction = compute_fraction(shape, grid, whole)
    volume = float(fraction.sum()) * grid.voxel_volume_ml
    assert volume == pytest.approx(4 / 3 * np.pi * radius**3 / 1000, rel=0.01)
    assert abs(int(discretise(fraction).sum()) - float(fraction.sum())) <= 0.5 + 1e-3


def test_vessel_volume_is_kept_by_the_splat() -> None:
    grid = Grid((20, 40, 40), (5.0, 2.0, 2.0), 50.0)
    tree = grow_tree(np.zeros((1, 3)), np.array([[20.0, 10.0, 15.0], [-15.0, 5.0, -12.0]]), tip_mm=0.7)
    length = np.linalg.norm(tree.nodes[1:] - tree.nodes[tree.parents[1:]], axis=1)
    wanted = float((np.pi * tree.radii[1:] ** 2 * length).sum()) / 20.0
    fraction = splat(tree, grid, np.random.default_rng(3), largest_mm=9)
    assert float(fraction.sum()) == pytest.approx(wanted, rel=0.02)


def test_truth_volumes_equal_masks(case: Case) -> None:
    for key, kind in (
        ("lung_opacity", "opacity"),
        ("lung_nodule", "nodule"),
        ("pleural_effusion", "effusion"),
        ("calcification", "calcification"),
    ):
        truth = case.volumes_ml[kind]
        measured = float(case.masks[key].sum()) * case.grid.voxel_volume_ml
        assert abs(measured - truth) <= max(0.01 * truth, 0.5 * case.grid.voxel_volume_ml + 1e-3), key
        assert truth == pytest.approx(sum(f.volume_ml for f in case.findings if f.kind == kind))


def test_organs_are_as_large_as_organs_are(case: Case) -> None:
    for key, (low, high) in PLAUSIBLE_ML.items():
        volume = float(case.masks[key].sum()) * case.grid.voxel_volume_ml
        assert low < volume < high, (key, volume)


def test_densities_are_those_of_the_tissues(case: Case) -> None:
    healthy = (case.masks["right_lung"] | case.masks["left_lung"]) & ~case.masks["lung_opacity"]
    for mask, low, high in (
        (healthy, -900, -650),
        (case.masks["liver"], 40, 130),
        (case.masks["skeletal_muscle"], 15, 85),
        (case.masks["subcutaneous_fat"], -120, -40),
        (case.masks["lung_opacity"], -650, 40),
        (case.voxels <= -1000, -1024, -1000),
    ):
        assert low <= float(case.voxels[mask].mean()) <= high


def test_sides_are_the_patients_sides(case: Case) -> None:
    for key, sign in (("right_lung", -1), ("left_lung", 1), ("liver", -1), ("spleen", 1)):
        columns = np.nonzero(case.masks[key])[2]
        assert np.sign(columns.mean() - (case.grid.shape[2] - 1) / 2) == sign


def test_same_seed_same_case(style: Style) -> None:
    grid = Grid((16, 48, 48), (21.0, 8.0, 8.0), 162.0)
    one, two, other = (
        make_case(np.random.default_rng(seed), style, grid, is_female=False, age=70) for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(one.voxels, two.voxels)
    assert one.findings == two.findings
    assert not np.array_equal(one.voxels, other.voxels)

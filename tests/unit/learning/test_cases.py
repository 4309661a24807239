"""From a volume to slices of the plan's size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from racoon.domain.coding import Code
from racoon.domain.plan import TrainingPlan
from racoon.learning.cases import BadCase, case_name, load_cases, prepare_case, save_case

CT = TrainingPlan(name="p", modality="CT", labels=(Code("1", "99T"), Code("2", "99T")), size=(32, 40))
MR = replace(CT, modality="MR", window_hu=None)


@given(st.integers(1, 5), st.integers(1, 90), st.integers(1, 90))
def test_every_slice_has_the_size_of_the_plan(slices: int, rows: int, columns: int) -> None:
    voxels = np.random.default_rng(rows).normal(-500, 100, (slices, rows, columns))
    case = prepare_case(CT, "1.2", voxels, [voxels > -400, None])
    assert case.image.shape == case.classes.shape == (slices, 32, 40)
    assert set(np.unique(case.classes)) <= {0, 1}
    assert np.isfinite(case.image.astype(np.float32)).all()


def test_window_maps_its_ends_to_minus_one_and_one() -> None:
    voxels = np.full((1, 32, 40), -2000.0)
    voxels[0, 0, :3] = (-1000, 200, 3000)
    image = prepare_case(CT, "1.2", voxels, [None, None]).image
    assert image[0, 0, :3].tolist() == [-1.0, 1.0, 1.0]
    assert image[0, 5, 5] == -1.0


def test_mr_is_normalised_by_its_own_percentiles_so_that_scanner_gain_vanishes() -> None:
    voxels = np.random.default_rng(0).gamma(2.0, 100.0, (3, 32, 40))
    one, other = (prepare_case(MR, "1.2", factor * voxels, [None, None]).image for factor in (1.0, 17.0))
    np.testing.assert_allclose(one.astype(np.float32), other.astype(np.float32), atol=2e-3)


def test_small_slice_keeps_its_pixels_and_is_centred() -> None:
    voxels = np.zeros((1, 10, 20))
    mask = np.zeros(voxels.shape, bool)
    mask[0, 2, 3] = True
    case = prepare_case(CT, "1.2", voxels, [None, mask])
    assert np.argwhere(case.classes == 2).tolist() == [[0, 2 + 11, 3 + 10]]


def test_shrinking_keeps_the_share_of_a_structure() -> None:
    voxels = np.full((1, 128, 160), -900.0)
    mask = np.zeros(voxels.shape, bool)
    mask[0, 32:96, 40:120] = True
    case = prepare_case(CT, "1.2", voxels, [mask, None])
    assert case.classes.mean() == pytest.approx(mask.mean(), rel=0.03)


@pytest.mark.parametrize(
    ("voxels", "masks"),
    [
        (np.full((1, 4, 4), np.nan), [None, None]),
        (np.zeros((4, 4)), [None, None]),
        (np.zeros((1, 4, 4)), [None]),
        (np.zeros((1, 4, 4)), [np.zeros((1, 4, 5), bool), None]),
    ],
)
def test_unusable_series_is_a_defect(voxels, masks) -> None:
    with pytest.raises(BadCase):
        prepare_case(CT, "1.2", voxels, masks)


def test_cases_load_sorted_and_without_the_uid_in_the_name(tmp_path) -> None:
    for uid in ("1.2.3", "1.2.4"):
        save_case(tmp_path, prepare_case(CT, uid, np.zeros((2, 8, 8)), [None, None]))
    names = [case.name for case in load_cases(tmp_path)]
    assert names == sorted(case_name(uid) for uid in ("1.2.3", "1.2.4"))
    assert not any("1.2" in name for name in names)

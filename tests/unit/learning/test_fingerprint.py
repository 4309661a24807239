"""The federated fingerprint is the pooled one, whoever answers first and however the images are split."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from racoon.domain.plan import TrainingPlan
from racoon.learning.architectures import check_plan
from racoon.learning.fingerprint import MAXIMUM_VOXELS, Fingerprint, FingerprintSums, TooFewImages

Made = tuple[np.ndarray, np.ndarray, tuple[float, float, float]]


def _image(seed: int) -> Made:
    generator = np.random.default_rng(seed)
    shape = tuple(int(side) for side in generator.integers(3, 9, 3))
    # From thousandths to millions, as MR scanners do: where rounding would show.
    voxels = generator.normal(10.0 ** generator.integers(-3, 7), 1.0, shape)
    spacing = tuple(float(value) for value in generator.uniform(0.3, 5.0, 3))
    return voxels, generator.random(shape) < 0.3, (spacing[0], spacing[1], spacing[2])


@given(
    st.lists(st.integers(0, 10_000), min_size=2, max_size=9, unique=True), st.randoms(use_true_random=False)
)
def test_federated_is_pooled_for_every_split_and_order(seeds: list[int], random) -> None:
    sums = [FingerprintSums.of(*_image(seed)) for seed in seeds]
    pooled = FingerprintSums.merge(sums)
    random.shuffle(sums)
    cut = random.randrange(len(sums) + 1)
    sites = [FingerprintSums.merge(sums[:cut]), FingerprintSums.merge(sums[cut:])]
    over_the_wire = [FingerprintSums.from_dict(json.loads(json.dumps(site.to_dict()))) for site in sites]
    assert FingerprintSums.merge(reversed(over_the_wire)) == pooled
    assert FingerprintSums.merge(sites).fingerprint() == pooled.fingerprint()


@given(st.lists(st.integers(0, 10_000), min_size=2, max_size=6, unique=True))
def test_fingerprint_is_that_of_the_pooled_voxels(seeds: list[int]) -> None:
    images = [_image(seed) for seed in seeds]
    found = FingerprintSums.merge(FingerprintSums.of(*image) for image in images).fingerprint()
    voxels = np.concatenate([image.ravel() for image, _, _ in images]).astype(np.longdouble)
    inside = np.concatenate([image[mask] for image, mask, _ in images]).astype(np.longdouble)
    spacing = np.array([item for _, _, item in images])
    shapes = np.array([image.shape for image, _, _ in images])
    for got, wanted in (
        (found.intensity_mean, voxels.mean()),
        (found.intensity_sd, voxels.std(ddof=1)),
        (found.foreground_mean, inside.mean()),
        (found.spacing_mm, spacing.mean(axis=0)),
        (found.spacing_sd_mm, spacing.std(axis=0, ddof=1)),
        (found.shape, shapes.mean(axis=0)),
    ):
        np.testing.assert_allclose(np.asarray(got, float), np.asarray(wanted, float), rtol=1e-9, atol=1e-9)


def test_few_images_do_not_leave_a_site() -> None:
    sums = FingerprintSums.merge(FingerprintSums.of(*_image(seed)) for seed in range(4))
    assert sums.require(4) is sums
    with pytest.raises(TooFewImages):
        sums.require(5)


def test_the_planned_input_covers_nearly_all_slices_and_fits_the_network() -> None:
    image, mask = np.zeros((20, 50, 35)), np.zeros((20, 50, 35), bool)
    other = np.zeros((20, 54, 37))
    sums = FingerprintSums.of(image, mask, (1.0, 1.0, 1.0)) + FingerprintSums.of(
        other, other > 0, (1.0, 1.0, 1.0)
    )
    assert sums.fingerprint().planned_size() == (64, 48)
    assert sums.fingerprint().to_dict()["foreground_mean"] is None
    one = FingerprintSums.of(image, mask, (1.0, 1.0, 1.0)).fingerprint()
    assert one.planned_size() == (64, 48)


def _made_of(shape: tuple[int, int, int], spacing_mm: tuple[float, float, float]) -> Fingerprint:
    voxels = np.random.default_rng(1).normal(size=shape)
    return FingerprintSums.of(voxels, voxels > 0, spacing_mm).fingerprint()


@pytest.mark.parametrize(
    ("shape", "spacing", "size", "strides"),
    [
        ((36, 50, 35), (1.0, 1.0, 1.0), (40, 56, 40), ((2, 2, 2), (2, 2, 2), (2, 2, 2))),
        ((20, 64, 64), (5.0, 1.0, 1.0), (20, 64, 64), ((1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2))),
        ((3, 16, 16), (1.0, 1.0, 1.0), (3, 16, 16), ((1, 2, 2), (1, 2, 2))),
        ((2, 5, 5), (1.0, 1.0, 1.0), (2, 6, 6), ((1, 1, 2), (1, 2, 1))),
    ],
)
def test_a_configuration_is_planned_from_shape_and_spacing(
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    size: tuple[int, int, int],
    strides: tuple[tuple[int, int, int], ...],
) -> None:
    planned = _made_of(shape, spacing).planned_configuration()
    assert (planned.size, planned.strides) == (size, strides)


@pytest.mark.parametrize("shape", [(300, 40, 40), (64, 256, 256), (7, 33, 190), (2, 5, 5)])
def test_every_planned_configuration_is_a_plan_a_site_can_run(shape: tuple[int, int, int]) -> None:
    planned = _made_of(shape, (2.0, 0.7, 0.7)).planned_configuration()
    assert math.prod(planned.size) <= MAXIMUM_VOXELS
    document = {
        "kind": "training",
        "name": "p",
        "modality": "CT",
        "labels": [{"value": "1", "scheme": "99T"}],
    }
    plan = TrainingPlan.from_dict(document | planned.to_dict())
    check_plan(plan)
    assert TrainingPlan.from_dict(plan.to_dict()) == plan

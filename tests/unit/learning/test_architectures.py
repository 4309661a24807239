"""Tables of tensors, plans a site can run, and initial weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from racoon.domain.coding import Code
from racoon.domain.plan import TrainingPlan
from racoon.learning.architectures import (
    ARCHITECTURES,
    BadPlan,
    UnknownArchitecture,
    check_plan,
    initial_weights,
    normalisation_tensors,
    tensor_shapes,
)

PLAN = TrainingPlan(name="p", modality="MR", labels=(Code("1", "99T"), Code("2", "99T")), size=(48, 64))


@pytest.mark.learning
@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
@pytest.mark.parametrize("labels", [1, 2, 5])
def test_table_has_exactly_the_tensors_of_the_network(name: str, labels: int) -> None:
    pytest.importorskip("torch")
    if name not in ("unet2d-small", "unet3d-small"):
        pytest.importorskip("monai")
    from racoon.learning.networks import build_network

    plan = replace(PLAN, architecture=name, labels=tuple(Code(str(i), "99T") for i in range(labels)))
    state = dict(build_network(plan).named_parameters())
    assert {key: tuple(value.shape) for key, value in state.items()} == tensor_shapes(plan)
    kept = normalisation_tensors(plan)
    assert kept
    assert all(len(tensor_shapes(plan)[key]) == 1 for key in kept)


@pytest.mark.learning
def test_a_plan_chooses_the_halvings_of_a_dynunet() -> None:
    pytest.importorskip("monai")
    from racoon.learning.networks import build_network

    strides = ((1, 2, 2), (2, 2, 2), (1, 2, 2))
    plan = replace(PLAN, architecture="dynunet3d", size=(4, 16, 16), strides=strides)
    check_plan(plan)
    state = dict(build_network(plan).named_parameters())
    shapes = tensor_shapes(plan)
    assert {key: tuple(value.shape) for key, value in state.items()} == shapes
    assert shapes["input_block.conv1.conv.weight"][2:] == (1, 3, 3)
    assert shapes["bottleneck.conv1.conv.weight"][2:] == (3, 3, 3)
    for change in (
        {"strides": ((1, 1, 1), (2, 2, 2))},
        {"strides": ((3, 1, 1), (2, 2, 2))},
        {"size": (4, 20, 16)},
    ):
        with pytest.raises(BadPlan):
            check_plan(replace(plan, **change))
    with pytest.raises(BadPlan):
        check_plan(replace(PLAN, strides=strides))


def test_initial_weights_repeat_and_depend_on_the_seed() -> None:
    first, again, other = (initial_weights(replace(PLAN, seed=seed)) for seed in (1, 1, 2))
    assert all(first[name].tobytes() == again[name].tobytes() for name in first)
    assert not np.array_equal(first["head.weight"], other["head.weight"])
    assert {name: value.shape for name, value in first.items()} == tensor_shapes(PLAN)
    assert all(value.dtype == np.float32 for value in first.values())


def test_initial_weights_keep_the_variance_of_their_input() -> None:
    weights = initial_weights(PLAN)["encoder.3.conv2.weight"]
    assert weights.std() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)


@pytest.mark.parametrize(
    "change",
    [
        {"labels": ()},
        {"rounds": 0},
        {"rounds": 1000, "local_steps": 1000},
        {"batch_size": 0},
        {"learning_rate": 0.0},
        {"size": (50, 64)},
        {"size": (4096, 4096)},
        {"window_hu": (100.0, -100.0)},
        {"min_sites": 0},
    ],
)
def test_plan_out_of_range_is_refused(change) -> None:
    check_plan(PLAN)
    with pytest.raises(BadPlan):
        check_plan(replace(PLAN, **change))


def test_architecture_that_is_not_installed_is_refused() -> None:
    with pytest.raises(UnknownArchitecture):
        check_plan(replace(PLAN, architecture="os.system"))

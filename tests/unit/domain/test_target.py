"""Targets of plans that judge whole images: what they take, and what they refuse."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racoon.domain.coding import Code
from racoon.domain.plan import BadTarget, Target, TrainingPlan
from racoon.domain.plan.target import balanced_weights

LABELS = (Code("1", "99T", "A"), Code("2", "99T", "B"))
WORDS = Target("answer", "grade", words=("low", "high"))
EDGES = Target("measured", "volume@1 SCT:1", "mL", edges=(3.5,))
NUMBER = Target("table", "age", "a", (20.0, 90.0))


def plan_of(
    target: Target | None, task: str = "classification", labels: tuple[Code, ...] = LABELS
) -> TrainingPlan:
    return TrainingPlan("x", "MR", labels, architecture="encoder3d-small", task=task, target=target)


def test_a_plan_comes_back_from_its_json_form() -> None:
    for plan in (
        plan_of(replace(WORDS, weights=(1.0, 2.5))),
        plan_of(EDGES),
        plan_of(NUMBER, "regression", LABELS[:1]),
        replace(plan_of(NUMBER, "regression", LABELS[:1]), loss="huber"),
    ):
        assert TrainingPlan.from_dict(plan.to_dict()) == plan
        assert TrainingPlan.from_dict(plan.to_dict()).hash == plan.hash


def test_segmentation_plans_keep_their_form() -> None:
    plan = TrainingPlan("x", "MR", LABELS)
    assert plan.to_dict()["task"] == "segmentation"
    assert not {"target", "loss"} & set(plan.to_dict())
    assert plan.loss == "dice_ce"


def test_values_become_classes() -> None:
    assert [WORDS.encode(word) for word in ("low", " high")] == [0.0, 1.0]
    assert [EDGES.encode(value, "mL") for value in (3.4, "3.5", 9)] == [0.0, 1.0, 1.0]
    for target, value, unit in (
        (WORDS, "middle", ""),
        (EDGES, "much", "mL"),
        (EDGES, 3.0, "mm3"),
        (EDGES, "nan", "mL"),
        (NUMBER, 19.9, "a"),
    ):
        with pytest.raises(BadTarget):
            target.encode(value, unit)


@given(st.floats(20.0, 90.0))
def test_a_number_comes_back(value: float) -> None:
    scaled = NUMBER.encode(value)
    assert -1.0 <= scaled <= 1.0
    assert NUMBER.decode(scaled) == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize(
    ("target", "task", "labels"),
    [
        (None, "classification", LABELS),
        (WORDS, "segmentation", LABELS),
        (WORDS, "regression", LABELS[:1]),
        (WORDS, "classification", LABELS[:1]),
        (Target("table", "x"), "classification", LABELS),
        (replace(WORDS, edges=(1.0,)), "classification", LABELS),
        (replace(WORDS, words=("low", "low")), "classification", LABELS),
        (replace(EDGES, edges=(1.0, 2.0)), "classification", LABELS),
        (replace(WORDS, weights=(1.0,)), "classification", LABELS),
        (replace(WORDS, weights=(1.0, 0.0)), "classification", LABELS),
        (replace(NUMBER, limits=(2.0, 1.0)), "regression", LABELS[:1]),
        (NUMBER, "regression", LABELS),
        (NUMBER, "detection", LABELS[:1]),
    ],
)
def test_targets_that_contradict_their_task_are_refused(target, task, labels) -> None:
    with pytest.raises(ValueError, match=r"."):
        plan_of(target, task, labels)


def test_tiles_masks_steps_and_foreign_losses_make_no_sense_for_whole_images() -> None:
    for change in ({"larger": "tile"}, {"postprocessing": ("largest_component",)}, {"loss": "dice_ce"}):
        with pytest.raises(ValueError, match=r"."):
            replace(plan_of(WORDS), **change)
    with pytest.raises(ValueError, match="source"):
        Target("guess", "x")


def test_balanced_weights_make_classes_count_alike() -> None:
    counts = (90, 10)
    weights = balanced_weights(counts)
    assert weights[0] * 90 == pytest.approx(weights[1] * 10)
    assert sum(w * n for w, n in zip(weights, counts, strict=True)) == pytest.approx(100)
    with pytest.raises(BadTarget):
        balanced_weights((3, 0))

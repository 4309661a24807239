"""Training rounds: stateless, repeatable, and they learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason='needs the extra: pip install "racoon[learning]"')

from racoon.domain.coding import Code
from racoon.domain.plan import TrainingPlan
from racoon.learning.aggregation import ExactMean
from racoon.learning.architectures import initial_weights, tensor_shapes
from racoon.learning.cases import BadCase, Case, prepare_case
from racoon.learning.training import Trainer, evaluate, train_local
from racoon.learning.weights import BadWeights

pytestmark = pytest.mark.learning

PLAN = TrainingPlan(
    name="p",
    modality="CT",
    labels=(Code("1", "99T"),),
    size=(32, 32),
    rounds=3,
    local_steps=8,
    batch_size=4,
    learning_rate=5e-3,
)


def _cases(seed: int, count: int = 4) -> list[Case]:
    generator = np.random.default_rng(seed)
    cases = []
    for index in range(count):
        mask = np.zeros((6, 32, 32), bool)
        row, column = generator.integers(4, 18, 2)
        mask[1:5, row : row + 9, column : column + 9] = True
        voxels = generator.normal(-700, 60, mask.shape) + 500 * mask
        cases.append(prepare_case(PLAN, f"{seed}.{index}", voxels, [mask]))
    return cases


def test_a_round_is_repeatable_and_has_no_memory() -> None:
    start = initial_weights(PLAN)
    trainer = Trainer(PLAN, _cases(1))
    first, facts = trainer.train_round(start, 0)
    trainer.train_round(first, 1)
    again, _ = trainer.train_round(start, 0)
    assert all(first[name].tobytes() == again[name].tobytes() for name in first)
    assert (facts.steps, facts.cases, facts.round_index) == (8, 4, 0)


def test_local_training_learns_resumes_exactly_and_equals_a_federation_of_one() -> None:
    cases, start, kept = _cases(1), initial_weights(PLAN), {}
    final = train_local(PLAN, cases, start, on_round=lambda w, facts: kept.update({facts.round_index: w}))
    resumed = train_local(PLAN, cases, kept[1], first_round=2)
    assert all(final[name].tobytes() == resumed[name].tobytes() for name in final)

    weights, trainer = start, Trainer(PLAN, cases)
    for round_index in range(PLAN.rounds):
        mean = ExactMean(tensor_shapes(PLAN))
        trained, facts = trainer.train_round(weights, round_index)
        mean.add("ALPHA", trained, facts.cases)
        weights = mean.mean()
    assert all(final[name].tobytes() == weights[name].tobytes() for name in final)

    unseen = _cases(9)
    assert evaluate(PLAN, final, unseen).mean > 0.5 > evaluate(PLAN, start, unseen).mean


def test_weights_that_do_not_fit_are_refused() -> None:
    trainer = Trainer(PLAN, _cases(1))
    other = initial_weights(replace(PLAN, labels=(Code("1", "99T"), Code("2", "99T"))))
    with pytest.raises(BadWeights):
        trainer.train_round(other, 0)
    with pytest.raises(BadWeights):
        evaluate(PLAN, other, _cases(1))


def test_training_on_nothing_is_a_defect() -> None:
    with pytest.raises(BadCase):
        Trainer(PLAN, [])

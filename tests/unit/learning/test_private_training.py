"""Differentially private rounds: what a case can change, what it costs, and that the site's budget holds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("opacus", reason='needs the extra: pip install "racoon[learning]"')

import torch

from racoon.domain.plan import TrainingPlan
from racoon.domain.training import Privacy, Strategy
from racoon.learning.architectures import ARCHITECTURES, initial_weights
from racoon.learning.losses import segmentation_loss
from racoon.learning.private_training import NotPrivate, PrivateTrainer, spent_epsilon
from racoon.learning.spending import BudgetSpent, Charge, Purse, append_charge, load_charges
from racoon.learning.weights import update_norm
from tests.unit.learning.making import PLAN, make_cases

pytestmark = pytest.mark.learning

PRIVATE = replace(PLAN, batch_size=2, local_steps=3, privacy=Privacy(noise=1.0, clip=0.5, epsilon=50.0))
CASES = make_cases(1, 4)


def test_a_plan_says_it_all_and_older_plans_keep_their_hash() -> None:
    assert TrainingPlan.from_dict(PRIVATE.to_dict()) == PRIVATE
    assert "privacy" not in PLAN.to_dict()
    for wrong in ({"noise": 0.0}, {"clip": -1.0}, {"epsilon": 0.0}, {"delta": 0.5}):
        with pytest.raises(ValueError, match=r"private training|epsilon"):
            Privacy(**{"noise": 1.0, "clip": 1.0, "epsilon": 1.0, **wrong})
    with pytest.raises(ValueError, match="fedprox"):
        replace(PRIVATE, strategy=Strategy("fedprox", proximal=0.1))


def test_epsilon_agrees_with_the_gaussian_mechanism_in_closed_form() -> None:
    """Without sampling, k steps are one Gaussian mechanism of noise σ/√k: ε = min over α of its Rényi bound."""
    charges = [Charge("r", 0, 4.0, 1.0, 10)]
    delta = 1e-5
    orders = np.concatenate([1 + np.arange(1, 100) / 10, np.arange(12, 64)])
    renyi = 10 * orders / (2 * 4.0**2)
    # Conversion of Balle et al. (AISTATS 2020), theorem 21.
    wanted = min(renyi + np.log((orders - 1) / orders) - (np.log(delta) + np.log(orders)) / (orders - 1))
    assert spent_epsilon(charges, delta) == pytest.approx(wanted, rel=1e-9)
    assert spent_epsilon([], delta) == 0.0
    halves = [Charge("r", 0, 4.0, 1.0, 5), Charge("other", 1, 4.0, 1.0, 5)]
    assert spent_epsilon(halves, delta) == pytest.approx(wanted, rel=1e-9)


def test_a_round_is_charged_before_it_begins_and_keeps_its_loss(tmp_path: Path) -> None:
    purse = Purse(tmp_path / "ledger.jsonl")
    trainer = PrivateTrainer(PRIVATE, CASES, purse, "run")
    start = initial_weights(PRIVATE)
    first, facts = trainer.train_round(start, 0)
    again, later = trainer.train_round(start, 0)
    # Noise is the site's secret, not the plan's: the round cannot be computed by who knows the seed.
    assert update_norm(first, again) > 0
    assert facts.loss is None
    assert "loss" not in facts.to_dict()
    charges = load_charges(purse.ledger)
    assert charges == [Charge("run", 0, 1.0, 0.5, 3)] * 2
    assert facts.epsilon == pytest.approx(spent_epsilon(charges[:1], 1e-5))
    assert later.epsilon == pytest.approx(spent_epsilon(charges, 1e-5))
    assert later.epsilon > facts.epsilon


def test_plan_and_site_limits_hold_over_rounds_runs_and_restarts(tmp_path: Path) -> None:
    one = spent_epsilon([Charge("run", 0, 1.0, 0.5, 3)], 1e-5)
    two = spent_epsilon([Charge("run", 0, 1.0, 0.5, 3)] * 2, 1e-5)
    start = initial_weights(PRIVATE)
    own = replace(PRIVATE, privacy=Privacy(1.0, 0.5, epsilon=(one + two) / 2))
    PrivateTrainer(own, CASES, Purse(tmp_path / "a"), "run").train_round(start, 0)
    with pytest.raises(BudgetSpent, match="plan allows"):
        PrivateTrainer(own, CASES, Purse(tmp_path / "a"), "run").train_round(start, 1)
    assert len(load_charges(tmp_path / "a")) == 1
    PrivateTrainer(own, CASES, Purse(tmp_path / "a"), "another").train_round(start, 0)

    purse = Purse(tmp_path / "b", (one + two) / 2)
    with pytest.raises(BudgetSpent, match="grants the study"):
        PrivateTrainer(PRIVATE, CASES, purse, "run").require_affordable(PRIVATE.rounds)
    PrivateTrainer(PRIVATE, CASES, purse, "run").train_round(start, 0)
    with pytest.raises(BudgetSpent, match="grants the study"):
        PrivateTrainer(PRIVATE, CASES, purse, "another run").train_round(start, 0)


def test_a_torn_ledger_stops_everything(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    append_charge(ledger, Charge("run", 0, 1.0, 0.5, 3))
    ledger.write_text(ledger.read_text() + json.dumps({"run": "x"})[:5])
    with pytest.raises(BudgetSpent, match="backup"):
        PrivateTrainer(PRIVATE, CASES, Purse(ledger), "run").train_round(initial_weights(PRIVATE), 0)


@pytest.mark.parametrize("architecture", ["unet2d-small", "unet3d-small"])
def test_each_case_alone_is_clipped_and_the_gradient_is_the_sum(tmp_path: Path, architecture: str) -> None:
    """Opacus's gradient of each case is torch's own of that case alone: nothing couples cases inside a network."""
    size = (8, 16, 16) if ARCHITECTURES[architecture].dimensions == 3 else PLAN.size
    plan = replace(PRIVATE, architecture=architecture, size=size)
    torch.manual_seed(3)
    trainer = PrivateTrainer(plan, CASES, Purse(tmp_path / "ledger"), "run")
    # In double precision: else rounding, which differs in a batch, chooses other voxels where two are nearly equal.
    trainer._network.double()
    generator = np.random.default_rng(3)
    samples = [trainer._samplers[number](generator) for number in range(3)]
    images = torch.from_numpy(np.stack([image for image, _ in samples])).double()
    classes = torch.from_numpy(np.stack([wanted for _, wanted in samples]).astype(np.int64))
    scores = trainer._wrapped(images.requires_grad_())
    torch.stack(
        [segmentation_loss(scores[i : i + 1], classes[i : i + 1]) for i in range(3)]
    ).mean().backward()
    found = [value.grad_sample.clone() for value in trainer._network.parameters()]
    trainer._wrapped.disable_hooks()
    for i in range(3):
        trainer._network.zero_grad(set_to_none=True)
        segmentation_loss(trainer._network(images[i : i + 1]), classes[i : i + 1]).backward()
        for sample, value in zip(found, trainer._network.parameters(), strict=True):
            torch.testing.assert_close(sample[i], value.grad, rtol=1e-3, atol=1e-5)


def test_a_site_with_too_few_cases_or_no_privacy_part_is_refused(tmp_path: Path) -> None:
    for plan, cases in ((replace(PRIVATE, batch_size=5), CASES), (replace(PRIVATE, privacy=None), CASES)):
        with pytest.raises(NotPrivate):
            PrivateTrainer(plan, cases, Purse(tmp_path / "ledger"), "run")
    assert not (tmp_path / "ledger").exists()

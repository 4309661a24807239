"""The training loop: the same rounds for local, pooled and federated mode.

A round starts from weights and ends with weights, with a fresh optimiser in between; it keeps no state.  So a
round that a killed process lost is simply done again with the same result, a federation of one site equals
local training, and the three modes have the same number of steps by construction.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from racoon.domain.plan import TrainingPlan
from racoon.learning.aggregation import ExactMean
from racoon.learning.architectures import check_plan, tensor_shapes
from racoon.learning.cases import Case
from racoon.learning.losses import task_loss
from racoon.learning.networks import build_network, load_into, weights_of
from racoon.learning.readings import ReadingScore, score_cases
from racoon.learning.runtimes.torch_runtime import open_torch
from racoon.learning.sampling import make_sampler
from racoon.learning.scores import Score, dice_per_label
from racoon.learning.strategies import rate_at
from racoon.learning.weights import Weights, check_weights, limit_update
from racoon.learning.windows import segment_case

GRADIENT_NORM = 5.0
"""Longer gradients are clipped: one odd slice must not throw a small network away."""


@dataclass(frozen=True)
class RoundFacts:
    """What one round of training at one site did.

    Parameters
    ----------
    round_index
        Counted from 0.
    loss
        Mean training loss over the round's steps; ``None`` of a private training, whose loss stays here.
    steps, cases
        Optimiser steps done; training cases at the site.
    seconds
        Wall clock.
    epsilon
        Privacy this run has cost the site so far; ``None`` without a privacy part.
    """

    round_index: int
    loss: float | None
    steps: int
    cases: int
    seconds: float
    epsilon: float | None = None

    def to_dict(self) -> dict[str, float | int]:
        """Return the JSON form; what is not known is left out."""
        facts = {
            "round": self.round_index,
            "loss": self.loss,
            "steps": self.steps,
            "cases": self.cases,
            "seconds": self.seconds,
            "epsilon": self.epsilon,
        }
        return {name: value for name, value in facts.items() if value is not None}


class Trainer:
    """Trains a plan's network on one site's cases, round by round.

    Parameters
    ----------
    plan
        What to train.
    cases
        Prepared cases of this site.
    """

    def __init__(self, plan: TrainingPlan, cases: Sequence[Case]) -> None:
        check_plan(plan)
        torch.use_deterministic_algorithms(True)
        torch.set_num_threads(1)
        self._plan = plan
        self._cases = cases
        self._sampler = make_sampler(plan, cases)
        self._network = build_network(plan)
        self._names = [name for name, _ in self._network.named_parameters()]
        self._shapes = tensor_shapes(plan)

    def train_round(
        self, weights: Weights, round_index: int, correction: Weights | None = None
    ) -> tuple[Weights, RoundFacts]:
        """Do one round's steps from the given weights.

        Parameters
        ----------
        weights
            To begin with.
        round_index
            Counted from 0.
        correction
            Added to every gradient: what ``scaffold`` knows of the other sites' direction.

        Raises
        ------
        BadWeights
            If the weights do not fit the plan's network, before or after.
        """
        started = time.monotonic()
        check_weights(weights, self._shapes)
        load_into(self._network, weights)
        self._network.train()
        proximal = self._plan.strategy.proximal
        received = [value.detach().clone() for value in self._network.parameters()] if proximal else []
        optimiser = self._optimiser()
        added = [torch.from_numpy(correction[name]) for name in self._names] if correction else []
        losses = []
        for step, (images, classes) in enumerate(self._sampler.batches(round_index)):
            rate = rate_at(self._plan, round_index * self._plan.local_steps + step)
            for group in optimiser.param_groups:
                group["lr"] = rate
            scores = self._network(torch.from_numpy(images))
            loss = task_loss(self._plan, scores, torch.from_numpy(classes))
            if proximal:
                loss = loss + 0.5 * proximal * self._distance(received)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self._network.parameters(), GRADIENT_NORM)
            for value, extra in zip(self._network.parameters(), added, strict=bool(added)):
                value.grad += extra
            optimiser.step()
            losses.append(float(loss.detach()))
        trained = limit_update(weights, weights_of(self._network), self._plan.update_norm)
        check_weights(trained, self._shapes)
        facts = RoundFacts(
            round_index, float(np.mean(losses)), len(losses), len(self._cases), time.monotonic() - started
        )
        return trained, facts

    def require_affordable(self, rounds: int) -> None:
        """Refuse what would cost more privacy than there is; without a privacy part nothing is counted.

        Parameters
        ----------
        rounds
            How many more.
        """

    def _distance(self, received: Sequence[torch.Tensor]) -> torch.Tensor:
        """Squared distance from the weights the round began with."""
        pairs = zip(self._network.parameters(), received, strict=True)
        return torch.stack([(value - start).square().sum() for value, start in pairs]).sum()

    def _optimiser(self) -> torch.optim.Optimizer:
        # Control variates are differences of gradients: an optimiser that rescales them would undo the correction.
        if self._plan.strategy.name == "scaffold":
            return torch.optim.SGD(self._network.parameters(), lr=self._plan.learning_rate)
        return torch.optim.AdamW(self._network.parameters(), lr=self._plan.learning_rate, weight_decay=1e-4)


def train_local(
    plan: TrainingPlan,
    cases: Sequence[Case],
    weights: Weights,
    *,
    first_round: int = 0,
    on_round: Callable[[Weights, RoundFacts], None] | None = None,
    trainer: Trainer | None = None,
) -> Weights:
    """Train on one site's cases alone: the plan's rounds one after the other, nothing averaged.

    Parameters
    ----------
    plan, cases
        What and on what.
    weights
        Initial weights, or the weights after round ``first_round - 1`` when resuming.
    first_round
        Round to begin with.
    on_round
        Called after each round; what it stores is enough to resume.
    trainer
        Made from plan and cases when not given.

    Returns
    -------
    dict
        Final weights.
    """
    trainer = trainer or Trainer(plan, cases)
    for round_index in range(first_round, plan.rounds):
        trained, facts = trainer.train_round(weights, round_index)
        # The mean of one site rounds to its fixed-point grid; doing so here makes local training and a
        # federation of
        # one the same bits, and gives all modes the same arithmetic.
        mean = ExactMean(tensor_shapes(plan))
        mean.add("local", trained, facts.cases)
        weights = mean.mean()
        if on_round:
            on_round(weights, facts)
    return weights


def evaluate(plan: TrainingPlan, weights: Weights, cases: Sequence[Case]) -> Score | ReadingScore:
    """Score a model on prepared cases it never trained on: one Dice per label over each whole volume, or readings."""
    return evaluate_ensemble(plan, [weights], cases)


def evaluate_ensemble(
    plan: TrainingPlan, models: Sequence[Weights], cases: Sequence[Case]
) -> Score | ReadingScore:
    """Score the mean of what several models say, such as each site's own."""
    check_plan(plan)
    networks = [open_torch(plan, weights) for weights in models]
    if plan.target is not None:
        return score_cases(plan, networks, cases)
    labels = len(plan.labels)
    return Score({c.name: dice_per_label(segment_case(networks, c, plan), c.classes, labels) for c in cases})

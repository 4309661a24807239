"""The training loop: the same rounds for local, pooled and federated mode.

A round starts from weights and ends with weights, with a fresh optimiser in between; it keeps no state.  So a
round that a killed process lost is simply done again with the same result, a federation of one site equals
local training, and the three modes have the same number of steps by construction.
"""

from __future__ import annotations

import math
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
from racoon.learning.networks import build_network, load_into, weights_of
from racoon.learning.sampling import SliceSampler, slab
from racoon.learning.scores import Score, dice_per_label
from racoon.learning.weights import Weights, check_weights

FINAL_RATE = 0.05
"""Share of the initial learning rate left in the last step of the cosine schedule."""

GRADIENT_NORM = 5.0
"""Longer gradients are clipped: one odd slice must not throw a small network away."""

SLICES_AT_ONCE = 8
"""Slices per forward pass in evaluation; bounds memory."""


@dataclass(frozen=True)
class RoundFacts:
    """What one round of training at one site did.

    Parameters
    ----------
    round_index
        Counted from 0.
    loss
        Mean training loss over the round's steps.
    steps, cases
        Optimiser steps done; training cases at the site.
    seconds
        Wall clock.
    """

    round_index: int
    loss: float
    steps: int
    cases: int
    seconds: float

    def to_dict(self) -> dict[str, float | int]:
        """Return the JSON form."""
        return {
            "round": self.round_index,
            "loss": self.loss,
            "steps": self.steps,
            "cases": self.cases,
            "seconds": self.seconds,
        }


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
        self._sampler = SliceSampler(plan, cases)
        self._network = build_network(plan)
        self._shapes = tensor_shapes(plan)

    def train_round(self, weights: Weights, round_index: int) -> tuple[Weights, RoundFacts]:
        """Do one round's steps from the given weights.

        Raises
        ------
        BadWeights
            If the weights do not fit the plan's network, before or after.
        """
        started = time.monotonic()
        check_weights(weights, self._shapes)
        load_into(self._network, weights)
        self._network.train()
        optimiser = torch.optim.AdamW(
            self._network.parameters(), lr=self._plan.learning_rate, weight_decay=1e-4
        )
        losses = []
        for step, (images, classes) in enumerate(self._sampler.batches(round_index)):
            rate = self._rate(round_index * self._plan.local_steps + step)
            for group in optimiser.param_groups:
                group["lr"] = rate
            scores = self._network(torch.from_numpy(images))
            loss = segmentation_loss(scores, torch.from_numpy(classes))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self._network.parameters(), GRADIENT_NORM)
            optimiser.step()
            losses.append(float(loss.detach()))
        trained = weights_of(self._network)
        check_weights(trained, self._shapes)
        facts = RoundFacts(
            round_index, float(np.mean(losses)), len(losses), len(self._cases), time.monotonic() - started
        )
        return trained, facts

    def _rate(self, step: int) -> float:
        total = max(1, self._plan.rounds * self._plan.local_steps)
        share = 0.5 * (1.0 + math.cos(math.pi * step / total))
        return self._plan.learning_rate * (FINAL_RATE + (1.0 - FINAL_RATE) * share)


def segmentation_loss(scores: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Cross entropy plus soft Dice over the batch, background left out of the Dice part
    (doi:10.1109/3DV.2016.79).

    Parameters
    ----------
    scores
        ``(sample, class, row, column)`` before softmax.
    classes
        ``(sample, row, column)``.
    """
    entropy = nn.functional.cross_entropy(scores, classes)
    shares = scores.softmax(dim=1)[:, 1:]
    wanted = nn.functional.one_hot(classes, scores.shape[1]).permute(0, 3, 1, 2)[:, 1:].to(shares.dtype)
    overlap = (shares * wanted).sum(dim=(0, 2, 3))
    size = (shares + wanted).sum(dim=(0, 2, 3))
    dice = (2.0 * overlap + 1.0) / (size + 1.0)
    return entropy + 1.0 - dice.mean()


def train_local(
    plan: TrainingPlan,
    cases: Sequence[Case],
    weights: Weights,
    *,
    first_round: int = 0,
    on_round: Callable[[Weights, RoundFacts], None] | None = None,
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

    Returns
    -------
    dict
        Final weights.
    """
    trainer = Trainer(plan, cases)
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


def segment(network: nn.Module, case: Case) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return the most probable class of every voxel of a prepared case, ``(slice, row, column)``."""
    parts = []
    with torch.inference_mode():
        for start in range(0, len(case.image), SLICES_AT_ONCE):
            indices = range(start, min(start + SLICES_AT_ONCE, len(case.image)))
            images = torch.from_numpy(np.stack([slab(case, index) for index in indices]))
            scores = network(images)
            parts.append(scores.argmax(dim=1).to(torch.uint8).numpy())
    return np.concatenate(parts)


def evaluate(plan: TrainingPlan, weights: Weights, cases: Sequence[Case]) -> Score:
    """Score a model on prepared cases it never trained on: one Dice per label over each whole volume."""
    check_plan(plan)
    check_weights(weights, tensor_shapes(plan))
    torch.set_num_threads(1)
    network = build_network(plan)
    load_into(network, weights)
    network.eval()
    labels = len(plan.labels)
    return Score({c.name: dice_per_label(segment(network, c), c.classes, labels) for c in cases})

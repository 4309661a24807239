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
from racoon.learning.weights import BadWeights, Weights, check_weights, limit_update

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
        proximal = self._plan.strategy.proximal
        received = [value.detach().clone() for value in self._network.parameters()] if proximal else []
        optimiser = torch.optim.AdamW(
            self._network.parameters(), lr=self._plan.learning_rate, weight_decay=1e-4
        )
        losses = []
        for step, (images, classes) in enumerate(self._sampler.batches(round_index)):
            rate = self._rate(round_index * self._plan.local_steps + step)
            for group in optimiser.param_groups:
                group["lr"] = rate
            scores = self._network(torch.from_numpy(images))
            loss = segmentation_loss(scores, torch.from_numpy(classes), self._plan.loss)
            if proximal:
                loss = loss + 0.5 * proximal * self._distance(received)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self._network.parameters(), GRADIENT_NORM)
            optimiser.step()
            losses.append(float(loss.detach()))
        trained = limit_update(weights, weights_of(self._network), self._plan.update_norm)
        check_weights(trained, self._shapes)
        facts = RoundFacts(
            round_index, float(np.mean(losses)), len(losses), len(self._cases), time.monotonic() - started
        )
        return trained, facts

    def _distance(self, received: Sequence[torch.Tensor]) -> torch.Tensor:
        """Squared distance from the weights the round began with."""
        pairs = zip(self._network.parameters(), received, strict=True)
        return torch.stack([(value - start).square().sum() for value, start in pairs]).sum()

    def _rate(self, step: int) -> float:
        total = max(1, self._plan.rounds * self._plan.local_steps)
        share = 0.5 * (1.0 + math.cos(math.pi * step / total))
        return self._plan.learning_rate * (FINAL_RATE + (1.0 - FINAL_RATE) * share)


def segmentation_loss(scores: torch.Tensor, classes: torch.Tensor, name: str = "dice_ce") -> torch.Tensor:
    """Cross entropy plus, with ``dice_ce``, soft Dice over the batch; background is left out of the Dice part
    (doi:10.1109/3DV.2016.79).

    Parameters
    ----------
    scores
        ``(sample, class, row, column)`` before softmax.
    classes
        ``(sample, row, column)``.
    name
        ``dice_ce`` or ``ce``.
    """
    entropy = nn.functional.cross_entropy(scores, classes)
    if name == "ce":
        return entropy
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


def segment(
    network: nn.Module, case: Case, size: tuple[int, int]
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return the most probable class of every voxel of a prepared case, ``(slice, row, column)``."""
    return segment_with([network], case, size)


def segment_with(
    networks: Sequence[nn.Module], case: Case, size: tuple[int, int]
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return the class with the highest mean probability over some networks, an ensemble of equals."""
    parts = []
    with torch.inference_mode():
        for start in range(0, len(case.image), SLICES_AT_ONCE):
            indices = range(start, min(start + SLICES_AT_ONCE, len(case.image)))
            images = torch.from_numpy(np.stack([slab(case, index) for index in indices]))
            shares = torch.stack([class_shares(network, images, size) for network in networks]).mean(dim=0)
            parts.append(shares.argmax(dim=1).to(torch.uint8).numpy())
    return np.concatenate(parts)


def class_shares(network: nn.Module, images: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Return class probabilities of slices that may be larger than the network's input.

    Parameters
    ----------
    network
        In evaluation mode.
    images
        ``(sample, INPUT_SLICES, row, column)``, at least as large as ``size``.
    size
        Rows and columns the network was trained on; larger slices are covered by windows of this size that
        overlap by half, weighted by a Gaussian that trusts the middle of a window most.
    """
    rows, columns = images.shape[2:]
    if (rows, columns) == tuple(size):
        whole: torch.Tensor = network(images).softmax(dim=1)
        return whole
    weight = torch.outer(_bell(size[0]), _bell(size[1]))
    total, weights = None, torch.zeros(rows, columns)
    for top in _window_starts(rows, size[0]):
        for left in _window_starts(columns, size[1]):
            place = (..., slice(top, top + size[0]), slice(left, left + size[1]))
            shares = network(images[place].contiguous()).softmax(dim=1)
            if total is None:
                total = torch.zeros(len(images), shares.shape[1], rows, columns)
            total[place] += shares * weight
            weights[place] += weight
    if total is None:
        raise BadWeights("There is no image to segment.")
    return total / weights


def _window_starts(side: int, window: int) -> list[int]:
    count = max(1, math.ceil((side - window) / (window // 2)) + 1) if side > window else 1
    return [round(index * (side - window) / max(count - 1, 1)) for index in range(count)]


def _bell(side: int) -> torch.Tensor:
    places = (torch.arange(side) - (side - 1) / 2) / (side / 4)
    return torch.exp(-0.5 * places.square())


def evaluate(plan: TrainingPlan, weights: Weights, cases: Sequence[Case]) -> Score:
    """Score a model on prepared cases it never trained on: one Dice per label over each whole volume."""
    return evaluate_ensemble(plan, [weights], cases)


def evaluate_ensemble(plan: TrainingPlan, models: Sequence[Weights], cases: Sequence[Case]) -> Score:
    """Score the mean of the class probabilities of several models, such as each site's own."""
    check_plan(plan)
    torch.set_num_threads(1)
    networks = [ready_network(plan, weights) for weights in models]
    labels = len(plan.labels)
    return Score(
        {c.name: dice_per_label(segment_with(networks, c, plan.size), c.classes, labels) for c in cases}
    )


def ready_network(plan: TrainingPlan, weights: Weights) -> nn.Module:
    """Build a plan's network with these weights, in evaluation mode."""
    check_weights(weights, tensor_shapes(plan))
    network = build_network(plan)
    load_into(network, weights)
    network.eval()
    return network

"""What makes FedOpt, FedBN and SCAFFOLD more than a mean: a server optimiser with its state, weights that stay at a
site, and control variates that know the other sites' direction.

All keep their state in files named by round, written before the round counts: a run killed anywhere goes on with the
same numbers.  FedAvg and FedProx need nothing here.  Numpy only.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from racoon.domain.plan import TrainingPlan
from racoon.learning.architectures import normalisation_tensors, tensor_shapes
from racoon.learning.weights import BadWeights, Weights, load_weights, save_weights

ADAM_SECOND = 0.99
ADAM_FLOOR = 1e-3
"""Second-moment decay and adaptivity of the server's Adam, as recommended in doi:10.48550/arXiv.2003.00295."""

KEPT_STATES = 3
"""Newest state files kept: a job that is resumed asks for the last or, should it be torn, the one before."""


FINAL_RATE = 0.05
"""Share of the initial learning rate left in the last step of the cosine schedule."""

CONTROL = "control/"
"""Prefix of the control variates that travel beside the weights."""


def rate_at(plan: TrainingPlan, step: int) -> float:
    """Return the learning rate of a step, counted over all rounds: half a cosine down to :data:`FINAL_RATE`."""
    total = max(1, plan.rounds * plan.local_steps)
    share = 0.5 * (1.0 + math.cos(math.pi * step / total))
    return plan.learning_rate * (FINAL_RATE + (1.0 - FINAL_RATE) * share)


def exchanged_shapes(plan: TrainingPlan) -> dict[str, tuple[int, ...]]:
    """Return tensor name → shape of what sites send: the network's, and with ``scaffold`` its control variates'."""
    shapes = tensor_shapes(plan)
    if plan.strategy.name == "scaffold":
        shapes |= {f"{CONTROL}{name}": shape for name, shape in tensor_shapes(plan).items()}
    return shapes


def split_control(exchanged: Weights) -> tuple[Weights, Weights]:
    """Return weights and control variates of what travelled."""
    control = {name.removeprefix(CONTROL): v for name, v in exchanged.items() if name.startswith(CONTROL)}
    return {name: v for name, v in exchanged.items() if not name.startswith(CONTROL)}, control


class ServerOptimiser:
    """Turns the sites' mean into the next model by a plan's strategy.

    Parameters
    ----------
    plan
        Its strategy; all but ``fedopt`` return the mean itself, ``scaffold`` beside its control variates.
    folder
        Gets ``server-N.safetensors`` after each round.
    """

    def __init__(self, plan: TrainingPlan, folder: Path) -> None:
        self._plan = plan
        self._folder = folder

    def sent_along(self, round_index: int) -> Weights:
        """Return what sites get beside the weights in a round: the server's control variates, or nothing."""
        if self._plan.strategy.name != "scaffold":
            return {}
        if round_index == 0:
            return {
                f"{CONTROL}{name}": np.zeros(shape, np.float32)
                for name, shape in tensor_shapes(self._plan).items()
            }
        return {f"{CONTROL}{name}": value for name, value in self._read(round_index - 1).items()}

    def step(self, round_index: int, previous: Weights, mean: Weights, share: float = 1.0) -> Weights:
        """Return the next model.

        Parameters
        ----------
        round_index
            Counted from 0.
        previous, mean
            The model the round began with, and the sites' mean.
        share
            Answers by participants: how far ``scaffold``'s control variates move (the server's |S|/N).

        Raises
        ------
        BadWeights
            If the state of the round before is not there.
        """
        strategy = self._plan.strategy
        if strategy.name == "scaffold":
            weights, changes = split_control(mean)
            _, control = split_control(self.sent_along(round_index))
            moved = {
                name: (control[name] + share * changes[name].astype(np.float64)).astype(np.float32)
                for name in control
            }
            self._write(round_index, moved)
            return weights
        if strategy.name != "fedopt":
            return mean
        state = self._load(round_index, previous)
        following, kept = {}, {}
        for name, before in previous.items():
            change = mean[name].astype(np.float64) - before
            first = state[f"first/{name}"].astype(np.float64)
            if strategy.server == "momentum":
                first = strategy.momentum * first + change
                step = first
            else:
                second = state[f"second/{name}"].astype(np.float64)
                first = strategy.momentum * first + (1.0 - strategy.momentum) * change
                second = ADAM_SECOND * second + (1.0 - ADAM_SECOND) * change**2
                kept[f"second/{name}"] = second.astype(np.float32)
                step = first / (np.sqrt(second) + ADAM_FLOOR)
            kept[f"first/{name}"] = first.astype(np.float32)
            following[name] = (before + strategy.server_rate * step).astype(np.float32)
        self._write(round_index, kept)
        return following

    def _write(self, round_index: int, state: Weights) -> None:
        save_weights(self._path(round_index), state)
        self._path(round_index - KEPT_STATES).unlink(missing_ok=True)

    def _load(self, round_index: int, previous: Weights) -> Weights:
        if round_index == 0:
            parts = ("first", "second") if self._plan.strategy.server == "adam" else ("first",)
            return {
                f"{part}/{name}": np.zeros_like(value) for part in parts for name, value in previous.items()
            }
        return self._read(round_index - 1)

    def _read(self, round_index: int) -> Weights:
        try:
            return load_weights(self._path(round_index))
        except FileNotFoundError:
            raise BadWeights("The server optimiser's state of the round before is lost.") from None

    def _path(self, round_index: int) -> Path:
        return self._folder / f"server-{round_index}.safetensors"


class LocalTensors:
    """What a site keeps between rounds and nobody else sees: FedBN's normalisation, SCAFFOLD's own control variates.

    Parameters
    ----------
    plan
        Its strategy; all but ``fedbn`` and ``scaffold`` keep nothing.
    folder
        At the site; gets ``local-N.safetensors`` after each round.
    """

    def __init__(self, plan: TrainingPlan, folder: Path) -> None:
        self._plan = plan
        self._has_control = plan.strategy.name == "scaffold"
        self._names = normalisation_tensors(plan) if plan.strategy.name == "fedbn" else frozenset[str]()
        self._folder = folder

    def begin(self, round_index: int, received: Weights) -> Weights:
        """Return the model this site trains from: the received one with its own normalisation."""
        weights, _ = split_control(received)
        return weights if self._has_control else {**weights, **self.kept(round_index)}

    def correction(self, round_index: int, received: Weights) -> Weights | None:
        """Return what is added to each gradient: the server's control variate less this site's own."""
        if not self._has_control:
            return None
        _, server = split_control(received)
        own = self.kept(round_index)
        return {name: value - own[name] if own else value for name, value in server.items()}

    def finish(self, round_index: int, received: Weights, trained: Weights) -> Weights:
        """Keep this site's part and return what is sent: shared weights, and how its control variate moved.

        The new control variate is the mean gradient of the round's steps (option II of
        doi:10.48550/arXiv.1910.06378), read off the way from the received to the trained weights.
        """
        if self._has_control:
            start, _ = split_control(received)
            correction = self.correction(round_index, received) or {}
            own = self.kept(round_index)
            first = round_index * self._plan.local_steps
            way = sum(rate_at(self._plan, first + step) for step in range(self._plan.local_steps))
            new = {
                name: ((start[name].astype(np.float64) - trained[name]) / way - correction[name]).astype(
                    np.float32
                )
                for name in start
            }
            self._keep(round_index, new)
            moved = {f"{CONTROL}{name}": v - own[name] if own else v for name, v in new.items()}
            return {**trained, **moved}
        if not self._names:
            return trained
        self._keep(round_index, {name: trained[name] for name in sorted(self._names)})
        return {name: received[name] if name in self._names else value for name, value in trained.items()}

    def _keep(self, round_index: int, tensors: Weights) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        save_weights(self._path(round_index), tensors)
        self._path(round_index - KEPT_STATES).unlink(missing_ok=True)

    def kept(self, before_round: int) -> Weights:
        """Return the tensors kept after the newest round before this one; none before the first."""
        if not self._names and not self._has_control:
            return {}
        rounds = [
            number
            for path in self._folder.glob("local-*.safetensors")
            if (number := int(path.stem.removeprefix("local-"))) < before_round
        ]
        return load_weights(self._path(max(rounds))) if rounds else {}

    def _path(self, round_index: int) -> Path:
        return self._folder / f"local-{round_index}.safetensors"

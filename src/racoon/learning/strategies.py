"""What makes FedOpt and FedBN more than a mean: a server optimiser with its state, and weights that stay at a site.

Both keep their state in files named by round, written before the round counts: a run killed anywhere goes on with the
same numbers.  FedAvg and FedProx need nothing here.  Numpy only.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from racoon.domain.plan import TrainingPlan
from racoon.learning.architectures import normalisation_tensors
from racoon.learning.weights import BadWeights, Weights, load_weights, save_weights

ADAM_SECOND = 0.99
ADAM_FLOOR = 1e-3
"""Second-moment decay and adaptivity of the server's Adam, as recommended in doi:10.48550/arXiv.2003.00295."""

KEPT_STATES = 3
"""Newest state files kept: a job that is resumed asks for the last or, should it be torn, the one before."""


class ServerOptimiser:
    """Turns the sites' mean into the next model by a plan's strategy.

    Parameters
    ----------
    plan
        Its strategy; all but ``fedopt`` return the mean itself.
    folder
        Gets ``server-N.safetensors`` after each round.
    """

    def __init__(self, plan: TrainingPlan, folder: Path) -> None:
        self._plan = plan
        self._folder = folder

    def step(self, round_index: int, previous: Weights, mean: Weights) -> Weights:
        """Return the next model.

        Parameters
        ----------
        round_index
            Counted from 0.
        previous, mean
            The model the round began with, and the sites' mean.

        Raises
        ------
        BadWeights
            If the state of the round before is not there.
        """
        strategy = self._plan.strategy
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
        save_weights(self._path(round_index), kept)
        self._path(round_index - KEPT_STATES).unlink(missing_ok=True)
        return following

    def _load(self, round_index: int, previous: Weights) -> Weights:
        if round_index == 0:
            parts = ("first", "second") if self._plan.strategy.server == "adam" else ("first",)
            return {
                f"{part}/{name}": np.zeros_like(value) for part in parts for name, value in previous.items()
            }
        try:
            return load_weights(self._path(round_index - 1))
        except FileNotFoundError:
            raise BadWeights("The server optimiser's state of the round before is lost.") from None

    def _path(self, round_index: int) -> Path:
        return self._folder / f"server-{round_index}.safetensors"


class LocalTensors:
    """The weights that FedBN keeps at a site; they never leave it.

    Parameters
    ----------
    plan
        Its strategy; all but ``fedbn`` keep nothing.
    folder
        At the site; gets ``local-N.safetensors`` after each round.
    """

    def __init__(self, plan: TrainingPlan, folder: Path) -> None:
        self._names = normalisation_tensors(plan) if plan.strategy.name == "fedbn" else frozenset[str]()
        self._folder = folder

    def begin(self, round_index: int, received: Weights) -> Weights:
        """Return the model this site trains from: the received one with its own normalisation."""
        return {**received, **self.kept(round_index)}

    def finish(self, round_index: int, received: Weights, trained: Weights) -> Weights:
        """Keep this site's normalisation and return what is sent: the received one in its place."""
        if not self._names:
            return trained
        self._folder.mkdir(parents=True, exist_ok=True)
        save_weights(self._path(round_index), {name: trained[name] for name in sorted(self._names)})
        self._path(round_index - KEPT_STATES).unlink(missing_ok=True)
        return {name: received[name] if name in self._names else value for name, value in trained.items()}

    def kept(self, before_round: int) -> Weights:
        """Return the tensors kept after the newest round before this one; none before the first."""
        if not self._names:
            return {}
        rounds = [
            number
            for path in self._folder.glob("local-*.safetensors")
            if (number := int(path.stem.removeprefix("local-"))) < before_round
        ]
        return load_weights(self._path(max(rounds))) if rounds else {}

    def _path(self, round_index: int) -> Path:
        return self._folder / f"local-{round_index}.safetensors"

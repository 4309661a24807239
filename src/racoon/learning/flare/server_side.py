"""What runs inside FLARE's job process at CENTRAL: exact aggregation, and round files that survive anything.

Numpy only.  FLARE loads these classes by name.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, cast

from nvflare.apis.dxo import DXO, DataKind, from_shareable
from nvflare.apis.fl_constant import ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.app_common.abstract.aggregator import Aggregator
from nvflare.app_common.abstract.model import ModelLearnable, ModelLearnableKey, make_model_learnable
from nvflare.app_common.abstract.model_persistor import ModelPersistor
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.app_event_type import AppEventType
from nvflare.app_common.shareablegenerators.full_model_shareable_generator import FullModelShareableGenerator

from racoon.domain.plan import TrainingPlan
from racoon.errors import Unavailable
from racoon.learning.architectures import tensor_shapes
from racoon.learning.flare.job import FACTS, JOB_HEADER, MORE_FACTS, PARTICIPANTS_HEADER
from racoon.learning.lifeline import watch_parent
from racoon.learning.robust import make_aggregate
from racoon.learning.strategies import ServerOptimiser, split_control
from racoon.learning.weights import (
    BadWeights,
    Weights,
    check_update,
    check_weights,
    load_weights,
    save_weights,
)

# At the end of a job FLARE imports its torch part to clean up what we never use: where torch is installed
# that costs this process 160 MB and several seconds.  CENTRAL has no torch, so it must do without.
cast("dict[str, Any]", sys.modules).setdefault("nvflare.app_opt.pt.tensor_downloader", None)

REFUSAL = "racoon_refusal"
"""Why the contribution at hand was refused, from the aggregator to the round's account."""

KEPT_ROUNDS = 2
"""Newest round files kept: the last and, should it be torn, the one before."""


class ExactAggregator(Aggregator):  # type: ignore[misc]  # the engine has no types
    """Case-weighted mean, or the plan's robust aggregate, that does not depend on who answers first.

    Parameters
    ----------
    plan
        Training plan, JSON form; gives names and shapes of the tensors, the strategy and the limit of an update.
    folder
        Run folder; keeps the state of a server optimiser and, while a round lasts, its sums.
    participants
        The job's sites.
    """

    def __init__(self, plan: dict[str, Any], folder: str, participants: list[str]) -> None:
        super().__init__()
        self._plan = TrainingPlan.from_dict(plan)
        self._shapes = tensor_shapes(self._plan)
        self._optimiser = ServerOptimiser(self._plan, Path(folder))
        self._participants, self._folder = tuple(participants), Path(folder)
        self._mean = make_aggregate(self._plan, self._participants, self._folder)

    def reset(self, fl_ctx: FLContext) -> None:  # noqa: ARG002 -- the engine's signature
        """Begin a new round."""
        self._mean = make_aggregate(self._plan, self._participants, self._folder)

    def accept(self, shareable: Shareable, fl_ctx: FLContext) -> bool:
        """Add a site's weights; a bad contribution is refused and the round goes on without it."""
        site = contributor(shareable)
        if shareable.get_cookie(AppConstants.CONTRIBUTION_ROUND) != fl_ctx.get_prop(
            AppConstants.CURRENT_ROUND
        ):
            self.log_warning(fl_ctx, f"{site} answered for another round; not used")
            return False
        try:
            dxo = from_shareable(shareable)
            if dxo.data_kind != DataKind.WEIGHTS:
                raise BadWeights("The contribution is not weights.")
            # What is masked cannot be measured here; the site keeps to the limit itself.
            if self._plan.update_norm is not None and not self._plan.strategy.secure_sum:
                weights, _ = split_control(dxo.data)
                check_weights(weights, self._shapes)
                check_update(_global_weights(fl_ctx), weights, self._plan.update_norm)
            self._mean.add(site, dxo.data, int(facts_of(dxo)["cases"]))
        except (BadWeights, ValueError, TypeError, KeyError) as error:
            self.log_error(fl_ctx, f"contribution of {site} refused: {error}")
            fl_ctx.set_prop(REFUSAL, str(error), private=True, sticky=False)
            return False
        except Unavailable as error:
            # Not the site's fault: without room for the sums the job ends, and is resumed from the last round.
            self.system_panic(error.public_message, fl_ctx)
            return False
        return True

    def aggregate(self, fl_ctx: FLContext) -> Shareable:
        """Return the next model; without any contribution the job fails and the reconciler decides."""
        share = len(self._mean.contributors) / max(1, len(self._participants))
        mean = self._mean.take()
        round_index = int(fl_ctx.get_prop(AppConstants.CURRENT_ROUND))
        following = self._optimiser.step(round_index, _global_weights(fl_ctx), mean, share)
        return DXO(DataKind.WEIGHTS, data=following).to_shareable()


class RoundGenerator(FullModelShareableGenerator):  # type: ignore[misc]  # the engine has no types
    """Puts beside the weights of a round what the strategy sends along, and who takes part.

    Parameters
    ----------
    plan, folder, participants
        As :class:`ExactAggregator`.
    job
        Name of the job.
    """

    def __init__(self, plan: dict[str, Any], folder: str, participants: list[str], job: str) -> None:
        super().__init__()
        self._optimiser = ServerOptimiser(TrainingPlan.from_dict(plan), Path(folder))
        self._participants, self._job = list(participants), job

    def learnable_to_shareable(self, model_learnable: ModelLearnable, fl_ctx: FLContext) -> Shareable:
        """Return what every site gets at the beginning of a round."""
        round_index = int(fl_ctx.get_prop(AppConstants.CURRENT_ROUND))
        weights = model_learnable[ModelLearnableKey.WEIGHTS]
        data = {**weights, **self._optimiser.sent_along(round_index)}
        shareable: Shareable = DXO(DataKind.WEIGHTS, data=data).to_shareable()
        shareable.set_header(PARTICIPANTS_HEADER, self._participants)
        shareable.set_header(JOB_HEADER, self._job)
        return shareable


class RoundKeeper(ModelPersistor):  # type: ignore[misc]  # the engine has no types
    """Loads the weights a job begins with and keeps each round's result with its account.

    Parameters
    ----------
    source
        Safetensors file to begin with.
    folder
        Gets ``round-N.safetensors`` and one line per round in ``rounds.jsonl``: who took part, with what.
    job
        Name of the job, for the account.
    needed
        Answers without which a round does not count.
    """

    def __init__(self, source: str, folder: str, job: str, needed: int = 1) -> None:
        super().__init__()
        watch_parent()
        self._source, self._folder, self._job = Path(source), Path(folder), job
        self._needed = needed
        self._sites: dict[str, dict[str, Any]] = {}
        self._refused: dict[str, str] = {}
        self._started = time.time()

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Note who contributed what to the current round."""
        if event_type == AppEventType.ROUND_STARTED:
            self._sites, self._refused, self._started = {}, {}, time.time()
        elif event_type == AppEventType.AFTER_CONTRIBUTION_ACCEPT:
            result = fl_ctx.get_prop(AppConstants.TRAINING_RESULT)
            if fl_ctx.get_prop(AppConstants.AGGREGATION_ACCEPTED):
                self._sites[contributor(result)] = facts_of(from_shareable(result))
            else:
                self._refused[contributor(result)] = str(fl_ctx.get_prop(REFUSAL) or "")

    def load_model(self, fl_ctx: FLContext) -> ModelLearnable:  # noqa: ARG002 -- the engine's signature
        """Return the weights to begin with."""
        return make_model_learnable(weights=load_weights(self._source), meta_props={})

    def save_model(self, model: ModelLearnable, fl_ctx: FLContext) -> None:
        """Write a finished round: first the weights, then the line that makes them count."""
        round_index = int(fl_ctx.get_prop(AppConstants.CURRENT_ROUND))
        if len(self._sites) < self._needed:
            # A deadline may end a sealed sum or a cycle early; what it left is no model.
            raise BadWeights("The round lacks answers it needs.", details={"answers": len(self._sites)})
        save_weights(self._folder / f"round-{round_index}.safetensors", model[ModelLearnableKey.WEIGHTS])
        entry = {
            "round": round_index,
            "job": self._job,
            "sites": self._sites,
            "refused": sorted(self._refused),
            "refusals": self._refused,
            "seconds": time.time() - self._started,
        }
        with (self._folder / "rounds.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, sort_keys=True) + "\n")
            file.flush()
            os.fsync(file.fileno())
        (self._folder / f"round-{round_index - KEPT_ROUNDS}.safetensors").unlink(missing_ok=True)


def _global_weights(fl_ctx: FLContext) -> Weights:
    """Return the model the round began with, as FLARE's controller holds it."""
    weights: Weights = fl_ctx.get_prop(AppConstants.GLOBAL_MODEL)[ModelLearnableKey.WEIGHTS]
    return weights


def contributor(shareable: Shareable) -> str:
    """Return the site a result came from, as FLARE authenticated it."""
    return str(shareable.get_peer_prop(ReservedKey.IDENTITY_NAME, "?"))


def facts_of(dxo: DXO) -> dict[str, Any]:
    """Return the numbers a site may say about its round."""
    facts = dxo.get_meta_prop("facts") or {}
    kept: dict[str, Any] = {
        name: float(facts[name]) if name == "seconds" else int(facts[name]) for name in FACTS
    }
    return kept | {name: float(facts[name]) for name in MORE_FACTS if facts.get(name) is not None}

"""What the engine's server makes of a malicious update: refused with the reason, the round goes on without it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nvflare", reason='needs the extra: pip install "racoon[learning]"')

from nvflare.apis.dxo import DXO, DataKind, from_shareable
from nvflare.apis.fl_constant import ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.app_common.abstract.model import ModelLearnableKey, make_model_learnable
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.app_event_type import AppEventType

from racoon.domain.training import Strategy
from racoon.learning.aggregation import to_fixed
from racoon.learning.architectures import initial_weights, tensor_shapes
from racoon.learning.flare.approvals import Approval, NotApproved, SecureSums
from racoon.learning.flare.server_side import ExactAggregator, RoundGenerator, RoundKeeper
from racoon.learning.flare.site_side import TrainingExecutor
from racoon.learning.masking import load_or_make_sum_key, public_text
from racoon.learning.weights import BadWeights, Weights, load_weights, save_weights, update_norm
from tests.unit.learning.making import PLAN

pytestmark = pytest.mark.learning

LIMITED = replace(PLAN, update_norm=2.0)
START = initial_weights(PLAN)


def moved(by: float) -> Weights:
    return {name: value + np.float32(by) for name, value in START.items()}


def result(
    site: str, weights: dict, kind: str = DataKind.WEIGHTS, cases: object = 3, round_index: int = 0
) -> Shareable:
    facts = {"loss": 0.5, "steps": 3, "cases": cases, "seconds": 1.0}
    shareable = DXO(kind, data=weights, meta={"facts": facts}).to_shareable()
    shareable.set_peer_props({ReservedKey.IDENTITY_NAME: site})
    shareable.add_cookie(AppConstants.CONTRIBUTION_ROUND, round_index)
    return shareable


class Round:
    """One round of the server's two components, as FLARE's controller drives them."""

    def __init__(self, folder: Path, plan=LIMITED, number: int = 0, start: Weights = START) -> None:
        save_weights(folder / "start.safetensors", start)
        self.context = FLContext()
        self.context.set_prop(AppConstants.CURRENT_ROUND, number, private=True, sticky=False)
        model = make_model_learnable(weights=start, meta_props={})
        self.context.set_prop(AppConstants.GLOBAL_MODEL, model, private=True, sticky=False)
        self.folder = folder
        self.aggregator = ExactAggregator(plan.to_dict(), str(folder), ["ALPHA", "BRAVO", "CHARLIE"])
        self.keeper = RoundKeeper(str(folder / "start.safetensors"), str(folder), "job-0")
        self.keeper.handle_event(AppEventType.ROUND_STARTED, self.context)

    def offer(self, shareable: Shareable) -> bool:
        accepted = self.aggregator.accept(shareable, self.context)
        self.context.set_prop(AppConstants.TRAINING_RESULT, shareable, private=True, sticky=False)
        self.context.set_prop(AppConstants.AGGREGATION_ACCEPTED, accepted, private=True, sticky=False)
        self.keeper.handle_event(AppEventType.AFTER_CONTRIBUTION_ACCEPT, self.context)
        return accepted

    def end(self) -> tuple[Weights, dict]:
        weights = from_shareable(self.aggregator.aggregate(self.context)).data
        self.keeper.save_model({ModelLearnableKey.WEIGHTS: weights}, self.context)
        account = json.loads((self.folder / "rounds.jsonl").read_text().splitlines()[-1])
        return weights, account


BAD = {
    "nan": {name: np.full_like(value, np.nan) for name, value in START.items()},
    "infinite": {name: np.full_like(value, np.inf) for name, value in START.items()},
    "huge": moved(900.0),
    "long": moved(0.1),
    "shape": {**START, "head.bias": np.zeros(9, np.float32)},
    "missing": {name: value for name, value in START.items() if name != "head.bias"},
    "extra": {**START, "backdoor": np.zeros(1, np.float32)},
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_a_bad_update_is_refused_named_and_leaves_no_trace(name: str, tmp_path: Path) -> None:
    good = moved(0.001)
    assert update_norm(START, good) < LIMITED.update_norm < update_norm(START, moved(0.1))
    running = Round(tmp_path)
    assert running.offer(result("ALPHA", good))
    assert not running.offer(result("MALLORY", BAD[name]))
    weights, account = running.end()
    assert all(np.abs(weights[key] - good[key]).max() < 1e-6 for key in good)
    assert sorted(account["sites"]) == ["ALPHA"]
    assert account["refused"] == ["MALLORY"]
    assert account["refusals"]["MALLORY"]


@pytest.mark.parametrize("cases", [0, -5, 10**12, "many"])
def test_an_absurd_number_of_cases_is_refused(cases: object, tmp_path: Path) -> None:
    running = Round(tmp_path)
    shareable = result("MALLORY", moved(0.001), cases=cases)
    assert not running.aggregator.accept(shareable, running.context)


def test_another_kind_or_round_is_refused(tmp_path: Path) -> None:
    running = Round(tmp_path)
    assert not running.offer(result("ALPHA", moved(0.0), kind=DataKind.WEIGHT_DIFF))
    assert not running.offer(result("ALPHA", moved(0.0), round_index=7))


def test_the_servers_optimiser_runs_in_the_engine_and_leaves_its_state(tmp_path: Path) -> None:
    plan = replace(PLAN, strategy=Strategy("fedopt", server="momentum", server_rate=0.5, momentum=0.9))
    first = Round(tmp_path, plan)
    assert first.offer(result("ALPHA", moved(0.01)))
    weights, _ = first.end()
    name = "head.bias"
    np.testing.assert_allclose(weights[name] - START[name], 0.005, rtol=1e-4)
    kept = load_weights(tmp_path / "server-0.safetensors")
    assert set(kept) == {f"first/{key}" for key in tensor_shapes(plan)}
    second = Round(tmp_path, plan, 1, weights)
    assert second.offer(
        result("ALPHA", {key: value + np.float32(0.01) for key, value in weights.items()}, round_index=1)
    )
    following, _ = second.end()
    np.testing.assert_allclose(following[name] - weights[name], 0.5 * (0.9 * 0.01 + 0.01), rtol=1e-4)


def test_a_robust_plan_is_aggregated_so_in_the_engine(tmp_path: Path) -> None:
    """A wrong update within the limits moves a mean, not a median."""
    running = Round(tmp_path, replace(PLAN, strategy=Strategy(aggregate="median")))
    for site, by in (("ALPHA", 0.01), ("BRAVO", 0.02), ("MALLORY", 90.0)):
        assert running.offer(result(site, moved(by)))
    weights, account = running.end()
    np.testing.assert_allclose(weights["head.bias"] - START["head.bias"], 0.02, rtol=1e-4)
    assert sorted(account["sites"]) == ["ALPHA", "BRAVO", "MALLORY"]


def test_on_the_wire_a_secure_sum_shows_no_single_update(tmp_path: Path) -> None:
    """The bytes that leave the site's executor hold nothing of its update; the server gets the plain sum."""
    sites = ("ALPHA", "BRAVO", "CHARLIE")
    plan = replace(PLAN, min_sites=3, strategy=Strategy(secure_sum=True), update_norm=2.0)
    public = {site: public_text(load_or_make_sum_key(tmp_path / site)) for site in sites}
    updates = {site: moved(0.001 * number) for number, site in enumerate(sites, start=1)}
    context = FLContext()
    context.set_prop(AppConstants.CURRENT_ROUND, 0, private=True, sticky=False)
    generator = RoundGenerator(plan.to_dict(), str(tmp_path), list(sites), "job-0")
    task = generator.learnable_to_shareable(make_model_learnable(weights=START, meta_props={}), context)
    assert {name: value.tobytes() for name, value in from_shareable(task).data.items()} == {
        name: value.tobytes() for name, value in START.items()
    }
    plain, sealed = Round(tmp_path, replace(plan, strategy=Strategy())), Round(tmp_path, plan)
    sent = {}
    for number, site in enumerate(sites, start=1):
        approval = Approval(
            plan, ("run",), "signer", tmp_path, None, SecureSums(site, tmp_path / site, public)
        )
        executor = SealingExecutor(plan, tmp_path / f"site-{site}")
        masked = executor._mask(updates[site], number, task, 0, approval)
        with pytest.raises(NotApproved, match="twice"):
            executor._mask(moved(0.5), number, task, 0, approval)
        message = result(site, masked, cases=number)
        sent[site] = b"".join(words.tobytes() for words in from_shareable(message).data.values())
        assert sealed.offer(message)
        assert plain.offer(result(site, updates[site], cases=number))
    for site, number in zip(sites, (1, 2, 3), strict=True):
        for name, value in updates[site].items():
            pieces = (value.tobytes(), to_fixed(value, number).tobytes(), to_fixed(value, 1).tobytes())
            # The first words of each tensor are enough: a mask covers every word or it covers none.
            assert not any(piece[:8] in sent[site] for piece in pieces if any(piece[:8])), name
    found, account = sealed.end()
    wanted, _ = plain.end()
    assert all(found[name].tobytes() == wanted[name].tobytes() for name in wanted)
    assert sorted(account["sites"]) == list(sites)


def test_a_sealed_round_without_one_site_gives_no_model(tmp_path: Path) -> None:
    plan = replace(PLAN, min_sites=3, strategy=Strategy(secure_sum=True))
    running = Round(tmp_path, plan)
    assert not running.offer(result("ALPHA", moved(0.1)))
    with pytest.raises(BadWeights, match="lacks a participant"):
        running.end()


class SealingExecutor(TrainingExecutor):
    """The site's executor without its process."""

    def __init__(self, plan, folder: Path) -> None:
        self._plan, self._run_id, self._folder = plan, "run", folder

    def _local_folder(self) -> Path:
        return self._folder

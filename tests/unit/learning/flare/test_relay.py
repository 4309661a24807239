"""The model's way from site to site: a bad visit ends the round, and half a round is kept nowhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("nvflare", reason='needs the extra: pip install "racoon[learning]"')

from nvflare.apis.dxo import DXO, DataKind
from nvflare.apis.fl_constant import ReservedKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.app_common.abstract.model import ModelLearnableKey, make_model_learnable
from nvflare.app_common.app_constant import AppConstants

from racoon.domain.training import Strategy
from racoon.learning.architectures import initial_weights
from racoon.learning.engine import EngineJob
from racoon.learning.flare import policy
from racoon.learning.flare.job import server_config
from racoon.learning.flare.relay import RelayRounds
from racoon.learning.flare.server_side import RoundGenerator, RoundKeeper
from racoon.learning.weights import BadWeights, save_weights
from tests.unit.learning.making import PLAN

pytestmark = pytest.mark.learning

CYCLIC = replace(PLAN, strategy=Strategy("cyclic"), update_norm=2.0)
START = initial_weights(CYCLIC)
SITES = ["ALPHA", "BRAVO"]


class Relay(RelayRounds):
    """The controller with its engine's part noted instead of done."""

    def __init__(self, folder: Path) -> None:
        super().__init__(CYCLIC.to_dict(), SITES, 1, 1, 5)
        self.ended: list[str] = []
        self.shareable_generator = RoundGenerator(CYCLIC.to_dict(), str(folder), SITES, "job-0")
        self._last_learnable = make_model_learnable(weights=dict(START), meta_props={})
        self.context = FLContext()
        self.context.set_prop(AppConstants.CURRENT_ROUND, 1, private=True, sticky=False)
        self.context.set_prop(AppConstants.GLOBAL_MODEL, self._last_learnable, private=True, sticky=False)
        self.keeper = RoundKeeper(str(folder / "start.safetensors"), str(folder), "job-0", len(SITES))

    def fire_event(self, event_type: str, fl_ctx: FLContext) -> None:
        self.keeper.handle_event(event_type, fl_ctx)

    def system_panic(self, reason: str, fl_ctx: FLContext) -> None:
        self.ended.append(reason)

    def cancel_task(self, task: object, **_: object) -> None:
        self.ended.append("cancelled")

    def visit(self, site: str, result: Shareable) -> SimpleNamespace:
        result.set_peer_props({ReservedKey.IDENTITY_NAME: site})
        task = SimpleNamespace(data=None)
        self._process_result(
            SimpleNamespace(result=result, task=task, client=SimpleNamespace(name=site)), self.context
        )
        return task


def answer(by: float) -> Shareable:
    facts = {"loss": 0.5, "steps": 3, "cases": 3, "seconds": 1.0}
    moved = {name: value + np.float32(by) for name, value in START.items()}
    return DXO(DataKind.WEIGHTS, data=moved, meta={"facts": facts}).to_shareable()


def test_each_site_goes_on_from_the_one_before_and_the_round_counts_with_the_last(tmp_path: Path) -> None:
    save_weights(tmp_path / "start.safetensors", START)
    relay = Relay(tmp_path)
    task = relay.visit("ALPHA", answer(0.001))
    assert task.data.get_header(AppConstants.CURRENT_ROUND) == 1
    with pytest.raises(BadWeights, match="lacks answers"):
        relay.keeper.save_model(relay._last_learnable, relay.context)
    relay.visit("BRAVO", answer(0.002))
    relay.keeper.save_model(relay._last_learnable, relay.context)
    relay.stop_controller(relay.context)
    assert relay.ended == []
    name = "head.bias"
    moved = relay._last_learnable[ModelLearnableKey.WEIGHTS][name] - START[name]
    np.testing.assert_allclose(moved, 0.002, rtol=1e-4)
    assert (tmp_path / "round-1.safetensors").exists()
    assert len((tmp_path / "rounds.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    "bad", [answer(900.0), answer(float("nan")), make_reply(ReturnCode.EXECUTION_EXCEPTION), answer(0.1)]
)
def test_a_bad_visit_ends_the_round_and_nobody_trains_on_it(bad: Shareable, tmp_path: Path) -> None:
    save_weights(tmp_path / "start.safetensors", START)
    relay = Relay(tmp_path)
    relay.visit("MALLORY", bad)
    assert relay.ended[0] == "cancelled"
    assert "MALLORY" in relay.ended[1]
    assert (
        relay._last_learnable[ModelLearnableKey.WEIGHTS]["head.bias"].tobytes()
        == START["head.bias"].tobytes()
    )


def test_the_job_names_its_way_and_only_classes_that_are_allowed(tmp_path: Path) -> None:
    job = EngineJob("j-0", "run-1", CYCLIC, tuple(SITES), 1, 1, tmp_path / "w.safetensors", tmp_path / "run")
    config = server_config(job)
    (workflow,) = config["workflows"]
    assert workflow["args"] == {
        "plan": CYCLIC.to_dict(),
        "participants": SITES,
        "start_round": 1,
        "num_rounds": CYCLIC.rounds - 1,
        "visit_wait_s": job.straggler_wait_s,
    }
    named = {part["path"] for part in (*config["components"], workflow)}
    assert named <= set(policy.SERVER_CLASSES)

"""The cyclic strategy in FLARE's job process at CENTRAL: in a round the model visits every site once, in a fixed order.

FLARE's own controller keeps a half-finished round as if it were whole, and cannot begin at a later one; both matter
where runs go on after a loss.
"""

from __future__ import annotations

from typing import Any

from nvflare.apis.client import Client
from nvflare.apis.controller_spec import ClientTask
from nvflare.apis.dxo import from_shareable
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.app_common.abstract.model import ModelLearnableKey
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.app_event_type import AppEventType
from nvflare.app_common.workflows.cyclic_ctl import CyclicController

from racoon.domain.plan import TrainingPlan
from racoon.learning.architectures import tensor_shapes
from racoon.learning.weights import BadWeights, check_update, check_weights


class RelayRounds(CyclicController):  # type: ignore[misc]
    """Hands the model from site to site; a round counts when the last site has answered.

    Parameters
    ----------
    plan
        Training plan, JSON form.
    participants
        Sites in the order of their visits.
    start_round, num_rounds
        Rounds to do, counted from 0.
    visit_wait_s
        Longest wait for a site to fetch the model.
    """

    def __init__(
        self,
        plan: dict[str, Any],
        participants: list[str],
        start_round: int,
        num_rounds: int,
        visit_wait_s: int,
    ) -> None:
        super().__init__(
            num_rounds=num_rounds,
            task_assignment_timeout=visit_wait_s,
            persistor_id="keeper",
            shareable_generator_id="generator",
            snapshot_every_n_rounds=0,
            order=list(participants),
        )
        self._plan = TrainingPlan.from_dict(plan)
        self._start_round = self._current_round = start_round
        self._end_round = start_round + num_rounds

    def stop_controller(self, fl_ctx: FLContext) -> None:
        """Keep nothing: whole rounds are kept already, and half a round is none."""

    def _get_relay_orders(self, fl_ctx: FLContext) -> list[Client] | None:
        fl_ctx.set_prop(AppConstants.GLOBAL_MODEL, self._last_learnable, private=True, sticky=True)
        self.fire_event(AppEventType.ROUND_STARTED, fl_ctx)
        order: list[Client] | None = super()._get_relay_orders(fl_ctx)
        return order

    def _process_result(self, client_task: ClientTask, fl_ctx: FLContext) -> None:
        result = client_task.result
        try:
            if result.get_return_code() != ReturnCode.OK:
                raise BadWeights("The site could not train.")
            trained = from_shareable(result).data
            check_weights(trained, tensor_shapes(self._plan))
            before = self._last_learnable[ModelLearnableKey.WEIGHTS]
            check_update(before, trained, self._plan.update_norm)
        except (BadWeights, ValueError, TypeError, KeyError) as error:
            # Whoever comes next would train on it: the round ends here and the run decides how to go on.
            self._stop_workflow(client_task.task)
            self.system_panic(f"visit of {client_task.client.name} refused: {error}", fl_ctx)
            return
        fl_ctx.set_prop(AppConstants.TRAINING_RESULT, result, private=True, sticky=False)
        fl_ctx.set_prop(AppConstants.AGGREGATION_ACCEPTED, True, private=True, sticky=False)
        self.fire_event(AppEventType.AFTER_CONTRIBUTION_ACCEPT, fl_ctx)
        super()._process_result(client_task, fl_ctx)

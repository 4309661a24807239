"""What the round benchmark puts into the engine's processes: the cheapest parts bare FLARE can have."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from nvflare.apis.dxo import DXO, DataKind, MetaKey, from_shareable
from nvflare.apis.executor import Executor
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal
from nvflare.app_common.abstract.model import ModelLearnable, ModelLearnableKey, make_model_learnable
from nvflare.app_common.abstract.model_persistor import ModelPersistor
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.app_event_type import AppEventType

from racoon.learning.lifeline import watch_parent


class Echo(Executor):
    """Sends back what it got: no process of its own, no file, no check."""

    def __init__(self) -> None:
        super().__init__()
        watch_parent()

    def execute(
        self,
        task_name: str,  # noqa: ARG002 - FLARE's signature
        shareable: Shareable,
        fl_ctx: FLContext,  # noqa: ARG002 - FLARE's signature
        abort_signal: Signal,  # noqa: ARG002 - FLARE's signature
    ) -> Shareable:
        """Answer one round."""
        data = from_shareable(shareable).data
        return DXO(DataKind.WEIGHTS, data=data, meta={MetaKey.NUM_STEPS_CURRENT_ROUND: 1}).to_shareable()


class ArrayKeeper(ModelPersistor):
    """Keeps the newest model as a numpy file, as FLARE's own persistors do, and notes how long a round took."""

    def __init__(self, source: str, folder: str) -> None:
        super().__init__()
        watch_parent()
        self._source, self._folder = Path(source), Path(folder)
        self._started = 0.0

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:  # noqa: ARG002 - FLARE's signature
        """Note when a round begins."""
        if event_type == AppEventType.ROUND_STARTED:
            self._started = time.time()

    def load_model(self, fl_ctx: FLContext) -> ModelLearnable:  # noqa: ARG002 - FLARE's signature
        """Return the weights to begin with."""
        with np.load(self._source) as content:
            return make_model_learnable(weights={name: content[name] for name in content}, meta_props={})

    def save_model(self, model: ModelLearnable, fl_ctx: FLContext) -> None:
        """Write the model, then the round."""
        np.savez(self._folder / "model.npz", **model[ModelLearnableKey.WEIGHTS])
        entry: dict[str, Any] = {
            "round": int(fl_ctx.get_prop(AppConstants.CURRENT_ROUND)),
            "seconds": time.time() - self._started,
        }
        with (self._folder / "rounds.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

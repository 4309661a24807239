"""What runs inside FLARE's processes at a site: two gates and the executor that hands rounds to the trainer.

FLARE loads these classes by name from this installation; a job can only name them.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nvflare.apis.app_validation import AppValidationKey, AppValidator
from nvflare.apis.dxo import DXO, DataKind, MetaKey, from_shareable
from nvflare.apis.event_type import EventType
from nvflare.apis.executor import Executor
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import FLContextKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.apis.signal import Signal
from nvflare.app_common.app_constant import AppConstants
from nvflare.lighter.tool_consts import NVFLARE_SIG_FILE, NVFLARE_SUBMITTER_CRT_FILE

from racoon.domain.canonical import content_hash
from racoon.domain.plan import TrainingPlan
from racoon.errors import RacoonError, Unavailable
from racoon.learning.architectures import check_plan
from racoon.learning.flare.approvals import (
    APPROVALS_VARIABLE,
    Approval,
    Approvals,
    MaskedRounds,
    NotApproved,
    local_folder,
    progress_file,
)
from racoon.learning.flare.job import (
    CLIENT_CONFIG,
    FACTS,
    JOB_HEADER,
    MORE_FACTS,
    PARTICIPANTS_HEADER,
    TASK,
    site_config,
)
from racoon.learning.lifeline import watch_parent
from racoon.learning.masking import NoSecureSum, Round
from racoon.learning.strategies import LocalTensors, exchanged_shapes, split_control
from racoon.learning.subprocesses import purse_arguments, read_events, rebuild_error, start_training_process
from racoon.learning.weights import Weights, check_update, check_weights, load_weights, save_weights

JOB_COMMANDS = frozenset({"check_resources", "submit_job", "start_app", "start_job"})
"""Commands that begin a job in steps; none passes without an approved job in its meta data."""

TRAINER_RESTARTS = 3
"""A trainer that dies more often in one round has a reason of its own."""

_SIGNATURE_FILES = frozenset({NVFLARE_SIG_FILE, NVFLARE_SUBMITTER_CRT_FILE})


class SiteGate(FLComponent):  # type: ignore[misc]  # the engine has no types
    """Refuses every job this site did not approve, before anything of it is here.

    Parameters
    ----------
    approvals
        Folder of the site's approvals.
    site
        Site code.
    """

    def __init__(self, approvals: str, site: str) -> None:
        super().__init__()
        self._approvals = Approvals(Path(approvals))
        self._site = site

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Answer FLARE's question whether a command may run here."""
        if event_type != EventType.AUTHORIZE_COMMAND_CHECK:
            return
        command = fl_ctx.get_prop(FLContextKey.COMMAND_NAME)
        # The meta data are inside the security items, not in the context itself.
        meta = (fl_ctx.get_prop(FLContextKey.SECURITY_ITEMS) or {}).get(FLContextKey.JOB_META) or {}
        if not meta and command not in JOB_COMMANDS:
            return
        try:
            self._check(meta)
        except NotApproved as error:
            _record_refusal(self._approvals.folder, command, meta, error)
            fl_ctx.set_prop(FLContextKey.AUTHORIZATION_REASON, error.public_message, sticky=False)
            fl_ctx.set_prop(FLContextKey.AUTHORIZATION_RESULT, False, sticky=False)

    def _check(self, meta: dict[str, Any]) -> None:
        props = meta.get("custom_props") or {}
        if meta.get("launcher_spec") or meta.get("resource_spec") or meta.get(AppValidationKey.BYOC):
            raise NotApproved("The job wants a launcher, resources or code of its own.")
        self._approvals.require(
            str(props.get("plan_hash", "")), str(props.get("run_id", "")), str(meta.get("submitter_name", ""))
        )


class AppGate(AppValidator):  # type: ignore[misc]  # the engine has no types
    """Compares the files of a deployed job with the one job this site approved.

    Parameters
    ----------
    approvals
        Folder of the site's approvals.
    """

    def __init__(self, approvals: str) -> None:
        super().__init__()
        self._approvals = Approvals(Path(approvals))

    def validate(self, app_folder: str) -> tuple[str, dict[str, Any]]:
        """Return an error text, empty if the app is exactly the approved one."""
        try:
            self._check(Path(app_folder))
        except NotApproved as error:
            _record_refusal(self._approvals.folder, "deploy", {}, error)
            return error.public_message, {}
        return "", {}

    def _check(self, folder: Path) -> None:
        files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
        folders = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_dir()}
        extra = {name for name in files - {CLIENT_CONFIG} if Path(name).name not in _SIGNATURE_FILES}
        if extra or folders - {"config"} or CLIENT_CONFIG not in files:
            raise NotApproved("The job brings files this site did not approve.")
        try:
            config = json.loads((folder / CLIENT_CONFIG).read_text(encoding="utf-8"))
            arguments = config["executors"][0]["executor"]["args"]
            plan, run_id = TrainingPlan.from_dict(arguments["plan"]), str(arguments["run_id"])
            same = content_hash(config) == content_hash(site_config(plan, run_id))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise NotApproved("The job's configuration cannot be read.") from error
        self._approvals.require(plan.hash, run_id)
        if not same:
            raise NotApproved("The job's configuration is not the approved one.")


class TrainingExecutor(Executor):  # type: ignore[misc]  # the engine has no types
    """Hands each round to the training process and sends weights and facts back.

    The process is ours and fixed; the job chooses neither program, arguments nor data.

    Parameters
    ----------
    plan
        Training plan, JSON form.
    run_id
        The run.
    """

    def __init__(self, plan: dict[str, Any], run_id: str) -> None:
        super().__init__()
        watch_parent()
        self._plan = TrainingPlan.from_dict(plan)
        self._run_id = run_id
        self._process: subprocess.Popen[str] | None = None
        self._events: queue.Queue[dict[str, Any] | None] = queue.Queue()

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Start the trainer early, so that its imports overlap with the other sites'; stop it at the end."""
        if event_type == EventType.START_RUN:
            self._start(self._workplace(fl_ctx), self._approval())
        elif event_type in {EventType.END_RUN, EventType.ABORT_TASK}:
            self._stop()

    def execute(
        self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal
    ) -> Shareable:
        """Train one round."""
        if task_name != TASK:
            return make_reply(ReturnCode.TASK_UNKNOWN)
        try:
            return self._train(shareable, fl_ctx, abort_signal)
        except RacoonError as error:
            self.log_error(fl_ctx, f"{error.error_code}: {error.public_message}")
            return make_reply(ReturnCode.EXECUTION_EXCEPTION)

    def _train(self, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal) -> Shareable:
        approval = self._approval()
        round_index = int(shareable.get_header(AppConstants.CURRENT_ROUND))
        if not 0 <= round_index < self._plan.rounds:
            raise NotApproved("The job asks for a round the plan does not have.")
        received = from_shareable(shareable).data
        check_weights(received, exchanged_shapes(self._plan))
        workplace = self._workplace(fl_ctx)
        before, after = workplace / "received.safetensors", workplace / "trained.safetensors"
        local = LocalTensors(self._plan, self._local_folder())
        save_weights(before, local.begin(round_index, received), is_durable=False)
        request: dict[str, Any] = {"round": round_index, "weights": str(before), "out": str(after)}
        correction = local.correction(round_index, received)
        if correction is not None:
            request["correction"] = str(workplace / "correction.safetensors")
            save_weights(Path(request["correction"]), correction, is_durable=False)
        for _ in range(1 + TRAINER_RESTARTS):
            facts = self._ask(request, workplace, approval, abort_signal)
            if abort_signal.triggered:
                return make_reply(ReturnCode.TASK_ABORTED)
            if facts is not None:
                self._note(facts)
                kept = {name: facts[name] for name in (*FACTS, *MORE_FACTS) if name in facts}
                meta = {MetaKey.NUM_STEPS_CURRENT_ROUND: facts["cases"], "facts": kept}
                sent = local.finish(round_index, received, load_weights(after))
                check_weights(sent, exchanged_shapes(self._plan))
                check_update(split_control(received)[0], split_control(sent)[0], self._plan.update_norm)
                data: dict[str, Any] = dict(sent)
                if self._plan.strategy.secure_sum:
                    data = self._mask(sent, facts["cases"], shareable, round_index, approval)
                return DXO(DataKind.WEIGHTS, data=data, meta=meta).to_shareable()
            self.log_warning(fl_ctx, f"the training process died in round {round_index}; it is started again")
        raise Unavailable("The training process died again and again.")

    def _mask(
        self, sent: Weights, cases: int, shareable: Shareable, round_index: int, approval: Approval
    ) -> dict[str, Any]:
        """Mask what is sent; without keys, or with a mask that was used, nothing leaves."""
        if approval.sums is None:
            raise NoSecureSum("This site has no keys for secure sums.")
        participants = tuple(str(site) for site in shareable.get_header(PARTICIPANTS_HEADER) or ())
        this = Round(self._run_id, str(shareable.get_header(JOB_HEADER) or ""), round_index, participants)
        if len(participants) < self._plan.min_sites:
            raise NoSecureSum("Fewer sites than the plan's minimum take part in the secure sum.")
        MaskedRounds(self._local_folder()).use(this)
        return dict(approval.sums.open().mask(sent, cases, this))

    def _local_folder(self) -> Path:
        return local_folder(Path(os.environ[APPROVALS_VARIABLE]), self._run_id)

    def _ask(
        self, request: dict[str, Any], workplace: Path, approval: Approval, abort_signal: Signal
    ) -> dict[str, Any] | None:
        process = self._start(workplace, approval)
        try:
            if process.stdin is None:
                return None
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
        except (BrokenPipeError, ValueError):
            self._stop()
            return None
        while not abort_signal.triggered:
            try:
                event = self._events.get(timeout=0.5)
            except queue.Empty:
                continue
            if event is None:
                self._stop()
                return None
            if event["event"] == "error":
                raise rebuild_error(event)
            if event["event"] == "round" and event["round"] == request["round"]:
                return event
        self._stop()
        return None

    def _note(self, facts: dict[str, Any]) -> None:
        path = progress_file(Path(os.environ[APPROVALS_VARIABLE]), self._run_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            kept = {name: facts[name] for name in ("round", *FACTS, *MORE_FACTS) if name in facts}
            file.write(json.dumps(kept) + "\n")

    def _approval(self) -> Approval:
        check_plan(self._plan)
        return Approvals(Path(os.environ[APPROVALS_VARIABLE])).require(self._plan.hash, self._run_id)

    def _workplace(self, fl_ctx: FLContext) -> Path:
        folder = Path(fl_ctx.get_workspace().get_run_dir(fl_ctx.get_job_id())) / "trainer"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _start(self, workplace: Path, approval: Approval) -> subprocess.Popen[str]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        plan_file = workplace / "plan.json"
        plan_file.write_text(json.dumps(self._plan.to_dict()), encoding="utf-8")
        arguments = ["rounds", "--plan", str(plan_file), "--cases", str(approval.cases)]
        arguments += purse_arguments(approval.purse, self._run_id)
        process = start_training_process(arguments, workplace / "trainer.log")
        events: queue.Queue[dict[str, Any] | None] = queue.Queue()

        def read() -> None:
            for event in read_events(process):
                events.put(event)
            events.put(None)

        threading.Thread(target=read, name="trainer-output", daemon=True).start()
        self._process, self._events = process, events
        return process

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()


def _record_refusal(folder: Path, command: str, meta: dict[str, Any], error: NotApproved) -> None:
    """Leave a line for the node's audit; the engine's own log is not evidence."""
    entry = {
        "at": datetime.now(UTC).isoformat(),
        "command": command,
        "job": str(meta.get("name", "")),
        "signer": str(meta.get("submitter_name", "")),
        "reason": error.public_message,
    }
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "refusals.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")

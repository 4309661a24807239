"""The site's seat in federated trainings: its engine process runs while a run lasts and this site lets it work."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from racoon.domain.plan import TrainingPlan
from racoon.errors import Unavailable
from racoon.learning.architectures import check_plan
from racoon.learning.engine import EngineIdentity, SiteEngine
from racoon.learning.spending import Purse
from racoon.node.compute.limits import WAITING_NOTES, Look, Standing, require_going_on

Report = Callable[[int, int, str], None]
"""``(done, total, public note)``."""

RESTART_WAITS_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Pauses before the site's engine process is started again; the last repeats."""

LOOK_S = 0.5
"""Interval of looks at the engine and at the site's limits."""

LINGER_S = 12.0
"""After its last round a site stays this long without a job process: a resumed run may still need it."""


class EngineSeat:
    """The site's one engine process, shared by all runs that last.

    Parameters
    ----------
    engine
        The engine's site side.
    request_identity
        Sends a signing request to CENTRAL and returns its answer; raises ``Unavailable`` while CENTRAL is
        away.
    """

    def __init__(self, engine: SiteEngine, request_identity: Callable[[str], EngineIdentity]) -> None:
        self._engine = engine
        self._request_identity = request_identity
        self._runs: dict[str, str] = {}
        self._lock = threading.Lock()

    def take_part(
        self,
        run_id: str,
        plan: TrainingPlan,
        cases: Path,
        *,
        purse: Purse | None = None,
        report: Report = lambda _d, _t, _n: None,
        should_stop: Callable[[], bool] = lambda: False,
        standing: Look = lambda: Standing.GO,
        linger_s: float = LINGER_S,
    ) -> list[dict[str, Any]]:
        """Sit in the engine until the run ends; restartable at any moment with the same arguments.

        Parameters
        ----------
        run_id, plan, cases
            What this site approved: the engine's gates let exactly this through, nothing else.
        purse
            Account of private trainings.
        report
            Called after each round trained here.
        should_stop
            Asked about twice a second: the site or CENTRAL ended the job.
        standing
            Asked as often: while the site's limits say wait, this site is away from the federation.
        linger_s
            Time without a job process, after the last round, after which the run counts as ended.

        Returns
        -------
        list
            Facts of the rounds trained here, oldest first.
        """
        check_plan(plan)
        pause = threading.Event()
        now = Standing.GO
        while not should_stop():
            before, now = now, standing()
            if now is not Standing.GO:
                require_going_on(now)
                if now is not before:
                    report(len(self._engine.trained_rounds(run_id)), plan.rounds, WAITING_NOTES[now])
                pause.wait(LOOK_S)
                continue
            with self._lock:
                self._engine.install(self._request_identity(self._engine.request()))
                self._engine.approve(plan, run_id, cases, purse)
                self._runs[run_id] = plan.hash
            try:
                if self._sit(run_id, plan, report, should_stop, standing, linger_s):
                    break
            finally:
                self._stand_up(run_id, plan)
        return self._engine.trained_rounds(run_id)

    def _stand_up(self, run_id: str, plan: TrainingPlan) -> None:
        """Let nothing of a run begin here any more; other runs stay."""
        with self._lock:
            self._runs.pop(run_id, None)
            if plan.hash not in self._runs.values():
                self._engine.withdraw(plan.hash)
            if not self._runs:
                self._engine.stop()

    def _sit(
        self,
        run_id: str,
        plan: TrainingPlan,
        report: Report,
        should_stop: Callable[[], bool],
        standing: Look,
        linger_s: float,
    ) -> bool:
        """Keep the engine's process until the run is over (true) or this site may not work now (false)."""
        pause = threading.Event()
        restarts, idle_s, told = 0, 0.0, -1
        while not should_stop():
            if standing() is not Standing.GO:
                return False
            with self._lock:
                alive = self._engine.is_alive()
                if not alive:
                    try:
                        self._engine.start()
                    except OSError as error:
                        raise Unavailable("The training engine's process cannot be started.") from error
            if not alive:
                pause.wait(RESTART_WAITS_S[min(restarts, len(RESTART_WAITS_S) - 1)])
                restarts += 1
            rounds = self._engine.trained_rounds(run_id)
            if len(rounds) != told:
                told = len(rounds)
                report(min(told, plan.rounds), plan.rounds, "training in the federation")
            finished = bool(rounds) and rounds[-1]["round"] == plan.rounds - 1
            idle_s = 0.0 if not finished or self._engine.is_working() else idle_s + LOOK_S
            if idle_s >= linger_s:
                break
            pause.wait(LOOK_S)
        return True

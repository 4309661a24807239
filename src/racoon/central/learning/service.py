"""Drive one federated run to its end, from any point it was left at.

The run folder is the whole truth: ``state.json`` (what was tried), ``round-N.safetensors`` and
``rounds.jsonl`` (what was aggregated, by whom).  Kill this process, the engine's server, a site: the next
call goes on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from racoon.central.learning._book import FederatedResult, RunBook
from racoon.central.learning.model import (
    Action,
    Attempt,
    Observation,
    Patience,
    Verb,
    decide,
    end_attempt,
)
from racoon.domain.plan import TrainingPlan
from racoon.errors import Refused, Unavailable
from racoon.learning.architectures import check_plan
from racoon.learning.engine import EngineIdentity, EngineJob, EngineUnavailable, FederatedEngine, JobState

_log = logging.getLogger(__name__)

LOOK_S = 1.0
"""Interval of looks at the engine; each is a command of a few milliseconds on the server."""

ABORT_WAIT_S = 20.0
"""Time an aborted job gets to end at all sites before the next begins."""

DEFAULT_PATIENCE = Patience()

MAXIMUM_STARTS = 3
"""Failed starts of the engine's server in a row after which the caller is told, who tries again later."""

Report = Callable[[int, int, str], None]
"""``(rounds done, rounds, public note)``."""


class RunGivenUp(Refused):
    """A federated run cannot reach its end; rounds so far stay in the run folder."""

    code = "learning.run_given_up"


class RunCancelled(Refused):
    """Somebody with the right to do so cancelled the run."""

    code = "learning.run_cancelled"


class Training:
    """Federated runs of this CENTRAL.

    Parameters
    ----------
    engine
        The engine's CENTRAL side; its server runs only while a run does.
    folder
        One subfolder per run.
    """

    def __init__(self, engine: FederatedEngine, folder: Path) -> None:
        self._engine = engine
        self._folder = folder
        self._active = 0
        self._lock = threading.Lock()

    def sign_site(self, site: str, request_pem: str) -> EngineIdentity:
        """Sign the engine request of an enrolled site, whose identity mutual TLS has shown."""
        return self._engine.sign_site(site, request_pem)

    def close(self) -> None:
        """End with this process: running trainings stop with ``Unavailable`` and go on after a restart."""
        self._engine.close()

    def run_folder(self, run_id: str) -> Path:
        """Return the folder of a run."""
        return self._folder / run_id

    def run_federated(
        self,
        run_id: str,
        plan: TrainingPlan,
        sites: Sequence[str],
        *,
        patience: Patience = DEFAULT_PATIENCE,
        report: Report = lambda _done, _rounds, _note: None,
        on_rounds: Callable[[Sequence[Mapping[str, Any]]], None] = lambda _rounds: None,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> FederatedResult:
        """Run a plan's rounds at the sites; restartable at any moment with the same arguments.

        Parameters
        ----------
        run_id
            The run; a finished run returns its result at once.
        plan
            What to train.
        sites
            Who is asked; at least ``plan.min_sites``.
        patience
            How long to wait for what.
        report
            Called after each round and when something happens.
        on_rounds
            Called with the account of all rounds so far, after each.
        is_cancelled
            Asked about once a second.

        Raises
        ------
        RunGivenUp
            Without a way to the end.
        RunCancelled
            When ``is_cancelled`` says so; the engine's job is aborted first.
        """
        check_plan(plan)
        if len(set(sites)) < plan.min_sites:
            raise RunGivenUp("Fewer sites are asked than the plan's minimum.")
        book = RunBook(self.run_folder(run_id), plan, tuple(dict.fromkeys(sites)))
        with self._lock:
            self._active += 1
        try:
            if book.rounds_done < plan.rounds:

                def tell(done: int, rounds: int, note: str) -> None:
                    report(done, rounds, note)
                    if not note:
                        on_rounds(book.result().rounds)

                _Driver(self._engine, run_id, plan, book, patience, tell).drive(is_cancelled)
            return book.result()
        finally:
            with self._lock:
                self._active -= 1
                if not self._active:
                    self._engine.stop_server()


class _Driver:
    """Looks, decides, acts, until the run is finished."""

    def __init__(
        self,
        engine: FederatedEngine,
        run_id: str,
        plan: TrainingPlan,
        book: RunBook,
        patience: Patience,
        report: Report,
    ) -> None:
        self._engine = engine
        self._run_id = run_id
        self._plan = plan
        self._book = book
        self._patience = patience
        self._report = report
        self._since = time.monotonic()
        self._last_seen: dict[str, float] = {}
        self._reported = -1
        self._refusals: tuple[tuple[str, str], ...] = ()
        self._pause = threading.Event()
        self._failed_starts = 0

    def drive(self, is_cancelled: Callable[[], bool]) -> None:
        """Go on until all rounds are aggregated."""
        self._engine.start_server()
        while True:
            if is_cancelled():
                self._abort(Action(Verb.ABORT, "the run was cancelled"))
                raise RunCancelled("The training run was cancelled.")
            seen = self._look()
            action = decide(self._book.state, seen, self._patience)
            if seen.rounds_done != self._reported:
                self._reported = seen.rounds_done
                self._report(seen.rounds_done, self._plan.rounds, "")
            if action.verb is Verb.FINISH:
                self._let_end()
                return
            if action.verb is Verb.GIVE_UP:
                self._abort(Action(Verb.ABORT, action.reason))
                raise RunGivenUp(f"The training run ended: {action.reason}.")
            self._act(action, seen)

    def _look(self) -> Observation:
        current = self._book.state.current
        rounds_done = self._book.rounds_done
        now = time.monotonic()
        try:
            connected = self._engine.connected_sites()
            status = self._engine.watch(current.job_id) if current and current.job_id else None
            at_work = (
                self._engine.sites_at_work(current.job_id) if current and current.job_id else frozenset()
            )
        except EngineUnavailable:
            return Observation(False, rounds_done)
        if status is not None and status.state is JobState.RUNNING:
            for site in current.sites if current else ():
                if site in at_work or site not in self._last_seen:
                    self._last_seen[site] = now
        if status is not None and status.refusals:
            self._refusals = status.refusals
        missing = {site: now - seen for site, seen in self._last_seen.items()}
        return Observation(True, rounds_done, connected, missing, status, now - self._since)

    def _act(self, action: Action, seen: Observation) -> None:
        if action.verb is Verb.WAIT:
            self._pause.wait(LOOK_S)
            return
        if action.reason:
            _log.warning("training run", extra={"run_id": self._run_id, "reason": action.reason})
            self._report(seen.rounds_done, self._plan.rounds, action.reason)
        if action.verb is Verb.START_SERVER:
            if self._book.state.current:
                self._end(action)
            self._start_server()
        elif action.verb is Verb.SUBMIT:
            self._submit(action.sites, seen.rounds_done)
        elif action.verb is Verb.ABORT:
            self._abort(action)
        elif action.verb is Verb.FORGET:
            self._end(action)

    def _start_server(self) -> None:
        try:
            self._engine.start_server()
            self._failed_starts = 0
        except Unavailable as error:
            self._failed_starts += 1
            if self._failed_starts >= MAXIMUM_STARTS:
                raise
            _log.warning("the engine's server does not start yet", extra={"reason": str(error.details)})
            self._engine.stop_server()
            self._pause.wait(LOOK_S)
        self._since = time.monotonic()

    def _submit(self, sites: tuple[str, ...], first_round: int) -> None:
        state = self._book.state
        name = f"{self._run_id}-{len(state.attempts)}"
        attempt = Attempt(name, None, sites, first_round)
        self._book.save(replace(state, attempts=(*state.attempts, attempt)))
        job = EngineJob(
            name=name,
            run_id=self._run_id,
            plan=self._plan,
            sites=sites,
            min_sites=self._plan.min_sites,
            first_round=first_round,
            source=self._book.source(first_round),
            folder=self._book.folder,
            straggler_wait_s=self._patience.straggler_s,
            round_timeout_s=self._patience.round_s,
        )
        self._refusals = ()
        try:
            job_id = self._engine.submit(job)
        except Unavailable:
            self._end(Action(Verb.FORGET, "the engine did not take the job"))
            return
        self._book.save(replace(state, attempts=(*state.attempts, replace(attempt, job_id=job_id))))
        self._since = time.monotonic()
        self._last_seen = {}

    def _abort(self, action: Action) -> None:
        current = self._book.state.current
        if current is None:
            return
        deadline = time.monotonic() + ABORT_WAIT_S
        try:
            if current.job_id:
                self._engine.abort(current.job_id)
                while not self._engine.watch(current.job_id).state.is_final and time.monotonic() < deadline:
                    self._pause.wait(LOOK_S)
        except Unavailable:
            _log.warning("the engine's server is away; the job dies with it", extra={"run_id": self._run_id})
        self._end(action)

    def _end(self, action: Action) -> None:
        self._book.save(end_attempt(self._book.state, action, self._refusals))
        self._refusals = ()
        self._since = time.monotonic()
        self._last_seen = {}

    def _let_end(self) -> None:
        """Give the engine a moment to end the job at the sites in good order."""
        current = self._book.state.current
        if current is None or not current.job_id:
            return
        deadline = time.monotonic() + ABORT_WAIT_S
        try:
            while not self._engine.watch(current.job_id).state.is_final and time.monotonic() < deadline:
                self._pause.wait(LOOK_S)
        except Unavailable:
            _log.info("the engine's server went before its last job ended", extra={"run_id": self._run_id})
        self._end(Action(Verb.FORGET, "completed"))

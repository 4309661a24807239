"""What the worker does for analyses: carry comparisons on, and run the engine's part beside."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from racoon.central.analyses.model import Phase
from racoon.central.analyses.service import Analyses
from racoon.domain.plan import TrainingPlan
from racoon.errors import RacoonError, Unavailable
from racoon.platform.database import Database

RETRY_S = 5.0
"""Pause before the engine is tried again after something was not there."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FederatedModel:
    """What a federated training left.

    Parameters
    ----------
    weights
        Content of the weights file (safetensors).
    rounds
        One record per round, for the result page.
    """

    weights: bytes
    rounds: Sequence[Mapping[str, Any]]


class FederatedTraining(Protocol):
    """The port to the training engine; blocking, resumable, stops when told."""

    def __call__(
        self,
        run_id: str,
        plan: TrainingPlan,
        sites: Sequence[str],
        min_sites: int,
        is_wanted: Callable[[], bool],
        on_rounds: Callable[[Sequence[Mapping[str, Any]]], None],
    ) -> FederatedModel:
        """Train to the end, from the last finished round when it was interrupted; tell of the rounds so far.

        Raises
        ------
        Unavailable
            When something is not there now; it is called again.
        Refused, Defect
            When it cannot end well.
        """


class Comparisons:
    """Drives training comparisons from the database.

    Parameters
    ----------
    database, analyses
        What to drive.
    train
        The training engine; ``None`` where it is not installed.
    """

    def __init__(self, database: Database, analyses: Analyses, train: FederatedTraining | None) -> None:
        self._database = database
        self._analyses = analyses
        self._train = train
        self._threads: dict[str, threading.Thread] = {}
        self._stop = threading.Event()

    def tick(self) -> None:
        """Carry all comparisons one step on; start the engine's part where it is wanted and not running
        here.
        """
        with self._database.connect() as connection:
            if not self._analyses.is_any_running(connection):
                return
        with self._database.begin() as connection:
            wanted = self._analyses.drive_all(connection)
        for run_id in wanted:
            thread = self._threads.get(run_id)
            if thread is None or not thread.is_alive():
                self._threads[run_id] = threading.Thread(
                    target=self._run_engine, args=(run_id,), name=f"engine-{run_id}", daemon=True
                )
                self._threads[run_id].start()

    def stop(self) -> None:
        """This process ends: what its engine parts report from now on is not a failure; they go on after a
        restart.
        """
        self._stop.set()

    def _run_engine(self, run_id: str) -> None:
        with self._database.connect() as connection:
            row = self._analyses.engine_order(connection, run_id)
        if row is None:
            self._fail(run_id, "The run was taken back.")
            return
        if self._train is None:
            self._fail(run_id, "CENTRAL has no training engine installed (extra 'learning').")
            return
        plan = TrainingPlan.from_dict(row["plan"])
        try:
            # The sites approved the federated step's own run id, so the engine has to name that one.
            model = self._train(
                f"{run_id}.{Phase.FEDERATED}",
                plan,
                row["engine_sites"],
                row["setup"]["min_sites"],
                lambda: self._is_wanted(run_id),
                lambda rounds: self._note_rounds(run_id, rounds),
            )
            with self._database.begin() as connection:
                self._analyses.engine_finished(connection, run_id, model.weights, model.rounds)
        except Unavailable as error:
            _log.warning("training engine not available", extra={"run_id": run_id, "code": error.error_code})
            self._stop.wait(RETRY_S)
        except RacoonError as error:
            if not self._stop.is_set():
                self._fail(run_id, error.public_message)
        except Exception:  # noqa: BLE001 -- whatever it is, the comparison must learn of it
            _log.exception("federated training failed", extra={"run_id": run_id})
            if not self._stop.is_set():
                self._fail(run_id, "CENTRAL's program failed while it trained; its log names the place.")

    def _is_wanted(self, run_id: str) -> bool:
        with self._database.connect() as connection:
            return self._analyses.engine_order(connection, run_id) is not None

    def _note_rounds(self, run_id: str, rounds: Sequence[Mapping[str, Any]]) -> None:
        with self._database.begin() as connection:
            self._analyses.engine_progressed(connection, run_id, rounds)

    def _fail(self, run_id: str, reason: str) -> None:
        with self._database.begin() as connection:
            self._analyses.engine_failed(connection, run_id, reason)

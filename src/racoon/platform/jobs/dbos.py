"""Jobs on DBOS: durable in SQLite or PostgreSQL, no server, resumed after kill -9.

How it is used here, and why. One workflow function for all kinds, without steps: a handler is begun again as
a whole after a crash. An attempt is one workflow whose id derives from the job id; a handler that says
Unavailable ends its attempt and leaves a delayed next one, so that waiting jobs occupy no worker. Payloads
are JSON, never pickles. The application version is fixed, because DBOS recovers only workflows of its own
version and by default computes that from the source code, so that an upgrade would strand all jobs. No
telemetry, no admin server, no remote control.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dbos import DBOS, DBOSClient, DBOSPortableJSONSerializer, PortableWorkflowError, WorkflowStatus
from dbos import error as dbos_error

from racoon.platform.database import translated_errors
from racoon.platform.jobs.port import Backoff, Handler, JobStatus, NoSuchJob, State, attempt

_log = logging.getLogger(__name__)

APPLICATION = "racoon"
APPLICATION_VERSION = "1"
"""Raise it only when a payload's meaning changes and old jobs must not run; they then stay where they are."""

WORKFLOW = "racoon_job"

_STATES: Mapping[str, State] = {
    "ENQUEUED": "enqueued",
    "DELAYED": "enqueued",
    "PENDING": "running",
    "SUCCESS": "succeeded",
    "ERROR": "failed",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": "failed",
    "CANCELLED": "cancelled",
}

_CRASHED = ("jobs.crashed", "The job was interrupted again and again and is not started any more.")

_WINDOW = 32
"""Attempts looked up in one query; a job seldom has more."""

_CHUNK = 500
"""Ids in one query; SQLite takes no more than some thousand parameters."""


def prepare_jobs(system_database_url: str) -> None:
    """Create or migrate the tables of the queue; safe from several processes, best before forking."""
    _quiet()
    path = sa.make_url(system_database_url).database if system_database_url.startswith("sqlite") else None
    if path:
        Path(path).resolve().parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(path, timeout=30)) as connection:
            # Readers and the one writer do not block each other; the mode is kept in the file.
            connection.execute("PRAGMA journal_mode=WAL")
    with translated_errors():
        DBOS.migrate(system_database_url)


class JobClient:
    """Enqueues and watches jobs from a process that runs none, for example the HTTP process.

    Parameters
    ----------
    system_database_url
        The queue's own database, the same for the worker.
    backoff
        Only used by the worker.
    """

    def __init__(self, system_database_url: str, *, backoff: Backoff | None = None) -> None:
        self._url = system_database_url
        self._backoff = backoff or Backoff()
        self._lock = threading.Lock()
        self._opened: tuple[int, DBOSClient] | None = None

    def enqueue(self, kind: str, job_id: str, payload: Mapping[str, Any], queue: str = "default") -> None:
        """Add a job once; an id that exists is left as it is."""
        self._add(_attempt_id(job_id, 1), kind, job_id, dict(payload), queue, 1)

    def status(self, job_id: str) -> JobStatus:
        """Return what is known about a job; raises NoSuchJob."""
        attempts = self._attempts(job_id)
        last, previous = attempts[-1], attempts[-2] if len(attempts) > 1 else None
        state = _STATES[last.status]
        kind, queue = _kind_and_queue(last)
        code, message = _failure(last) if state != "succeeded" else (None, None)
        if code is None and state in ("enqueued", "running") and previous is not None:
            code, message = _failure(previous)
        output = last.output if isinstance(last.output, dict) else {}
        return JobStatus(
            job_id, kind, state, queue, len(attempts), output.get("result"), error_code=code, error=message
        )

    def is_cancelled(self, job_id: str) -> bool:
        """Tell a running handler whether somebody cancelled its job."""
        return self.status(job_id).state == "cancelled"

    def cancel(self, job_id: str) -> None:
        """Cancel a job: it does not start any more; a running handler is told by :meth:`is_cancelled`."""
        last = self._attempts(job_id)[-1]
        with translated_errors():
            self._client().cancel_workflow(last.workflow_id)

    def retry(self, job_id: str) -> None:
        """Run a failed or cancelled job again, as its next attempt; any other is left as it is."""
        attempts = self._attempts(job_id)
        last = attempts[-1]
        if _STATES[last.status] not in ("failed", "cancelled"):
            return
        kind, queue = _kind_and_queue(last)
        number = len(attempts) + 1
        self._add(_attempt_id(job_id, number), kind, job_id, _payload(last), queue, number)

    def counts(self) -> dict[str, int]:
        """Return how many jobs wait, run and failed; a failure that was retried is not counted."""
        found = {"enqueued": 0, "running": 0, "failed": 0}
        failed: list[str] = []
        for workflow in self._list(status=[name for name, state in _STATES.items() if state in found]):
            state = _STATES[workflow.status]
            found[state] += 1
            if state == "failed":
                failed.append(workflow.workflow_id)
        for begin in range(0, len(failed), _CHUNK):
            successors = []
            for workflow_id in failed[begin : begin + _CHUNK]:
                job_id, number = _parse_attempt_id(workflow_id)
                successors.append(_attempt_id(job_id, number + 1))
            found["failed"] -= len(self._list(workflow_ids=successors))
        return found

    def _list(self, **conditions: Any) -> list[WorkflowStatus]:
        with translated_errors():
            return self._client().list_workflows(
                name=WORKFLOW, load_input=False, load_output=False, **conditions
            )

    def shutdown(self, timeout_s: float = 8.0) -> None:  # noqa: ARG002 -- nothing runs here
        """Close the connections."""
        with self._lock:
            if self._opened is not None and self._opened[0] == os.getpid():
                self._opened[1].destroy()
            self._opened = None

    def _add(
        self,
        attempt_id: str,
        kind: str,
        job_id: str,
        payload: dict[str, Any],
        queue: str,
        number: int,
        delay_s: float = 0,
    ) -> None:
        options: dict[str, Any] = {
            "workflow_name": WORKFLOW,
            "queue_name": queue,
            "workflow_id": attempt_id,
            "app_version": APPLICATION_VERSION,
        }
        if delay_s:
            options["delay_seconds"] = delay_s
        with translated_errors():
            self._client().enqueue(options, kind, job_id, payload, queue, number)  # type: ignore[arg-type]  # the engine's own typed dictionary

    def _attempts(self, job_id: str) -> list[WorkflowStatus]:
        """Return all attempts of a job in order; their ids are known, so each query is a look-up by key."""
        found: dict[int, WorkflowStatus] = {}
        begin, window = 1, _WINDOW
        while True:
            ids = [_attempt_id(job_id, number) for number in range(begin, begin + window)]
            with translated_errors():
                rows = self._client().list_workflows(workflow_ids=ids)
            found |= {_parse_attempt_id(row.workflow_id)[1]: row for row in rows}
            if len(rows) < window:
                break
            begin, window = begin + window, window * 4
        if not found:
            raise NoSuchJob("There is no job of this id.")
        return [found[number] for number in sorted(found)]

    def _client(self) -> DBOSClient:
        with self._lock:
            # Connections must not cross a fork: each process opens its own.
            if self._opened is None or self._opened[0] != os.getpid():
                prepare_jobs(self._url)
                client = DBOSClient(
                    system_database_url=self._url,
                    serializer=DBOSPortableJSONSerializer(),
                    application_name=APPLICATION,
                    retry_connection_errors=False,
                )
                self._opened = (os.getpid(), client)
            return self._opened[1]


class DbosJobQueue(JobClient):
    """The worker's side: runs registered handlers in threads of this process; one per process.

    Parameters
    ----------
    system_database_url
        SQLite file or PostgreSQL database of the queue.
    name
        Of this worker; a restarted worker of the same name resumes what it left.  Two workers need two names.
    concurrency
        Queue name to the number of jobs that run at once here; only these queues are served.
    backoff
        Pauses after Unavailable.
    poll_s
        How often each queue looks for work; half a second costs 2 % of a core for two idle queues, and many
        nodes of a demonstration share two cores.
    prefetch
        Jobs of a queue taken in advance, so that short jobs do not wait for the next look; by default 8 on
        SQLite, and none on PostgreSQL, where another worker may have a free place for them.
    """

    def __init__(
        self,
        system_database_url: str,
        name: str = "worker",
        concurrency: Mapping[str, int] | None = None,
        *,
        backoff: Backoff | None = None,
        poll_s: float = 0.5,
        prefetch: int | None = None,
    ) -> None:
        super().__init__(system_database_url, backoff=backoff)
        self._name = name
        self._concurrency = dict(concurrency or {"default": 2})
        self._poll_s = poll_s
        self._handlers: dict[str, Handler] = {}
        is_sqlite = system_database_url.startswith("sqlite")
        self._prefetch = prefetch if prefetch is not None else (8 if is_sqlite else 0)
        # Our own count of running jobs, because prefetched jobs, and recovered ones, which come back on
        # an internal queue of DBOS without a limit, must wait for a place too.
        self._changed = threading.Condition()
        self._running = dict.fromkeys(self._concurrency, 0)
        self._stopping = False
        self._launched = False

    def register(self, kind: str, handler: Handler) -> None:
        """Say what runs jobs of a kind; before :meth:`launch`."""
        self._handlers[kind] = handler

    def launch(self) -> None:
        """Begin to run jobs, first those a crash interrupted."""
        client = self._client()
        with translated_errors():
            for queue, count in self._concurrency.items():
                # The global limit does not dispatch on SQLite; the worker's does.
                client.register_queue(
                    queue, worker_concurrency=count + self._prefetch, polling_interval_sec=self._poll_s
                )
        DBOS(
            config={
                "name": APPLICATION,
                "system_database_url": self._url,
                "application_version": APPLICATION_VERSION,
                "executor_id": self._name,
                "log_level": "ERROR",
                "enable_otlp": False,
                "serializer": DBOSPortableJSONSerializer(),
            }
        )
        _quiet()
        DBOS.workflow(name=WORKFLOW)(self._make_workflow())
        DBOS.listen_queues(list(self._concurrency))
        with translated_errors():
            DBOS.launch()
        self._launched = True

    def shutdown(self, timeout_s: float = 8.0) -> None:
        """Stop taking jobs, wait for running ones, release everything; what did not end runs again later."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not any(self._running.values()), timeout_s)
        if self._launched:
            self._launched = False
            DBOS.destroy(destroy_registry=True)
        super().shutdown(timeout_s)

    def _make_workflow(self) -> Any:
        def racoon_job(
            kind: str, job_id: str, payload: dict[str, Any], queue: str, number: int
        ) -> dict[str, Any]:
            with self._place(queue) as waited:
                if waited and self.is_cancelled(job_id):
                    return {}
                outcome = attempt(self._handlers.get(kind), job_id, kind, payload)
            if outcome.again:
                self._leave_next(kind, job_id, payload, queue, number)
                return {"again": {"code": outcome.code, "message": outcome.message}}
            if outcome.code is not None:
                raise PortableWorkflowError(str(outcome.message), "RacoonError", outcome.code)
            return {"result": outcome.result}

        return racoon_job

    def _leave_next(self, kind: str, job_id: str, payload: dict[str, Any], queue: str, number: int) -> None:
        if self.is_cancelled(job_id):
            return
        pause_s = self._backoff.pause_s(number)
        self._add(_attempt_id(job_id, number + 1), kind, job_id, payload, queue, number + 1, pause_s)

    @contextlib.contextmanager
    def _place(self, queue: str) -> Iterator[bool]:
        """Wait for one of the queue's places; tell whether there was something to wait for."""
        limit = self._concurrency.get(queue, 1)
        with self._changed:
            waited = self._running.get(queue, 0) >= limit
            self._changed.wait_for(lambda: self._stopping or self._running.get(queue, 0) < limit)
            if self._stopping:
                raise _Stopped
            self._running[queue] = self._running.get(queue, 0) + 1
        try:
            yield waited
        finally:
            with self._changed:
                self._running[queue] -= 1
                self._changed.notify_all()


class _Stopped(BaseException):
    """Ends a job that has not begun when the worker stops.

    DBOS records exceptions as failures but lets what is no ``Exception`` pass, so the job stays pending and
    is recovered at the next launch.
    """


def _attempt_id(job_id: str, number: int) -> str:
    return job_id if number == 1 else f"{job_id}~{number}"


def _parse_attempt_id(workflow_id: str) -> tuple[str, int]:
    job_id, mark, number = workflow_id.rpartition("~")
    return (job_id, int(number)) if mark and number.isdigit() else (workflow_id, 1)


def _arguments(workflow: WorkflowStatus) -> list[Any]:
    return list(workflow.input["args"]) if isinstance(workflow.input, dict) else []


def _kind_and_queue(workflow: WorkflowStatus) -> tuple[str, str]:
    arguments = _arguments(workflow)
    return (str(arguments[0]), str(arguments[3])) if len(arguments) >= 4 else ("", "")


def _payload(workflow: WorkflowStatus) -> dict[str, Any]:
    arguments = _arguments(workflow)
    return dict(arguments[2]) if len(arguments) >= 3 else {}


def _failure(workflow: WorkflowStatus) -> tuple[str | None, str | None]:
    if isinstance(workflow.output, dict) and (again := workflow.output.get("again")):
        return str(again["code"]), str(again["message"])
    if isinstance(workflow.error, PortableWorkflowError):
        return str(workflow.error.code), workflow.error.message
    if workflow.status == "MAX_RECOVERY_ATTEMPTS_EXCEEDED":
        return _CRASHED
    return None, None


def _quiet() -> None:
    """Let DBOS speak through our log only, and only of errors."""
    logger = logging.getLogger("dbos")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
    # With a handler of its own present, DBOS does not add one that writes to the console.
    logger.addHandler(logging.NullHandler())
    if _is_news not in logger.filters:
        logger.addFilter(_is_news)
    logger.propagate = True
    logger.setLevel(logging.ERROR)


def _is_news(record: logging.LogRecord) -> bool:
    """Drop reports of failed and cancelled jobs, which our own log and the queue have already."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, PortableWorkflowError | dbos_error.DBOSAwaitedWorkflowCancelledError)

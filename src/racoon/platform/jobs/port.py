"""The port: what a job queue is, whatever runs it."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from racoon.errors import RacoonError, Refused, Unavailable

_log = logging.getLogger(__name__)

State = Literal["enqueued", "running", "succeeded", "failed", "cancelled"]

FINISHED: frozenset[State] = frozenset({"succeeded", "failed", "cancelled"})

Handler = Callable[[str, dict[str, Any]], Mapping[str, Any] | None]
"""Called with the job id and the payload; returns a JSON object or nothing.

It may be called again after a crash, so it writes its outputs atomically.
"""


class NoSuchJob(Refused):
    """There is no job of this id."""

    code = "jobs.no_such_job"
    status = 404


class UnknownKind(Refused):
    """No handler is registered for this kind of job in this process."""

    code = "jobs.unknown_kind"


@dataclass(frozen=True)
class JobStatus:
    """What is known about a job.

    ``error_code`` and ``error`` (a public message) describe the last attempt that did not succeed, also while
    the next one waits. ``attempts`` counts the attempts that were begun or wait to begin.
    """

    job_id: str
    kind: str
    state: State
    queue: str
    attempts: int
    result: Mapping[str, Any] | None = None
    error_code: str | None = None
    error: str | None = None

    @property
    def is_finished(self) -> bool:
        """Whether nothing will happen to the job any more unless somebody retries it."""
        return self.state in FINISHED


@dataclass(frozen=True)
class Backoff:
    """Pauses in seconds after a handler said Unavailable; they double, with jitter."""

    first_s: float = 0.5
    max_s: float = 60.0

    def pause_s(self, attempt: int) -> float:
        """Return the pause after the given attempt (1 for the first)."""
        pause = min(self.first_s * 2.0 ** min(attempt - 1, 30), self.max_s)
        return pause * random.uniform(0.8, 1.2)


@dataclass(frozen=True)
class Outcome:
    """How one attempt ended; ``again`` asks for another."""

    result: dict[str, Any] | None = None
    code: str | None = None
    message: str | None = None
    again: bool = False


def attempt(handler: Handler | None, job_id: str, kind: str, payload: dict[str, Any]) -> Outcome:
    """Call a handler and sort what comes back: a result, "later", or a failure with a public message."""
    try:
        if handler is None:
            raise UnknownKind(f"This program does not know jobs of kind '{kind}'.")
        result = handler(job_id, payload)
        return Outcome(result=dict(result) if result is not None else None)
    except Unavailable as error:
        _log.info("job waits", extra={"job_id": job_id, "job_kind": kind, "code": error.error_code})
        return Outcome(code=error.error_code, message=error.public_message, again=True)
    except RacoonError as error:
        _log.warning("job failed", extra={"job_id": job_id, "job_kind": kind, "code": error.error_code})
        return Outcome(code=error.error_code, message=error.public_message)
    except Exception as error:  # noqa: BLE001 -- a job fails, the worker goes on
        _log.exception("job failed unexpectedly", extra={"job_id": job_id, "job_kind": kind}, exc_info=error)
        return Outcome(code="defect", message="The job failed unexpectedly; this machine's log says where.")


class JobQueue(Protocol):
    """A durable queue of jobs.

    A job has a kind, an id chosen by the caller, and a JSON object as payload. Enqueueing an id again is no
    error and does nothing, so the id is the key that makes work happen once. A handler that raises
    ``Unavailable`` is called again with back-off for as long as it takes; any other exception fails the job
    at once.
    """

    def register(self, kind: str, handler: Handler) -> None:
        """Say what runs jobs of a kind; before :meth:`launch`."""

    def launch(self) -> None:
        """Begin to run jobs, first those a crash interrupted."""

    def enqueue(self, kind: str, job_id: str, payload: Mapping[str, Any], queue: str = "default") -> None:
        """Add a job once; an id that exists is left as it is."""

    def status(self, job_id: str) -> JobStatus:
        """Return what is known about a job; raises NoSuchJob."""

    def is_cancelled(self, job_id: str) -> bool:
        """Tell a running handler whether somebody cancelled its job, so that it can stop early."""

    def cancel(self, job_id: str) -> None:
        """Cancel a job: it does not start any more; a running handler is told by :meth:`is_cancelled`."""

    def retry(self, job_id: str) -> None:
        """Run a failed or cancelled job again; any other is left as it is."""

    def counts(self) -> dict[str, int]:
        """Return how many jobs wait, run and failed, for metrics."""

    def shutdown(self, timeout_s: float = 8.0) -> None:
        """Stop taking jobs, wait for running ones, release everything; what did not end runs again later."""

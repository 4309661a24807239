"""Jobs in memory: the same behaviour as the durable queue as long as the process lives; for unit tests."""

from __future__ import annotations

import heapq
import itertools
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from racoon.platform.jobs.port import Backoff, Handler, JobStatus, NoSuchJob, State, attempt


@dataclass
class _Job:
    job_id: str
    kind: str
    payload: str
    queue: str
    state: State = "enqueued"
    attempts: int = 1
    result: dict[str, Any] | None = None
    error_code: str | None = None
    error: str | None = None


@dataclass(order=True)
class _Turn:
    due_s: float
    order: int
    job_id: str = field(compare=False)
    attempt: int = field(compare=False)


class MemoryJobQueue:
    """A job queue without persistence.

    Parameters
    ----------
    concurrency
        Queue name to the number of threads.
    backoff
        Pauses after Unavailable.
    """

    def __init__(
        self, concurrency: Mapping[str, int] | None = None, *, backoff: Backoff | None = None
    ) -> None:
        self._concurrency = dict(concurrency or {"default": 2})
        self._backoff = backoff or Backoff()
        self._handlers: dict[str, Handler] = {}
        self._jobs: dict[str, _Job] = {}
        self._turns: dict[str, list[_Turn]] = {}
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._stopped = False

    def register(self, kind: str, handler: Handler) -> None:
        """Say what runs jobs of a kind."""
        self._handlers[kind] = handler

    def launch(self) -> None:
        """Start the threads."""
        for queue, count in self._concurrency.items():
            for _ in range(count):
                thread = threading.Thread(target=self._work, args=(queue,), daemon=True)
                thread.start()
                self._threads.append(thread)

    def enqueue(self, kind: str, job_id: str, payload: Mapping[str, Any], queue: str = "default") -> None:
        """Add a job once; an id that exists is left as it is."""
        document = json.dumps(dict(payload))
        with self._changed:
            if job_id not in self._jobs:
                self._jobs[job_id] = job = _Job(job_id, kind, document, queue)
                self._line_up(job, 0)

    def status(self, job_id: str) -> JobStatus:
        """Return what is known about a job; raises NoSuchJob."""
        with self._changed:
            job = self._job(job_id)
            return JobStatus(
                job_id, job.kind, job.state, job.queue, job.attempts, job.result, job.error_code, job.error
            )

    def is_cancelled(self, job_id: str) -> bool:
        """Tell a running handler whether somebody cancelled its job."""
        return self.status(job_id).state == "cancelled"

    def cancel(self, job_id: str) -> None:
        """Cancel a job that is not finished."""
        with self._changed:
            job = self._job(job_id)
            if job.state in ("enqueued", "running"):
                job.state = "cancelled"

    def retry(self, job_id: str) -> None:
        """Run a failed or cancelled job again."""
        with self._changed:
            job = self._job(job_id)
            if job.state in ("failed", "cancelled"):
                job.attempts += 1
                self._line_up(job, 0)

    def counts(self) -> dict[str, int]:
        """Return how many jobs wait, run and failed."""
        with self._changed:
            states = [job.state for job in self._jobs.values()]
        return {state: states.count(state) for state in ("enqueued", "running", "failed")}

    def shutdown(self, timeout_s: float = 8.0) -> None:
        """Stop the threads."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(timeout_s)

    def _job(self, job_id: str) -> _Job:
        if job_id not in self._jobs:
            raise NoSuchJob("There is no job of this id.")
        return self._jobs[job_id]

    def _line_up(self, job: _Job, pause_s: float) -> None:
        job.state = "enqueued"
        turn = _Turn(time.monotonic() + pause_s, next(self._order), job.job_id, job.attempts)
        heapq.heappush(self._turns.setdefault(job.queue, []), turn)
        self._changed.notify_all()

    def _next(self, queue: str) -> tuple[_Job, int] | None:
        with self._changed:
            while not self._stopped:
                turns = self._turns.setdefault(queue, [])
                wait_s = turns[0].due_s - time.monotonic() if turns else None
                if wait_s is None or wait_s > 0:
                    self._changed.wait(wait_s)
                    continue
                turn = heapq.heappop(turns)
                job = self._jobs[turn.job_id]
                if job.state == "enqueued" and job.attempts == turn.attempt:
                    job.state = "running"
                    return job, turn.attempt
            return None

    def _work(self, queue: str) -> None:
        while taken := self._next(queue):
            job, number = taken
            outcome = attempt(self._handlers.get(job.kind), job.job_id, job.kind, json.loads(job.payload))
            with self._changed:
                if job.state != "running" or job.attempts != number:
                    continue
                if outcome.again:
                    job.error_code, job.error = outcome.code, outcome.message
                    job.attempts += 1
                    self._line_up(job, self._backoff.pause_s(number))
                elif outcome.code is not None:
                    job.state, job.error_code, job.error = "failed", outcome.code, outcome.message
                else:
                    job.state, job.result, job.error_code, job.error = "succeeded", outcome.result, None, None

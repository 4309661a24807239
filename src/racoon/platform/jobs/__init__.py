"""Durable jobs behind a narrow port: enqueue once, run at least once, survive a kill -9.

``JobQueue`` is the port; ``DbosJobQueue`` runs jobs in a worker process, ``JobClient`` enqueues from any
other process on the same database, ``MemoryJobQueue`` forgets everything and is for unit tests. What a job
does belongs to the context that registers its handler; heavy work runs in a subprocess inside the handler.
"""

from racoon.platform.jobs.dbos import DbosJobQueue, JobClient, prepare_jobs
from racoon.platform.jobs.memory import MemoryJobQueue
from racoon.platform.jobs.port import Backoff, Handler, JobQueue, JobStatus, NoSuchJob, State, UnknownKind

__all__ = [
    "Backoff",
    "DbosJobQueue",
    "Handler",
    "JobClient",
    "JobQueue",
    "JobStatus",
    "MemoryJobQueue",
    "NoSuchJob",
    "State",
    "UnknownKind",
    "prepare_jobs",
]

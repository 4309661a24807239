"""When and how long trainings may run at this site: set on its own page, asked twice a second while one runs.

CENTRAL reads that a training waits at a site, and for what.  A training uses one processor core (more would change its
bits) and no graphics card, so the number of trainings at once is the number of cores they take.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

import sqlalchemy as sa

from racoon.errors import Refused
from racoon.node.compute import _store
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database
from racoon.platform.files import write_atomically

REMEMBER_EVERY_S = 20.0
"""How often the worked time is written; a killed node forgets at most this much."""


class TimeUsed(Refused):
    """A training has used the time this site gives one."""

    code: ClassVar[str] = "compute.time_used"


class BadLimits(Refused):
    """Limits that say nothing a node can keep."""

    code: ClassVar[str] = "compute.bad_limits"


class Standing(StrEnum):
    """What a training may do now."""

    GO = "go"
    PAUSED = "paused"
    CLOSED = "closed"
    QUEUED = "queued"
    ENDED = "ended"
    SPENT = "spent"

    @property
    def waits(self) -> bool:
        """Whether it may go on later."""
        return self in {Standing.PAUSED, Standing.CLOSED, Standing.QUEUED}


WAITING_NOTES = {
    Standing.PAUSED: "paused at this site",
    Standing.CLOSED: "waiting for the hours of this site",
    Standing.QUEUED: "waiting for another training of this site",
}


def require_going_on(now: Standing) -> None:
    """Refuse to wait for what will not go on any more.

    Raises
    ------
    Refused
        ``jobs.cancelled``.
    TimeUsed
    """
    if now is Standing.ENDED:
        raise Refused("The job was cancelled.", code="jobs.cancelled")
    if now is Standing.SPENT:
        raise TimeUsed("The training has used the time that this site gives one.")


Look = Callable[[], Standing]
"""Asks what a training may do now."""


@dataclass(frozen=True)
class Limits:
    """A site's limits; what is open has none.

    Parameters
    ----------
    hours
        Longest working time of one training; waiting does not count.
    trainings
        Most trainings that work at once.
    opens, closes
        Daily hours in local time as ``HH:MM``, over midnight where ``closes`` is the earlier; both or neither.
    """

    hours: float | None = None
    trainings: int | None = None
    opens: str = ""
    closes: str = ""

    def __post_init__(self) -> None:
        if self.hours is not None and not 0 < self.hours <= 10_000:
            raise BadLimits("The longest time of a training lies above 0, up to 10 000 hours.")
        if self.trainings is not None and not 1 <= self.trainings <= 1000:
            raise BadLimits("The number of trainings at once is at least 1.")
        if bool(self.opens) != bool(self.closes) or (self.opens and self.opens == self.closes):
            raise BadLimits("The hours need a beginning and another end, or neither.")
        for text in (self.opens, self.closes):
            if text and not _is_time(text):
                raise BadLimits("Write a time of day as 22:00.")

    def is_open(self, at: datetime) -> bool:
        """Tell whether trainings may work at a moment of local time."""
        if not self.opens:
            return True
        now = f"{at.hour:02d}:{at.minute:02d}"
        if self.opens < self.closes:
            return self.opens <= now < self.closes
        return now >= self.opens or now < self.closes


def _is_time(text: str) -> bool:
    try:
        return len(text) == 5 and datetime.strptime(text, "%H:%M").strftime("%H:%M") == text  # noqa: DTZ007 - a time of day has no zone
    except ValueError:
        return False


class TrainingLimits:
    """This site's limits; every change stays on record.

    Parameters
    ----------
    audit
        The node's audit log.
    """

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit

    def current(self, connection: sa.Connection) -> Limits:
        """Return what holds now."""
        row = _store.newest_limits(connection)
        return Limits(row.hours, row.trainings, row.opens, row.closes) if row is not None else Limits()

    def change(self, connection: sa.Connection, limits: Limits, actor: str, actor_role: str) -> None:
        """Set new limits; trainings that run follow within a second."""
        _store.insert_limits(connection, limits, clock.now(), actor)
        self._audit.append(
            connection,
            actor=actor,
            actor_role=actor_role,
            action="training.limits",
            target="site/training",
            details={
                "hours": limits.hours,
                "trainings": limits.trainings,
                "opens": limits.opens,
                "closes": limits.closes,
            },
        )


class Gate:
    """Says of each training whether it may work now, and counts how long it did.

    Parameters
    ----------
    database, limits
        Where the limits are.
    is_ended, is_paused
        Asked with a job id.
    folder
        For the worked times, so that they outlive this process.
    now
        Local time; the machine's own.
    tick
        Seconds that only go on.
    """

    def __init__(
        self,
        database: Database,
        limits: TrainingLimits,
        is_ended: Callable[[str], bool],
        is_paused: Callable[[str], bool],
        folder: Path,
        *,
        now: Callable[[], datetime] = lambda: clock.now().astimezone(),
        tick: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database, self._limits = database, limits
        self._is_ended, self._is_paused = is_ended, is_paused
        self._folder = folder
        self._now, self._tick = now, tick
        self._lock = threading.Lock()
        self._working: dict[str, float] = {}
        self._worked: dict[str, float] = {}
        self._written: dict[str, float] = {}

    def look(self, job_id: str) -> Standing:
        """Return what a training may do now; the time since its last look counts if it could work then."""
        with self._database.connect() as connection:
            limits = self._limits.current(connection)
        ended, paused, tick = self._is_ended(job_id), self._is_paused(job_id), self._tick()
        with self._lock:
            worked = self._count(job_id, tick)
            standing = Standing.GO
            if ended:
                standing = Standing.ENDED
            elif limits.hours is not None and worked >= limits.hours * 3600:
                standing = Standing.SPENT
            elif paused:
                standing = Standing.PAUSED
            elif not limits.is_open(self._now()):
                standing = Standing.CLOSED
            elif job_id not in self._working and len(self._working) >= (limits.trainings or 1000):
                standing = Standing.QUEUED
            if standing is Standing.GO:
                self._working[job_id] = tick
            else:
                self._working.pop(job_id, None)
            return standing

    def leave(self, job_id: str) -> None:
        """A training is over, or its process ends: its place is free."""
        with self._lock:
            self._count(job_id, self._tick())
            self._working.pop(job_id, None)
            self._remember(job_id)

    def worked_s(self, job_id: str) -> float:
        """Return how long a training has worked here, in seconds."""
        with self._lock:
            return self._count(job_id, self._tick())

    def _count(self, job_id: str, tick: float) -> float:
        if job_id not in self._worked:
            path = self._folder / f"{job_id}.json"
            self._worked[job_id] = float(json.loads(path.read_bytes())) if path.exists() else 0.0
        if job_id in self._working:
            self._worked[job_id] += tick - self._working[job_id]
            self._working[job_id] = tick
        if self._worked[job_id] - self._written.get(job_id, 0.0) >= REMEMBER_EVERY_S:
            self._remember(job_id)
        return self._worked[job_id]

    def _remember(self, job_id: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self._folder / f"{job_id}.json", json.dumps(self._worked[job_id]).encode())
        self._written[job_id] = self._worked[job_id]

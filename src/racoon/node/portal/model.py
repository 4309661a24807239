"""What needs a person today, from the facts of the other rooms.  Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from racoon.domain.governance.site_track import SITE_TRACK_TABLE
from racoon.domain.identity import Role
from racoon.node.approvals.model import StudyAtSite
from racoon.node.jobs.model import JobRecord, JobState

SILENCE = timedelta(minutes=2)
"""CENTRAL answers a long poll every 25 s; two minutes without one is worth a look."""

CERTIFICATE_WARNING = timedelta(days=14)
"""Renewal is automatic from thirty days before the end; at fourteen it has failed for two weeks."""

SMALL_DISK_BYTES = 10 * 10**9

Level = Literal["bad", "warn", "todo"]


@dataclass(frozen=True)
class Task:
    """One thing that needs a person.

    Parameters
    ----------
    level
        ``bad``: something is broken; ``warn``: it will be; ``todo``: somebody's turn.
    text
        English sentence with ``%(name)s`` places; translated when shown.
    values
        For the places.
    next_step
        What to do, English.
    path
        Page where it is done.
    """

    level: Level
    text: str
    values: dict[str, str]
    next_step: str
    path: str


@dataclass(frozen=True)
class Facts:
    """What the rooms say about this morning."""

    now: datetime
    last_contact: datetime | None
    certificate_expires_at: datetime
    disk_free_bytes: int
    intake_waiting: int
    oldest_waiting_s: float
    quarantined: int
    studies: tuple[StudyAtSite, ...]
    jobs: tuple[JobRecord, ...]

    @property
    def is_connected(self) -> bool:
        """Whether CENTRAL has answered lately."""
        return self.last_contact is not None and self.now - self.last_contact <= SILENCE


def tasks_for(facts: Facts, roles: Iterable[Role]) -> list[Task]:
    """List what needs these roles today, most pressing first."""
    held = frozenset(roles)
    return [*_health(facts), *_decisions(facts, held), *_housekeeping(facts)]


def steps_open_to(study: StudyAtSite, roles: Iterable[Role]) -> list[str]:
    """List the next states of a study's track that one of the roles may set."""
    held = frozenset(roles)
    return [
        row.target
        for row in SITE_TRACK_TABLE.transitions
        if row.source == study.track_state and row.roles & held
    ]


def _health(facts: Facts) -> list[Task]:
    tasks = []
    if not facts.is_connected:
        tasks.append(
            Task(
                "bad",
                "CENTRAL has not answered for a while.",
                {},
                "Run racoon doctor on this machine; it names the firewall rule or proxy setting to ask for.",
                "/",
            )
        )
    if facts.disk_free_bytes < SMALL_DISK_BYTES:
        gigabytes = f"{facts.disk_free_bytes / 1e9:.1f}"
        tasks.append(
            Task(
                "bad",
                "Only %(free)s GB are free.",
                {"free": gigabytes},
                "Free space or enlarge the disk.",
                "/",
            )
        )
    if facts.certificate_expires_at - facts.now < CERTIFICATE_WARNING:
        tasks.append(
            Task(
                "warn",
                "The node's certificate ends soon and was not renewed.",
                {},
                "Check that CENTRAL is reached; enrol again with a new join code if the date has passed.",
                "/",
            )
        )
    if facts.oldest_waiting_s > 600:
        tasks.append(
            Task(
                "warn",
                "%(count)s received objects wait for more than ten minutes.",
                {"count": str(facts.intake_waiting)},
                "Look at the worker's log; a full disk or a locked database is the usual reason.",
                "/intake",
            )
        )
    return tasks


def _decisions(facts: Facts, roles: frozenset[Role]) -> list[Task]:
    return [
        Task(
            "todo",
            "“%(title)s” waits for your decision.",
            {"title": study.definition.title},
            "Everything needed stands on one page.",
            f"/studies/{study.study_id}",
        )
        for study in facts.studies
        if set(steps_open_to(study, roles)) - {"stopped", "declined"}
        and not (study.track_state == "opted_in" and study.dataset_hash is None)
    ]


def _housekeeping(facts: Facts) -> list[Task]:
    tasks = []
    if facts.quarantined:
        tasks.append(
            Task(
                "todo",
                "%(count)s objects are in quarantine.",
                {"count": str(facts.quarantined)},
                "Each has its reason in plain words; release it, set it right or delete it.",
                "/intake/quarantine",
            )
        )
    failed = [job for job in facts.jobs if job.state is JobState.FAILED]
    if failed:
        tasks.append(
            Task(
                "warn",
                "%(count)s jobs failed.",
                {"count": str(len(failed))},
                "The reason stands beside each job.",
                "/jobs",
            )
        )
    return tasks

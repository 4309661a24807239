"""What needs a person today, from the facts of the other rooms.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from racoon.domain.governance.approval import RENEWABLE
from racoon.domain.governance.local_process import LocalStep
from racoon.domain.governance.machine import Transition
from racoon.domain.governance.reminding import wait_of
from racoon.domain.governance.site_track import SITE_TRACK_PATH, SITE_TRACK_TABLE
from racoon.domain.identity import Role
from racoon.domain.permission import is_permitted
from racoon.node.approvals.model import LEFT, LocalStanding, StudyAtSite
from racoon.node.jobs.model import JobRecord, JobState
from racoon.protocol.messages import SiteStanding

SILENCE = timedelta(minutes=2)
"""CENTRAL answers a long poll every 25 s; two minutes without one is worth a look."""

CERTIFICATE_WARNING = timedelta(days=14)
"""Renewal is automatic from thirty days before the end; at fourteen it has failed for two weeks."""

RENEWAL_WARNING = timedelta(days=30)
"""A committee needs weeks to extend a vote."""

NEEDS_A_PERSON = (
    "approvals.expired",
    "approvals.missing",
    "approvals.tampered",
    "approvals.dataset",
    "approvals.local",
)
"""Codes of blocks that somebody at the site can mend."""

ENDED_VERSIONS = frozenset(
    {"superseded", "amend_refused", "amend_withdrawn", "withdrawn", "closed", "archived", "rejected"}
)
"""States announced by CENTRAL in which no decision is wanted any more."""

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
    """What the rooms say about this morning.

    ``since`` and ``local`` go by study id and version: since when it stands where it stands, and the step of the site's
    own process that is next.
    """

    now: datetime
    last_contact: datetime | None
    certificate_expires_at: datetime
    disk_free_bytes: int
    intake_waiting: int
    oldest_waiting_s: float
    quarantined: int
    studies: tuple[StudyAtSite, ...]
    jobs: tuple[JobRecord, ...]
    standings: tuple[SiteStanding, ...] = ()
    reviews_waiting: int = 0
    strangers: tuple[str, ...] = ()
    counts_held: tuple[str, ...] = ()
    silent_recipients: tuple[str, ...] = ()
    not_erased: int = 0
    since: Mapping[tuple[str, str], datetime] = field(default_factory=dict)
    local: Mapping[tuple[str, str], LocalStep] = field(default_factory=dict)

    @property
    def is_connected(self) -> bool:
        """Whether CENTRAL has answered lately."""
        return self.last_contact is not None and self.now - self.last_contact <= SILENCE


def tasks_for(facts: Facts, roles: Iterable[Role]) -> list[Task]:
    """List what needs these roles today, most pressing first."""
    held = frozenset(roles)
    return [
        *_health(facts),
        *_blocked(facts, held),
        *_decisions(facts, held),
        *_releases(facts, held),
        *_withdrawals(facts, held),
        *_housekeeping(facts),
    ]


def steps_open_to(study: StudyAtSite, roles: Iterable[Role]) -> list[str]:
    """List the next states of a study's track that one of the roles may set."""
    held = frozenset(roles)
    return [
        row.target
        for row in SITE_TRACK_TABLE.transitions
        if row.source == study.track_state and row.roles & held
    ]


def first_blocked(local: Sequence[LocalStanding]) -> int:
    """Return the place in the site track from which on the site's own process comes first; beyond it without one."""
    following = next((item.step for item in local if item.is_next), None)
    return SITE_TRACK_PATH.index(following.before) if following else len(SITE_TRACK_PATH)


def renewals_open_to(roles: Iterable[Role]) -> dict[str, Transition]:
    """Name the approvals that one of the roles may give again, with the step whose rules apply."""
    held = frozenset(roles)
    return {
        kind.value: row
        for kind, target in RENEWABLE.items()
        for row in SITE_TRACK_TABLE.transitions
        if row.target == target and row.roles & held
    }


def _blocked(facts: Facts, roles: frozenset[Role]) -> list[Task]:
    """Released studies that nothing may run for, and approvals that end soon."""
    renewable = renewals_open_to(roles)
    tasks = []
    for study, standing in zip(facts.studies, facts.standings, strict=False):
        path = f"/studies/{study.study_id}?version={study.study_hash}"
        if study.track_state == "released" and standing.code.startswith(NEEDS_A_PERSON):
            tasks.append(
                Task(
                    "bad",
                    "Nothing of “%(title)s” runs here: %(reason)s",
                    {"title": study.definition.title, "reason": standing.public_reason},
                    "Renew what has ended on the page of the study, or stop it.",
                    path,
                )
            )
            continue
        for approval in standing.approvals:
            last = approval.valid_until
            if last is None or approval.kind not in renewable or study.track_state in ("stopped", "declined"):
                continue
            if last - facts.now.date() <= RENEWAL_WARNING:
                tasks.append(
                    Task(
                        "warn",
                        "An approval of “%(title)s” ends on %(day)s.",
                        {"title": study.definition.title, "day": last.isoformat()},
                        "Renew what has ended on the page of the study, or stop it.",
                        path,
                    )
                )
    return tasks


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
    tasks = []
    for study in facts.studies:
        if study.central_state in ENDED_VERSIONS or study.track_state in LEFT:
            continue
        local = facts.local.get((study.study_id, study.study_hash))
        if local is not None and local.roles & roles:
            tasks.append(
                Task(
                    "todo",
                    "“%(title)s” waits for a step of this site's own process.",
                    {"title": study.definition.title},
                    "It stands on the page of the study, above the network's steps.",
                    f"/studies/{study.study_id}?version={study.study_hash}#local",
                )
            )
        ahead = set(steps_open_to(study, roles)) - {"stopped", "declined"}
        if local is not None:
            first = SITE_TRACK_PATH.index(local.before)
            ahead -= set(SITE_TRACK_PATH[first:])
        if ahead and not (study.track_state == "opted_in" and study.dataset_hash is None):
            tasks.append(_decision(study, facts))
    return tasks


def _decision(study: StudyAtSite, facts: Facts) -> Task:
    values = {"title": study.definition.title}
    path = f"/studies/{study.study_id}?version={study.study_hash}"
    since = facts.since.get((study.study_id, study.study_hash), study.offered_at)
    wait = wait_of(study.track_state, since, facts.now)
    if wait is not None and wait.is_overdue:
        return Task(
            "warn",
            "“%(title)s” is overdue: it has waited for your decision for %(days)s days.",
            {**values, "days": str(int(wait.days))},
            "Everything needed stands on one page; a no is an answer too.",
            path,
        )
    text = "“%(title)s” waits for your decision."
    if study.reminded_at and study.reminded_at >= since:
        return Task(
            "warn",
            text,
            values,
            "CENTRAL has reminded this site; everything needed stands on one page.",
            path,
        )
    return Task("todo", text, values, "Everything needed stands on one page.", path)


def _releases(facts: Facts, roles: frozenset[Role]) -> list[Task]:
    tasks = []
    if facts.reviews_waiting and is_permitted("node", roles, "release.decide"):
        tasks.append(
            Task(
                "todo",
                "%(count)s releases wait for a reviewer.",
                {"count": str(facts.reviews_waiting)},
                "Look at exactly what would leave, and say yes or no with a reason.",
                "/reviews",
            )
        )
    if facts.counts_held and is_permitted("node", roles, "release.decide"):
        tasks.append(
            Task(
                "todo",
                "Counts of %(projects)s are held: they nearly repeat each other.",
                {"projects": ", ".join(facts.counts_held)},
                "Ask the project what it is looking for, then let it go on or leave it held.",
                "/reviews#held",
            )
        )
    if facts.strangers and is_permitted("node", roles, "export.ask"):
        tasks.append(
            Task(
                "warn",
                "Letters of %(sites)s wait: nobody has entered their peer codes.",
                {"sites": ", ".join(facts.strangers)},
                "Take the code from the contract and compare the fingerprint on the telephone.",
                "/pool",
            )
        )
    return tasks


def _withdrawals(facts: Facts, roles: frozenset[Role]) -> list[Task]:
    if not is_permitted("node", roles, "consent.read"):
        return []
    tasks = []
    if facts.silent_recipients:
        tasks.append(
            Task(
                "bad",
                "%(names)s did not confirm a withdrawal within fourteen days.",
                {"names": ", ".join(facts.silent_recipients)},
                "Call them: their copy may still be there.",
                "/consent#withdrawals",
            )
        )
    if facts.not_erased:
        tasks.append(
            Task(
                "warn",
                "%(count)s withdrawals hold, but the images are not gone yet.",
                {"count": str(facts.not_erased)},
                "Nothing shows them any more; if this stays, look at the worker's log.",
                "/consent#withdrawals",
            )
        )
    return tasks


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

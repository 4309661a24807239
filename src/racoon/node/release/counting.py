"""Answers to feasibility counts: stored, charged, and withheld where the budget or the hand that was raised says so.

A refusal is always the same words, whatever its reason, so that it is no oracle; the reason stands in the site's audit.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

import sqlalchemy as sa

from racoon.errors import Refused
from racoon.node.release import _store
from racoon.node.release.budget import (
    DAY,
    REMEMBERED,
    WEEK,
    is_near,
    is_suspicious,
    nearest,
    pack,
    reach_of,
    refusal,
)
from racoon.node.release.jobs import PROTECT
from racoon.node.release.model import Released, Suppression
from racoon.node.release.policy import DisclosurePolicy
from racoon.platform import clock
from racoon.platform.audit import AuditLog


class NoSuchHold(Refused):
    """No project of this id is held."""

    code: ClassVar[str] = "release.no_such_hold"
    status: ClassVar[int] = 404


def answer_count(
    connection: sa.Connection,
    aggregate: Mapping[str, Any],
    policy: DisclosurePolicy,
    audit: AuditLog,
    *,
    requester: str,
    project: str,
) -> Released:
    """Answer a feasibility question, or say that no answer is available.

    Parameters
    ----------
    connection
        The transaction in which the job ends.
    aggregate
        ``cohort_hash``, ``count`` and ``members``: the pseudonyms that were counted.
    policy, audit
        The site's.
    requester, project
        Who is charged.

    Notes
    -----
    Asked again in the same epoch a question gets the stored answer, whoever asks and however it is put; that is free.
    """
    cohort_hash, now = str(aggregate["cohort_hash"]), clock.now()
    epoch = index_epoch(now)
    stored = _store.load_answer(connection, cohort_hash, epoch)
    if stored is not None:
        return Released(stored)
    spent = _store.load_spent(connection, now - WEEK, requester, project)
    reason = "held" if _store.is_held(connection, project) else ""
    reason = reason or refusal(spent, requester, project, policy, now)
    # Noise is drawn and likeness worked out for refused questions too: the time tells nothing.
    released = PROTECT["count"](aggregate, policy)
    members = pack(aggregate["members"])
    earlier = _store.load_result_sets(connection, project, now - REMEMBERED)
    near = is_near(nearest(members, earlier, reach_of(policy)), policy)
    if not reason:
        _store.save_answer(connection, cohort_hash, epoch, released.payload)
        _store.spend(
            connection,
            requester=requester,
            project=project,
            cohort_hash=cohort_hash,
            epsilon=policy.epsilon,
            answered_at=now,
            near=near,
            members=members,
        )
        if is_suspicious(_store.load_spent(connection, now - DAY, requester, project), project, policy, now):
            _hold(connection, audit, project, requester, now)
        return released
    audit.append(
        connection,
        actor="node",
        actor_role="release",
        action="count.refuse",
        target=f"cohort/{cohort_hash[:16]}",
        purpose=project,
        outcome="refused",
        details={"reason": reason, "requester": requester, "policy": policy.version},
    )
    withheld = Suppression.because("release.not_available", "feasibility", "all")
    return Released({"cohort_hash": cohort_hash, "count": None}, (withheld,))


def _hold(connection: sa.Connection, audit: AuditLog, project: str, requester: str, moment: datetime) -> None:
    _store.hold(connection, project, moment)
    audit.append(
        connection,
        actor="node",
        actor_role="release",
        action="count.hold",
        target=f"study/{project}/counts",
        purpose=project,
        outcome="refused",
        details={"requester": requester, "reason": "nearly the same question too often in a day"},
    )


def holds(connection: sa.Connection) -> list[dict[str, Any]]:
    """List the projects whose counts are held until a person has looked."""
    return [
        {"project": row.project, "held_at": row.held_at.isoformat()} for row in _store.load_holds(connection)
    ]


def lift(connection: sa.Connection, audit: AuditLog, project: str, *, actor: str, actor_role: str) -> None:
    """Let a project count again, after a person at the site has looked; near repetitions so far are forgiven.

    Raises
    ------
    NoSuchHold
    """
    if not _store.lift(connection, project):
        raise NoSuchHold("No counts of this project are held.")
    audit.append(
        connection,
        actor=actor,
        actor_role=actor_role,
        action="count.lift",
        target=f"study/{project}/counts",
        purpose=project,
    )


def index_epoch(moment: datetime) -> str:
    """Return the epoch in which the same question gets the same answer: the ISO week.

    A new epoch per change of the index would let one new patient be seen by asking before and after.
    """
    year, week, _ = moment.isocalendar()
    return f"{year}-W{week:02d}"

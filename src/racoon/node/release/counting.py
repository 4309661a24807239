"""Answers to feasibility counts: stored, charged, and withheld where the budget or the hand that was raised says so.

A refusal is always the same words, whatever its reason, so that it is no oracle; the reason stands in the site's audit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

import sqlalchemy as sa

from racoon.domain.cohort_flow import SETS_OF_A_SUBJECT
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
        ``cohort_hash``, ``count`` and ``members``: the pseudonyms that were counted.  ``answer_key`` names the question
        where it is not the cohort alone.  Of a flow, in ``flow``, the same of every set that a step leaves out; all
        these sets and the cohort share nobody.
    policy, audit
        The site's.
    requester, project
        Who is charged.

    Notes
    -----
    Asked again in the same epoch a question gets the stored answer, whoever asks and however it is put; that is free.
    A set of a flow is a question as any other: asked alone, or met in another flow, it has the same answer.
    """
    steps = aggregate.get("flow")
    sets = [aggregate, *(steps or ())]
    now = clock.now()
    epoch = index_epoch(now)
    by_hash = {_key(one): one for one in sets}
    known = {name: _store.load_answer(connection, name, epoch) for name in by_hash}
    fresh = [one for name, one in by_hash.items() if known[name] is None]
    if fresh:
        # The sets of a flow share nobody: together they cost what the two cost that one subject can touch.
        charged = min(len(fresh), SETS_OF_A_SUBJECT)
        spent = _store.load_spent(connection, now - WEEK, requester, project)
        reason = "held" if _store.is_held(connection, project) else ""
        reason = reason or refusal(spent, requester, project, policy, now, counts=charged)
        # Noise is drawn and likeness worked out for refused questions too: the time tells nothing.
        drawn = [(one, PROTECT["count"](one, policy).payload, pack(one["members"])) for one in fresh]
        earlier = _store.load_result_sets(connection, project, now - REMEMBERED)
        alike = [
            is_near(nearest(members, earlier, reach_of(policy)), policy)
            # Who was told "fewer than" learnt nothing that a likeness could betray; small sets are all alike.
            and (steps is None or payload["count"]["value"] is not None)
            for _, payload, members in drawn
        ]
        if reason:
            audit.append(
                connection,
                actor="node",
                actor_role="release",
                action="count.refuse",
                target=f"cohort/{str(aggregate['cohort_hash'])[:16]}",
                purpose=project,
                outcome="refused",
                details={"reason": reason, "requester": requester, "policy": policy.version},
            )
        else:
            for number, (one, payload, members) in enumerate(drawn):
                known[_key(one)] = payload
                _store.save_answer(connection, _key(one), epoch, payload)
                _store.spend(
                    connection,
                    requester=requester,
                    project=project,
                    cohort_hash=_key(one),
                    epsilon=policy.epsilon if number < charged else "0",
                    answered_at=now,
                    # One flow raises the hand once at most.
                    near=number == 0 and any(alike),
                    members=members,
                )
            if is_suspicious(
                _store.load_spent(connection, now - DAY, requester, project), project, policy, now
            ):
                _hold(connection, audit, project, requester, now)
    return _released(aggregate, steps, known)


def _key(asked: Mapping[str, Any]) -> str:
    """Name a question: its cohort, unless something else belongs to it."""
    return str(asked.get("answer_key", asked["cohort_hash"]))


def _released(
    aggregate: Mapping[str, Any],
    steps: Sequence[Mapping[str, Any]] | None,
    known: Mapping[str, dict[str, Any] | None],
) -> Released:
    """Put the answers together; a flow is whole or not available."""
    withheld = Suppression.because("release.not_available", "feasibility", "all")
    answer = known[_key(aggregate)]
    payload = answer or {"cohort_hash": str(aggregate["cohort_hash"]), "count": None}
    if steps is None:
        return Released(payload, () if answer is not None else (withheld,))
    found = [known[_key(step)] for step in steps]
    is_whole = payload["count"] is not None and None not in found
    return Released({**payload, "flow": found if is_whole else None}, () if is_whole else (withheld,))


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

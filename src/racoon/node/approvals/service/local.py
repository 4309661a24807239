"""Steps of the site's own use & access process: signed here, asked by the technical gate, said to nobody outside."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from racoon.domain.canonical import canonical_json
from racoon.domain.governance.local_process import (
    LocalDecision,
    check_local_step,
    newest_of,
    next_local_step,
    previous_decider,
)
from racoon.domain.identity import Role
from racoon.node.approvals import _store
from racoon.node.approvals._steps import first_role
from racoon.node.approvals.model import LocalStanding, StudyAtSite
from racoon.node.approvals.service.records import LOCAL_DOMAIN, ApprovalRecords
from racoon.platform import clock
from racoon.platform.auth.people import as_seen_by
from racoon.platform.certificates import sign


def local_standing(
    records: ApprovalRecords, connection: sa.Connection, study: StudyAtSite
) -> list[LocalStanding]:
    """Return every step of the site's own process with its last decision; one at most is the next."""
    now = clock.now()
    decisions, _ = records.local_decisions(connection, study)
    held, following = newest_of(decisions), next_local_step(records.process, decisions, now)
    return [
        LocalStanding(step, held.get(step.key), step is following, _is_done(held.get(step.key), now))
        for step in records.process.steps
    ]


def _is_done(decision: LocalDecision | None, now: datetime) -> bool:
    return decision is not None and decision.holds(now)


def record_local(
    records: ApprovalRecords,
    connection: sa.Connection,
    study: StudyAtSite,
    key: str,
    *,
    signing_key: Ed25519PrivateKey,
    actor: str,
    roles: Collection[Role],
    positive: bool,
    handed_in: dict[str, str],
    valid_until: date | None,
) -> LocalDecision:
    """Check, sign and keep a decision of the site's own process.

    Raises
    ------
    TransitionRefused
        When a rule of the process says no.
    """
    now = clock.now()
    decisions, _ = records.local_decisions(connection, study)
    previous = previous_decider(records.process, decisions, key)
    step = check_local_step(
        records.process,
        decisions,
        key,
        actor=actor,
        roles=frozenset(roles),
        positive=positive,
        handed_in=handed_in,
        valid_until=valid_until,
        previous_actor=as_seen_by("node", connection, previous, actor),
        now=now,
    )
    decision = LocalDecision(
        step=step.key,
        study_id=study.study_id,
        study_hash=study.study_hash,
        positive=positive,
        decided_at=now,
        valid_until=valid_until,
        actor=actor,
        actor_role=first_role(step.roles & set(roles)),
        handed_in=handed_in,
    )
    record = decision.to_dict()
    _store.add_local_decision(connection, record, sign(signing_key, LOCAL_DOMAIN + canonical_json(record)))
    return decision

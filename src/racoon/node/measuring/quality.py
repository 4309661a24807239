"""What people say about checks: keep or exclude what one is about, and sign a dataset off."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

import sqlalchemy as sa

from racoon.errors import Refused
from racoon.node.measuring import _decisions, _store
from racoon.node.measuring.checks import Check, State
from racoon.node.measuring.model import Decision, Query
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.auth import User


class CheckMissing(Refused):
    """A check that is not there."""

    code: ClassVar[str] = "measuring.check_missing"
    status: ClassVar[int] = 404


class ChecksOpen(Refused):
    """A dataset is signed off while somebody has still to look at something."""

    code: ClassVar[str] = "measuring.checks_open"
    status: ClassVar[int] = 409


def checks(connection: sa.Connection, study_id: str = "", dataset_hash: str = "") -> list[Check]:
    """Load checks, open ones first; empty arguments match all."""
    found = _decisions.load_checks(connection, study_id=study_id, dataset_hash=dataset_hash)
    return [check for _, _, check in found]


def decide(
    connection: sa.Connection, audit: AuditLog, user: User, number: int, state: State, note: str = ""
) -> None:
    """Keep or exclude what a check is about, or open it again; audited.

    Raises
    ------
    CheckMissing
        If there is no such check.
    """
    found = _decisions.load_checks(connection, number=number)
    if not found or number < 1:
        raise CheckMissing("There is no such check; open the list again.")
    study_id, _, check = found[0]
    _decisions.decide_check(connection, number, state, user.name, note)
    audit.append(
        connection,
        actor=user.name,
        actor_role=user.main_role,
        action="measurement.check",
        target=f"series/{check.series_uid}",
        purpose=study_id,
        details={"check": check.code, "about": check.about, "state": state},
    )


def queries(connection: sa.Connection, study_id: str) -> list[Query]:
    """Load the questions of a study, open ones first."""
    return _decisions.load_queries(connection, study_id)


def ask(connection: sa.Connection, audit: AuditLog, user: User, number: int, question: str) -> int:
    """Ask who drew the mask of a check; audited.

    Raises
    ------
    CheckMissing
        If there is no such check.
    """
    found = _decisions.load_checks(connection, number=number)
    if not found or number < 1:
        raise CheckMissing("There is no such check; open the list again.")
    study_id, dataset_hash, check = found[0]
    query = Query(
        study_id=study_id,
        dataset_hash=dataset_hash,
        series_uid=check.series_uid,
        pseudonym=check.pseudonym,
        check_number=number,
        asked_of=check.mask.algorithm_name if check.mask else "",
        question=question,
        asked_by=user.name,
        asked_at=clock.now(),
    )
    _record(connection, audit, user, "measurement.ask", query)
    return _decisions.save_query(connection, query)


def answer(connection: sa.Connection, audit: AuditLog, user: User, number: int, text: str) -> None:
    """Answer a question; audited.  What to do with the check is decided by who asked.

    Raises
    ------
    CheckMissing
        If there is no such question, or it was answered already.
    """
    found = _decisions.load_queries(connection, number=number)
    if not found or not found[0].is_open:
        raise CheckMissing("There is no such open question; open the list again.")
    _decisions.answer_query(connection, number, user.name, text)
    _record(connection, audit, user, "measurement.answer", found[0])


def _record(connection: sa.Connection, audit: AuditLog, user: User, action: str, query: Query) -> None:
    audit.append(
        connection,
        actor=user.name,
        actor_role=user.main_role,
        action=action,
        target=f"series/{query.series_uid}",
        purpose=query.study_id,
        details={"check": query.check_number, "asked_of": query.asked_of},
    )


def sign_off(
    connection: sa.Connection, audit: AuditLog, user: User, study_id: str, dataset_hash: str
) -> Decision:
    """Say that somebody looked at everything that was found in a dataset; audited.

    Raises
    ------
    ChecksOpen
        While a check is open.
    """
    states = Counter(check.state for check in checks(connection, study_id, dataset_hash))
    if states["open"]:
        raise ChecksOpen(f"{states['open']} checks are open; keep or exclude what they are about first.")
    waiting = [item for item in queries(connection, study_id) if item.dataset_hash == dataset_hash]
    if any(item.is_open for item in waiting):
        raise ChecksOpen("Questions about this dataset are open; wait for their answers first.")
    findings = len(_store.load_findings(connection, study_id=study_id, dataset_hash=dataset_hash))
    decision = Decision(
        study_id,
        dataset_hash,
        "sign_off",
        "",
        {"kept": states["kept"], "excluded": states["excluded"], "not_measured": findings},
        user.name,
        clock.now(),
    )
    _decisions.save_decision(connection, decision)
    audit.append(
        connection,
        actor=user.name,
        actor_role=user.main_role,
        action="measurement.sign_off",
        target=f"dataset/{dataset_hash}",
        purpose=study_id,
        details=dict(decision.document),
    )
    return decision


def decisions(connection: sa.Connection, study_id: str, dataset_hash: str = "") -> list[Decision]:
    """Load sign-offs and promotions of a study, newest first."""
    return _decisions.load_decisions(connection, study_id, dataset_hash)

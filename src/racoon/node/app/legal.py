"""What an operator does with the legal basis at the console: record and end bases, take a withdrawal down, look.

All of it may be done while the node runs; all of it is audited.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from racoon.domain.identity import Pseudonym
from racoon.node.app.administration import prepare
from racoon.node.app.operation import OPERATOR, person
from racoon.node.app.permission import open_consent
from racoon.node.consent import looking
from racoon.node.consent.model import NoSuchSubject, basis_of
from racoon.node.consent.service import Consent
from racoon.node.settings import NodeSettings, load_node_settings
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database


def record_basis(config: Path, document: Mapping[str, Any]) -> dict[str, Any]:
    """Record a legal basis of the site; the same one again changes nothing."""
    with _opened(config) as (_, database, consent), database.begin() as connection:
        basis = consent.record_basis(connection, basis_of(document), actor=person(), actor_role=OPERATOR)
        return basis.describe()


def end_basis(config: Path, basis_id: str) -> dict[str, Any]:
    """Take a legal basis back."""
    with _opened(config) as (_, database, consent), database.begin() as connection:
        consent.end_basis(connection, basis_id, actor=person(), actor_role=OPERATOR)
    return {"basis_id": basis_id, "ended": True}


def list_bases(config: Path) -> list[dict[str, Any]]:
    """List the legal bases of the site."""
    with _opened(config) as (_, database, consent), database.connect() as connection:
        return [basis.describe() for basis in consent.bases(connection)]


def withdraw(config: Path, pseudonym: str, study_id: str, reason: str) -> dict[str, Any]:
    """End the use of a subject's data; a node that runs erases and tells the recipients."""
    with _opened(config) as (_, database, consent), database.begin() as connection:
        found = consent.withdraw(
            connection,
            Pseudonym(pseudonym),
            study_id,
            reason=reason,
            source="manual",
            actor=person(),
            actor_role=OPERATOR,
        )
        if found is None:
            raise NoSuchSubject("This subject withdrew before.", code="consent.withdrawn_before")
        return found.describe()


def show(config: Path, pseudonym: str) -> dict[str, Any]:
    """Show what is known of a subject, or of all withdrawals when none is named."""
    with _opened(config) as (_, database, consent), database.connect() as connection:
        if pseudonym:
            return looking.describe_subject(connection, Pseudonym(pseudonym))
        return {
            "withdrawals": [item.describe() for item in consent.withdrawals(connection)],
            "tombstones": looking.tombstones(connection),
        }


@contextmanager
def _opened(config: Path) -> Iterator[tuple[NodeSettings, Database, Consent]]:
    settings = load_node_settings(config)
    prepare(settings)
    database = Database(settings.database)
    try:
        # Trainings are stopped by the node's worker, which looks every second; the console signs no messages.
        yield settings, database, open_consent(settings, database, AuditLog("node"))
    finally:
        database.dispose()

"""Tables of the legal basis.  All of them name subjects by pseudonym only."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from racoon.domain.consent import ConsentDocument
from racoon.domain.identity import Pseudonym
from racoon.node.consent.model import (
    Affected,
    Basis,
    BasisKind,
    KnownDocument,
    Withdrawal,
    WithdrawalState,
    provisions_from_json,
    provisions_to_json,
)
from racoon.platform.database import Json, UtcDateTime, metadata

_METADATA = metadata("node")
DAY = sa.String(10)
"""ISO 8601 date: it sorts as text on every dialect."""

basis = sa.Table(
    "consent_basis",
    _METADATA,
    sa.Column("basis_id", sa.String(32), primary_key=True),
    sa.Column("study_id", sa.String(80), nullable=False, index=True),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("document", sa.String(500), nullable=False),
    sa.Column("scope", sa.String(500), nullable=False),
    sa.Column("approved_by", sa.String(200), nullable=False),
    sa.Column("acquired_from", DAY, nullable=False),
    sa.Column("acquired_until", DAY, nullable=False),
    sa.Column("valid_from", DAY, nullable=False),
    sa.Column("valid_until", DAY, nullable=False),
    sa.Column("recorded_by", sa.String(80), nullable=False),
    sa.Column("recorded_at", UtcDateTime, nullable=False),
    sa.Column("ended_by", sa.String(80), nullable=False),
    sa.Column("ended_at", UtcDateTime),
)

document = sa.Table(
    "consent_document",
    _METADATA,
    sa.Column("key", sa.String(80), primary_key=True),
    sa.Column("pseudonym", sa.String(64), nullable=False, index=True),
    sa.Column("version", sa.String(120), nullable=False),
    sa.Column("domain", sa.String(80), nullable=False),
    sa.Column("given", DAY, nullable=False),
    sa.Column("is_active", sa.Boolean, nullable=False),
    sa.Column("provisions", Json, nullable=False),
    sa.Column("born", DAY, nullable=False),
    sa.Column("source", sa.String(40), nullable=False),
    sa.Column("fresh_until", UtcDateTime),
    sa.Column("recorded_at", UtcDateTime, nullable=False),
)

permit = sa.Table(
    "consent_permit",
    _METADATA,
    sa.Column("pseudonym", sa.String(64), primary_key=True),
    sa.Column("permitted_from", DAY, nullable=False),
    sa.Column("permitted_until", DAY, nullable=False),
    sa.Column("fresh_until", UtcDateTime),
    sa.Column("document", sa.String(80), nullable=False),
)
"""What the documents of a subject permit, worked out when one of them came: reads ask it by one join."""

block = sa.Table(
    "consent_block",
    _METADATA,
    sa.Column("pseudonym", sa.String(64), primary_key=True),
    sa.Column("scope", sa.String(80), primary_key=True),
    sa.Column("withdrawal_id", sa.String(32), nullable=False),
    sa.Column("blocked_at", UtcDateTime, nullable=False),
)
"""Subjects of whom nothing is read any more.  Every read path joins it."""

withdrawal = sa.Table(
    "consent_withdrawal",
    _METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("withdrawal_id", sa.String(32), nullable=False, unique=True),
    sa.Column("pseudonym", sa.String(64), nullable=False, index=True),
    sa.Column("scope", sa.String(80), nullable=False),
    sa.Column("reason", sa.String(500), nullable=False),
    sa.Column("source", sa.String(40), nullable=False),
    sa.Column("recorded_by", sa.String(80), nullable=False),
    sa.Column("recorded_role", sa.String(200), nullable=False),
    sa.Column("recorded_at", UtcDateTime, nullable=False),
    sa.Column("affected", Json, nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("proof", Json),
    sa.Column("proof_hash", sa.String(64), nullable=False),
)

tombstone = sa.Table(
    "consent_tombstone",
    _METADATA,
    sa.Column("tombstone_id", sa.String(36), primary_key=True),
    sa.Column("withdrawal_number", sa.Integer, nullable=False, index=True),
    sa.Column("recipient", sa.String(80), nullable=False),
    sa.Column("study_id", sa.String(80), nullable=False),
    sa.Column("study_pseudonym", sa.String(64), nullable=False),
    sa.Column("run_ids", Json, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("sent_at", UtcDateTime),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("acknowledged_at", UtcDateTime),
    sa.Column("escalated_at", UtcDateTime),
)


def _day(value: date | None) -> str:
    return value.isoformat() if value else ""


def _date(text: str) -> date | None:
    return date.fromisoformat(text) if text else None


# -- bases


def insert_basis(connection: sa.Connection, item: Basis) -> None:
    """Write a basis."""
    connection.execute(
        basis.insert().values(
            basis_id=item.basis_id,
            study_id=item.study_id,
            kind=item.kind.value,
            document=item.document[:500],
            scope=item.scope[:500],
            approved_by=item.approved_by[:200],
            acquired_from=_day(item.acquired_from),
            acquired_until=_day(item.acquired_until),
            valid_from=_day(item.valid_from),
            valid_until=_day(item.valid_until),
            recorded_by=item.recorded_by[:80],
            recorded_at=item.recorded_at,
            ended_by="",
            ended_at=None,
        )
    )


def end_basis(connection: sa.Connection, basis_id: str, actor: str, moment: datetime) -> bool:
    """End a basis that has not ended."""
    statement = (
        sa.update(basis)
        .where(basis.c.basis_id == basis_id, basis.c.ended_at.is_(None))
        .values(ended_by=actor[:80], ended_at=moment)
    )
    return connection.execute(statement).rowcount == 1


def load_bases(
    connection: sa.Connection, study_id: str | None = None, *, only_open: bool = False
) -> list[Basis]:
    """Load bases, newest first."""
    query = sa.select(basis).order_by(basis.c.recorded_at.desc(), basis.c.basis_id)
    if study_id is not None:
        query = query.where(basis.c.study_id == study_id)
    if only_open:
        query = query.where(basis.c.ended_at.is_(None))
    return [
        Basis(
            basis_id=row.basis_id,
            study_id=row.study_id,
            kind=BasisKind(row.kind),
            document=row.document,
            scope=row.scope,
            approved_by=row.approved_by,
            acquired_from=_date(row.acquired_from),
            acquired_until=_date(row.acquired_until),
            valid_from=_date(row.valid_from),
            valid_until=_date(row.valid_until),
            recorded_by=row.recorded_by,
            recorded_at=row.recorded_at,
            ended_at=row.ended_at,
        )
        for row in connection.execute(query)
    ]


# -- documents


def save_document(connection: sa.Connection, item: KnownDocument, moment: datetime) -> bool:
    """Write a document, or what became of it; tell whether anything changed."""
    values = {
        "key": item.document.identity,
        "pseudonym": item.pseudonym,
        "version": item.document.version[:120],
        "domain": item.document.domain[:80],
        "given": item.document.given.isoformat(),
        "is_active": item.document.is_active,
        "provisions": provisions_to_json(item.document.provisions),
        "born": _day(item.born),
        "source": item.source[:40],
        "fresh_until": item.fresh_until,
    }
    known = connection.execute(
        sa.select(document).where(document.c.key == item.document.identity)
    ).one_or_none()
    if known is not None and all(known._mapping[name] == value for name, value in values.items()):
        return False
    upsert(connection, document, ("key",), values | {"recorded_at": moment})
    return True


def load_documents(
    connection: sa.Connection, pseudonyms: Iterable[str]
) -> dict[Pseudonym, list[KnownDocument]]:
    """Load the documents of some subjects."""
    found: dict[Pseudonym, list[KnownDocument]] = {}
    for chunk in chunks(pseudonyms):
        query = sa.select(document).where(document.c.pseudonym.in_(chunk)).order_by(document.c.key)
        for row in connection.execute(query):
            item = KnownDocument(
                pseudonym=Pseudonym(row.pseudonym),
                document=ConsentDocument(
                    row.key,
                    row.version,
                    row.domain,
                    date.fromisoformat(row.given),
                    row.is_active,
                    provisions_from_json(row.provisions),
                ),
                born=_date(row.born),
                source=row.source,
                fresh_until=row.fresh_until,
            )
            found.setdefault(item.pseudonym, []).append(item)
    return found


def save_permit(
    connection: sa.Connection,
    pseudonym: str,
    window: tuple[date, date, str] | None,
    fresh_until: datetime | None,
) -> None:
    """Write what a subject's documents permit; None takes it away."""
    connection.execute(sa.delete(permit).where(permit.c.pseudonym == pseudonym))
    if window is not None:
        connection.execute(
            permit.insert().values(
                pseudonym=pseudonym,
                permitted_from=window[0].isoformat(),
                permitted_until=window[1].isoformat(),
                document=window[2],
                fresh_until=fresh_until,
            )
        )


# -- withdrawals


def load_blocks(connection: sa.Connection, pseudonyms: Iterable[str]) -> dict[str, set[str]]:
    """Load the scopes in which some subjects are blocked."""
    found: dict[str, set[str]] = {}
    for chunk in chunks(pseudonyms):
        query = sa.select(block.c.pseudonym, block.c.scope).where(block.c.pseudonym.in_(chunk))
        for row in connection.execute(query):
            found.setdefault(row.pseudonym, set()).add(row.scope)
    return found


def insert_block(
    connection: sa.Connection, pseudonym: str, scope: str, withdrawal_id: str, moment: datetime
) -> bool:
    """Write a block; tell whether it is new."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = (
        dialect.insert(block)
        .values(pseudonym=pseudonym, scope=scope, withdrawal_id=withdrawal_id, blocked_at=moment)
        .on_conflict_do_nothing()
        .returning(block.c.pseudonym)
    )
    return connection.execute(statement).first() is not None


def insert_withdrawal(connection: sa.Connection, **values: Any) -> int:
    """Write a withdrawal; return its number."""
    key = connection.execute(withdrawal.insert().values(**values)).inserted_primary_key
    assert key is not None
    return int(key[0])


def load_withdrawals(connection: sa.Connection, *criteria: sa.ColumnElement[bool]) -> list[Withdrawal]:
    """Load withdrawals, newest first."""
    query = sa.select(withdrawal).where(*criteria).order_by(withdrawal.c.number.desc())
    return [
        Withdrawal(
            number=row.number,
            withdrawal_id=row.withdrawal_id,
            pseudonym=Pseudonym(row.pseudonym),
            scope=row.scope,
            reason=row.reason,
            source=row.source,
            recorded_by=row.recorded_by,
            recorded_role=row.recorded_role,
            recorded_at=row.recorded_at,
            affected=tuple(
                Affected(item["study_id"], item["dataset_hash"], tuple(item["run_ids"]))
                for item in row.affected
            ),
            state=WithdrawalState(row.state),
            proof=row.proof,
            proof_hash=row.proof_hash,
        )
        for row in connection.execute(query)
    ]


def newest_withdrawal(connection: sa.Connection) -> int:
    """Return the number of the newest withdrawal, 0 when there is none."""
    return int(connection.execute(sa.select(sa.func.max(withdrawal.c.number))).scalar() or 0)


def chunks(values: Iterable[str], size: int = 500) -> Iterable[list[str]]:
    """Cut a set of names into statements that every dialect takes."""
    ordered = sorted(set(values))
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]


def upsert(connection: sa.Connection, table: sa.Table, key: tuple[str, ...], values: dict[str, Any]) -> None:
    """Insert a row or change the one that is there."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).values(**values)
    changed = {name: statement.excluded[name] for name in values if name not in key}
    connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=changed))

"""The audit log: who did what to which object for which purpose, in a chain nobody can change unseen.

Each entry holds the hash of the one before it; the head of the chain is anchored at the other side of the
wall, so that cutting off the tail shows too. Triggers make the table append-only for everybody who is not the
database's owner. Audit is not logging: entries are written in the transaction of the deed, and a deed without
one fails.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Literal

import sqlalchemy as sa

from racoon.domain.canonical import canonical_json
from racoon.platform import clock
from racoon.platform.database import ROLES, RoleName, metadata

Outcome = Literal["success", "refused", "failure"]

GENESIS = "0" * 64
"""Hash before the first entry."""

_LOCK = 0x61756469
"""Key of the advisory lock that lines up writers on PostgreSQL: the bytes of "audi"."""


def _table(role: RoleName) -> sa.Table:
    return sa.Table(
        "audit",
        metadata(role),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("time", sa.String(27), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("actor_role", sa.String(80), nullable=False),
        sa.Column("action", sa.String(120), nullable=False),
        sa.Column("target", sa.String(400), nullable=False),
        sa.Column("purpose", sa.String(120)),
        sa.Column("outcome", sa.String(20), nullable=False),
        sa.Column("client", sa.String(200)),
        sa.Column("policy_version", sa.String(80)),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("prev_hash", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False, unique=True),
        sa.Index("ix_audit_purpose_seq", "purpose", "seq"),
    )


_TABLES = {role: _table(role) for role in ROLES}


@dataclass(frozen=True)
class AuditEntry:
    """One line of the audit log.

    ``time`` is RFC 3339 text in UTC, ``purpose`` a study id, ``details`` a JSON object that stays on this
    machine.
    """

    seq: int
    time: str
    actor: str
    actor_role: str
    action: str
    target: str
    purpose: str | None
    outcome: str
    client: str | None
    policy_version: str | None
    prev_hash: str
    hash: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What a check of the whole chain found; ``bad_seq`` is the first entry that does not fit."""

    valid: bool
    entries: int
    head_hash: str
    bad_seq: int | None = None
    reason: str | None = None


class AuditLog:
    """The audit log of one role.

    Parameters
    ----------
    role
        ``"node"`` or ``"central"``: which database the connections belong to.
    policy_version
        Version of the rules in force, written into each entry.
    """

    def __init__(self, role: RoleName, policy_version: str | None = None) -> None:
        self._table = _TABLES[role]
        self._policy_version = policy_version

    def append(
        self,
        connection: sa.Connection,
        *,
        actor: str,
        actor_role: str,
        action: str,
        target: str,
        purpose: str | None = None,
        outcome: Outcome = "success",
        client: str | None = None,
        details: Mapping[str, Any] = MappingProxyType({}),
    ) -> AuditEntry:
        """Append an entry in the caller's transaction; it is kept or lost together with the deed.

        Parameters
        ----------
        connection
            A writing transaction, ``Database.begin()``.
        actor, actor_role
            Account or machine name, and the role it acted in.
        action, target
            What was done (``"dataset.freeze"``) and to what (``"study/S1/dataset/D1"``).
        purpose
            Study id, where there is one.
        outcome
            ``"success"``, ``"refused"`` (a rule said no) or ``"failure"`` (it broke).
        client
            Address or certificate fingerprint of the other side.
        details
            JSON object with further facts.

        Returns
        -------
        AuditEntry
        """
        if connection.dialect.name == "postgresql":
            # On SQLite BEGIN IMMEDIATE already lets only one writer in.
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        seq, prev_hash = self.head(connection)
        facts = {
            "seq": seq + 1,
            "time": clock.to_text(clock.now()),
            "actor": actor,
            "actor_role": actor_role,
            "action": action,
            "target": target,
            "purpose": purpose,
            "outcome": outcome,
            "client": client,
            "policy_version": self._policy_version,
            "details": json.loads(canonical_json(dict(details))),
            "prev_hash": prev_hash,
        }
        entry = AuditEntry(hash=_entry_hash(facts), **facts)
        row = facts | {"details": canonical_json(facts["details"]).decode(), "hash": entry.hash}
        connection.execute(sa.insert(self._table).values(row))
        return entry

    def head(self, connection: sa.Connection) -> tuple[int, str]:
        """Return sequence number and hash of the newest entry, ``(0, GENESIS)`` for an empty log."""
        table = self._table
        query = sa.select(table.c.seq, table.c.hash).order_by(table.c.seq.desc()).limit(1)
        row = connection.execute(query).one_or_none()
        return (row.seq, row.hash) if row else (0, GENESIS)

    def entries(
        self,
        connection: sa.Connection,
        limit: int = 100,
        before_seq: int | None = None,
        *,
        purpose: str | None = None,
        action: str | None = None,
        actor: str | None = None,
        outcome: str | None = None,
    ) -> list[AuditEntry]:
        """Return entries, newest first, for paging by ``before_seq`` (exclusive)."""
        table = self._table
        query = sa.select(table).order_by(table.c.seq.desc()).limit(limit)
        if before_seq is not None:
            query = query.where(table.c.seq < before_seq)
        wanted = {"purpose": purpose, "action": action, "actor": actor, "outcome": outcome}
        for name, value in wanted.items():
            if value is not None:
                query = query.where(table.c[name] == value)
        return [_entry(row) for row in connection.execute(query)]

    def entries_after(
        self, connection: sa.Connection, after_seq: int, actions: Sequence[str], limit: int
    ) -> list[AuditEntry]:
        """Return entries of some actions behind a place in the chain, oldest first."""
        table = self._table
        query = sa.select(table).where(table.c.seq > after_seq, table.c.action.in_(list(actions)))
        return [_entry(row) for row in connection.execute(query.order_by(table.c.seq).limit(limit))]

    def verify(self, connection: sa.Connection, anchor: tuple[int, str] | None = None) -> Verdict:
        """Recompute the whole chain as a stream.

        Parameters
        ----------
        connection
            A reading transaction.
        anchor
            Sequence number and hash that the other side remembers; without it a cut-off tail cannot show.

        Returns
        -------
        Verdict
        """
        query = sa.select(self._table).order_by(self._table.c.seq)
        # A server-side cursor must be closed also when the check ends early.
        with contextlib.closing(connection.execution_options(yield_per=1000).execute(query)) as rows:
            return _check(rows, anchor)


def _check(rows: Iterable[sa.Row[Any]], anchor: tuple[int, str] | None) -> Verdict:
    count, previous, anchored = 0, GENESIS, anchor is None or anchor[0] == 0
    for row in rows:
        if row.seq != count + 1:
            return Verdict(False, count, previous, count + 1, "an entry is missing")
        if row.prev_hash != previous:
            return Verdict(False, count, previous, row.seq, "the entry does not follow the one before it")
        if _recomputed_hash(row) != row.hash:
            return Verdict(False, count, previous, row.seq, "the entry was changed")
        count, previous = row.seq, row.hash
        if anchor is not None and anchor[0] == count:
            anchored = anchor[1] == previous
            if not anchored:
                return Verdict(False, count, previous, count, "the chain differs from its anchor")
    if not anchored:
        return Verdict(False, count, previous, count + 1, "entries that the anchor knows are missing")
    return Verdict(True, count, previous)


def _recomputed_hash(row: sa.Row[Any]) -> str | None:
    facts = {name: row._mapping[name] for name in _HASHED}
    try:
        return _entry_hash(facts | {"details": json.loads(row.details)})
    except ValueError:
        return None


_HASHED = tuple(item.name for item in fields(AuditEntry) if item.name != "hash")


def _entry_hash(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json(dict(facts))).hexdigest()


def _entry(row: sa.Row[Any]) -> AuditEntry:
    values = dict(row._mapping)
    return AuditEntry(**(values | {"details": json.loads(values["details"])}))


_REFUSE = "SELECT RAISE(ABORT, 'the audit log is append-only')"
# INSERT OR REPLACE deletes without firing the delete trigger, so an insert must bring the next number.
_IN_ORDER = "WHEN NEW.seq <> (SELECT COALESCE(MAX(seq), 0) + 1 FROM audit)"

_SQLITE_TRIGGERS = (
    f"CREATE TRIGGER IF NOT EXISTS audit_no_update BEFORE UPDATE ON audit BEGIN {_REFUSE}; END",
    f"CREATE TRIGGER IF NOT EXISTS audit_no_delete BEFORE DELETE ON audit BEGIN {_REFUSE}; END",
    f"CREATE TRIGGER IF NOT EXISTS audit_in_order BEFORE INSERT ON audit {_IN_ORDER} BEGIN {_REFUSE}; END",
)

_POSTGRESQL_TRIGGERS = (
    """
    CREATE OR REPLACE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$
    """,
    """
    CREATE OR REPLACE TRIGGER audit_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only()
    """,
)


def install_triggers(connection: sa.Connection) -> None:
    """Make the audit table append-only; may run any number of times, and runs after each migration."""
    if not sa.inspect(connection).has_table("audit"):
        return
    statements = _SQLITE_TRIGGERS if connection.dialect.name == "sqlite" else _POSTGRESQL_TRIGGERS
    for statement in statements:
        connection.exec_driver_sql(statement)


for _each in _TABLES.values():
    sa.event.listen(_each, "after_create", lambda _table, connection, **_: install_triggers(connection))

"""The site's legal bases other than consent: recorded, listed, ended, each with its audit entry."""

from __future__ import annotations

import secrets
from dataclasses import replace

import sqlalchemy as sa

from racoon.node.consent import _store
from racoon.node.consent.model import Basis, NoSuchBasis
from racoon.platform import clock
from racoon.platform.audit import AuditLog


class Bases:
    """Legal bases of one node.

    Parameters
    ----------
    audit
        The node's audit log.
    """

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit

    def record_basis(self, connection: sa.Connection, basis: Basis, *, actor: str, actor_role: str) -> Basis:
        """Record a legal basis of the site; the very same one again changes nothing."""
        for known in _store.load_bases(connection, basis.study_id, only_open=True):
            same = replace(
                basis, basis_id=known.basis_id, recorded_by=known.recorded_by, recorded_at=known.recorded_at
            )
            if same == known:
                return known
        fresh = replace(
            basis, basis_id=secrets.token_hex(8), recorded_by=actor, recorded_at=clock.now(), ended_at=None
        )
        _store.insert_basis(connection, fresh)
        self._audit.append(
            connection,
            actor=actor,
            actor_role=actor_role,
            action="consent.basis.record",
            target=f"basis/{fresh.basis_id}",
            purpose=fresh.study_id,
            details={
                "kind": fresh.kind.value,
                "document": fresh.document,
                "scope": fresh.scope,
                "approved_by": fresh.approved_by,
            },
        )
        return fresh

    def end_basis(self, connection: sa.Connection, basis_id: str, *, actor: str, actor_role: str) -> None:
        """Take a basis back: nothing rests on it from now on.

        Raises
        ------
        NoSuchBasis
        """
        if not _store.end_basis(connection, basis_id, actor, clock.now()):
            raise NoSuchBasis("There is no legal basis of this id in force.")
        self._audit.append(
            connection,
            actor=actor,
            actor_role=actor_role,
            action="consent.basis.end",
            target=f"basis/{basis_id}",
        )

    def bases(self, connection: sa.Connection) -> list[Basis]:
        """List all bases, newest first."""
        return _store.load_bases(connection)

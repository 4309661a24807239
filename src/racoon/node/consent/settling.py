"""What follows a withdrawal, after the transaction that put it in force: images go, recipients are told.

Everything here may stop at any moment and is begun again: it looks at what is not yet done, never at what was tried.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from racoon.domain.canonical import content_hash
from racoon.domain.identity import Pseudonym
from racoon.errors import RacoonError
from racoon.node.consent import _store
from racoon.node.consent.model import EVERYTHING, Withdrawal, WithdrawalState
from racoon.node.consent.real_days import RealDays
from racoon.node.consent.service import CENTRAL_RECIPIENT
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database
from racoon.protocol.messages import SubjectWithdrawn, WithdrawalReceipt

_log = logging.getLogger(__name__)

SEND_AGAIN = timedelta(hours=6)
"""A tombstone that nobody acknowledged is sent again after this time."""

OVERDUE = timedelta(days=14)
"""After this time a person at the site is told that a recipient is silent."""

Erase = Callable[[Withdrawal], Mapping[str, Any]]
"""Removes everything of a subject, or of a subject in one study; tells what went and what was found afterwards."""

HasImages = Callable[[Pseudonym], bool]
"""Whether the archive holds anything of a subject."""

AnnounceTombstone = Callable[[sa.Connection, str, SubjectWithdrawn], None]
"""Tells a recipient: CENTRAL, or the site code of a pool."""


class Settlement:
    """Carries withdrawals to their end.

    Parameters
    ----------
    database, audit
        The node's own.
    days
        Names a subject for one study.
    erase, has_images, announce
        Ports that ``app`` registers.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        days: RealDays,
        *,
        erase: Erase,
        has_images: HasImages,
        announce: AnnounceTombstone,
    ) -> None:
        self._database = database
        self._audit = audit
        self._days = days
        self._erase = erase
        self._has_images = has_images
        self._announce = announce

    def name_in_study(self, pseudonym: Pseudonym, study_id: str) -> str:
        """Return the name a subject has in one study: in exports and in the tombstones that follow them."""
        return self._days.study_pseudonym(pseudonym, study_id)

    def settle(self) -> int:
        """Do what is left to do; returns how many withdrawals and tombstones moved."""
        moved = 0
        with self._database.connect() as connection:
            known = _store.load_withdrawals(connection)
        for item in reversed(known):
            is_open = item.state is WithdrawalState.BLOCKED
            # What was on its way when the subject withdrew, or is sent once more by mistake, goes too.
            if is_open or (item.scope == EVERYTHING and self._has_images(item.pseudonym)):
                try:
                    self._carry_out(item)
                except Exception:  # noqa: BLE001 -- one that fails must not keep the others, or the worker, from going on
                    _log.exception(
                        "a withdrawal is not carried out yet", extra={"withdrawal": item.withdrawal_id}
                    )
                    continue
                moved += 1
        return moved + self._send() + self._escalate()

    def _carry_out(self, item: Withdrawal) -> None:
        facts = dict(self._erase(item))
        proof = {
            "kind": "withdrawal",
            "withdrawal": item.withdrawal_id,
            "pseudonym": item.pseudonym,
            "scope": item.scope or "all",
            "recorded": {
                "by": item.recorded_by,
                "role": item.recorded_role,
                "at": item.recorded_at.isoformat(),
            },
            "checked_at": clock.now().isoformat(),
            "earlier_proof": item.proof_hash,
            **facts,
        }
        digest = content_hash(proof)
        with self._database.begin() as connection:
            table = _store.withdrawal
            connection.execute(
                sa.update(table)
                .where(table.c.number == item.number)
                .values(state=WithdrawalState.ERASED.value, proof=proof, proof_hash=digest)
            )
            self._audit.append(
                connection,
                actor="node",
                actor_role="consent",
                action="consent.erase",
                target=f"subject/{item.pseudonym}",
                purpose=item.scope or "all",
                details={"withdrawal": item.withdrawal_id, "proof_sha256": digest},
            )

    def _send(self) -> int:
        table, now = _store.tombstone, clock.now()
        query = (
            sa.select(table, _store.withdrawal.c.pseudonym)
            .join(_store.withdrawal, _store.withdrawal.c.number == table.c.withdrawal_number)
            .where(
                table.c.acknowledged_at.is_(None),
                sa.or_(table.c.sent_at.is_(None), table.c.sent_at < now - SEND_AGAIN),
            )
        )
        with self._database.connect() as connection:
            waiting = connection.execute(query).all()
        sent = 0
        for row in waiting:
            # The mapping is another database: named first, sent then; named twice it is the same name.
            try:
                name = row.study_pseudonym or self._days.study_pseudonym(
                    Pseudonym(row.pseudonym), row.study_id
                )
            except RacoonError as error:
                # The service that names subjects is down: what is blocked stays blocked, and it is told later.
                _log.warning("a recipient is not told yet", extra={"code": error.error_code})
                continue
            sent += 1
            with self._database.begin() as connection:
                self._announce(
                    connection,
                    row.recipient,
                    SubjectWithdrawn(
                        tombstone_id=row.tombstone_id,
                        study_id=row.study_id,
                        subject=name,
                        run_ids=list(row.run_ids),
                    ),
                )
                connection.execute(
                    sa.update(table)
                    .where(table.c.tombstone_id == row.tombstone_id)
                    .values(study_pseudonym=name, sent_at=now, attempts=row.attempts + 1)
                )
        return sent

    def _escalate(self) -> int:
        table, now = _store.tombstone, clock.now()
        query = sa.select(table).where(
            table.c.acknowledged_at.is_(None),
            table.c.escalated_at.is_(None),
            table.c.created_at < now - OVERDUE,
        )
        with self._database.connect() as connection:
            late = connection.execute(query).all()
        for row in late:
            with self._database.begin() as connection:
                connection.execute(
                    sa.update(table).where(table.c.tombstone_id == row.tombstone_id).values(escalated_at=now)
                )
                self._audit.append(
                    connection,
                    actor="node",
                    actor_role="consent",
                    action="consent.tombstone.overdue",
                    target=f"tombstone/{row.tombstone_id}",
                    purpose=row.study_id,
                    outcome="failure",
                    details={"recipient": row.recipient, "attempts": row.attempts},
                )
        return len(late)

    def receive_receipt(
        self, connection: sa.Connection, receipt: WithdrawalReceipt, recipient: str = CENTRAL_RECIPIENT
    ) -> None:
        """Record that a recipient acted on a tombstone; nobody confirms for another one."""
        table = _store.tombstone
        changed = connection.execute(
            sa.update(table)
            .where(
                table.c.tombstone_id == receipt.tombstone_id,
                table.c.recipient == recipient,
                table.c.acknowledged_at.is_(None),
            )
            .values(acknowledged_at=receipt.received_at)
            .returning(table.c.study_id, table.c.recipient)
        ).one_or_none()
        if changed is not None:
            self._audit.append(
                connection,
                actor=changed.recipient,
                actor_role="central",
                action="consent.tombstone.acknowledged",
                target=f"tombstone/{receipt.tombstone_id}",
                purpose=changed.study_id,
            )

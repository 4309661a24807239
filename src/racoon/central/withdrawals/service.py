"""What one may ask about withdrawals; and how a tombstone is taken."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from racoon.central.orchestration.service import Mail
from racoon.central.withdrawals import _store
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.protocol.envelope import Envelope
from racoon.protocol.messages import SubjectWithdrawn, WithdrawalReceipt


class Withdrawals:
    """Tombstones of all sites.

    Parameters
    ----------
    audit
        CENTRAL's audit log.
    mail
        Brings tombstones and takes receipts.
    """

    def __init__(self, audit: AuditLog, mail: Mail) -> None:
        self._audit = audit
        self._mail = mail
        mail.on("subject.withdrawn", self.receive)

    def receive(
        self, connection: sa.Connection, site: str, message: SubjectWithdrawn, envelope: Envelope
    ) -> None:
        """Store a tombstone and confirm it; one that comes again is confirmed again, with the first day."""
        known = _store.load(connection, site, message.tombstone_id)
        received_at = known or clock.now()
        if known is None:
            _store.insert(
                connection,
                site=site,
                tombstone_id=message.tombstone_id,
                study_id=message.study_id,
                subject=message.subject,
                run_ids=list(message.run_ids),
                received_at=received_at,
                envelope_id=envelope.id,
            )
            self._audit.append(
                connection,
                actor=site,
                actor_role="node",
                action="subject.withdrawn",
                target=f"tombstone/{message.tombstone_id}",
                purpose=message.study_id,
                details={"trainings": list(message.run_ids)},
            )
        receipt = WithdrawalReceipt(tombstone_id=message.tombstone_id, received_at=received_at)
        self._mail.send(connection, site, "subject.withdrawn.receipt", receipt)

    def of_study(self, connection: sa.Connection, study_id: str) -> dict[str, Any]:
        """Say what withdrawals mean for a study: how many, and which trainings used whom.

        Returns
        -------
        dict
            ``withdrawals``: count; ``marked_runs``: by run of the study, how many subjects of its training withdrew.
            Neither sites nor subjects are named: one withdrawal at one site would name a person.
        """
        rows = _store.load_of_study(connection, study_id)
        marked: dict[str, int] = {}
        for row in rows:
            for run_id in row.run_ids:
                marked[run_id] = marked.get(run_id, 0) + 1
        return {"study_id": study_id, "withdrawals": len(rows), "marked_runs": dict(sorted(marked.items()))}

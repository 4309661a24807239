"""Data leave the pool again: a subject who withdrew at its site, and everything of a study at its end; both signed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from racoon.domain.canonical import content_hash
from racoon.domain.identity import Pseudonym
from racoon.node.approvals.model import NotApproved
from racoon.node.approvals.service import Approvals
from racoon.node.pooling import _store
from racoon.node.pooling.model import ENDED, ExportRefused, IncomingState
from racoon.node.pooling.peers import Peers
from racoon.node.release.service import Parcels, ReleaseGate
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database
from racoon.protocol.letters import StudyDeleted, SubjectErased, SubjectTakenBack

Withdraw = Callable[[sa.Connection, Pseudonym, str], None]
"""Ends the use of a subject at this node, with a reason, in the caller's transaction (``consent``)."""

ErasedProof = Callable[[sa.Connection, Pseudonym], str]
"""Hash of the proof that nothing of a subject is left; empty until it is so."""

DeleteImages = Callable[[Sequence[str], str, str], list[str]]
"""Deletes imaging studies (UIDs, reason, actor); gives the hashes of the proofs."""

LeftOver = Callable[[Sequence[str]], int]
"""How many of some series are still in the archive."""


class Ending:
    """Erasures at the pool.

    Parameters
    ----------
    database, audit, approvals, gate, peers, parcels
        The node's own.
    withdraw, erased_proof, delete_images, left_over
        Ports that ``app`` registers.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        approvals: Approvals,
        gate: ReleaseGate,
        peers: Peers,
        parcels: Parcels,
        *,
        withdraw: Withdraw,
        erased_proof: ErasedProof,
        delete_images: DeleteImages,
        left_over: LeftOver,
    ) -> None:
        self._database = database
        self._audit = audit
        self._approvals = approvals
        self._gate = gate
        self._peers = peers
        self._parcels = parcels
        self._withdraw = withdraw
        self._erased_proof = erased_proof
        self._delete_images = delete_images
        self._left_over = left_over

    # -- one subject

    def taken_back(self, connection: sa.Connection, sender: str, letter: SubjectTakenBack) -> None:
        """Block a subject at once; the answer follows when it is erased.  Asked again, it is answered again."""
        table, objects = _store.taken_back, _store.pooled
        mine = (table.c.sender == sender, table.c.tombstone_id == letter.tombstone_id)
        foreign = _store.rows(
            connection, objects, objects.c.pseudonym == letter.subject, objects.c.sender != sender
        )
        if foreign:
            raise ExportRefused("A site takes back a subject that another site has sent.")
        if _store.one(connection, table, *mine) is not None:
            connection.execute(table.update().where(*mine).values(answered_at=None))
            return
        connection.execute(
            table.insert().values(
                sender=sender,
                tombstone_id=letter.tombstone_id,
                study_id=letter.study_id,
                pseudonym=letter.subject,
                received_at=clock.now(),
            )
        )
        self._withdraw(connection, Pseudonym(letter.subject), f"taken back by {sender}")

    def work(self) -> int:
        """Answer what is erased, and carry confirmed deletions out; tells how many moved."""
        return self._answer() + self._carry_out()

    def _answer(self) -> int:
        table, moved = _store.taken_back, 0
        with self._database.connect() as connection:
            open_ones = _store.rows(connection, table, table.c.answered_at.is_(None))
        for row in open_ones:
            with self._database.begin() as connection:
                proof = self._erased_proof(connection, Pseudonym(row.pseudonym))
                peer = self._peers.get(connection, row.sender)
                if not proof or peer is None:
                    continue
                objects = _store.pooled
                connection.execute(objects.delete().where(objects.c.pseudonym == row.pseudonym))
                now = clock.now()
                erased = SubjectErased(
                    tombstone_id=row.tombstone_id, study_id=row.study_id, erased_at=now, proof_sha256=proof
                )
                self._gate.post(connection, peer, "subject.erased", erased)
                connection.execute(
                    table.update()
                    .where(table.c.sender == row.sender, table.c.tombstone_id == row.tombstone_id)
                    .values(answered_at=now)
                )
                moved += 1
        return moved

    # -- a whole study

    def held(self, connection: sa.Connection) -> list[dict[str, Any]]:
        """Say which studies' data lie in this pool, and where their deletion stands."""
        objects = _store.pooled
        query = (
            sa.select(
                objects.c.study_id,
                sa.func.count().label("objects"),
                sa.func.count(sa.distinct(objects.c.pseudonym)).label("subjects"),
                sa.func.count(sa.distinct(objects.c.sender)).label("sites"),
            )
            .group_by(objects.c.study_id)
            .order_by(objects.c.study_id)
        )
        found: dict[str, dict[str, Any]] = {}
        for row in connection.execute(query):
            found[row.study_id] = dict(row._mapping) | {"deletion": None}
        for row in _store.rows(connection, _store.deletion):
            entry = found.setdefault(
                row.study_id, {"study_id": row.study_id, "objects": 0, "subjects": 0, "sites": 0}
            )
            entry["deletion"] = dict(row._mapping)
        for study_id, entry in found.items():
            entry["is_over"] = self._is_over(connection, study_id)
        return [found[study_id] for study_id in sorted(found)]

    def ask(self, connection: sa.Connection, study_id: str, *, reason: str, actor: str) -> None:
        """Ask to delete everything of a study that has ended; another person has to confirm.

        Raises
        ------
        ExportRefused
        """
        if not self._is_over(connection, study_id):
            raise ExportRefused(
                "The study has not ended; its data are deleted when it is closed or withdrawn."
            )
        reason = " ".join(reason.split())[:500]
        if not reason:
            raise ExportRefused("Say why; the proof carries it.")
        if _store.one(connection, _store.deletion, _store.deletion.c.study_id == study_id) is not None:
            raise ExportRefused("The deletion of this study was asked for already.")
        connection.execute(
            _store.deletion.insert().values(
                study_id=study_id, reason=reason, asked_by=actor, asked_at=clock.now(), confirmed_by=""
            )
        )
        self._write(connection, study_id, actor, "pool.deletion.ask", reason=reason)

    def confirm(self, connection: sa.Connection, study_id: str, *, actor: str, is_same: bool) -> None:
        """Confirm another person's deletion; the worker carries it out.

        Raises
        ------
        ExportRefused
        """
        table = _store.deletion
        row = _store.one(connection, table, table.c.study_id == study_id)
        if row is None or row.confirmed_at is not None:
            raise ExportRefused("Nothing of this study waits for a confirmation.")
        if is_same:
            raise ExportRefused("Another person than the one who asked has to confirm.")
        connection.execute(
            table.update()
            .where(table.c.study_id == study_id)
            .values(confirmed_by=actor, confirmed_at=clock.now())
        )
        self._write(connection, study_id, actor, "pool.deletion.confirm")

    def asked_by(self, connection: sa.Connection, study_id: str) -> str:
        """Return who asked for a study's deletion; empty when nobody did."""
        row = _store.one(connection, _store.deletion, _store.deletion.c.study_id == study_id)
        return str(row.asked_by) if row is not None else ""

    def _carry_out(self) -> int:
        table, moved = _store.deletion, 0
        with self._database.connect() as connection:
            waiting = _store.rows(
                connection, table, table.c.confirmed_at.is_not(None), table.c.done_at.is_(None)
            )
        for row in waiting:
            self._delete_study(row)
            moved += 1
        return moved

    def _delete_study(self, row: sa.Row[Any]) -> None:
        objects, incoming = _store.pooled, _store.incoming
        with self._database.connect() as connection:
            here = _store.rows(connection, objects, objects.c.study_id == row.study_id)
            shipments = _store.rows(connection, incoming, incoming.c.study_id == row.study_id)
        proofs = self._delete_images(
            sorted({item.imaging_study_uid for item in here}),
            f"end of study {row.study_id}",
            row.confirmed_by,
        )
        left = self._left_over(sorted({item.series_uid for item in here}))
        by_sender: dict[str, list[str]] = defaultdict(list)
        counts: dict[str, int] = defaultdict(int)
        for item in shipments:
            by_sender[item.sender].append(item.shipment_id)
        for item in here:
            counts[item.sender] += 1
        now = clock.now()
        proof = {
            "kind": "study.deleted",
            "study_id": row.study_id,
            "reason": row.reason,
            "asked_by": row.asked_by,
            "confirmed_by": row.confirmed_by,
            "objects": len(here),
            "left": left,
            "deletions": proofs,
            "at": now.isoformat(),
        }
        digest = content_hash(proof)
        with self._database.begin() as connection:
            for sender, ids in sorted(by_sender.items()):
                self._drop_parcels(connection, sender, ids)
                peer = self._peers.get(connection, sender)
                if peer is None or left:
                    continue
                deleted = StudyDeleted(
                    study_id=row.study_id,
                    shipments=sorted(ids),
                    objects=counts[sender],
                    left=left,
                    deleted_at=now,
                    proof_sha256=digest,
                )
                self._gate.post(connection, peer, "study.deleted", deleted)
            if not left:
                connection.execute(objects.delete().where(objects.c.study_id == row.study_id))
                connection.execute(
                    incoming.update()
                    .where(incoming.c.study_id == row.study_id)
                    .values(state=IncomingState.DELETED.value)
                )
            connection.execute(
                _store.deletion.update()
                .where(_store.deletion.c.study_id == row.study_id)
                .values(done_at=now, proof={**proof, "sha256": digest})
            )
            self._write(
                connection, row.study_id, "node", "pool.deletion.done", proof_sha256=digest, left=left
            )

    def _drop_parcels(self, connection: sa.Connection, sender: str, shipments: list[str]) -> None:
        series = _store.incoming_series
        found = _store.rows(
            connection, series, series.c.sender == sender, series.c.shipment_id.in_(shipments)
        )
        self._parcels.drop(connection, [item.parcel for item in found])

    def _is_over(self, connection: sa.Connection, study_id: str) -> bool:
        try:
            return self._approvals.current(connection, study_id).central_state in ENDED
        except NotApproved:
            return False

    def _write(
        self, connection: sa.Connection, study_id: str, actor: str, action: str, **details: Any
    ) -> None:
        self._audit.append(
            connection,
            actor=actor,
            actor_role="pooling",
            action=action,
            target=f"study/{study_id}",
            purpose=study_id,
            details=details,
        )

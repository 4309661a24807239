"""Deletes images with proof: a role, a reason, where the table says so a second person, and a record of what is gone.

The index forgets first, in the transaction that notes which objects have to go; then the objects go; then it is
checked that they are gone, and the proof is written with its hash into the audit chain.  A crash between these steps
is finished by :meth:`Deletions.resume`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from racoon.domain.canonical import content_hash
from racoon.domain.permission import SECOND_PERSON
from racoon.node.archive import _removal, _store
from racoon.node.archive._deletion_model import (
    Deletion,
    DeletionDecided,
    DeletionState,
    NoSuchDeletion,
    ReasonMissing,
    SamePerson,
)
from racoon.node.archive.model import SeriesFacts, SeriesNotFound, check_uid
from racoon.node.archive.objects import ObjectNotFound, ObjectStore
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.auth.people import is_same_person
from racoon.platform.database import Database

ACTION = "image.delete"

RemovedListener = Callable[[sa.Connection, Sequence[str], Sequence[SeriesFacts]], None]
"""Called in the removing transaction with the series that are gone and the facts of those that lost instances."""


class Deletions:
    """Deletions of one archive.

    Parameters
    ----------
    database, objects
        Those of the archive.
    audit
        The node's audit log.
    on_removed
        Listeners that keep their own tables in the removing transaction.
    needs_second_person
        Whether another person has to confirm; by default what the permission table says.
    """

    def __init__(
        self,
        database: Database,
        objects: ObjectStore,
        audit: AuditLog,
        *,
        on_removed: Sequence[RemovedListener] = (),
        needs_second_person: bool = ACTION in SECOND_PERSON,
    ) -> None:
        self._database = database
        self._objects = objects
        self._audit = audit
        self._on_removed = tuple(on_removed)
        self._needs_second_person = needs_second_person

    def request(
        self,
        imaging_study_uid: str,
        *,
        series_uid: str = "",
        sop_instance_uid: str = "",
        reason: str,
        actor: str,
        actor_role: str,
    ) -> Deletion:
        """Ask for a deletion; it is carried out at once where no second person is needed.

        Raises
        ------
        SeriesNotFound
            If there is nothing of this name.
        ReasonMissing
            Without a reason.
        """
        reason = reason.strip()[:500]
        if not reason:
            raise ReasonMissing("Say why these images are to be deleted.")
        for uid in filter(None, (imaging_study_uid, series_uid, sop_instance_uid)):
            check_uid(uid)
        deletion_id = secrets.token_hex(8)
        table = _store.deletions
        with self._database.begin() as connection:
            rows = _removal.select_doomed(connection, imaging_study_uid, series_uid, sop_instance_uid)
            if not rows:
                raise SeriesNotFound("There is no such object in this archive.")
            connection.execute(
                sa.insert(table).values(
                    deletion_id=deletion_id,
                    state=DeletionState.WAITING,
                    imaging_study_uid=imaging_study_uid,
                    series_uid=series_uid,
                    sop_instance_uid=sop_instance_uid,
                    pseudonym=rows[0].pseudonym,
                    reason=reason,
                    requested_by=actor,
                    requested_role=actor_role,
                    requested_at=clock.now(),
                    decided_by="",
                    decided_role="",
                    decided_at=None,
                    items=[],
                    proof=None,
                    proof_hash="",
                )
            )
            details = {"deletion": deletion_id, "reason": reason, "instances": len(rows)}
            self._write_audit(connection, actor, actor_role, f"{ACTION}.request", deletion_id, details)
        if not self._needs_second_person:
            return self._carry_out(deletion_id, actor, actor_role)
        return self.get(deletion_id)

    def decide(self, deletion_id: str, *, is_confirmed: bool, actor: str, actor_role: str) -> Deletion:
        """Confirm a deletion, which carries it out, or refuse it.

        Raises
        ------
        NoSuchDeletion, DeletionDecided
        SamePerson
            If who asked for it confirms it.
        """
        found = self.get(deletion_id)
        if found.state is not DeletionState.WAITING:
            raise DeletionDecided("This deletion is decided already.")
        if not is_confirmed:
            with self._database.begin() as connection:
                self._claim(connection, deletion_id, DeletionState.REFUSED, actor, actor_role)
                details = {"deletion": deletion_id}
                self._write_audit(connection, actor, actor_role, f"{ACTION}.refuse", deletion_id, details)
            return self.get(deletion_id)
        with self._database.connect() as connection:
            is_same = is_same_person("node", connection, found.requested_by, actor)
        if is_same:
            with self._database.begin() as connection:
                self._write_audit(
                    connection, actor, actor_role, f"{ACTION}.confirm", deletion_id, {}, is_refused=True
                )
            raise SamePerson("Another person has to confirm what you asked for.")
        return self._carry_out(deletion_id, actor, actor_role)

    def get(self, deletion_id: str) -> Deletion:
        """Return one deletion.

        Raises
        ------
        NoSuchDeletion
        """
        table = _store.deletions
        with self._database.connect() as connection:
            row = connection.execute(sa.select(table).where(table.c.deletion_id == deletion_id)).one_or_none()
            if row is None:
                raise NoSuchDeletion("There is no deletion of this id.")
            return _deletion_of(connection, row)

    def count(self, imaging_study_uid: str, series_uid: str = "", sop_instance_uid: str = "") -> int:
        """Count the instances that a deletion would take away.

        Raises
        ------
        BadIdentifier
            If one of them is no UID.
        """
        for uid in filter(None, (imaging_study_uid, series_uid, sop_instance_uid)):
            check_uid(uid)
        with self._database.connect() as connection:
            return len(_removal.select_doomed(connection, imaging_study_uid, series_uid, sop_instance_uid))

    def newest(
        self, limit: int = 100, *, state: DeletionState | None = None, before: str = ""
    ) -> list[Deletion]:
        """List deletions, newest first; those after the deletion ``before`` in that order."""
        table = _store.deletions
        query = sa.select(table).order_by(table.c.requested_at.desc(), table.c.deletion_id).limit(limit)
        if state is not None:
            query = query.where(table.c.state == state)
        if before:
            last = sa.select(table.c.requested_at).where(table.c.deletion_id == before).scalar_subquery()
            same = sa.and_(table.c.requested_at == last, table.c.deletion_id > before)
            query = query.where(sa.or_(table.c.requested_at < last, same))
        with self._database.connect() as connection:
            return [_deletion_of(connection, row) for row in connection.execute(query).all()]

    def resume(self) -> int:
        """Finish deletions that a crash interrupted; tell how many."""
        table = _store.deletions
        query = sa.select(table.c.deletion_id).where(table.c.state == DeletionState.REMOVING)
        with self._database.connect() as connection:
            waiting = list(connection.execute(query).scalars())
        for deletion_id in waiting:
            self._finish(deletion_id)
        return len(waiting)

    def _carry_out(self, deletion_id: str, actor: str, actor_role: str) -> Deletion:
        table = _store.deletions
        with self._database.begin() as connection:
            row = self._claim(connection, deletion_id, DeletionState.REMOVING, actor, actor_role)
            doomed = _removal.select_doomed(
                connection, row.imaging_study_uid, row.series_uid, row.sop_instance_uid
            )
            items = [
                {
                    "sop_instance_uid": item.sop_instance_uid,
                    "series_uid": item.series_uid,
                    "sop_class_uid": item.sop_class_uid,
                    "sha256": item.sha256,
                    "size_bytes": item.size_bytes,
                    "object_key": item.object_key,
                }
                for item in doomed
            ]
            removed = _removal.remove(connection, doomed)
            for listener in self._on_removed:
                listener(connection, removed.series, removed.changed)
            connection.execute(sa.update(table).where(table.c.deletion_id == deletion_id).values(items=items))
        return self._finish(deletion_id)

    def _finish(self, deletion_id: str) -> Deletion:
        """Remove the objects, look whether they are gone, write the proof."""
        table = _store.deletions
        with self._database.connect() as connection:
            row = connection.execute(sa.select(table).where(table.c.deletion_id == deletion_id)).one()
            again = _store.keys_in_use(connection, [item["object_key"] for item in row.items])
        for item in row.items:
            # What was sent once more meanwhile lies under the same key and belongs to a new entry.
            if item["object_key"] not in again:
                self._objects.delete(item["object_key"])
        packs = _removal.forget_evidence(
            self._objects, {item["sop_instance_uid"]: item["sha256"] for item in row.items}
        )
        keys = [item["object_key"] for item in row.items]
        left = [key for key in keys if key not in again and self._is_there(key)]
        instances = [{key: item[key] for key in item if key != "object_key"} for item in row.items]
        with self._database.begin() as connection:
            proof = {
                "kind": "deletion",
                "deletion": deletion_id,
                "imaging_study_uid": row.imaging_study_uid,
                "series_uid": row.series_uid,
                "sop_instance_uid": row.sop_instance_uid,
                "pseudonym": row.pseudonym,
                "reason": row.reason,
                "requested": {
                    "by": row.requested_by,
                    "role": row.requested_role,
                    "at": row.requested_at.isoformat(),
                },
                "confirmed": {
                    "by": row.decided_by,
                    "role": row.decided_role,
                    "at": row.decided_at.isoformat(),
                },
                "instances": instances,
                "checked": {
                    "at": clock.now().isoformat(),
                    "objects_left": len(left),
                    "index_entries_left": len(again),
                    "evidence_packs_rewritten": packs,
                },
            }
            digest = content_hash(proof)
            changed = connection.execute(
                sa.update(table)
                .where(table.c.deletion_id == deletion_id, table.c.state == DeletionState.REMOVING)
                .values(state=DeletionState.DONE, items=[], proof=proof, proof_hash=digest)
            ).rowcount
            if changed:
                details = {"deletion": deletion_id, "instances": len(instances), "proof_sha256": digest}
                self._write_audit(connection, row.decided_by, row.decided_role, ACTION, deletion_id, details)
        return self.get(deletion_id)

    def _is_there(self, key: str) -> bool:
        try:
            self._objects.open(key).close()
        except ObjectNotFound:
            return False
        return True

    def _claim(
        self, connection: sa.Connection, deletion_id: str, state: DeletionState, actor: str, actor_role: str
    ) -> sa.Row[Any]:
        """Move a waiting deletion on; of two people who decide at once, one is told that he was late."""
        table = _store.deletions
        row = connection.execute(
            sa.update(table)
            .where(table.c.deletion_id == deletion_id, table.c.state == DeletionState.WAITING)
            .values(state=state, decided_by=actor, decided_role=actor_role, decided_at=clock.now())
            .returning(table)
        ).one_or_none()
        if row is None:
            raise DeletionDecided("This deletion is decided already.")
        return row

    def _write_audit(
        self,
        connection: sa.Connection,
        actor: str,
        actor_role: str,
        action: str,
        deletion_id: str,
        details: dict[str, Any],
        *,
        is_refused: bool = False,
    ) -> None:
        self._audit.append(
            connection,
            actor=actor,
            actor_role=actor_role,
            action=action,
            target=f"deletion/{deletion_id}",
            outcome="refused" if is_refused else "success",
            details=details,
        )


def _deletion_of(connection: sa.Connection, row: sa.Row[Any]) -> Deletion:
    if row.state == DeletionState.WAITING:
        doomed = _removal.select_doomed(
            connection, row.imaging_study_uid, row.series_uid, row.sop_instance_uid
        )
        count = len(doomed)
    else:
        count = len(row.proof["instances"]) if row.proof else len(row.items)
    return Deletion(
        deletion_id=row.deletion_id,
        state=DeletionState(row.state),
        imaging_study_uid=row.imaging_study_uid,
        series_uid=row.series_uid,
        sop_instance_uid=row.sop_instance_uid,
        pseudonym=row.pseudonym,
        reason=row.reason,
        requested_by=row.requested_by,
        requested_at=row.requested_at,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        instances=count,
        proof=row.proof,
        proof_hash=row.proof_hash,
    )


__all__ = [
    "ACTION",
    "Deletion",
    "DeletionDecided",
    "DeletionState",
    "Deletions",
    "NoSuchDeletion",
    "ReasonMissing",
    "RemovedListener",
    "SamePerson",
]

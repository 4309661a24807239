"""A site's side of a pooled study: ask, be reviewed, build, send, and keep what the pool signed."""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from racoon.domain.dataset import DatasetManifest, DatasetSeries
from racoon.domain.governance.approval import Purpose
from racoon.domain.identity import Pseudonym
from racoon.errors import Defect, Refused
from racoon.node.approvals.model import NotApproved
from racoon.node.approvals.service import Approvals
from racoon.node.pooling import _store
from racoon.node.pooling.model import ExportRefused, Manifest, ShipmentState, ShippedObject, ShippedSeries
from racoon.node.pooling.peers import Peers
from racoon.node.release.reviews import Review
from racoon.node.release.service import Parcel, Parcels, ReleaseGate
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database
from racoon.protocol.letters import PARCEL, ShipmentSent
from racoon.protocol.sealing import seal_bytes

_log = logging.getLogger(__name__)

LoadDataset = Callable[[sa.Connection, str, str], DatasetManifest]
"""Study and dataset hash → the dataset: as it was frozen, or what of it may be used now (``consent``)."""

RenamedObjects = Callable[[DatasetSeries, str], Iterator[tuple[str, bytes]]]
"""Series and study → its objects renamed for the study, as SOP Instance UID and file."""

NameInStudy = Callable[[Pseudonym, str], str]

_OPEN = (ShipmentState.REVIEW, ShipmentState.BUILDING, ShipmentState.SENDING)


class Sender:
    """Exports of one node.

    Parameters
    ----------
    database, audit, approvals, gate, peers, parcels
        The node's own.
    load_frozen, load_usable, objects, name_in_study
        Ports that ``app`` registers; the last two are None in a process that must not know who is who.
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
        load_frozen: LoadDataset,
        load_usable: LoadDataset,
        objects: RenamedObjects | None = None,
        name_in_study: NameInStudy | None = None,
    ) -> None:
        self._database = database
        self._audit = audit
        self._approvals = approvals
        self._gate = gate
        self._peers = peers
        self._parcels = parcels
        self._load_frozen = load_frozen
        self._load_usable = load_usable
        self._objects = objects
        self._name_in_study = name_in_study
        gate.reviews.on("export", accepted=self._accepted, refused=self._refused)

    # -- people

    def ask(self, connection: sa.Connection, study_id: str, *, reason: str, actor: str) -> str:
        """Ask to send the released dataset of a study to its pool; another person has to accept it.

        Returns
        -------
        str
            Id of the shipment.

        Raises
        ------
        NotApproved, ExportRefused
        """
        study = self._approvals.current(connection, study_id)
        pool = study.definition.pool_site
        if study.definition.mode != "pooled" or not pool:
            raise ExportRefused("This study is not pooled: its data stay at the sites.")
        self._approvals.require(connection, study, Purpose.EXPORT)
        peer = self._peers.get(connection, pool)
        if peer is None:
            raise ExportRefused(
                "Nobody has entered the pool's peer code here. Take it from the contract, and compare its "
                "fingerprint with the pool's people."
            )
        reason = " ".join(reason.split())[:500]
        if not reason:
            raise ExportRefused("Say why the dataset is to be sent; the reviewer reads it.")
        table = _store.shipment
        known = _store.rows(
            connection, table, table.c.study_id == study_id, table.c.dataset_hash == study.dataset_hash
        )
        if any(row.state not in (ShipmentState.REFUSED, ShipmentState.STOPPED) for row in known):
            raise ExportRefused("This dataset was sent already, or is about to be.")
        # As it was frozen: what consent still permits is asked by the worker, which knows days of acquisition.
        manifest = self._load_frozen(connection, study_id, study.dataset_hash or "")
        shipment_id = secrets.token_hex(8)
        counts = {
            "series": len(manifest.series),
            "subjects": manifest.subject_count,
            "instances": sum(item.instance_count for item in manifest.series),
        }
        connection.execute(
            table.insert().values(
                shipment_id=shipment_id,
                study_id=study_id,
                study_hash=study.study_hash,
                dataset_hash=study.dataset_hash,
                pool=pool,
                state=ShipmentState.REVIEW.value,
                asked_by=actor,
                reason=reason,
                asked_at=clock.now(),
                manifest_sha256="",
                parcels=[],
                counts=counts,
                problem="",
            )
        )
        facts = {
            "title": study.definition.title,
            "study_version": study.study_hash,
            "dataset": study.dataset_hash,
            "purpose": Purpose.EXPORT.value,
            "pool": pool,
            "pool_fingerprint": peer.fingerprint,
            "reason": reason,
            **counts,
        }
        self._gate.reviews.ask(
            connection, "export", study_id, f"shipment/{shipment_id}", facts, asked_by=actor
        )
        return shipment_id

    def shipments(self, connection: sa.Connection) -> list[dict[str, Any]]:
        """List exports, newest first."""
        found = _store.rows(connection, _store.shipment, order=_store.shipment.c.asked_at.desc())
        return [dict(row._mapping) for row in found]

    def stop_forbidden(self, connection: sa.Connection, study_id: str) -> None:
        """Stop what is on its way when the site's decisions no longer allow it; in their transaction."""
        table = _store.shipment
        states = [state.value for state in _OPEN]
        for row in _store.rows(connection, table, table.c.study_id == study_id, table.c.state.in_(states)):
            reason = self._forbidden(connection, row)
            if reason:
                self._stop(connection, row, reason)

    # -- the worker

    def work(self) -> int:
        """Do what is left to do for every export; tells how many moved.  Stopped at any moment it goes on."""
        table = _store.shipment
        states = [ShipmentState.BUILDING.value, ShipmentState.SENDING.value]
        with self._database.connect() as connection:
            open_ones = _store.rows(connection, table, table.c.state.in_(states), order=table.c.asked_at)
        moved = 0
        for row in open_ones:
            try:
                step = self._build if row.state == ShipmentState.BUILDING else self._announce
                moved += step(row)
            except (Refused, Defect) as error:
                _log.warning("an export stops", extra={"shipment": row.shipment_id, "code": error.error_code})
                with self._database.begin() as connection:
                    self._stop(connection, row, error.public_message)
        return moved

    def _build(self, row: sa.Row[Any]) -> int:
        assert self._objects is not None
        with self._database.connect() as connection:
            self._require(connection, row)
            peer = self._peers.get(connection, row.pool)
            manifest = self._load_usable(connection, row.study_id, row.dataset_hash)
            content = _store.shipped
            built = {
                item.series_uid: ShippedSeries.from_dict(item.content)
                for item in _store.rows(connection, content, content.c.shipment_id == row.shipment_id)
            }
        if peer is None:
            raise ExportRefused("The pool's peer code was taken away.")
        for series in manifest.series:
            if series.series_uid in built:
                continue
            made = self._build_series(row, series, peer.sealing_key)
            with self._database.begin() as connection:
                # What a decision or a withdrawal forbids meanwhile stops here, not at the next shipment.
                self._require(connection, row)
                connection.execute(
                    _store.shipped.insert().values(
                        shipment_id=row.shipment_id,
                        series_uid=series.series_uid,
                        pseudonym=series.pseudonym,
                        content=made.to_dict(),
                    )
                )
            built[series.series_uid] = made
        return self._hand_over(row, peer.sealing_key, built)

    def _hand_over(self, row: sa.Row[Any], key: bytes, built: dict[str, ShippedSeries]) -> int:
        with self._database.begin() as connection:
            self._require(connection, row)
            # Asked once more in the transaction that lets it out: who withdrew while it was built stays here.
            now = self._load_usable(connection, row.study_id, row.dataset_hash)
            usable = {item.series_uid for item in now.series}
            gone = [uid for uid in built if uid not in usable]
            self._parcels.drop(connection, [built[uid].parcel for uid in gone])
            for uid in gone:
                connection.execute(
                    _store.shipped.delete().where(
                        _store.shipped.c.shipment_id == row.shipment_id, _store.shipped.c.series_uid == uid
                    )
                )
            chosen = tuple(built[uid] for uid in sorted(built) if uid in usable)
            if not chosen:
                raise ExportRefused("Nothing of this dataset may be used any more.")
            manifest = Manifest(
                row.shipment_id, row.study_id, row.study_hash, row.dataset_hash, self._peers.site, chosen
            )
            closed, size = self._close(key, [manifest.to_bytes()])
            parcels = [(closed, size), *((item.parcel, item.parcel_bytes) for item in chosen)]
            counts = {
                "series": len(chosen),
                "subjects": manifest.subjects,
                "objects": manifest.objects,
                "bytes": sum(size for _, size in parcels),
            }
            payload = {
                "dataset_hash": row.dataset_hash,
                "study_hash": row.study_hash,
                "manifest_sha256": manifest.hash,
                "pool": row.pool,
                **counts,
            }
            items = [Parcel(sha256, row.pool, row.study_id, size) for sha256, size in parcels]
            self._gate.ship(connection, self._parcels, row.shipment_id, items, payload)
            connection.execute(
                _store.shipment.update()
                .where(_store.shipment.c.shipment_id == row.shipment_id)
                .values(
                    state=ShipmentState.SENDING.value,
                    manifest_sha256=manifest.hash,
                    parcels=[list(item) for item in parcels],
                    counts=counts,
                )
            )
        return 1

    def _announce(self, row: sa.Row[Any]) -> int:
        wanted = [sha256 for sha256, _ in row.parcels]
        with self._database.begin() as connection:
            refused = self._parcels.refused(connection, wanted)
            if refused:
                raise ExportRefused(f"CENTRAL does not carry it: {refused}")
            self._require(connection, row)
            if self._parcels.undone(connection, wanted):
                return 0
            peer = self._peers.get(connection, row.pool)
            if peer is None:
                raise ExportRefused("The pool's peer code was taken away.")
            sent = ShipmentSent(
                shipment_id=row.shipment_id,
                study_id=row.study_id,
                study_hash=row.study_hash,
                dataset_hash=row.dataset_hash,
                manifest_sha256=row.manifest_sha256,
                parcel=row.parcels[0][0],
                parcel_bytes=row.parcels[0][1],
            )
            self._gate.post(connection, peer, "shipment.sent", sent)
            connection.execute(
                _store.shipment.update()
                .where(_store.shipment.c.shipment_id == row.shipment_id)
                .values(state=ShipmentState.SENT.value, sent_at=clock.now())
            )
        return 1

    def _build_series(self, row: sa.Row[Any], series: DatasetSeries, key: bytes) -> ShippedSeries:
        assert self._objects is not None
        assert self._name_in_study is not None
        found: list[ShippedObject] = []
        objects = self._objects(series, row.study_id)

        def chunks() -> Iterator[bytes]:
            for uid, data in objects:
                found.append(ShippedObject(uid, hashlib.sha256(data).hexdigest(), len(data)))
                yield data

        sha256, size = self._close(key, chunks())
        return ShippedSeries(sha256, size, self._name_in_study(series.pseudonym, row.study_id), tuple(found))

    def _close(self, key: bytes, chunks: Any) -> tuple[str, int]:
        partial: Path = self._parcels.path("out", f".{secrets.token_hex(8)}.part")
        digest, size = hashlib.sha256(), 0
        try:
            with partial.open("xb") as stream:
                for piece in seal_bytes(key, PARCEL, chunks):
                    digest.update(piece)
                    size += len(piece)
                    stream.write(piece)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(self._parcels.path("out", digest.hexdigest()))
        finally:
            partial.unlink(missing_ok=True)
        return digest.hexdigest(), size

    # -- inner

    def _accepted(self, connection: sa.Connection, review: Review) -> None:
        row = self._row_of(connection, review)
        self._require(connection, row)
        self._set(connection, row, ShipmentState.BUILDING)

    def _refused(self, connection: sa.Connection, review: Review) -> None:
        row = self._row_of(connection, review)
        self._set(connection, row, ShipmentState.REFUSED, review.last_reason)

    def _row_of(self, connection: sa.Connection, review: Review) -> sa.Row[Any]:
        shipment_id = review.target.removeprefix("shipment/")
        row = _store.one(connection, _store.shipment, _store.shipment.c.shipment_id == shipment_id)
        if row is None:
            raise ExportRefused("There is no such export.")
        return row

    def _require(self, connection: sa.Connection, row: sa.Row[Any]) -> None:
        reason = self._forbidden(connection, row)
        if reason:
            raise ExportRefused(reason)

    def _forbidden(self, connection: sa.Connection, row: sa.Row[Any]) -> str:
        """Ask the technical gate for exactly this version, dataset and purpose; empty when it allows them."""
        try:
            study = self._approvals.current(connection, row.study_id)
            if study.study_hash != row.study_hash:
                return (
                    "Another version of the study is in force now; the export was approved for the old one."
                )
            if study.dataset_hash != row.dataset_hash:
                return "Another dataset is frozen for the study now."
            self._approvals.require(connection, study, Purpose.EXPORT)
        except NotApproved as error:
            return error.public_message
        return ""

    def _stop(self, connection: sa.Connection, row: sa.Row[Any], reason: str) -> None:
        self._parcels.drop(connection, [sha256 for sha256, _ in row.parcels])
        built = _store.rows(connection, _store.shipped, _store.shipped.c.shipment_id == row.shipment_id)
        if row.state != ShipmentState.SENDING:
            # Nothing of it has left: no tombstone will ever be needed for it.
            self._parcels.drop(connection, [item.content["parcel"] for item in built])
            connection.execute(_store.shipped.delete().where(_store.shipped.c.shipment_id == row.shipment_id))
        self._set(connection, row, ShipmentState.STOPPED, reason)

    def _set(
        self, connection: sa.Connection, row: sa.Row[Any], state: ShipmentState, problem: str = ""
    ) -> None:
        connection.execute(
            _store.shipment.update()
            .where(_store.shipment.c.shipment_id == row.shipment_id)
            .values(state=state.value, problem=problem[:500])
        )
        self._audit.append(
            connection,
            actor="node",
            actor_role="pooling",
            action="export.state",
            target=f"shipment/{row.shipment_id}",
            purpose=row.study_id,
            outcome="refused" if problem else "success",
            details={"state": state.value, "reason": problem[:500]},
        )


def pooled_recipients(connection: sa.Connection, pseudonym: Pseudonym) -> list[tuple[str, str]]:
    """Say which pools hold, or are about to get, a subject: pairs of study and pool."""
    table, series = _store.shipment, _store.shipped
    query = (
        sa.select(table.c.study_id, table.c.pool)
        .distinct()
        .join(series, series.c.shipment_id == table.c.shipment_id)
        .where(series.c.pseudonym == pseudonym, table.c.state != ShipmentState.DELETED.value)
        .order_by(table.c.study_id)
    )
    return [(row.study_id, row.pool) for row in connection.execute(query)]

"""The pool's side: fetch what a site announced, verify every object, keep apart what fails, and sign what is here."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from racoon.domain.identity import Pseudonym
from racoon.errors import Defect
from racoon.node.approvals.model import NotApproved
from racoon.node.approvals.service import Approvals
from racoon.node.archive.model import DeidentifiedInstance, SeriesAssessment, StoreResult
from racoon.node.archive.service import Archive
from racoon.node.pooling import _store
from racoon.node.pooling.model import ENDED, IncomingState, Manifest, ShipmentDefect, ShippedSeries
from racoon.node.pooling.peers import Peers
from racoon.node.release.service import Parcel, Parcels, ReleaseGate
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database
from racoon.protocol.letters import PARCEL, ShipmentQuality, ShipmentReceipt, ShipmentSent
from racoon.protocol.sealing import open_sealed

_log = logging.getLogger(__name__)

ReadObject = Callable[[bytes], DeidentifiedInstance]
"""Reads what a file says of itself; ``app`` registers it."""

Assessments = Callable[[Sequence[str]], Mapping[str, SeriesAssessment]]
"""What the quality rules say of series that were looked at."""

STORE_AT_ONCE = 50

LARGEST_MANIFEST = 256 << 20


class Receiver:
    """Shipments that come to this node.

    Parameters
    ----------
    database, audit, approvals, gate, archive, peers, parcels
        The node's own.
    is_pool
        Whether this node takes pooled data at all.
    read_object, assessments
        Ports that ``app`` registers.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        approvals: Approvals,
        gate: ReleaseGate,
        archive: Archive,
        peers: Peers,
        parcels: Parcels,
        *,
        is_pool: bool,
        read_object: ReadObject,
        assessments: Assessments,
    ) -> None:
        self._database = database
        self._audit = audit
        self._approvals = approvals
        self._gate = gate
        self._archive = archive
        self._peers = peers
        self._parcels = parcels
        self._is_pool = is_pool
        self._read_object = read_object
        self._assessments = assessments

    def announced(self, connection: sa.Connection, sender: str, letter: ShipmentSent) -> None:
        """Take down that a site sends something, and fetch its manifest; the same again changes nothing."""
        table = _store.incoming
        known = _store.one(
            connection, table, table.c.sender == sender, table.c.shipment_id == letter.shipment_id
        )
        if known is not None:
            return
        problem = self._unwanted(connection, letter)
        connection.execute(
            table.insert().values(
                sender=sender,
                shipment_id=letter.shipment_id,
                study_id=letter.study_id,
                announced=letter.model_dump(mode="json"),
                state=(IncomingState.QUARANTINED if problem else IncomingState.ANNOUNCED).value,
                problem=problem,
                announced_at=clock.now(),
                subjects=0,
                objects=0,
                set_aside={},
            )
        )
        if not problem:
            item = Parcel(letter.parcel, sender, letter.study_id, letter.parcel_bytes)
            self._parcels.queue(connection, "in", item)
        self._write(connection, sender, letter.shipment_id, letter.study_id, "announced", problem=problem)

    def incoming(self, connection: sa.Connection) -> list[dict[str, Any]]:
        """List what came, newest first."""
        table = _store.incoming
        return [
            dict(row._mapping) for row in _store.rows(connection, table, order=table.c.announced_at.desc())
        ]

    def work(self) -> int:
        """Go on with every shipment; tells how many moved.  Stopped at any moment it goes on."""
        table = _store.incoming
        with self._database.connect() as connection:
            states = (IncomingState.ANNOUNCED.value, IncomingState.FETCHING.value)
            open_ones = _store.rows(connection, table, table.c.state.in_(states), order=table.c.announced_at)
            unrated = _store.rows(
                connection, table, table.c.stored_at.is_not(None), table.c.quality.is_(None)
            )
        moved = 0
        for row in open_ones:
            try:
                step = self._open if row.state == IncomingState.ANNOUNCED else self._take
                moved += step(row)
            except Defect as error:
                _log.warning("a shipment is set aside", extra={"code": error.error_code})
                self._quarantine(row, error.public_message)
                moved += 1
        return moved + sum(self._rate(row) for row in unrated)

    # -- one shipment

    def _open(self, row: sa.Row[Any]) -> int:
        announced = ShipmentSent.model_validate(row.announced)
        path = self._parcels.path("in", announced.parcel)
        if not path.exists():
            return 0
        with path.open("rb") as stream:
            data = bytearray()
            for piece in open_sealed(self._peers.sealing_key, PARCEL, stream):
                data += piece
                if len(data) > LARGEST_MANIFEST:
                    raise ShipmentDefect("The manifest of a shipment is larger than any dataset.")
        if hashlib.sha256(data).hexdigest() != announced.manifest_sha256:
            raise ShipmentDefect("The manifest is not the one that the sender signed.")
        manifest = Manifest.from_bytes(bytes(data))
        said = (announced.shipment_id, announced.study_id, announced.study_hash, announced.dataset_hash)
        if said != (manifest.shipment_id, manifest.study_id, manifest.study_hash, manifest.dataset_hash):
            raise ShipmentDefect("The manifest is of another shipment than its letter says.")
        if manifest.sender != row.sender:
            raise ShipmentDefect("The manifest names another sender than the one who signed the letter.")
        with self._database.begin() as connection:
            for item in manifest.series:
                connection.execute(
                    _store.incoming_series.insert().values(
                        sender=row.sender,
                        shipment_id=row.shipment_id,
                        parcel=item.parcel,
                        content=item.to_dict(),
                        is_done=False,
                        set_aside={},
                    )
                )
                parcel = Parcel(item.parcel, row.sender, row.study_id, item.parcel_bytes)
                self._parcels.queue(connection, "in", parcel)
            self._set(connection, row, IncomingState.FETCHING)
        path.unlink(missing_ok=True)
        return 1

    def _take(self, row: sa.Row[Any]) -> int:
        table = _store.incoming_series
        mine = (table.c.sender == row.sender, table.c.shipment_id == row.shipment_id)
        with self._database.connect() as connection:
            problem = self._unwanted(connection, ShipmentSent.model_validate(row.announced))
            series = _store.rows(connection, table, *mine, order=table.c.parcel)
        if problem:
            raise ShipmentDefect(problem)
        moved = 0
        for item in series:
            path = self._parcels.path("in", item.parcel)
            if item.is_done or not path.exists():
                continue
            set_aside = self._take_series(row, ShippedSeries.from_dict(item.content))
            with self._database.begin() as connection:
                connection.execute(
                    table.update()
                    .where(*mine, table.c.parcel == item.parcel)
                    .values(is_done=True, set_aside=set_aside)
                )
            if set_aside:
                # Still closed for this node alone: a person can open it again, nobody else can.
                path.replace(self._parcels.path("quarantine", item.parcel))
            else:
                path.unlink(missing_ok=True)
            moved += 1
        with self._database.connect() as connection:
            left = _store.rows(connection, table, *mine, table.c.is_done.is_(False))
        if left:
            return moved
        self._sign_receipt(row)
        return moved + 1

    def _take_series(self, row: sa.Row[Any], series: ShippedSeries) -> dict[str, int]:
        """Store the objects of one parcel that are as announced; count the others by reason."""
        set_aside: Counter[str] = Counter()
        with self._database.connect() as connection:
            back = _store.rows(connection, _store.taken_back, _store.taken_back.c.pseudonym == series.subject)
        if back:
            return {"withdrawn": len(series.objects)}
        batch: list[DeidentifiedInstance] = []
        whole = 0
        try:
            for number, data in enumerate(self._objects(series)):
                wanted = series.objects[number]
                whole += 1
                problem, instance = self._judge(row, series.subject, wanted, data)
                if problem or instance is None:
                    set_aside[problem] += 1
                    continue
                batch.append(instance)
                if len(batch) >= STORE_AT_ONCE:
                    self._keep(row, batch, set_aside)
                    batch = []
        except Defect as error:
            _log.warning("a parcel cannot be opened", extra={"code": error.error_code})
        self._keep(row, batch, set_aside)
        if whole < len(series.objects):
            set_aside["damaged"] += len(series.objects) - whole
        return dict(set_aside)

    def _objects(self, series: ShippedSeries) -> Iterator[bytes]:
        """Give the objects of a parcel; whatever fails in it shows before the object it concerns is given."""
        with self._parcels.path("in", series.parcel).open("rb") as stream:
            pieces = open_sealed(self._peers.sealing_key, PARCEL, stream)
            waiting = bytearray()
            for item in series.objects:
                while len(waiting) < item.size:
                    piece = next(pieces, None)
                    if piece is None:
                        raise ShipmentDefect("A parcel is shorter than its manifest says.")
                    waiting += piece
                yield bytes(waiting[: item.size])
                del waiting[: item.size]
            if waiting or any(pieces):
                raise ShipmentDefect("A parcel is longer than its manifest says.")

    def _judge(
        self, row: sa.Row[Any], subject: str, wanted: Any, data: bytes
    ) -> tuple[str, DeidentifiedInstance | None]:
        if hashlib.sha256(data).hexdigest() != wanted.sha256:
            return "hash", None
        try:
            found = self._read_object(data)
        except Defect:
            return "unreadable", None
        if found.pseudonym != subject or found.sop_instance_uid != wanted.sop_instance_uid:
            return "names", None
        evidence = {
            "source": "pool",
            "site": row.sender,
            "shipment": row.shipment_id,
            "sha256": wanted.sha256,
        }
        return "", DeidentifiedInstance(
            bytes=data,
            sop_class_uid=found.sop_class_uid,
            sop_instance_uid=found.sop_instance_uid,
            series_uid=found.series_uid,
            imaging_study_uid=found.imaging_study_uid,
            pseudonym=Pseudonym(subject),
            evidence=evidence,
        )

    def _keep(self, row: sa.Row[Any], batch: Sequence[DeidentifiedInstance], set_aside: Counter[str]) -> None:
        if not batch:
            return
        outcomes = {item.sop_instance_uid: item.result for item in self._archive.store(batch)}
        table = _store.pooled
        with self._database.begin() as connection:
            for item in batch:
                if outcomes[item.sop_instance_uid] is StoreResult.CONFLICT:
                    set_aside["conflict"] += 1
                    continue
                is_here = table.c.sop_instance_uid == item.sop_instance_uid
                if _store.one(connection, table, is_here) is None:
                    connection.execute(
                        table.insert().values(
                            sop_instance_uid=item.sop_instance_uid,
                            series_uid=item.series_uid,
                            imaging_study_uid=item.imaging_study_uid,
                            pseudonym=item.pseudonym,
                            study_id=row.study_id,
                            sender=row.sender,
                            shipment_id=row.shipment_id,
                        )
                    )

    def _sign_receipt(self, row: sa.Row[Any]) -> None:
        announced = ShipmentSent.model_validate(row.announced)
        series, objects = _store.incoming_series, _store.pooled
        with self._database.begin() as connection:
            set_aside: Counter[str] = Counter()
            for item in _store.rows(
                connection, series, series.c.sender == row.sender, series.c.shipment_id == row.shipment_id
            ):
                set_aside.update(item.set_aside)
            here = _store.rows(
                connection,
                objects,
                objects.c.sender == row.sender,
                objects.c.shipment_id == row.shipment_id,
            )
            peer = self._peers.get(connection, row.sender)
            if peer is None:
                raise ShipmentDefect("The sender's peer code was taken away.")
            receipt = ShipmentReceipt(
                shipment_id=row.shipment_id,
                study_id=row.study_id,
                manifest_sha256=announced.manifest_sha256,
                received_at=clock.now(),
                objects=len(here),
                subjects=len({item.pseudonym for item in here}),
                set_aside=dict(set_aside),
                is_whole=not set_aside,
            )
            self._gate.post(connection, peer, "shipment.receipt", receipt)
            connection.execute(
                _store.incoming.update()
                .where(
                    _store.incoming.c.sender == row.sender,
                    _store.incoming.c.shipment_id == row.shipment_id,
                )
                .values(
                    subjects=receipt.subjects,
                    objects=receipt.objects,
                    set_aside=receipt.set_aside,
                    stored_at=clock.now(),
                )
            )
            state = IncomingState.STORED if receipt.is_whole else IncomingState.PARTLY
            self._set(connection, row, state)

    def _rate(self, row: sa.Row[Any]) -> int:
        """Count what the quality rules say of a shipment's series, once all were looked at, and tell the site."""
        objects = _store.pooled
        with self._database.connect() as connection:
            here = _store.rows(
                connection,
                objects,
                objects.c.sender == row.sender,
                objects.c.shipment_id == row.shipment_id,
            )
            peer = self._peers.get(connection, row.sender)
        series_uids = sorted({item.series_uid for item in here})
        assessed = list(self._assessments(series_uids).values())
        if peer is None or len(assessed) < len(series_uids):
            return 0
        rules = Counter(rule for item in assessed for rule in {*item.rules, *item.findings})
        quality = ShipmentQuality(
            shipment_id=row.shipment_id,
            study_id=row.study_id,
            series=len(assessed),
            worst=dict(Counter(item.worst or "fine" for item in assessed)),
            rules=dict(rules),
        )
        with self._database.begin() as connection:
            connection.execute(
                _store.incoming.update()
                .where(
                    _store.incoming.c.sender == row.sender,
                    _store.incoming.c.shipment_id == row.shipment_id,
                )
                .values(quality=quality.model_dump(mode="json"))
            )
            self._gate.post(connection, peer, "shipment.quality", quality)
        return 1

    # -- inner

    def _unwanted(self, connection: sa.Connection, letter: ShipmentSent) -> str:
        """Say why this pool does not take a shipment; empty when it does."""
        if not self._is_pool:
            return "This node is no pool."
        try:
            study = self._approvals.current(connection, letter.study_id)
        except NotApproved:
            return "The pool does not know this study."
        if study.study_hash != letter.study_hash:
            return "The shipment was approved for another version of the study than the one in force."
        if study.definition.mode != "pooled" or study.definition.pool_site != self._peers.site:
            return "This node is not the pool of this study."
        if study.track_state in ("stopped", "declined") or study.central_state in ENDED:
            return "The study has ended at the pool."
        return ""

    def _quarantine(self, row: sa.Row[Any], problem: str) -> None:
        with self._database.begin() as connection:
            self._set(connection, row, IncomingState.QUARANTINED, problem)

    def _set(
        self, connection: sa.Connection, row: sa.Row[Any], state: IncomingState, problem: str = ""
    ) -> None:
        table = _store.incoming
        connection.execute(
            table.update()
            .where(table.c.sender == row.sender, table.c.shipment_id == row.shipment_id)
            .values(state=state.value, problem=problem[:500])
        )
        self._write(connection, row.sender, row.shipment_id, row.study_id, state.value, problem=problem[:500])

    def _write(
        self,
        connection: sa.Connection,
        sender: str,
        shipment_id: str,
        study_id: str,
        state: str,
        *,
        problem: str,
    ) -> None:
        self._audit.append(
            connection,
            actor=sender,
            actor_role="pooling",
            action="pool.shipment",
            target=f"shipment/{shipment_id}",
            purpose=study_id,
            outcome="failure" if problem else "success",
            details={"state": state, "problem": problem},
        )

"""Pooled studies, connected: what the worker sends, takes and erases, and what people see of it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import sqlalchemy as sa

from racoon.domain.dataset import DatasetManifest, DatasetSeries
from racoon.domain.identity import Pseudonym
from racoon.node.app.permission import load_usable, open_consent
from racoon.node.app.rooms import Rooms
from racoon.node.archive.assessing import assessments_of
from racoon.node.archive.derived import made_here
from racoon.node.archive.model import DeidentifiedInstance, SeriesFilter, SeriesNotFound
from racoon.node.archive.records import holdings
from racoon.node.consent.model import EVERYTHING, WithdrawalState
from racoon.node.consent.settling import Settlement
from racoon.node.curation import service as curation
from racoon.node.deid.shipping import rename_for_study
from racoon.node.pooling.ending import Ending
from racoon.node.pooling.letters import Letters
from racoon.node.pooling.model import ShipmentDefect
from racoon.node.pooling.receiving import Receiver
from racoon.node.pooling.sending import Sender
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.platform.database import Database
from racoon.protocol.letters import SubjectErased
from racoon.protocol.messages import Letter, WithdrawalReceipt
from racoon.standards.dicom.elements import MalformedDicom
from racoon.standards.dicom.uids import uid_from_digest

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pooling:
    """Both ends of pooled studies at one node.

    Parameters
    ----------
    sender, receiver, ending, letters
        See ``node.pooling``.
    """

    sender: Sender
    receiver: Receiver
    ending: Ending
    letters: Letters

    def receive(self, connection: sa.Connection, letter: Letter) -> None:
        """Keep a letter that the line delivered."""
        self.letters.receive(connection, letter)

    def work(self) -> int:
        """Do what is left to do; tells how much moved."""
        return self.letters.work() + self.sender.work() + self.receiver.work() + self.ending.work()


def open_pooling(
    rooms: Rooms,
    *,
    names: Pseudonymiser | None = None,
    settlement: Settlement | None = None,
) -> Pooling:
    """Open both ends.

    Parameters
    ----------
    rooms
        The node's rooms.
    names, settlement
        The door to who is who and what carries withdrawals out: for the worker; pages have neither, and their
        consent denies where a day of acquisition has to be known.
    """
    basis = rooms.consent
    if names is not None:
        basis = open_consent(rooms.settings, rooms.database, rooms.audit, names=names, jobs=rooms.jobs)
    database, audit = rooms.database, rooms.audit

    def usable(connection: sa.Connection, study_id: str, dataset_hash: str) -> DatasetManifest:
        return load_usable(connection, basis, study_id, dataset_hash)

    def objects(series: DatasetSeries, study_id: str) -> Iterator[tuple[str, bytes]]:
        assert names is not None
        name = name_in_study(series.pseudonym, study_id)

        def uid_in_study(uid: str) -> str:
            # The key of this node and study is behind the token: nobody outside can compute it.
            return uid_from_digest(hashlib.sha256(names.token(f"uid/{uid}", study_id).encode()).digest())

        for series_uid in (series.series_uid, *series.mask_series_uids):
            for row in rooms.archive.instances(series_uid):
                data = rooms.archive.read_object(row, verify=True)
                renamed, uid, _ = rename_for_study(
                    data, subject=series.pseudonym, name=name, uid_in_study=uid_in_study
                )
                yield uid, renamed

    def name_in_study(pseudonym: Pseudonym, study_id: str) -> str:
        assert settlement is not None
        return settlement.name_in_study(pseudonym, study_id)

    sender = Sender(
        database,
        audit,
        rooms.approvals,
        rooms.gate,
        rooms.peers,
        rooms.parcels,
        load_frozen=curation.load,
        load_usable=usable,
        objects=objects if names is not None else None,
        name_in_study=name_in_study if settlement is not None else None,
    )
    rooms.approvals.on_change(sender.stop_forbidden)
    receiver = Receiver(
        database,
        audit,
        rooms.approvals,
        rooms.gate,
        rooms.archive,
        rooms.peers,
        rooms.parcels,
        is_pool=rooms.settings.pool.receives,
        read_object=_read_object,
        assessments=partial(assessments_of, rooms.archive),
    )
    ending = Ending(
        database,
        audit,
        rooms.approvals,
        rooms.gate,
        rooms.peers,
        rooms.parcels,
        withdraw=_withdraw(rooms),
        erased_proof=_erased_proof(rooms, database),
        delete_images=_delete_images(rooms),
        left_over=_left_over(rooms),
    )

    def erased(connection: sa.Connection, sender: str, letter: SubjectErased, _envelope: Any) -> None:
        if settlement is not None:
            receipt = WithdrawalReceipt(tombstone_id=letter.tombstone_id, received_at=letter.erased_at)
            settlement.receive_receipt(connection, receipt, recipient=sender)

    handlers: Mapping[str, Any] = {
        "shipment.sent": lambda connection, sender, letter, _: receiver.announced(connection, sender, letter),
        "subject.taken_back": lambda connection, sender, letter, _: ending.taken_back(
            connection, sender, letter
        ),
        "subject.erased": erased,
    }
    return Pooling(sender, receiver, ending, Letters(database, audit, rooms.peers, handlers))


def _read_object(data: bytes) -> DeidentifiedInstance:
    try:
        return made_here(data, "pool")
    except MalformedDicom as error:
        raise ShipmentDefect("An object of a shipment is no DICOM file.") from error


def _withdraw(rooms: Rooms) -> Callable[[sa.Connection, Pseudonym, str], None]:
    def withdraw(connection: sa.Connection, pseudonym: Pseudonym, reason: str) -> None:
        rooms.consent.withdraw(
            connection,
            pseudonym,
            EVERYTHING,
            reason=reason,
            source="pool",
            actor="node",
            actor_role="pooling",
        )

    return withdraw


def _erased_proof(rooms: Rooms, database: Database) -> Callable[[sa.Connection, Pseudonym], str]:
    def proof(connection: sa.Connection, pseudonym: Pseudonym) -> str:
        if holdings(database, pseudonym):
            return ""
        for item in rooms.consent.withdrawals(connection):
            if (
                item.pseudonym == pseudonym
                and item.scope == EVERYTHING
                and item.state is WithdrawalState.ERASED
            ):
                return item.proof_hash
        return ""

    return proof


def _delete_images(rooms: Rooms) -> Callable[[Sequence[str], str, str], list[str]]:
    def delete(imaging_studies: Sequence[str], reason: str, actor: str) -> list[str]:
        proofs = []
        for uid in imaging_studies:
            try:
                done = rooms.erasures.request(uid, reason=reason, actor=actor, actor_role="pooling")
            except SeriesNotFound:
                continue
            proofs.append(done.proof_hash)
        # Rows that are gone still stand in free pages and in the log of the database.
        rooms.database.forget_deleted_pages()
        return proofs

    return delete


def _left_over(rooms: Rooms) -> Callable[[Sequence[str]], int]:
    def left(series_uids: Sequence[str]) -> int:
        found = 0
        for start in range(0, len(series_uids), 500):
            wanted = tuple(series_uids[start : start + 500])
            found += len(rooms.archive.series(SeriesFilter(series_uids=wanted, limit=1000)))
        return found

    return left

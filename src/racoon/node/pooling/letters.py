"""Letters of other nodes: kept as they came, opened when their sender is known, each acted on once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from racoon.errors import RacoonError
from racoon.node.pooling import _store
from racoon.node.pooling.model import ShipmentState
from racoon.node.pooling.peers import Peers
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database
from racoon.protocol.envelope import Envelope, to_wire
from racoon.protocol.letters import ShipmentQuality, ShipmentReceipt, StudyDeleted, read_letter
from racoon.protocol.messages import Letter

_log = logging.getLogger(__name__)

Handler = Callable[[sa.Connection, str, Any, Envelope], None]
"""Acts on an opened letter: transaction, sender, what it says, and the signed envelope."""

HANDLED = "handled"


class Letters:
    """The letter box of one node.

    Parameters
    ----------
    database, audit, peers
        The node's own.
    handlers
        Who acts on which kind.
    """

    def __init__(
        self, database: Database, audit: AuditLog, peers: Peers, handlers: Mapping[str, Handler]
    ) -> None:
        self._database = database
        self._audit = audit
        self._peers = peers
        self._handlers: dict[str, Handler] = {
            "shipment.receipt": self._receipt,
            "shipment.quality": self._quality,
            "study.deleted": self._deleted,
            **handlers,
        }

    def receive(self, connection: sa.Connection, letter: Letter) -> None:
        """Keep a letter that CENTRAL delivered; the same again changes nothing."""
        table = _store.letter
        if _store.one(connection, table, table.c.letter_id == letter.letter_id) is None:
            connection.execute(
                table.insert().values(
                    letter_id=letter.letter_id,
                    sender=letter.sender,
                    document=letter.model_dump(mode="json"),
                    received_at=clock.now(),
                )
            )

    def strangers(self, connection: sa.Connection) -> list[str]:
        """Name the sites whose letters wait, because nobody has entered their peer code."""
        table = _store.letter
        senders = {row.sender for row in _store.rows(connection, table, table.c.outcome.is_(None))}
        return sorted(sender for sender in senders if self._peers.get(connection, sender) is None)

    def work(self) -> int:
        """Open and act on every letter of a known sender; tells how many."""
        table, done = _store.letter, 0
        with self._database.connect() as connection:
            waiting = _store.rows(connection, table, table.c.outcome.is_(None), order=table.c.received_at)
        for row in waiting:
            try:
                with self._database.begin() as connection:
                    peer = self._peers.get(connection, row.sender)
                    if peer is None:
                        continue
                    letter = Letter.model_validate(row.document)
                    message, envelope = read_letter(
                        letter, self._peers.sealing_key, self._peers.site, peer, row.received_at
                    )
                    # CENTRAL names the letter outside; inside is the name that its writer signed.
                    if envelope.id != row.letter_id:
                        self._end(connection, row, "refused: another letter's name")
                        continue
                    self._handlers[envelope.type](connection, row.sender, message, envelope)
                    self._end(connection, row, HANDLED)
            except RacoonError as error:
                if error.kind == "unavailable":
                    raise
                with self._database.begin() as connection:
                    self._end(connection, row, f"refused: {error.error_code}: {error.public_message}"[:300])
            done += 1
        return done

    def _end(self, connection: sa.Connection, row: sa.Row[Any], outcome: str) -> None:
        table = _store.letter
        connection.execute(table.update().where(table.c.letter_id == row.letter_id).values(outcome=outcome))
        self._audit.append(
            connection,
            actor=row.sender,
            actor_role="node",
            action="letter.receive",
            target=f"letter/{row.letter_id}",
            purpose=row.document["study_id"],
            outcome="success" if outcome == HANDLED else "refused",
            details={"outcome": outcome},
        )

    # -- what a pool answers to a site

    def _receipt(
        self, connection: sa.Connection, sender: str, message: ShipmentReceipt, envelope: Envelope
    ) -> None:
        state = ShipmentState.RECEIVED if message.is_whole else ShipmentState.PARTLY
        table = _store.shipment
        self._keep(
            connection,
            sender,
            [message.shipment_id],
            table.c.manifest_sha256 == message.manifest_sha256,
            receipt=to_wire(envelope),
            state=state.value,
        )

    def _quality(
        self, connection: sa.Connection, sender: str, message: ShipmentQuality, envelope: Envelope
    ) -> None:
        self._keep(connection, sender, [message.shipment_id], quality=to_wire(envelope))

    def _deleted(
        self, connection: sa.Connection, sender: str, message: StudyDeleted, envelope: Envelope
    ) -> None:
        if message.left == 0:
            self._keep(
                connection,
                sender,
                message.shipments,
                deletion=to_wire(envelope),
                state=ShipmentState.DELETED.value,
            )

    def _keep(
        self, connection: sa.Connection, sender: str, shipments: list[str], *also: Any, **values: Any
    ) -> None:
        table = _store.shipment
        connection.execute(
            table.update()
            .where(table.c.pool == sender, table.c.shipment_id.in_(shipments), *also)
            .values(**values)
        )

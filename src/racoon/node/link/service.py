"""The line itself: an outbox to put messages into, and the loops that post and poll."""

from __future__ import annotations

import hashlib
import logging
import random
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from pydantic import ValidationError

from racoon.errors import RacoonError
from racoon.node.link import _store
from racoon.node.link.engine_line import EngineLine
from racoon.node.link.identity import Identity, renew
from racoon.node.link.model import CentralUnreachable, next_delay_s
from racoon.node.link.parcels import Parcels
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database
from racoon.platform.files import write_atomically
from racoon.protocol.envelope import CENTRAL, Envelope, seal, to_wire, verify
from racoon.protocol.exchange import Delivery, EngineMembership, Receipt
from racoon.protocol.letters import write_letter
from racoon.protocol.messages import Direction, EnvelopeRejected, Message, MessageDefect, parse_payload
from racoon.protocol.sealing import PeerCode

if TYPE_CHECKING:
    import httpx

_log = logging.getLogger(__name__)

WAIT_S = 25
"""Long-poll time: below the 30 s after which many proxies cut an idle connection."""

BATCH = 50

PARCEL_LOOK_S = 2.0
"""How often is looked for parcels that wait: an index lookup in the node's own database."""

STUMBLES = 5
"""Tries for a message on which our own program fails, before it is refused with a reason."""

Dispatch = Callable[[sa.Connection, Any], None]
"""Handles one message type in the transaction that also remembers the envelope."""

_ONLY_NEWEST = frozenset({"heartbeat"})


class Outbox:
    """Where messages wait until CENTRAL has stored them.

    Parameters
    ----------
    identity
        Signs each envelope.
    artifacts
        Folder for files that travel beside messages, named by their SHA-256.
    """

    def __init__(self, identity: Identity, artifacts: Path) -> None:
        self._identity = identity
        self._artifacts = artifacts
        self.wake = threading.Event()

    def put(self, connection: sa.Connection, message_type: str, message: Message) -> str:
        """Seal a message and append it in the caller's transaction; returns the envelope's id."""
        envelope = seal(
            self._identity.signing_key,
            type=message_type,
            sender=self._identity.site,
            recipient=CENTRAL,
            payload=message.model_dump(mode="json"),
            issued_at=clock.now(),
        )
        if message_type in _ONLY_NEWEST:
            _store.drop_unsent(connection, message_type)
        _store.put(connection, envelope.id, message_type, to_wire(envelope))
        self.wake.set()
        return envelope.id

    def put_letter(self, connection: sa.Connection, peer: PeerCode, kind: str, message: Message) -> str:
        """Sign a letter, close it for another node, and append it; returns its id."""
        identity = self._identity
        letter = write_letter(identity.signing_key, identity.site, peer, kind, message, clock.now())
        self.put(connection, "letter", letter)
        return letter.letter_id

    def put_artifact(self, connection: sa.Connection, data: bytes) -> str:
        """Keep a file to be sent before the messages that name it; returns its SHA-256."""
        digest = self.hold_artifact(data)
        _store.put_artifact(connection, digest)
        return digest

    def hold_artifact(self, data: bytes) -> str:
        """Keep a file here; it is sent only after :meth:`send_held`.  Returns its SHA-256."""
        digest = hashlib.sha256(data).hexdigest()
        path = self._artifacts / digest
        if not path.exists():
            write_atomically(path, data)
        return digest

    def send_held(self, connection: sa.Connection, digest: str) -> None:
        """Send a file that was held."""
        _store.put_artifact(connection, digest)


class Line:
    """Posts the outbox and polls CENTRAL, for as long as the process lives.

    Parameters
    ----------
    database
        The node's database.
    identity
        Keys and address.
    outbox
        What waits to leave.
    audit
        The node's audit log.
    dispatch
        Handler per message type; runs in the transaction that remembers the envelope, so a message is handled
        exactly once even when the process dies in between.
    artifacts
        Folder of files that travel beside messages.
    after_delivery
        Called after each batch was handled and committed.
    parcels
        Closed files of pooled studies; they travel in a thread of their own, so that no message waits for them.
    """

    def __init__(
        self,
        database: Database,
        identity: Identity,
        outbox: Outbox,
        audit: AuditLog,
        dispatch: Mapping[str, Dispatch],
        artifacts: Path,
        after_delivery: Callable[[], None],
        *,
        parcels: Parcels | None = None,
    ) -> None:
        self._database = database
        self._identity = identity
        self._outbox = outbox
        self._audit = audit
        self._dispatch = dict(dispatch)
        self._artifacts = artifacts
        self._after_delivery = after_delivery
        self._parcels = parcels
        self._engine = EngineLine(identity)
        self._stop = threading.Event()
        self._stumbles: dict[str, int] = {}
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start posting, polling and carrying parcels, each in a thread."""
        steps = [("link-post", self._post_step), ("link-poll", self._poll_step)]
        if self._parcels is not None:
            steps.append(("link-parcels", self._parcel_step))
        for name, step in steps:
            thread = threading.Thread(target=self._loop, args=(step,), name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Stop all loops; a running long poll is abandoned."""
        self._stop.set()
        self._outbox.wake.set()
        self._engine.close()

    def open_engine_door(self) -> int:
        """Open the site's way to CENTRAL's training engine; returns its port on 127.0.0.1."""
        return self._engine.open()

    def client(self) -> httpx.Client:
        """Open a client with the node's certificate; ``HTTPS_PROXY`` and ``NO_PROXY`` are honoured."""
        import httpx  # noqa: PLC0415 - the worker alone speaks

        return httpx.Client(
            verify=self._identity.ssl_context(),
            timeout=httpx.Timeout(30.0, read=WAIT_S + 15.0),
            limits=httpx.Limits(max_connections=2),
        )

    def fetch_artifact(self, sha256: str) -> bytes:
        """Fetch a file from CENTRAL by its hash.

        Raises
        ------
        CentralUnreachable
            When CENTRAL does not answer, does not have it, or sends other bytes.
        """
        import httpx  # noqa: PLC0415 - the worker alone speaks

        path = self._artifacts / sha256
        if path.exists():
            return path.read_bytes()
        try:
            with self.client() as client:
                response = client.get(f"{self._identity.nodes_url}/node/v1/artifacts/{sha256}")
                response.raise_for_status()
        except httpx.HTTPError as error:
            raise CentralUnreachable("A file of this job could not be fetched from CENTRAL yet.") from error
        if hashlib.sha256(response.content).hexdigest() != sha256:
            raise CentralUnreachable("A file of this job arrived damaged; it is fetched again.")
        write_atomically(path, response.content)
        return response.content

    def request_engine_membership(self, request_pem: str) -> EngineMembership:
        """Ask CENTRAL to sign this site's certificate for the training engine."""
        import httpx  # noqa: PLC0415 - the worker alone speaks

        try:
            with self.client() as client:
                response = client.post(
                    f"{self._identity.nodes_url}/node/v1/engine/certificate",
                    json={"request_pem": request_pem},
                )
                response.raise_for_status()
        except httpx.HTTPError as error:
            raise CentralUnreachable("CENTRAL's training engine does not answer yet.") from error
        return EngineMembership.model_validate(response.json())

    def _loop(self, step: Callable[[httpx.Client], None]) -> None:
        import httpx  # noqa: PLC0415 - the worker alone speaks

        jitter = random.Random()
        failures = 0
        client = self.client()
        while not self._stop.is_set():
            try:
                step(client)
                failures = 0
            except (httpx.HTTPError, CentralUnreachable) as error:
                failures += 1
                if failures in (1, 5) or failures % 30 == 0:
                    _log.warning(
                        "central does not answer",
                        extra={"failures": failures, "reason": type(error).__name__},
                    )
                self._stop.wait(next_delay_s(failures, jitter))
                client.close()
                client = self.client()
            except Exception:  # noqa: BLE001  the line must outlive whatever one message does to it
                failures += 1
                _log.exception("the line stumbled and goes on")
                self._stop.wait(next_delay_s(failures, jitter))
        client.close()

    def _post_step(self, client: httpx.Client) -> None:
        self._outbox.wake.clear()
        if clock.now() >= self._identity.renews_at:
            _log.info("certificate renewed", extra={"expires_at": renew(self._identity, client).isoformat()})
            raise CentralUnreachable("reconnect with the new certificate")
        with self._database.connect() as connection:
            artifacts = _store.waiting_artifacts(connection)
            envelopes = _store.waiting(connection, BATCH)
        for digest in artifacts:
            data = (self._artifacts / digest).read_bytes()
            client.put(
                f"{self._identity.nodes_url}/node/v1/artifacts/{digest}", content=data
            ).raise_for_status()
            with self._database.begin() as connection:
                _store.mark_artifact_sent(connection, digest)
        if not envelopes:
            # Other processes of this node write into the outbox too; half a second bounds their delay.
            self._outbox.wake.wait(0.5)
            return
        response = client.post(
            f"{self._identity.nodes_url}/node/v1/messages",
            json={"envelopes": [envelope for _, envelope in envelopes]},
        )
        response.raise_for_status()
        receipt = Receipt.model_validate(response.json())
        with self._database.begin() as connection:
            for envelope_id in receipt.stored:
                _store.mark_sent(connection, envelope_id, "stored")
            for envelope_id, code in receipt.rejected.items():
                _store.mark_sent(connection, envelope_id, f"rejected: {code}")
                _log.error("central rejected a message", extra={"envelope_id": envelope_id, "reason": code})

    def _poll_step(self, client: httpx.Client) -> None:
        with self._database.connect() as connection:
            after = _store.load_cursor(connection)
        response = client.get(
            f"{self._identity.nodes_url}/node/v1/messages", params={"after": after, "wait_s": WAIT_S}
        )
        response.raise_for_status()
        delivery = Delivery.model_validate(response.json())
        for document in delivery.envelopes:
            self.receive(document)
        with self._database.begin() as connection:
            _store.save_cursor(connection, delivery.cursor)
        if delivery.envelopes:
            self._after_delivery()

    def _parcel_step(self, client: httpx.Client) -> None:
        assert self._parcels is not None
        if not self._parcels.step(client, self._identity.nodes_url):
            self._stop.wait(PARCEL_LOOK_S)

    def receive(self, document: dict[str, Any]) -> None:
        """Verify one envelope and handle its message, exactly once; refuse it with audit and public reason.

        Parameters
        ----------
        document
            JSON form as it came over the wire.
        """
        envelope_id = str(document.get("id", ""))[:36]
        try:
            try:
                envelope = Envelope.model_validate(document)
            except ValidationError as error:
                raise MessageDefect("The message is not a signed envelope of this protocol.") from error
            verify(
                envelope,
                self._identity.central_key,
                sender=CENTRAL,
                recipient=self._identity.site,
                now=clock.now(),
            )
            message = parse_payload(envelope.type, envelope.payload, Direction.TO_NODE)
            with self._database.begin() as connection:
                if _store.is_known(connection, envelope.id):
                    self._refuse(
                        connection, envelope.id, "protocol.replayed", "The message was received before."
                    )
                    return
                _store.remember(connection, envelope.id, envelope.type, "handled")
                self._dispatch[envelope.type](connection, message)
        except RacoonError as error:
            if error.kind == "unavailable":
                raise
            with self._database.begin() as connection:
                self._refuse(connection, envelope_id, error.error_code, error.public_message)
        except Exception:
            # One message that our own program cannot handle must not hold up all later ones for ever.
            self._stumbles[envelope_id] = self._stumbles.get(envelope_id, 0) + 1
            if self._stumbles[envelope_id] < STUMBLES:
                raise
            _log.exception("a message was given up")
            with self._database.begin() as connection:
                self._refuse(
                    connection, envelope_id, "link.defect", "The site's program failed on this message."
                )

    def _refuse(self, connection: sa.Connection, envelope_id: str, code: str, reason: str) -> None:
        self._audit.append(
            connection,
            actor=CENTRAL,
            actor_role="central",
            action="envelope.receive",
            target=f"envelope/{envelope_id or 'unreadable'}",
            outcome="refused",
            details={"code": code},
        )
        rejected = EnvelopeRejected(envelope_id=envelope_id, code=code, public_reason=reason[:500])
        self._outbox.put(connection, "envelope.rejected", rejected)


def last_contact(connection: sa.Connection) -> datetime | None:
    """Return when CENTRAL last answered this node, or ``None``."""
    return _store.last_contact(connection)


def outgoing(connection: sa.Connection, limit: int = 100) -> list[dict[str, Any]]:
    """Return the newest envelopes that left or wait to leave, whole: what the hospital tells the network."""
    statement = sa.select(_store.outbox).order_by(_store.outbox.c.sequence.desc()).limit(limit)
    return [dict(row._mapping) for row in connection.execute(statement)]

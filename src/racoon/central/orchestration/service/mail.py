"""Mailboxes: signed envelopes out, verified envelopes in, each processed once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import ValidationError

from racoon.central.orchestration import _store
from racoon.central.sites.model import Site
from racoon.errors import Defect, Refused, Unavailable
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.certificates import decode_text
from racoon.protocol.envelope import CENTRAL, Envelope, seal, to_wire, verify
from racoon.protocol.exchange import Delivery, Post, Receipt
from racoon.protocol.messages import Direction, Message, parse_payload

Handler = Callable[[sa.Connection, str, Any, Envelope], None]
"""Takes the open transaction, the site, the parsed message and its signed envelope."""

DELIVERY_LIMIT = 100
"""Messages per delivery; a node asks on at once."""

_log = logging.getLogger(__name__)


class Mail:
    """All mailboxes.

    Parameters
    ----------
    audit
        CENTRAL's audit log.
    key
        CENTRAL's Ed25519 signing key.
    """

    def __init__(self, audit: AuditLog, key: Ed25519PrivateKey) -> None:
        self._audit = audit
        self._key = key
        self._handlers: dict[str, Handler] = {}

    def on(self, message_type: str, handler: Handler) -> None:
        """Register the one handler of a message type; ``app`` does."""
        self._handlers[message_type] = handler

    # ------------------------------------------------------------------------------------------------ out

    def send(
        self,
        connection: sa.Connection,
        site: str,
        message_type: str,
        message: Message,
        *,
        lifetime: timedelta = timedelta(days=30),
    ) -> str:
        """Sign a message and put it into a site's outbox, in the caller's transaction.

        Returns
        -------
        str
            Id of the envelope.
        """
        payload = message.model_dump(mode="json")
        parse_payload(message_type, payload, Direction.TO_NODE)
        envelope = seal(
            self._key,
            type=message_type,
            sender=CENTRAL,
            recipient=site,
            payload=payload,
            issued_at=clock.now(),
            lifetime=lifetime,
        )
        number = _store.next_number(connection, site)
        _store.add_message(
            connection, site, number, envelope.id, message_type, to_wire(envelope), clock.now()
        )
        return envelope.id

    def fetch(self, connection: sa.Connection, site: str, after: int) -> Delivery:
        """Return a site's messages behind a cursor, oldest first."""
        messages = _store.load_messages(connection, site, after, DELIVERY_LIMIT)
        cursor = messages[-1][0] if messages else after
        return Delivery(envelopes=[envelope for _, envelope in messages], cursor=cursor)

    def acknowledged(self, connection: sa.Connection, site: str) -> int:
        """Return how far a site has read."""
        return _store.acknowledged(connection, site)

    def acknowledge(self, connection: sa.Connection, site: str, cursor: int) -> None:
        """Remember that a site has stored everything up to a cursor."""
        _store.acknowledge(connection, site, cursor)

    def newest(self, connection: sa.Connection) -> dict[str, int]:
        """Return the newest message number per site."""
        return _store.load_mailboxes(connection)

    def unread(self, connection: sa.Connection) -> dict[str, int]:
        """Count messages each site has not fetched yet."""
        return _store.unread(connection)

    # ------------------------------------------------------------------------------------------------ in

    def receive(self, connection: sa.Connection, site: Site, post: Post) -> Receipt:
        """Process a site's envelopes in order, each once, ever.

        Parameters
        ----------
        connection
            Open write transaction; each envelope has its own savepoint in it.
        site
            The site the client certificate belongs to.
        post
            What it posted.

        Returns
        -------
        Receipt
            ``stored``: done now or before; ``rejected``: never to be sent again, with the public reason; in
            neither: to be sent again later.
        """
        _store.lock_mailbox(connection, site.code)
        stored: list[str] = []
        rejected: dict[str, str] = {}
        for document in post.envelopes:
            envelope_id = str(document.get("id", ""))[:36]
            known = _store.load_received(connection, envelope_id)
            if known is not None and known.site == site.code:
                if known.rejected is None:
                    stored.append(envelope_id)
                else:
                    rejected[envelope_id] = known.rejected
                continue
            try:
                with connection.begin_nested():
                    self._process(connection, site, document)
                stored.append(envelope_id)
            except Unavailable:
                # Order matters to the sender: what follows waits with it.
                _log.warning("message postponed", extra={"site": site.code})
                break
            except (Refused, Defect) as error:
                rejected[envelope_id] = error.public_message
                self._reject(connection, site, document, error)
        return Receipt(stored=stored, rejected=rejected)

    def _process(self, connection: sa.Connection, site: Site, document: Mapping[str, Any]) -> None:
        try:
            envelope = Envelope.model_validate(document)
        except ValidationError as error:
            raise Defect("This is not an envelope of our protocol.", code="protocol.malformed") from error
        if site.signing_key is None:
            raise Refused("No signing key is on file for this site.", code="protocol.no_key")
        key = Ed25519PublicKey.from_public_bytes(decode_text(site.signing_key))
        now = clock.now()
        verify(envelope, key, sender=site.code, recipient=CENTRAL, now=now)
        message = parse_payload(envelope.type, envelope.payload, Direction.TO_CENTRAL)
        _store.add_received(connection, envelope.id, site.code, envelope.type, now, envelope.expires_at, None)
        handler = self._handlers.get(envelope.type)
        if handler is None:
            raise Defect("CENTRAL has no use for this message yet.", code="protocol.unknown_type")
        handler(connection, site.code, message, envelope)

    def _reject(
        self, connection: sa.Connection, site: Site, document: Mapping[str, Any], error: Refused | Defect
    ) -> None:
        envelope_id, message_type = str(document.get("id", ""))[:36], str(document.get("type", ""))[:64]
        now = clock.now()
        _log.warning(
            "message rejected",
            extra={"site": site.code, "message_type": message_type, "code": error.error_code},
        )
        self._audit.append(
            connection,
            actor=site.code,
            actor_role="node",
            action="message.receive",
            target=f"envelope/{envelope_id}",
            outcome="refused",
            details={"type": message_type, "code": error.error_code, "reason": error.public_message},
        )
        # A forged id must not shut out the genuine envelope: only what the site really signed is remembered.
        if error.error_code not in _UNSIGNED and _store.load_received(connection, envelope_id) is None:
            _store.add_received(
                connection,
                envelope_id,
                site.code,
                message_type,
                now,
                now + timedelta(days=30),
                error.public_message,
            )

    # ------------------------------------------------------------------------------------------------ upkeep

    def prune(self, connection: sa.Connection, retention: timedelta) -> None:
        """Forget fetched messages and old ids after the retention."""
        now = clock.now()
        _store.prune(connection, now, now - retention)


_UNSIGNED = frozenset(
    {
        "protocol.malformed",
        "protocol.tampered",
        "protocol.wrong_address",
        "protocol.newer_version",
        "protocol.no_key",
        "protocol.clock",
    }
)
"""Rejections before the signature was found good, or that time may mend."""

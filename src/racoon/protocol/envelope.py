"""The signed envelope around every message."""

from __future__ import annotations

import base64
import uuid
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from racoon.domain.canonical import canonical_json
from racoon.errors import Refused

PROTOCOL_VERSION = (1, 0)
"""Major and minor.  A node refuses a newer major; a newer minor may only add optional fields and message types."""

CENTRAL = "CENTRAL"
"""Name of the one coordinating server as sender and recipient."""

_DOMAIN = b"racoon-envelope-v1\x00"
"""Separates these signatures from any other use of the same key."""

_CLOCK_TOLERANCE = timedelta(minutes=5)
"""Hospital clocks drift; more than this is a fault that ``racoon doctor`` reports."""


class EnvelopeRefused(Refused):
    """The envelope is not what its sender signed, not for us, too old, or from a newer protocol."""

    code: ClassVar[str] = "protocol.envelope_refused"


class Envelope(BaseModel):
    """One signed message.

    Attributes
    ----------
    protocol
        ``"major.minor"``.
    id
        Random UUID; a recipient processes an id once, ever.
    type
        Key of ``protocol.messages.MESSAGES``.
    sender, recipient
        Site code, or ``"CENTRAL"``.
    issued_at, expires_at
        UTC; outside this span the envelope is refused.
    payload
        The message; its form is checked against its type.
    signature
        Ed25519 over the canonical JSON of all other fields, base64url without padding.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    protocol: Annotated[str, StringConstraints(pattern=r"^\d{1,4}\.\d{1,4}$")]
    id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
    type: Annotated[str, StringConstraints(max_length=64)]
    sender: Annotated[str, StringConstraints(max_length=16)]
    recipient: Annotated[str, StringConstraints(max_length=16)]
    issued_at: AwareDatetime
    expires_at: AwareDatetime
    payload: dict[str, Any]
    signature: Annotated[str, StringConstraints(max_length=128)] = Field(repr=False)


def seal(
    key: Ed25519PrivateKey,
    *,
    type: str,  # noqa: A002  the envelope's own field name
    sender: str,
    recipient: str,
    payload: dict[str, Any],
    issued_at: datetime,
    lifetime: timedelta = timedelta(days=30),
) -> Envelope:
    """Sign a message.

    Parameters
    ----------
    key
        The sender's Ed25519 signing key.
    type, sender, recipient, payload
        See :class:`Envelope`.
    issued_at
        Aware time of signing.
    lifetime
        Span of validity; long enough for a node that is offline for a while.

    Returns
    -------
    Envelope
    """
    fields: dict[str, Any] = {
        "protocol": f"{PROTOCOL_VERSION[0]}.{PROTOCOL_VERSION[1]}",
        "id": str(uuid.uuid4()),
        "type": type,
        "sender": sender,
        "recipient": recipient,
        "issued_at": issued_at.isoformat(),
        "expires_at": (issued_at + lifetime).isoformat(),
        "payload": payload,
    }
    return Envelope(**fields, signature=_text(key.sign(_DOMAIN + canonical_json(fields))))


def verify(envelope: Envelope, key: Ed25519PublicKey, *, sender: str, recipient: str, now: datetime) -> None:
    """Check signature, addressing, time span and protocol version.

    Parameters
    ----------
    envelope
        As received.
    key
        Public signing key on file for ``sender``.
    sender, recipient
        Who must have sent it, and to whom it must be addressed.
    now
        Aware time of the check.

    Raises
    ------
    EnvelopeRefused
        With code ``protocol.…`` naming the first check that failed.  Replays are the inbox's matter.
    """
    if int(envelope.protocol.split(".")[0]) > PROTOCOL_VERSION[0]:
        raise EnvelopeRefused("The message needs a newer RACOON at this site.", code="protocol.newer_version")
    if (envelope.sender, envelope.recipient) != (sender, recipient):
        raise EnvelopeRefused(
            "The message is not addressed to this recipient.", code="protocol.wrong_address"
        )
    try:
        key.verify(_bytes(envelope.signature), _DOMAIN + canonical_json(signed_fields(envelope)))
    except (InvalidSignature, ValueError) as error:
        raise EnvelopeRefused(
            "The message's signature does not fit its content.", code="protocol.tampered"
        ) from error
    if envelope.issued_at > now + _CLOCK_TOLERANCE:
        raise EnvelopeRefused("The message comes from the future; check both clocks.", code="protocol.clock")
    if envelope.expires_at < now:
        raise EnvelopeRefused("The message has expired.", code="protocol.expired")


def signed_fields(envelope: Envelope) -> dict[str, Any]:
    """Return the fields under the signature, in JSON form."""
    return {
        "protocol": envelope.protocol,
        "id": envelope.id,
        "type": envelope.type,
        "sender": envelope.sender,
        "recipient": envelope.recipient,
        "issued_at": envelope.issued_at.isoformat(),
        "expires_at": envelope.expires_at.isoformat(),
        "payload": envelope.payload,
    }


def to_wire(envelope: Envelope) -> dict[str, Any]:
    """Return the JSON form that travels."""
    return {**signed_fields(envelope), "signature": envelope.signature}


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

"""The HTTP forms around envelopes: enrolment, posting, polling, renewal, artefacts.

Routes at CENTRAL (prefix on the node listener ``/node/v1``, client certificate required):

- ``POST /node/v1/messages``   body :class:`Post`, answer :class:`Receipt`; idempotent by envelope id
- ``GET /node/v1/messages?after=CURSOR&wait_s=25``  answer :class:`Delivery`; long poll
- ``POST /node/v1/certificate``  body :class:`RenewalRequest`, answer :class:`Certificate`
- ``PUT /node/v1/artifacts/{sha256}``, ``GET /node/v1/artifacts/{sha256}``  raw bytes, content-addressed
- ``POST /node/v1/parcels``  body :class:`ParcelOffer`, answer :class:`ParcelState`; the same again after a cut
- ``PUT /node/v1/parcels/{sha256}?offset=N``  raw bytes, answer :class:`ParcelState`; ``GET`` with ``Range``; ``DELETE``
- ``POST /node/v1/engine/certificate``  body :class:`RenewalRequest`, answer :class:`EngineMembership`
- ``GET /node/v1/engine/streams/{name}?received=N`` with ``Upgrade: racoon-stream``: the training engine's bytes

On the people listener: ``POST /api/enrolment``  body :class:`EnrolmentRequest`, answer :class:`EnrolmentAnswer`.
Both enrolment bodies are authenticated with the join code's secret, which itself never travels.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from racoon.domain.canonical import canonical_json
from racoon.errors import Refused

MAX_BODY_BYTES = 32 * 1024 * 1024
"""Largest request body of the node routes; larger things travel as artefacts."""


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Post(_Form):
    """Envelopes from a node, in the order they were written."""

    envelopes: Annotated[list[dict[str, Any]], Field(max_length=200)]


class Receipt(_Form):
    """Ids CENTRAL has stored (or had stored before): the node may forget them."""

    stored: list[str]
    rejected: dict[str, str] = {}


class Delivery(_Form):
    """Envelopes for a node, oldest first, and the cursor to ask on from once they are stored."""

    envelopes: list[dict[str, Any]]
    cursor: Annotated[int, Field(ge=0)]


class RenewalRequest(_Form):
    """A certificate signing request (PEM) with a fresh key."""

    request_pem: Annotated[str, StringConstraints(max_length=20_000)]


class Certificate(_Form):
    """A certificate and the authority that signed it, both PEM."""

    certificate_pem: str
    authority_pem: str
    expires_at: AwareDatetime


PIECE_BYTES = 8 * 1024 * 1024
"""Bytes of a parcel in one request; a cut costs nothing that arrived."""


class ParcelOffer(_Form):
    """A closed file that a site wants CENTRAL to carry to a study's pool."""

    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    size_bytes: Annotated[int, Field(gt=0, le=1 << 40)]
    recipient: Annotated[str, StringConstraints(max_length=16)]
    study_id: Annotated[str, StringConstraints(max_length=80)]


class ParcelState(_Form):
    """How far a parcel came: the byte at which it goes on, and whether it is whole and verified."""

    offset: Annotated[int, Field(ge=0)]
    is_whole: bool


class EngineMembership(_Form):
    """What a site needs to join the training engine.

    Attributes
    ----------
    certificate_pem, authority_pem
        The site's certificate for the engine, and the engine's own authority.
    identity
        Common name of the engine server's certificate; a site talks to nobody else.
    signer
        Name that signs the engine's jobs; a site accepts jobs of nobody else.
    """

    certificate_pem: str
    authority_pem: str
    identity: str
    signer: str


class EnrolmentRequest(_Form):
    """A node asks to join: its TLS request, its public signing key, and proof that it knows the join secret."""

    site: Annotated[str, StringConstraints(max_length=16)]
    request_pem: Annotated[str, StringConstraints(max_length=20_000)]
    signing_key: Annotated[str, StringConstraints(max_length=64)]
    version: Annotated[str, StringConstraints(max_length=40)]
    proof: Annotated[str, StringConstraints(max_length=64)]


class EnrolmentAnswer(_Form):
    """CENTRAL's answer, proven with the same secret so that no proxy in between can replace a key."""

    certificate_pem: str
    authority_pem: str
    expires_at: AwareDatetime
    nodes_url: str
    central_signing_key: str
    network: str
    proof: str


class JoinCodeRefused(Refused):
    """The join code is not one of ours or was damaged when copied."""

    code: ClassVar[str] = "enrolment.join_code"


@dataclass(frozen=True)
class JoinCode:
    """What CENTRAL's operator hands to a site, once.

    Parameters
    ----------
    url
        Base URL of CENTRAL's people listener.
    site
        Site code it is for.
    secret
        32 random bytes; CENTRAL stores only what it needs to check proofs, and burns it after use.
    """

    url: str
    site: str
    secret: bytes

    def to_text(self) -> str:
        """Return the text a person copies, with a check sum against typing errors."""
        body = json.dumps(
            {"u": self.url, "s": self.site, "k": base64.b64encode(self.secret).decode()}
        ).encode()
        text = base64.urlsafe_b64encode(body + hashlib.sha256(body).digest()[:4]).rstrip(b"=").decode()
        return f"racoon-join-{text}"

    @classmethod
    def from_text(cls, text: str) -> JoinCode:
        """Read a join code.

        Raises
        ------
        JoinCodeRefused
            When the text is incomplete or altered.
        """
        encoded = text.strip().removeprefix("racoon-join-")
        try:
            raw = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
            body, check = raw[:-4], raw[-4:]
            if hashlib.sha256(body).digest()[:4] != check:
                raise ValueError("check sum")
            fields = json.loads(body)
            return cls(fields["u"], fields["s"], base64.b64decode(fields["k"]))
        except (ValueError, KeyError, TypeError) as error:
            raise JoinCodeRefused(
                "This is not a complete join code. Copy the whole text beginning with racoon-join-, "
                "or ask CENTRAL for a new one."
            ) from error


def prove(secret: bytes, purpose: str, fields: dict[str, Any]) -> str:
    """Compute the proof under an enrolment body: HMAC-SHA256 with the join secret.

    Parameters
    ----------
    secret
        The join code's secret.
    purpose
        ``"request"`` or ``"answer"``, so that one can't be played back as the other.
    fields
        The body without its ``proof``, JSON form.
    """
    message = purpose.encode() + b"\x00" + canonical_json(fields)
    return hmac.new(secret, message, hashlib.sha256).hexdigest()


def is_proven(secret: bytes, purpose: str, fields: dict[str, Any], proof: str) -> bool:
    """Check a proof in constant time."""
    return hmac.compare_digest(prove(secret, purpose, fields), proof)

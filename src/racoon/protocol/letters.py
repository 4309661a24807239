"""What two nodes say to each other about a pooled study: closed letters that CENTRAL carries and cannot read.

A letter is a signed envelope from node to node, closed for its recipient.  CENTRAL sees who writes to whom about which
study, and how long the letter is.
"""

from __future__ import annotations

import base64
import io
import json
from datetime import datetime
from typing import Annotated, ClassVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from pydantic import AwareDatetime, Field, StringConstraints, ValidationError

from racoon.errors import Defect
from racoon.protocol.envelope import Envelope, seal, to_wire, verify
from racoon.protocol.messages import Count, Id, Letter, Message, Sha256
from racoon.protocol.sealing import PeerCode, SealBroken, open_sealed, seal_bytes

LETTER = "racoon letter"
"""Purpose under which letters are closed."""

PARCEL = "racoon parcel"
"""Purpose under which files of a shipment are closed."""

Code = Annotated[str, StringConstraints(max_length=80)]


class ShipmentSent(Message):
    """A site has sent an approved dataset to the pool; its files wait at CENTRAL, closed.

    Attributes
    ----------
    dataset_hash
        The dataset that the site froze and released for this version of the study.
    manifest_sha256
        SHA-256 of the plain manifest, which names every object with its own hash.
    parcel, parcel_bytes
        The closed manifest: SHA-256 and size of the file that travels.
    """

    shipment_id: Id
    study_id: Id
    study_hash: Sha256
    dataset_hash: Sha256
    manifest_sha256: Sha256
    parcel: Sha256
    parcel_bytes: Annotated[int, Field(gt=0)]


class ShipmentReceipt(Message):
    """The pool has taken a shipment, or refused parts of it.

    Attributes
    ----------
    objects, subjects
        Objects and subjects that lie in the pool's archive now.
    set_aside
        How many objects were not taken, by reason.
    is_whole
        Whether everything the manifest names was taken.
    """

    shipment_id: Id
    study_id: Id
    manifest_sha256: Sha256
    received_at: AwareDatetime
    objects: Count
    subjects: Count
    set_aside: dict[Code, Count]
    is_whole: bool


class ShipmentQuality(Message):
    """What the pool's quality rules found in a shipment, in counts.

    Attributes
    ----------
    series
        Series that were looked at.
    worst
        Series by the gravest rule they break: ``error``, ``warning``, ``note`` or ``fine``.
    rules
        Series by code of each broken rule.
    """

    shipment_id: Id
    study_id: Id
    series: Count
    worst: dict[Code, Count]
    rules: dict[Code, Count]


class SubjectTakenBack(Message):
    """A subject of the study withdrew at the site: the pool erases its data and answers when they are gone."""

    tombstone_id: Id
    study_id: Id
    subject: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{1,4}-[A-Z0-9-]{8,60}$")]


class SubjectErased(Message):
    """The pool holds nothing of a subject any more.

    Attributes
    ----------
    proof_sha256
        Hash of the pool's own proof of deletion.
    """

    tombstone_id: Id
    study_id: Id
    erased_at: AwareDatetime
    proof_sha256: Sha256


class StudyDeleted(Message):
    """The pool has deleted everything that a site sent for a study, at its end.

    Attributes
    ----------
    shipments
        The shipments that are gone.
    objects
        How many objects were deleted.
    left
        How many were found afterwards; a proof says 0.
    """

    study_id: Id
    shipments: list[Id]
    objects: Count
    left: Count
    deleted_at: AwareDatetime
    proof_sha256: Sha256


LETTERS: dict[str, type[Message]] = {
    "shipment.sent": ShipmentSent,
    "shipment.receipt": ShipmentReceipt,
    "shipment.quality": ShipmentQuality,
    "subject.taken_back": SubjectTakenBack,
    "subject.erased": SubjectErased,
    "study.deleted": StudyDeleted,
}
"""All letters of protocol 1.0; none has room for data of a person but the name of one study."""


class LetterDefect(Defect):
    """A letter is closed for somebody else, not signed by its sender, or of no known form."""

    code: ClassVar[str] = "letters.defect"


def write_letter(
    key: Ed25519PrivateKey, sender: str, peer: PeerCode, kind: str, message: Message, issued_at: datetime
) -> Letter:
    """Sign a letter and close it for its recipient.

    Parameters
    ----------
    key, sender
        The writing site and its signing key.
    peer
        The recipient's keys.
    kind, message
        What is said; a key of :data:`LETTERS`.
    issued_at
        Aware time.
    """
    if LETTERS.get(kind) is not type(message):
        raise LetterDefect("There is no letter of this form.")
    envelope = seal(
        key,
        type=kind,
        sender=sender,
        recipient=peer.site,
        payload=message.model_dump(mode="json"),
        issued_at=issued_at,
    )
    plain = json.dumps(to_wire(envelope), separators=(",", ":")).encode()
    box = b"".join(seal_bytes(peer.sealing_key, LETTER, [plain]))
    return Letter(
        letter_id=envelope.id,
        sender=sender,
        recipient=peer.site,
        study_id=message.model_dump()["study_id"],
        box=base64.b64encode(box).decode(),
    )


def read_letter(
    letter: Letter, sealing_key: X25519PrivateKey, recipient: str, peer: PeerCode, now: datetime
) -> tuple[Message, Envelope]:
    """Open a letter and check who signed it.

    Returns
    -------
    tuple
        What it says, and the signed envelope, which is kept as evidence.

    Raises
    ------
    LetterDefect, EnvelopeRefused
    """
    try:
        box = io.BytesIO(base64.b64decode(letter.box, validate=True))
        envelope = Envelope.model_validate_json(b"".join(open_sealed(sealing_key, LETTER, box)))
    except (SealBroken, ValueError) as error:
        raise LetterDefect("A letter is not closed for this node, or is damaged.") from error
    signer = Ed25519PublicKey.from_public_bytes(peer.signing_key)
    verify(envelope, signer, sender=peer.site, recipient=recipient, now=now)
    form = LETTERS.get(envelope.type)
    if form is None:
        raise LetterDefect("A letter of a kind that this version does not know.")
    try:
        message = form.model_validate(envelope.payload)
    except ValidationError as error:
        raise LetterDefect("A letter does not have the form of its kind.") from error
    if letter.study_id != envelope.payload["study_id"]:
        raise LetterDefect("A letter is about another study than it says outside.")
    return message, envelope

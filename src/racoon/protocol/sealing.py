"""Closed for one recipient: bytes that nobody on the way can read, in frames so that a file of any size fits.

A fresh key for every parcel is closed by HPKE (RFC 9180: X25519, HKDF-SHA-256, ChaCha20-Poly1305); the frames under it
follow the construction STREAM (doi:10.1007/978-3-662-47989-6_6): the number of a frame and whether it is the last are
part of its nonce, so that frames can neither be exchanged nor left out.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from racoon.domain.canonical import canonical_json
from racoon.errors import Defect, Refused

FRAME = 64 * 1024
"""Plain bytes in one frame."""

_MAGIC = b"racoon-sealed-1\n"
_TAG = 16
_KEY_BYTES = 32
_CLOSED_KEY = 32 + _KEY_BYTES + _TAG
"""HPKE's encapsulated public key, the parcel's key, and a tag."""

_HPKE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
_PREFIX = "racoon-peer-"
_CHANGED = "The parcel was changed or cut on the way, or is not for this node; it has to be sent again."


class SealBroken(Defect):
    """The bytes were not closed for this recipient and this purpose, or were changed or cut on the way."""

    code: ClassVar[str] = "sealing.broken"


class PeerCodeRefused(Refused):
    """The text is not a complete peer code."""

    code: ClassVar[str] = "sealing.peer_code"


@dataclass(frozen=True)
class PeerCode:
    """Whose keys these are, as two sites exchange them outside the network.

    Parameters
    ----------
    site
        Site code.
    signing_key
        Ed25519 public key, 32 bytes: what the site says is verified with it.
    sealing_key
        X25519 public key, 32 bytes: what is meant for the site is closed with it.
    """

    site: str
    signing_key: bytes
    sealing_key: bytes

    @property
    def fingerprint(self) -> str:
        """SHA-256 over site and keys, eight groups of four hexadecimal digits for two people on the telephone."""
        text = hashlib.sha256(self._body()).hexdigest()[:32]
        return " ".join(text[at : at + 4] for at in range(0, 32, 4))

    def _body(self) -> bytes:
        keys = {"g": _text(self.signing_key), "s": self.site, "x": _text(self.sealing_key)}
        return canonical_json(keys)

    def to_text(self) -> str:
        """Return the text for a contract's annex, with a check sum against typing errors."""
        body = self._body()
        return _PREFIX + _text(body + hashlib.sha256(body).digest()[:4])

    @classmethod
    def from_text(cls, text: str) -> PeerCode:
        """Read a peer code.

        Raises
        ------
        PeerCodeRefused
            When the text is incomplete or altered.
        """
        try:
            raw = _bytes(text.strip().removeprefix(_PREFIX))
            body, check = raw[:-4], raw[-4:]
            if hashlib.sha256(body).digest()[:4] != check:
                raise ValueError("check sum")
            fields = json.loads(body)
            found = cls(str(fields["s"]), _bytes(fields["g"]), _bytes(fields["x"]))
            Ed25519PublicKey.from_public_bytes(found.signing_key)
            X25519PublicKey.from_public_bytes(found.sealing_key)
        except (ValueError, KeyError, TypeError) as error:
            raise PeerCodeRefused(
                "This is not a complete peer code. Copy the whole text beginning with racoon-peer-, as the other "
                "site's node shows it."
            ) from error
        return found


def load_or_create_sealing_key(path: Path) -> X25519PrivateKey:
    """Load a node's sealing key, or make it; the file has mode 0600 and never leaves the node."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(X25519PrivateKey.generate().private_bytes_raw())
    return X25519PrivateKey.from_private_bytes(path.read_bytes())


def seal_bytes(recipient: bytes, purpose: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Close bytes for a recipient.

    Parameters
    ----------
    recipient
        X25519 public key, 32 bytes.
    purpose
        What they are; opening asks for the same words, so that nothing passes for something else.
    chunks
        The plain bytes, in pieces of any size.

    Yields
    ------
    bytes
        The closed form: 96 bytes at its head, then frames with 16 bytes more than their content.
    """
    key = os.urandom(_KEY_BYTES)
    cipher = ChaCha20Poly1305(key)
    yield _MAGIC + _HPKE.encrypt(key, X25519PublicKey.from_public_bytes(recipient), _info(purpose))
    waiting, number = bytearray(), 0
    for chunk in chunks:
        waiting += chunk
        # The last frame is known as such only when nothing follows: one is always held back.
        while len(waiting) > FRAME:
            yield cipher.encrypt(_nonce(number, is_last=False), bytes(waiting[:FRAME]), None)
            del waiting[:FRAME]
            number += 1
    yield cipher.encrypt(_nonce(number, is_last=True), bytes(waiting), None)


def open_sealed(key: X25519PrivateKey, purpose: str, stream: BinaryIO) -> Iterator[bytes]:
    """Open what was closed for this key.

    Yields
    ------
    bytes
        Plain bytes; each piece is verified before it is given, the whole only when the iteration ends.

    Raises
    ------
    SealBroken
        When anything of it is not as it was closed.
    """
    head = stream.read(len(_MAGIC) + _CLOSED_KEY)
    if len(head) != len(_MAGIC) + _CLOSED_KEY or not head.startswith(_MAGIC):
        raise SealBroken("The parcel is not closed in a form that this version knows.")
    try:
        cipher = ChaCha20Poly1305(_HPKE.decrypt(head[len(_MAGIC) :], key, _info(purpose)))
    except (InvalidTag, ValueError) as error:
        raise SealBroken(_CHANGED) from error
    number, frame = 0, stream.read(FRAME + _TAG)
    while True:
        following = stream.read(FRAME + _TAG)
        try:
            yield cipher.decrypt(_nonce(number, is_last=not following), frame, None)
        except (InvalidTag, ValueError) as error:
            raise SealBroken(_CHANGED) from error
        if not following:
            return
        number, frame = number + 1, following


def _info(purpose: str) -> bytes:
    return _MAGIC + purpose.encode()


def _nonce(number: int, *, is_last: bool) -> bytes:
    return number.to_bytes(11, "big") + (b"\x01" if is_last else b"\x00")


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)

"""A sum that shows no part of it: sites add masks to what they send, and the masks of all sites cancel.

Each pair of sites shares a secret (X25519) that CENTRAL does not know; one adds and the other subtracts the same
stream of random words (HKDF-SHA256, AES-256-CTR), modulo 2**64 on the fixed-point grid of ``aggregation``.  What
arrives from one site is uniformly random; the sum of *all* participants of a round is the plain sum, bit for bit.
The one-round form of doi:10.1145/3133956.3133982 without recovery: a round that lacks a participant gives no model
and is done again without it, with other masks.  Site administrators exchange the public keys themselves, so CENTRAL
cannot put its own in between.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from racoon.errors import Refused
from racoon.learning.aggregation import FRACTION_BITS, MAXIMUM_TOTAL, to_fixed
from racoon.learning.weights import BadWeights, Weights, check_weights
from racoon.platform.files import write_atomically

Masked = dict[str, npt.NDArray[np.uint64]]
"""Tensor name → masked fixed-point words."""

SUM_KEY = "sum.key"
"""Name of the file with a site's own key, in the folder of its engine."""

FEWEST = 3
"""Of two sites, each learns the other's part from the sum."""


class NoSecureSum(Refused):
    """A site cannot or will not take part in a secure sum."""

    code = "learning.no_secure_sum"


def load_or_make_sum_key(path: Path) -> X25519PrivateKey:
    """Return a site's key for secure sums; made once, readable by the node only."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = X25519PrivateKey.generate().private_bytes_raw()
        write_atomically(path, base64.urlsafe_b64encode(made), mode=0o600)
    return X25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(path.read_bytes()))


def public_text(key: X25519PrivateKey) -> str:
    """Return the public half, which the administrators of the other sites enter."""
    return base64.urlsafe_b64encode(key.public_key().public_bytes_raw()).decode().rstrip("=")


@dataclass(frozen=True)
class Round:
    """What a mask is for; another round, job or set of sites has other masks.

    Parameters
    ----------
    run_id, job, index
        The run, the engine's job in it, and the round counted from 0.
    participants
        Every site whose part is in the sum.
    """

    run_id: str
    job: str
    index: int
    participants: tuple[str, ...]

    def context(self, first: str, second: str) -> bytes:
        """Return what the stream of a pair depends on beside its secret."""
        words = [self.run_id, self.job, self.index, sorted(self.participants), first, second]
        return b"racoon secure sum 1\0" + json.dumps(words).encode()


@dataclass(frozen=True)
class SumKeys:
    """A site's own key and the public keys it was given of the others.

    Parameters
    ----------
    site
        Its code.
    own
        Its key.
    peers
        Site → public key, as the administrators exchanged them.
    minimum
        Fewest participants this site lets its part be summed with.
    """

    site: str
    own: X25519PrivateKey
    peers: Mapping[str, str]
    minimum: int = FEWEST

    def mask(self, weights: Weights, cases: int, this: Round) -> Masked:
        """Return the site's part of the sum, masked.

        Parameters
        ----------
        weights, cases
            What is added: the weights on the fixed-point grid times the cases.
        this
            The round.

        Raises
        ------
        NoSecureSum
            If this site is not among the participants, does not know one of them, or they are too few.
        """
        if self.site not in this.participants or len(set(this.participants)) != len(this.participants):
            raise NoSecureSum("The secure sum does not name its participants properly.")
        if len(this.participants) < max(FEWEST, self.minimum):
            raise NoSecureSum("Too few sites take part in the secure sum.")
        others = sorted(set(this.participants) - {self.site})
        unknown = [site for site in others if site not in self.peers]
        if unknown:
            raise NoSecureSum(
                f"This site was given no key of {', '.join(unknown)} for secure sums; its administrator enters it "
                "under learning.sum_keys."
            )
        streams = [(self.site < other, self._stream(other, this)) for other in others]
        masked: Masked = {}
        for name in sorted(weights):
            words: npt.NDArray[np.uint64] = to_fixed(weights[name].reshape(-1), cases).view(np.uint64)
            for is_first, stream in streams:
                pad: npt.NDArray[np.uint64] = np.frombuffer(stream.update(bytes(words.nbytes)), dtype="<u8")
                if is_first:
                    np.add(words, pad, out=words)
                else:
                    np.subtract(words, pad, out=words)
            masked[name] = words.reshape(weights[name].shape)
        return masked

    def _stream(self, other: str, this: Round) -> _Stream:
        text = self.peers[other]
        try:
            public = X25519PublicKey.from_public_bytes(
                base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            )
            shared = self.own.exchange(public)
        except ValueError as error:
            raise NoSecureSum(f"The key of {other} for secure sums is no key.") from error
        first, second = sorted((self.site, other))
        secret = HKDF(SHA256(), 48, salt=None, info=this.context(first, second)).derive(shared)
        return _Stream(secret)


class _Stream:
    """Random words that both sites of a pair can draw."""

    def __init__(self, secret: bytes) -> None:
        self._encryptor = Cipher(algorithms.AES256(secret[:32]), modes.CTR(secret[32:])).encryptor()

    def update(self, nothing: bytes) -> bytes:
        """Return as many bytes as are given."""
        return self._encryptor.update(nothing)


class MaskedSum:
    """Adds masked parts; gives a mean only when every participant's is there.

    Parameters
    ----------
    shapes
        Tensor name → shape of what travels.
    participants
        Who must answer.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], participants: Sequence[str]) -> None:
        self._shapes = dict(shapes)
        self._participants = frozenset(participants)
        self.contributors: dict[str, int] = {}
        self._sums: Masked = {}

    def add(self, site: str, masked: Mapping[str, npt.NDArray[np.generic]], cases: int) -> None:
        """Accept one site's masked part.

        Raises
        ------
        BadWeights
            For other tensors than the architecture's, unmasked ones, a bad count, or a site that is not expected.
        """
        if site in self.contributors or site not in self._participants:
            raise BadWeights("A site answered twice, or was not asked.", details={"site": site})
        if not 0 < cases <= MAXIMUM_TOTAL - sum(self.contributors.values()):
            raise BadWeights(
                "A site's number of cases is out of range.", details={"site": site, "cases": cases}
            )
        for name in sorted(set(masked) ^ set(self._shapes)):
            raise BadWeights(
                "The contribution does not have the tensors of the plan.", details={"tensor": name}
            )
        for name, words in self._arrays(masked):
            if words.dtype != np.uint64 or words.shape != self._shapes[name]:
                raise BadWeights("A masked tensor has another form than it must.", details={"tensor": name})
        for name, words in self._arrays(masked):
            sums = self._sums.setdefault(name, np.zeros(self._shapes[name], np.uint64))
            np.add(sums, words.astype(np.uint64, copy=False), out=sums)
        self.contributors[site] = cases

    def take(self) -> Weights:
        """Compute the mean and end the round.

        Raises
        ------
        BadWeights
            If a participant is missing, or the masks did not cancel.
        """
        missing = sorted(self._participants - set(self.contributors))
        if missing or not self._sums:
            raise BadWeights(
                "A secure sum lacks a participant and stays sealed.", details={"missing": missing}
            )
        scale = sum(self.contributors.values()) * 2.0**FRACTION_BITS
        mean = {name: (self._sums[name].view(np.int64) / scale).astype(np.float32) for name in self._shapes}
        # Masks that do not belong together leave noise of 2**31 and more: no network has such weights.
        check_weights(mean, self._shapes)
        self._sums = {}
        return mean

    def _arrays(
        self, masked: Mapping[str, npt.NDArray[np.generic]]
    ) -> Iterator[tuple[str, npt.NDArray[np.generic]]]:
        for name in self._shapes:
            yield name, np.asarray(masked[name])


def words_of(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Return how many words a masked contribution has; each is eight bytes on the wire."""
    return sum(math.prod(shape) for shape in shapes.values())

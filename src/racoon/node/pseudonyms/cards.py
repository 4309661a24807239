"""Who a number is said to be, by each source that says it: sealed, and looked for by keyed words only.

What is here serves one question: are two descriptions one person?  Names never leave it but to a person who compares
two of them, and never together with a pseudonym.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from racoon.domain.identity import PatientId
from racoon.node.pseudonyms.model import KeyFileBroken, canonical_id
from racoon.platform.database import Database
from racoon.science.linkage.filters import Person
from racoon.science.linkage.nearness import blocks

_METADATA = sa.MetaData()

CARD = sa.Table(
    "identity_card",
    _METADATA,
    sa.Column("token", sa.String(32), primary_key=True),
    sa.Column("number_token", sa.String(32), nullable=False, index=True),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("is_compared", sa.Boolean, nullable=False, index=True),
)

BLOCK = sa.Table(
    "identity_block",
    _METADATA,
    sa.Column("block", sa.String(32), primary_key=True),
    sa.Column("token", sa.String(32), primary_key=True),
    sa.Index("ix_identity_block_token", "token"),
)

LARGEST_BLOCK = 200
"""A word that so many share, such as the first of January of one year, tells nothing."""


@dataclass(frozen=True)
class Card:
    """What one source says of one number, or of a record that carries none.

    Parameters
    ----------
    source
        ``images``, ``messages`` or the name of a record, such as ``fhir/Patient/17``.
    number
        Of the hospital; empty where the record carries none.
    person
        As it is written there.
    """

    source: str
    number: str
    person: Person

    @property
    def says_enough(self) -> bool:
        """Whether anybody could be recognised by it."""
        return bool(self.person.family) and bool(self.person.given or self.person.born)


class Cards:
    """The sealed descriptions of one node.

    Parameters
    ----------
    database
        Of the pseudonyms: a file of its own.
    seal_key, word_key
        Derived from the master key: 64 bytes and 32.
    """

    def __init__(self, database: Database, seal_key: bytes, word_key: bytes) -> None:
        self._database = database
        self._cipher, self._word_key = AESSIV(seal_key), word_key
        with database.begin() as connection:
            _METADATA.create_all(connection)

    def _word(self, text: str) -> str:
        return hmac.digest(self._word_key, text.encode(), sha256)[:16].hex()

    def token_of(self, source: str, number: str) -> str:
        """Return the keyed name of a description; it stays the same when what is said changes."""
        return self._word(f"card\x1f{source}\x1f{number}")

    def put(self, card: Card) -> bool:
        """Keep a description; what is not new changes nothing and tells False."""
        if not card.says_enough:
            return False
        number = canonical_id(PatientId(card.number)) if card.number else ""
        token = self.token_of(card.source, number)
        text = json.dumps(
            {"source": card.source, "number": number, **asdict(card.person)}, sort_keys=True
        ).encode()
        sealed = self._cipher.encrypt(text, [token.encode()])
        with self._database.begin() as connection:
            known = connection.execute(
                sa.select(CARD.c.sealed).where(CARD.c.token == token)
            ).scalar_one_or_none()
            if known == sealed:
                return False
            connection.execute(sa.delete(CARD).where(CARD.c.token == token))
            connection.execute(sa.delete(BLOCK).where(BLOCK.c.token == token))
            row = {
                "token": token,
                "number_token": self._word(f"number\x1f{number}") if number else token,
                "sealed": sealed,
                "is_compared": False,
            }
            connection.execute(sa.insert(CARD).values(row))
            words = sorted({self._word(f"block\x1f{block}") for block in blocks(card.person)})
            if words:
                connection.execute(sa.insert(BLOCK), [{"block": word, "token": token} for word in words])
        return True

    def open(self, tokens: Collection[str]) -> dict[str, Card]:
        """Return descriptions by their tokens; what is not there any more is left out."""
        query = sa.select(CARD.c.token, CARD.c.sealed).where(CARD.c.token.in_(sorted(tokens)))
        with self._database.connect() as connection:
            return {row.token: self._opened(row.token, row.sealed) for row in connection.execute(query)}

    def uncompared(self, limit: int) -> list[str]:
        """Return the tokens of descriptions that nobody compared yet."""
        query = (
            sa.select(CARD.c.token).where(CARD.c.is_compared.is_(False)).order_by(CARD.c.token).limit(limit)
        )
        with self._database.connect() as connection:
            return list(connection.execute(query).scalars())

    def mark_compared(self, tokens: Sequence[str]) -> None:
        """Note that descriptions were compared."""
        with self._database.begin() as connection:
            connection.execute(sa.update(CARD).where(CARD.c.token.in_(list(tokens))).values(is_compared=True))

    def neighbours(self, token: str) -> dict[str, Card]:
        """Return the descriptions that share a word or the number with one."""
        other = BLOCK.alias()
        with self._database.connect() as connection:
            shared = connection.execute(
                sa.select(BLOCK.c.block, other.c.token)
                .join(other, other.c.block == BLOCK.c.block)
                .where(BLOCK.c.token == token, other.c.token != token)
            ).all()
            number = sa.select(CARD.c.number_token).where(CARD.c.token == token).scalar_subquery()
            found = set(
                connection.execute(
                    sa.select(CARD.c.token).where(CARD.c.number_token == number, CARD.c.token != token)
                ).scalars()
            )
        by_word: dict[str, set[str]] = {}
        for row in shared:
            by_word.setdefault(row.block, set()).add(row.token)
        for tokens in by_word.values():
            found |= tokens if len(tokens) <= LARGEST_BLOCK else set()
        return self.open(found)

    def holds(self, number: PatientId) -> bool:
        """Tell whether anything is said of a number."""
        word = self._word(f"number\x1f{canonical_id(number)}")
        with self._database.connect() as connection:
            query = sa.select(CARD.c.token).where(CARD.c.number_token == word).limit(1)
            return connection.execute(query).first() is not None

    def forget(self, number: PatientId) -> int:
        """Erase everything that is said of a number; returns how many descriptions."""
        word = self._word(f"number\x1f{canonical_id(number)}")
        with self._database.begin() as connection:
            tokens = sa.select(CARD.c.token).where(CARD.c.number_token == word)
            connection.execute(sa.delete(BLOCK).where(BLOCK.c.token.in_(tokens)))
            return connection.execute(sa.delete(CARD).where(CARD.c.number_token == word)).rowcount

    def _opened(self, token: str, sealed: bytes) -> Card:
        try:
            found = json.loads(self._cipher.decrypt(sealed, [token.encode()]))
        except InvalidTag as error:
            raise KeyFileBroken("The key does not open what is said of patients. Restore it.") from error
        source, number = found.pop("source"), found.pop("number")
        return Card(source, number, Person(**found))

"""Keyed filters: one row of bits for a person, from which nobody without the key can tell a name.

Cryptographic long-term keys (Schnell, Bachteler, Reiher 2009, doi:10.1186/1472-6947-9-41; 2011): the pairs of letters
of names and the digits of dates and postcodes set bits at places that a keyed hash chooses.  Persons alike set alike
bits.  A row still shows how alike two persons are, so rows go to a linkage unit only, under a key of one project, and
are deleted when they were compared.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha512

import numpy as np
import numpy.typing as npt

from racoon.science.linkage.names import name_parts

BITS = 1024
KEY_BYTES = 32

Filters = npt.NDArray[np.uint8]
"""(person, byte): bits of each person, eight in a byte."""

NAME_WEIGHT, DAY_WEIGHT, YEAR_WEIGHT, PLACE_WEIGHT, SEX_WEIGHT = 12, 16, 10, 5, 8
"""How many bits one token sets.  A larger weight of the date finds more and confuses people of one birthday."""


@dataclass(frozen=True)
class Person:
    """What identifies a person, for as long as it takes to make his row.

    Parameters
    ----------
    given, family, birth_name
        Names as they are written; ``birth_name`` may be empty.
    born
        ``YYYY-MM-DD``.
    sex
        ``female``, ``male``, ``other`` or empty.
    postcode
        Empty where it is unknown.
    """

    given: str
    family: str
    birth_name: str = ""
    born: str = ""
    sex: str = ""
    postcode: str = ""


def encode(people: Sequence[Person], key: bytes) -> Filters:
    """Make a row of bits for each person.

    Parameters
    ----------
    people
        Persons.
    key
        The project's secret, known to the sites only; at least 32 bytes.

    Returns
    -------
    numpy.ndarray
        Bits of shape (person, 128), eight in a byte.
    """
    if len(key) < KEY_BYTES:
        raise ValueError(f"a key has at least {KEY_BYTES} bytes")
    places: dict[str, npt.NDArray[np.int64]] = {}
    rows = np.zeros((len(people), BITS), np.uint8)
    for row, person in zip(rows, people, strict=True):
        for token, weight in _tokens(person):
            if token not in places:
                digest = hmac.digest(key, token.encode(), sha512)
                places[token] = np.frombuffer(digest, ">u2").astype(np.int64) % BITS
            row[places[token][:weight]] = 1
    return np.packbits(rows, axis=1)


def _tokens(person: Person) -> Iterator[tuple[str, int]]:
    for part in name_parts(person.given):
        yield from ((f"given:{pair}", NAME_WEIGHT) for pair in _pairs(part))
    # A name that changed by marriage shares the bits of the birth name, whichever field holds it.
    for part in {*name_parts(person.family), *name_parts(person.birth_name)}:
        yield from ((f"family:{pair}", NAME_WEIGHT) for pair in _pairs(part))
    year, _, rest = person.born.partition("-")
    month, _, day = rest.partition("-")
    yield from ((f"{name}:{value}", DAY_WEIGHT) for name, value in (("month", month), ("day", day)) if value)
    yield from ((f"year{place}:{digit}", YEAR_WEIGHT) for place, digit in enumerate(year) if place > 0)
    digits = "".join(letter for letter in person.postcode if letter.isdigit())
    yield from ((f"place{place}:{digit}", PLACE_WEIGHT) for place, digit in enumerate(digits))
    if person.sex:
        yield f"sex:{person.sex}", SEX_WEIGHT


def _pairs(part: str) -> set[str]:
    padded = f"_{part}_"
    return {padded[place : place + 2] for place in range(len(padded) - 1)}

"""Words and rules of pseudonyms: their alphabet, their check character, what going back needs."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from racoon.domain.identity import PatientId
from racoon.errors import Defect, Refused

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
"""RFC 4648 base 32: no 0, 1, 8 or 9, so that nobody mistakes them for O, I, B or g."""

BODY_LENGTH = 26
"""26 characters carry the 128 bit that the keyed hash is cut to."""

PSEUDONYM_PATTERN = re.compile(rf"R(\d{{1,3}})-([{ALPHABET}]{{{BODY_LENGTH}}})([{ALPHABET}])")
"""``R<key version>-<26 characters><check character>``."""

DEFAULT_DATE_SHIFT_DAYS = 14
LONGEST_DATE_SHIFT_DAYS = 180

SHORTEST_REASON, LONGEST_REASON = 10, 500
"""Characters of the reason for which somebody wants to know who a subject is."""

ARCHIVE_DOMAIN = "archive"
"""Domain of the node's own archive; every study gets a further one, whose pseudonyms cannot be joined with
it."""


LINK_DOMAIN = "link"
"""Domain of records of other systems: a keyed name of the record leads to the sealed number of its patient."""


ACCESSION_DOMAIN = "accession"
"""Domain of accession numbers: a keyed name of the number leads to the sealed, replaced UID of an imaging study."""

STUDIES_OF_A_NUMBER = 8
"""Imaging studies that are kept for one accession number; two of them are in doubt already."""

PARTED_DOMAIN = "merged-undone"
"""Each merge that was taken back leaves a mark here, so that another process sees that something changed."""

MERGED_DOMAIN = "merged"
"""Domain of numbers that the hospital merged into others: a keyed name of the old one leads to the sealed new one."""


class MergedElsewhere(Refused):
    """A number that was merged into one patient is to be merged into another one: a person has to look."""

    code = "pseudonyms.merged_elsewhere"


class KeyFileUnsafe(Refused):
    """The key file is readable by others."""

    code = "pseudonyms.key_file_unsafe"


class KeyFileBroken(Defect):
    """The key file is there but holds no key."""

    code = "pseudonyms.key_file_broken"


class UnknownPseudonym(Refused):
    """No patient is recorded under this pseudonym in this domain."""

    code = "pseudonyms.unknown"
    status = 404


class ReidentificationRefused(Refused):
    """Going back from a pseudonym to a patient needs a role, a reason and a second person."""

    code = "pseudonyms.reidentification_refused"


@dataclass(frozen=True)
class ReidentificationRequest:
    """Who wants to know who a subject is, and why.

    Parameters
    ----------
    actor, actor_roles
        Person who asks, with the roles held at this node.
    second_person, second_roles
        Another person who confirms, with at least one role of the same permission.
    reason
        Plain words, at least ten characters, kept in the audit.
    """

    actor: str
    actor_roles: frozenset[str]
    second_person: str
    second_roles: frozenset[str]
    reason: str


def canonical_id(patient_id: PatientId) -> str:
    """Bring a patient's number into the one form that is hashed: Unicode NFKC, no surrounding space."""
    return unicodedata.normalize("NFKC", patient_id).strip()


def check_character(body: str) -> str:
    """Compute the check character (Luhn modulo 32): it finds each wrong character and nearly each swap."""
    total = 0
    for position, character in enumerate(reversed(body)):
        value = ALPHABET.index(character) * (2 if position % 2 == 0 else 1)
        total += value // len(ALPHABET) + value % len(ALPHABET)
    return ALPHABET[-total % len(ALPHABET)]


def is_pseudonym(text: str) -> bool:
    """Tell whether a text is a well-formed pseudonym with a right check character."""
    match = PSEUDONYM_PATTERN.fullmatch(text)
    return match is not None and check_character(match[2]) == match[3]

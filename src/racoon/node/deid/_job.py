"""One object on its way through the engine: whose it is, what is known, what was done."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from racoon.domain.identity import PatientId, Pseudonym
from racoon.node.deid.identifiers import KnownIdentifiers
from racoon.node.deid.model import Profile
from racoon.node.deid.rules import RuleSet


class Names(Protocol):
    """What the engine asks of the pseudonyms' room."""

    def uid(self, original: str, domain: str) -> str:
        """Replace a UID."""

    def token(self, text: str, domain: str) -> str:
        """Replace a short local text."""


@dataclass
class Job:
    """One object on its way through: whose it is, what is known, what was done."""

    names: Names
    domain: str
    patient_id: PatientId
    pseudonym: Pseudonym
    shift_days: int
    profile: Profile
    rules: RuleSet
    known: KnownIdentifiers
    is_big_endian: bool = False
    is_signed: bool = False
    is_blanked: bool = False
    may_drop_items: bool = True
    corrected: tuple[str, ...] = ()
    counts: Counter[str] = field(default_factory=Counter)
    original_uids: set[str] = field(default_factory=set)
    written_dates: set[str] = field(default_factory=set)

    @property
    def used(self) -> frozenset[str]:
        """Kind of the object, and whether pixels were overwritten: what its marks may claim."""
        return frozenset({self.rules.kind, "blanked"} if self.is_blanked else {self.rules.kind})

"""What an import did, in counts: for the operator, the audit and the page of the last imports."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from racoon.node.clinical.deidentify import Losses

REASONS = {
    "unreadable": "The file or line is no FHIR resource.",
    "unknown_type": "There is no such type of resource.",
    "no_id": "The resource has no id, so that taking it again could not be told from a second one.",
    "no_subject": "The resource names no patient.",
    "subject_unknown": "The patient it names is in none of the files, now or before.",
    "doubtful": "The identity service is not sure whose record it is: a person has to look before it is taken.",
    "other_patient": "The resource was another patient's before: a person has to look before it is taken.",
}
"""Why a resource was not taken."""


@dataclass
class ImportReport:
    """What an import did; counts only, nothing of anybody.

    Attributes
    ----------
    read
        Resources by type.
    stored, unchanged, refused, left_out
        How many were taken (new or changed), were there already, were not taken, and hold nothing of a patient.
    removed, removals
        How many were taken out because their source deleted them, and these by reason and type.
    reasons
        Refused ones by reason and type.
    tolerated
        Deviations that were mended.
    left_behind
        Elements that were not taken, by name.
    tokens
        Local codes and systems that became tokens.
    subjects_by
        How the patients were recognised: ``number`` and ``identity_service`` (join the images), ``only_identifier``,
        ``other``.
    """

    read: Counter[str] = field(default_factory=Counter)
    stored: int = 0
    unchanged: int = 0
    refused: int = 0
    left_out: int = 0
    removed: int = 0
    removals: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    tolerated: Counter[str] = field(default_factory=Counter)
    subjects_by: Counter[str] = field(default_factory=Counter)
    losses: Losses = field(default_factory=Losses)

    def refuse(self, reason: str, kind: str = "") -> None:
        """Count a resource that is not taken."""
        self.refused += 1
        self.reasons[f"{reason} {kind}".strip()] += 1

    def add(self, other: ImportReport) -> None:
        """Add what another part of the same import did."""
        self.stored += other.stored
        self.unchanged += other.unchanged
        self.refused += other.refused
        self.left_out += other.left_out
        self.removed += other.removed
        for mine, theirs in (
            (self.read, other.read),
            (self.reasons, other.reasons),
            (self.removals, other.removals),
            (self.tolerated, other.tolerated),
            (self.subjects_by, other.subjects_by),
            (self.losses.left, other.losses.left),
            (self.losses.tokens, other.losses.tokens),
        ):
            mine.update(theirs)

    def counts(self) -> dict[str, int]:
        """Return the numbers an audit entry keeps."""
        return {
            "read": self.read.total(),
            "stored": self.stored,
            "unchanged": self.unchanged,
            "refused": self.refused,
            "left_out": self.left_out,
            "removed": self.removed,
        }

    def as_json(self) -> dict[str, Any]:
        """Return the report for people and machines."""
        return self.counts() | {
            "types": dict(sorted(self.read.items())),
            "reasons": dict(sorted(self.reasons.items())),
            "removals": dict(sorted(self.removals.items())),
            "tolerated": dict(sorted(self.tolerated.items())),
            "left_behind": dict(sorted(self.losses.left.items())),
            "tokens": dict(sorted(self.losses.tokens.items())),
            "subjects_by": dict(sorted(self.subjects_by.items())),
        }

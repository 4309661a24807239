"""Words of the legal basis: what a site records, what a withdrawal is, what may go wrong.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, ClassVar

from racoon.domain.consent import (
    ARCHIVE,
    WITHDRAWALS,
    ConsentDocument,
    LegalBasis,
    Provision,
    newest_document,
)
from racoon.domain.identity import Pseudonym
from racoon.errors import Defect, Refused, Unavailable

EVERYTHING = ""
"""Scope of a withdrawal that is not of one study only."""


class BadBasis(Refused):
    """A legal basis that lacks what makes it one."""

    code: ClassVar[str] = "consent.bad_basis"
    status: ClassVar[int] = 422


class NoSuchBasis(Refused):
    """No legal basis of this id."""

    code: ClassVar[str] = "consent.no_such_basis"
    status: ClassVar[int] = 404


class NoSuchSubject(Refused):
    """The node knows nothing under this pseudonym."""

    code: ClassVar[str] = "consent.no_such_subject"
    status: ClassVar[int] = 404


class NoLegalBasis(Refused):
    """Not one of the images that a study asks for may be used for it at this site."""

    code: ClassVar[str] = "consent.no_legal_basis"


class ConsentChanged(Unavailable):
    """A subject withdrew while the job ran: its outcome is thrown away and the job runs again without them."""

    code: ClassVar[str] = "consent.changed_meanwhile"


class BadConsent(Defect):
    """A consent document that cannot be understood; it permits nothing."""

    code: ClassVar[str] = "consent.unreadable"


class BasisKind(StrEnum):
    """What a site may rely on other than consent."""

    HOSPITAL_LAW = "hospital_law"
    HEALTH_DATA_USE = "health_data_use"
    ETHICS_WAIVER = "ethics_waiver"
    CONTRACT = "contract"
    SYNTHETIC = "synthetic"
    """Invented data, of nobody."""


@dataclass(frozen=True)
class Basis:
    """A legal basis as a site recorded it.

    Parameters
    ----------
    study_id
        The one study it holds for, or :data:`racoon.domain.consent.ARCHIVE` for keeping and looking at images here.
    document
        Where it is written: law and clause, file number, vote.
    scope
        Which data, in words for people.
    acquired_from, acquired_until
        Days of acquisition it covers, not shifted; None for no limit.
    valid_from, valid_until
        Days on which it may be relied on; None for no limit.
    approved_by
        Who at the site signed it.
    ended_at
        When the site took it back.
    """

    basis_id: str
    study_id: str
    kind: BasisKind
    document: str
    scope: str
    approved_by: str
    acquired_from: date | None = None
    acquired_until: date | None = None
    valid_from: date | None = None
    valid_until: date | None = None
    recorded_by: str = ""
    recorded_at: datetime | None = None
    ended_at: datetime | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", self.study_id) and self.study_id != ARCHIVE:
            raise BadBasis(f"Name the study, or {ARCHIVE!r} for this site's own archive.")
        for word, value in (
            ("document", self.document),
            ("scope", self.scope),
            ("approved_by", self.approved_by),
        ):
            if len(value.strip()) < 3:
                raise BadBasis(f"A legal basis needs its {word}: in words, at least three letters.")
        for first, last in ((self.acquired_from, self.acquired_until), (self.valid_from, self.valid_until)):
            if first is not None and last is not None and last < first:
                raise BadBasis("A period of the legal basis ends before it begins.")

    def rule(self) -> LegalBasis:
        """Return what the decision needs."""
        return LegalBasis(
            self.basis_id,
            self.study_id,
            self.acquired_from or date.min,
            self.acquired_until or date.max,
            self.approved_by,
            self.valid_from or date.min,
            self.valid_until or date.max,
        )

    def describe(self) -> dict[str, Any]:
        """Return the JSON form."""
        days = ("acquired_from", "acquired_until", "valid_from", "valid_until")
        return {
            "basis_id": self.basis_id,
            "study_id": self.study_id,
            "kind": self.kind.value,
            "document": self.document,
            "scope": self.scope,
            "approved_by": self.approved_by,
            **{day: value.isoformat() if (value := getattr(self, day)) else None for day in days},
            "recorded_by": self.recorded_by,
            "recorded_at": self.recorded_at.isoformat() if self.recorded_at else None,
            "ended_at": self.ended_at.isoformat() if self.ended_at else None,
        }


@dataclass(frozen=True)
class Item:
    """One series that a study wants to use.

    Parameters
    ----------
    day_shifted
        Study Date as the archive has it, ``YYYYMMDD``; empty when it is unknown.
    """

    series_uid: str
    pseudonym: Pseudonym
    day_shifted: str


@dataclass(frozen=True)
class Affected:
    """A frozen dataset that holds a subject, and the runs that trained on it."""

    study_id: str
    dataset_hash: str
    run_ids: tuple[str, ...] = ()


class WithdrawalState(StrEnum):
    """How far a withdrawal is: reading ends with the first, the images are gone with the second."""

    BLOCKED = "blocked"
    ERASED = "erased"


@dataclass(frozen=True)
class Withdrawal:
    """A subject's withdrawal.

    Parameters
    ----------
    number
        Counts up; a job remembers the newest one it knew.
    scope
        :data:`EVERYTHING` or the id of a study.
    affected
        Where the subject was used.
    proof
        When the images are gone: what went, with hashes, and what was checked afterwards.
    """

    number: int
    withdrawal_id: str
    pseudonym: Pseudonym
    scope: str
    reason: str
    source: str
    recorded_by: str
    recorded_role: str
    recorded_at: datetime
    affected: tuple[Affected, ...]
    state: WithdrawalState
    proof: Mapping[str, Any] | None = None
    proof_hash: str = ""

    def describe(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "number": self.number,
            "withdrawal_id": self.withdrawal_id,
            "pseudonym": self.pseudonym,
            "scope": self.scope,
            "reason": self.reason,
            "source": self.source,
            "recorded_by": self.recorded_by,
            "recorded_at": self.recorded_at.isoformat(),
            "studies": sorted({item.study_id for item in self.affected}),
            "trainings": sorted({run for item in self.affected for run in item.run_ids}),
            "state": self.state.value,
            "proof": self.proof,
            "proof_hash": self.proof_hash,
        }


def provisions_to_json(provisions: Iterable[Provision]) -> list[list[Any]]:
    """Write provisions as rows of policy, permit, first and last day."""
    return [
        [item.policy, item.is_permit, item.start.isoformat(), item.end.isoformat()] for item in provisions
    ]


def provisions_from_json(rows: Iterable[Iterable[Any]]) -> tuple[Provision, ...]:
    """Read what :func:`provisions_to_json` wrote."""
    return tuple(
        Provision(policy, bool(is_permit), date.fromisoformat(start), date.fromisoformat(end))
        for policy, is_permit, start, end in rows
    )


@dataclass(frozen=True)
class KnownDocument:
    """A consent document of a subject as the node keeps it.

    Parameters
    ----------
    born
        First day of the year of birth: the node knows no more, and coming of age too early is the safe side.
    source
        Where it came from.
    fresh_until
        When it has to be confirmed again by its source; None for one that does not age, such as paper.
    """

    pseudonym: Pseudonym
    document: ConsentDocument
    born: date | None
    source: str
    fresh_until: datetime | None = None


def fresh_documents(known: Sequence[KnownDocument], now: datetime) -> list[ConsentDocument]:
    """Return the documents that count: of a domain in which one was not confirmed in time, none does."""
    stale = {
        entry.document.domain for entry in known if entry.fresh_until is not None and entry.fresh_until <= now
    }
    return [entry.document for entry in known if entry.document.domain not in stale]


def taken_back(known: Sequence[KnownDocument]) -> dict[str, ConsentDocument]:
    """Return by domain the newest document where it is a withdrawal of the whole."""
    papers = [entry.document for entry in known]
    found = {}
    for domain in {paper.domain for paper in papers}:
        newest = newest_document(papers, domain)
        if newest is not None and newest.version in WITHDRAWALS:
            found[domain] = newest
    return found


def basis_of(document: Mapping[str, Any]) -> Basis:
    """Read a basis as the API and the command line give it.

    Raises
    ------
    BadBasis
        For what makes no sense.
    """

    def day(name: str) -> date | None:
        text = document.get(name)
        try:
            return date.fromisoformat(text) if text else None
        except ValueError as error:
            raise BadBasis(f"{name} is no day: write it as 2026-01-31.") from error

    return Basis(
        basis_id="",
        study_id=document["study_id"],
        kind=BasisKind(document["kind"]),
        document=document["document"],
        scope=document["scope"],
        approved_by=document["approved_by"],
        acquired_from=day("acquired_from"),
        acquired_until=day("acquired_until"),
        valid_from=day("valid_from"),
        valid_until=day("valid_until"),
    )

"""Words of reference sets and attempts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from racoon.domain.questionnaire import Answered, Template
from racoon.errors import Defect, Refused
from racoon.node.reading.findings.model import ATTEMPT_WRITER

CALIBRATION, TEACHING = "calibration", "teaching"
KINDS = (CALIBRATION, TEACHING)

ANSWERS = "answers"
"""A pass mark on the share of answers that are the reference's."""


class NoSuchSet(Refused):
    """No reference set of this name, or no attempt of this person."""

    code = "reading.no_such_set"
    status = 404


class BadSet(Defect):
    """A set without cases, of another kind, or whose reference is missing."""

    code = "reading.bad_set"


class SetIsFixed(Refused):
    """A set is never changed."""

    code = "reading.set_is_fixed"
    status = 409


class NotNow(Refused):
    """Something that comes before is missing, or was done already."""

    code = "reading.not_now"
    status = 409


@dataclass(frozen=True)
class PassMark:
    """What an attempt must reach.

    Parameters
    ----------
    what
        :data:`ANSWERS` for the share of equal answers, the link id of a question for its kappa or ICC, or the key of a
        label (``SCT:39607008``) for the mean Dice of its masks.
    at_least
        The least value that passes.
    """

    what: str
    at_least: float


@dataclass(frozen=True)
class ReferenceCase:
    """A case with its reference.

    Parameters
    ----------
    report_id, version, sha256
        The signed version that is the reference.
    masks
        SOP Instance UID of the reference's segmentation by series.
    """

    imaging_study_uid: str
    series_uid: str
    pseudonym: str
    report_id: str
    version: int
    sha256: str
    masks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ReferenceSet:
    """Cases to read against a reference; never changed.

    Parameters
    ----------
    kind
        :data:`CALIBRATION`: the reference is shown to nobody who has not passed. :data:`TEACHING`: it is shown beside
        the own answers as soon as a case is done.
    reference
        Who signed the reference.
    marks
        All of them must be reached; without any, doing the cases is enough.
    """

    name: str
    kind: str
    template_url: str
    reference: str
    cases: tuple[ReferenceCase, ...]
    marks: tuple[PassMark, ...]
    made_by: str
    made_at: datetime

    def case(self, imaging_study_uid: str) -> ReferenceCase:
        """Return a case.

        Raises
        ------
        NoSuchSet
        """
        found = next((case for case in self.cases if case.imaging_study_uid == imaging_study_uid), None)
        if found is None:
            raise NoSuchSet("There is no such case in this set.")
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "name": self.name,
            "kind": self.kind,
            "template": self.template_url,
            "reference": self.reference,
            "cases": [
                {"imaging_study": case.imaging_study_uid, "series": case.series_uid, "sha256": case.sha256}
                for case in self.cases
            ],
            "marks": [{"what": mark.what, "at_least": mark.at_least} for mark in self.marks],
            "made_by": self.made_by,
            "made_at": self.made_at.isoformat(),
        }


@dataclass(frozen=True)
class TriedCase:
    """One case of an attempt.

    Parameters
    ----------
    response
        What was submitted, items of a QuestionnaireResponse; None before.
    score
        Equal and all answers, masks with Dice; None before.
    is_hidden
        Whether the reference is still kept from the reader.
    """

    attempt_id: str
    imaging_study_uid: str
    series_uid: str
    pseudonym: str
    position: int
    submitted_at: datetime | None = None
    response: Any = None
    score: Mapping[str, Any] | None = None
    is_hidden: bool = True

    @property
    def link(self) -> str:
        """Address of the image to read, then of the result."""
        if self.submitted_at:
            return f"/reading/practice/{self.attempt_id}/{self.imaging_study_uid}"
        return f"/reading/series/{self.series_uid}?attempt={self.attempt_id}"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "imaging_study": self.imaging_study_uid,
            "series": self.series_uid,
            "submitted_at": self.submitted_at.isoformat() if self.submitted_at else None,
            "score": self.score,
            "link": self.link,
        }


@dataclass(frozen=True)
class Attempt:
    """One reader's try at a set.

    Parameters
    ----------
    score
        Over all cases, when the last one is done: answers, questions, masks and marks.
    is_passed
        None while it is open.
    """

    attempt_id: str
    set_name: str
    reader: str
    number: int
    begun_at: datetime
    ended_at: datetime | None = None
    score: Mapping[str, Any] | None = None
    is_passed: bool | None = None
    cases: tuple[TriedCase, ...] = ()

    @property
    def writer(self) -> str:
        """Name under which its drafts, drawings and marks are kept."""
        return f"{ATTEMPT_WRITER}{self.attempt_id}"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "attempt": self.attempt_id,
            "set": self.set_name,
            "reader": self.reader,
            "number": self.number,
            "begun_at": self.begun_at.isoformat(),
            "ended_at": self.ended_at.isoformat() if self.ended_at else None,
            "score": self.score,
            "passed": self.is_passed,
            "cases": [case.to_dict() for case in self.cases],
        }


@dataclass(frozen=True)
class Waiver:
    """A person let a reader off a calibration, with the reason."""

    set_name: str
    reader: str
    reason: str
    given_by: str
    given_at: datetime

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "set": self.set_name,
            "reader": self.reader,
            "reason": self.reason,
            "given_by": self.given_by,
            "given_at": self.given_at.isoformat(),
        }


@dataclass(frozen=True)
class NewSet:
    """A set to be made; see :class:`ReferenceSet`."""

    name: str
    kind: str
    template_url: str
    series_uids: tuple[str, ...]
    reference: str
    marks: tuple[PassMark, ...] = ()


@dataclass(frozen=True)
class Shown:
    """A case with its reference beside the own answers; what is still hidden is None."""

    reference_set: ReferenceSet
    attempt: Attempt
    case: TriedCase
    template: Template
    own: tuple[Answered, ...]
    reference: tuple[Answered, ...] | None

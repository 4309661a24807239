"""Words of stored reports, and what can be wrong with them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from racoon.domain.canonical import canonical_json
from racoon.domain.identity import Pseudonym
from racoon.domain.questionnaire import Answered, Coding, Item, Problem, Template, items_to_fhir
from racoon.errors import Defect, Refused


class ReportNotFound(Refused):
    """No such report or template, or its subject's data may not be read."""

    code = "reading.report_not_found"
    status = 404


class ReportChanged(Refused):
    """The draft was changed elsewhere since this window read it."""

    code = "reading.report_changed"
    status = 409


class ReportSigned(Refused):
    """A signed report is not changed."""

    code = "reading.report_signed"
    status = 409


class NotSigned(Refused):
    """Only what was signed is amended or added to."""

    code = "reading.not_signed"
    status = 409


class BadReason(Defect):
    """An amendment or an addendum without words, or with too many."""

    code = "reading.bad_reason"


LONGEST_REASON = 500
LONGEST_ADDENDUM = 4000


def checked_words(text: str, longest: int) -> str:
    """Return words without blanks around them.

    Raises
    ------
    BadReason
        If there are none, or too many.
    """
    text = text.strip()
    if not text or len(text) > longest:
        raise BadReason("Say why or what in words, and not in too many.")
    return text


class NoSuchSource(Defect):
    """An answer says that it comes from a finding that is not there or has no such number."""

    code = "reading.no_such_source"


@dataclass(frozen=True)
class StoredReport:
    """One author's report on one imaging study.

    Parameters
    ----------
    revision
        0 for a report that was not saved yet.
    signed_hash
        SHA-256 of the signed QuestionnaireResponse, which the audit entry of the signature holds too.
    amending
        Why a signed version is being amended, or was; empty for a first version.
    """

    report_id: str
    imaging_study_uid: str
    pseudonym: Pseudonym
    author: str
    template: Template
    items: tuple[Answered, ...]
    revision: int
    changed_at: datetime
    signed_at: datetime | None = None
    signed_hash: str = ""
    amending: str = ""

    @property
    def is_signed(self) -> bool:
        """Whether its author signed it."""
        return self.signed_at is not None

    def to_fhir(self) -> dict[str, Any]:
        """Return the report as a FHIR R4 QuestionnaireResponse; the subject is named by pseudonym only."""
        return {
            "resourceType": "QuestionnaireResponse",
            "id": self.report_id,
            "questionnaire": self.template.canonical,
            "status": ("amended" if self.amending else "completed") if self.is_signed else "in-progress",
            "subject": {"identifier": {"system": "urn:racoon:pseudonym", "value": str(self.pseudonym)}},
            "basedOn": [
                {"identifier": {"system": "urn:dicom:uid", "value": f"urn:oid:{self.imaging_study_uid}"}}
            ],
            "authored": (self.signed_at or self.changed_at).isoformat(),
            "author": {"display": self.author},
            "item": items_to_fhir(self.template, self.items),
        }

    def digest(self) -> str:
        """SHA-256 of the canonical JSON of the response (RFC 8785)."""
        return hashlib.sha256(canonical_json(self.to_fhir())).hexdigest()


@dataclass(frozen=True)
class ReportVersion:
    """A signed state of a report; it never changes.

    Parameters
    ----------
    kind
        ``"signed"``, ``"amended"`` or ``"addendum"``.
    text
        Why it was amended, or what was added.
    response
        The QuestionnaireResponse.
    sha256
        Of the response; of an addendum over the version before and its text.
    sr_instance_uid
        The DICOM SR that holds it, empty while there is none.
    """

    report_id: str
    version: int
    kind: str
    text: str
    response: dict[str, Any]
    sha256: str
    pseudonym: str
    imaging_study_uid: str
    author: str
    signed_at: datetime
    sr_instance_uid: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form of a list."""
        return {
            "version": self.version,
            "kind": self.kind,
            "text": self.text,
            "sha256": self.sha256,
            "author": self.author,
            "signed_at": self.signed_at.isoformat(),
            "sr_instance": self.sr_instance_uid,
        }


def form_of(template: Template, language: str) -> dict[str, Any]:
    """Return what the form in the browser draws, in one language."""
    return {
        "canonical": template.canonical,
        "title": template.words.in_language(language),
        "version": template.version,
        "status": template.status,
        "items": [_form_item(item, language) for item in template.items],
    }


def _form_item(item: Item, language: str) -> dict[str, Any]:
    document: dict[str, Any] = {
        "linkId": item.link_id,
        "kind": item.kind,
        "text": item.words.in_language(language),
        "required": item.is_required,
        "repeats": item.repeats,
        "readOnly": item.is_read_only,
        "minimum": item.minimum,
        "maximum": item.maximum,
        "longest": item.longest,
        "unit": item.unit.display or item.unit.code if item.unit else "",
        "fromFinding": list(item.from_finding),
    }
    if item.options:
        document["options"] = [
            {
                "system": option.coding.system,
                "code": option.coding.code,
                "text": option.words.in_language(language),
                "normal": isinstance(item.normal, Coding) and item.normal.key == option.coding.key,
            }
            for option in item.options
        ]
    if item.items:
        document["items"] = [_form_item(child, language) for child in item.items]
    return document


@dataclass(frozen=True)
class ReportState:
    """A report with what its answers mean."""

    report: StoredReport
    hidden: frozenset[str]
    problems: tuple[Problem, ...]
    doubts: tuple[Problem, ...] = ()


def sources_of(items: Sequence[Answered]) -> set[str]:
    """Return the identifiers of the findings that answers were taken from."""
    own = {answer.finding_id for node in items for answer in node.answers if answer.finding_id}
    return own.union(*(sources_of(node.items) for node in items))

"""Words and rules of the FHIR facade: what can be searched, and how a search is written.  Pure."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar

from racoon.errors import Defect, Refused
from racoon.standards.fhir import versions
from racoon.standards.fhir.answers import TypeSupport

DEFAULT_PAGE = 50
LARGEST_PAGE = 500


class BadSearch(Refused):
    """A search that cannot be answered as it is written; silently ignoring a part of it would answer another."""

    code: ClassVar[str] = "fhir.bad_search"
    status: ClassVar[int] = 400


class NoSuchResource(Refused):
    """No such resource, or it may not be read; both answer the same, so that nobody can probe."""

    code: ClassVar[str] = "fhir.not_found"
    status: ClassVar[int] = 404


class NotConformant(Defect):
    """A resource that breaks its profile is not given out."""

    code: ClassVar[str] = "fhir.not_conformant"
    status: ClassVar[int] = 500


_SUBJECT = {"subject": "reference", "patient": "reference"}
_EVERYWHERE = {"_id": "token", "_lastUpdated": "date"}

TYPES: Mapping[str, TypeSupport] = {
    "Patient": TypeSupport(
        (versions.PSEUDONYMISED_PATIENT,), {**_EVERYWHERE, "identifier": "token", "gender": "token"}
    ),
    "ImagingStudy": TypeSupport(
        (versions.IMAGING_STUDY,),
        {**_EVERYWHERE, **_SUBJECT, "identifier": "token", "modality": "token", "started": "date"},
        ("ImagingStudy:subject", "ImagingStudy:patient", "ImagingStudy:performer", "ImagingStudy:basedon"),
    ),
    "Observation": TypeSupport(
        (versions.FINDING, versions.MEASUREMENT, versions.BODY_WEIGHT, versions.BODY_HEIGHT),
        {**_EVERYWHERE, **_SUBJECT, "code": "token", "derived-from": "reference"},
        ("Observation:subject", "Observation:patient", "Observation:derived-from"),
    ),
    "DiagnosticReport": TypeSupport(
        (versions.REPORT,),
        {"_id": "token", **_SUBJECT},
        ("DiagnosticReport:subject", "DiagnosticReport:patient", "DiagnosticReport:result"),
    ),
    "ServiceRequest": TypeSupport(
        (versions.ORDER,),
        {**_EVERYWHERE, **_SUBJECT, "code": "token"},
        ("ServiceRequest:subject", "ServiceRequest:patient"),
    ),
    "Procedure": TypeSupport(
        (versions.IMAGING_PROCEDURE, versions.READING_PROCEDURE),
        {**_EVERYWHERE, **_SUBJECT, "code": "token"},
        ("Procedure:subject", "Procedure:patient", "Procedure:based-on"),
    ),
    "MedicationAdministration": TypeSupport(
        (versions.CONTRAST,),
        {**_EVERYWHERE, **_SUBJECT},
        ("MedicationAdministration:subject", "MedicationAdministration:patient"),
    ),
    "BodyStructure": TypeSupport((versions.BODY_STRUCTURE,), {"_id": "token", "patient": "reference"}),
    "CarePlan": TypeSupport(
        (versions.RECOMMENDATION,), {"_id": "token", **_SUBJECT}, ("CarePlan:subject", "CarePlan:patient")
    ),
    "QuestionnaireResponse": TypeSupport(
        (), {"_id": "token", **_SUBJECT}, ("QuestionnaireResponse:subject", "QuestionnaireResponse:patient")
    ),
    "Composition": TypeSupport(
        (versions.COMPOSITION,),
        {"_id": "token", **_SUBJECT},
        ("Composition:subject", "Composition:patient", "Composition:entry"),
    ),
    "Consent": TypeSupport((versions.CONSENT,), {"_id": "token", "patient": "reference"}),
    "AuditEvent": TypeSupport(
        tuple(
            f"{versions.BALP}/IHE.BasicAudit.{name}"
            for name in ("PatientRead", "Read", "Query", "PrivacyDisclosure.Source")
        ),
        {"_id": "token", "date": "date", "patient": "reference"},
    ),
    "Device": TypeSupport((versions.DEVICE,), {"_id": "token", "manufacturer": "string"}),
    "Provenance": TypeSupport((), {"_id": "token", "target": "reference"}, ("Provenance:target",)),
    "ResearchStudy": TypeSupport((versions.STUDY,), {"_id": "token", "identifier": "token"}),
    "ResearchSubject": TypeSupport(
        (),
        {"_id": "token", "study": "reference", "individual": "reference", "patient": "reference"},
        ("ResearchSubject:individual", "ResearchSubject:study"),
    ),
}
"""What the facade gives, with the search parameters a data integration centre needs."""

ACTION_OF_TYPE: Mapping[str, str] = {
    "Patient": "archive.read",
    "ImagingStudy": "archive.read",
    "Device": "archive.read",
    "Observation": "measurement.read",
    "DiagnosticReport": "measurement.read",
    "Provenance": "measurement.read",
    "ServiceRequest": "archive.read",
    "Procedure": "archive.read",
    "MedicationAdministration": "archive.read",
    "BodyStructure": "measurement.read",
    "CarePlan": "report.read",
    "QuestionnaireResponse": "report.read",
    "Composition": "report.read",
    "Consent": "consent.read",
    "AuditEvent": "audit.read",
    "ResearchStudy": "study.read",
    "ResearchSubject": "dataset.read",
}
"""The action each type needs: the same that the DICOMweb, value and study routes ask for."""

DIZ_ACTION = "fhir.read"
"""Of the data integration centre: it reads the site's core data set over FHIR, and none of the pages behind it."""

TYPES_OF_DIZ = frozenset(ACTION_OF_TYPE) - {"AuditEvent"}
"""What it reads with that action; the audit has an access role of its own."""

INCLUDED: Mapping[str, tuple[str, ...]] = {
    "ImagingStudy:subject": ("subject",),
    "ImagingStudy:patient": ("subject",),
    "ImagingStudy:basedon": ("basedOn",),
    "ImagingStudy:performer": ("series", "performer", "actor"),
    "Observation:subject": ("subject",),
    "Observation:patient": ("subject",),
    "Observation:derived-from": ("derivedFrom",),
    "DiagnosticReport:subject": ("subject",),
    "DiagnosticReport:patient": ("subject",),
    "DiagnosticReport:result": ("result",),
    "Provenance:target": ("target",),
    "ServiceRequest:subject": ("subject",),
    "ServiceRequest:patient": ("subject",),
    "Procedure:subject": ("subject",),
    "Procedure:patient": ("subject",),
    "Procedure:based-on": ("basedOn",),
    "MedicationAdministration:subject": ("subject",),
    "MedicationAdministration:patient": ("subject",),
    "CarePlan:subject": ("subject",),
    "CarePlan:patient": ("subject",),
    "QuestionnaireResponse:subject": ("subject",),
    "QuestionnaireResponse:patient": ("subject",),
    "Composition:subject": ("subject",),
    "Composition:patient": ("subject",),
    "Composition:entry": ("section", "entry"),
    "ResearchSubject:individual": ("individual",),
    "ResearchSubject:study": ("study",),
}
"""Where the references that an ``_include`` follows stand."""


@dataclass(frozen=True)
class Search:
    """One search, understood.

    Parameters
    ----------
    kind
        Type of resource.
    given
        Parameters as given, for the ``self`` link.
    values
        Parameter to its alternatives.
    day_from, day_to
        Range of ``started``, ``YYYYMMDD``, inclusive; empty for open.
    updated_from, updated_to
        Range of ``_lastUpdated``; from inclusive, to exclusive.
    includes
        References to follow.
    count
        Resources a page.
    is_count_only
        ``_summary=count``: only the number is wanted.
    after
        Where the page goes on.
    seen_by
        Name of the user who asks; what is hidden from this user is left out.
    with_reports
        Whether what is made of signed reports is given: never to readers, who might still be blinded to them.
    """

    kind: str
    given: tuple[tuple[str, str], ...] = ()
    values: Mapping[str, frozenset[str]] = field(default_factory=dict)
    day_from: str = ""
    day_to: str = ""
    updated_from: datetime | None = None
    updated_to: datetime | None = None
    includes: tuple[str, ...] = ()
    count: int = DEFAULT_PAGE
    is_count_only: bool = False
    after: int = 0
    seen_by: str = ""
    with_reports: bool = False

    def wanted(self, *names: str) -> frozenset[str] | None:
        """Return the values that satisfy every one of some parameters that was given; None for no restriction."""
        found = [self.values[name] for name in names if name in self.values]
        return frozenset.intersection(*found) if found else None


def parse_search(kind: str, parameters: Iterable[tuple[str, str]]) -> Search:
    """Understand a search.

    Parameters
    ----------
    kind
        A key of :data:`TYPES`.
    parameters
        Query parameters in their order.

    Raises
    ------
    BadSearch
        For a parameter, modifier or value that is not supported; the sentence lists what is.
    """
    if kind not in TYPES:
        raise NoSuchResource("This server has no resources of this type. Its metadata list what it has.")
    given = [(name, value) for name, value in parameters if name != "_format"]
    tokens = [value for name, value in given if name == "_page"]
    if tokens:
        if len(given) != 1:
            raise BadSearch("A link to a further page is used as it was given, without other parameters.")
        return _from_token(kind, tokens[0])
    return _understand(kind, given)


def _understand(kind: str, given: list[tuple[str, str]]) -> Search:
    search = Search(kind, tuple(given))
    values: dict[str, frozenset[str]] = {}
    for name, text in given:
        if name == "_count":
            search = replace(search, count=_count(text))
        elif name == "_summary":
            if text not in ("count", "false"):
                raise BadSearch("Of _summary this server knows 'count' and 'false'.")
            search = replace(search, is_count_only=text == "count")
        elif name == "_include":
            if text not in TYPES[kind].includes:
                allowed = ", ".join(TYPES[kind].includes) or "nothing"
                raise BadSearch(f"_include takes here: {allowed}.")
            search = replace(search, includes=(*search.includes, text))
        elif name in TYPES[kind].parameters:
            found = _values(TYPES[kind].parameters[name], text)
            if name == "started":
                search = _narrow_days(search, text)
            elif name in ("_lastUpdated", "date"):
                search = _narrow_updated(search, text)
            else:
                values[name] = values[name] & found if name in values else found
        else:
            allowed = ", ".join([*TYPES[kind].parameters, "_count", "_include", "_summary"])
            raise BadSearch(f"A search parameter is not supported. {kind} takes: {allowed}.")
    return replace(search, values=values)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        raise BadSearch("_count is a whole number.")
    return max(0, min(int(text), LARGEST_PAGE))


def _values(kind: str, text: str) -> frozenset[str]:
    """Alternatives of a value; of tokens the code, of references the id."""
    found = set()
    for item in re.split(r"(?<!\\),", text):
        plain = item.replace("\\,", ",")
        if kind == "token":
            plain = plain.rpartition("|")[2]
        elif kind == "reference":
            plain = plain.rpartition("/")[2]
        if plain:
            found.add(plain.removeprefix("urn:oid:"))
    return frozenset(found)


_DATE = re.compile(r"(eq|ge|le|gt|lt|sa|eb)?(\d{4})(?:-(\d{2}))?(?:-(\d{2}))?(T.*)?")


def _day_range(text: str) -> tuple[str, date, date, str]:
    """Split a date parameter: prefix, first and last day it stands for, and its time."""
    match = _DATE.fullmatch(text)
    if match is None:
        raise BadSearch("A date is written as 2024, 2024-01, 2024-01-31, with eq, ge, gt, le or lt in front.")
    year, month, day = int(match[2]), int(match[3] or 1), int(match[4] or 1)
    try:
        first = date(year, month, day)
        if match[4]:
            last = first
        elif match[3]:
            last = (first.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
        else:
            last = date(year, 12, 31)
    except (ValueError, OverflowError) as error:
        raise BadSearch("This date is in no calendar.") from error
    return match[1] or "eq", first, last, match[5] or ""


def _narrow_days(search: Search, text: str) -> Search:
    prefix, first, last, clock = _day_range(text)
    if clock:
        raise BadSearch("started is searched by day: dates here are shifted by whole days.")
    low = {"eq": first, "ge": first, "gt": last + timedelta(days=1), "sa": last + timedelta(days=1)}.get(
        prefix
    )
    high = {"eq": last, "le": last, "lt": first - timedelta(days=1), "eb": first - timedelta(days=1)}.get(
        prefix
    )
    day_from = max(search.day_from, low.strftime("%Y%m%d")) if low else search.day_from
    day_to = high.strftime("%Y%m%d") if high else ""
    if search.day_to and (not day_to or search.day_to < day_to):
        day_to = search.day_to
    return replace(search, day_from=day_from, day_to=day_to)


def _narrow_updated(search: Search, text: str) -> Search:
    prefix, first, last, clock = _day_range(text)
    if clock:
        moment = _moment(text.removeprefix(prefix))
        begin, end = moment, moment + timedelta(milliseconds=1)
    else:
        begin = datetime(first.year, first.month, first.day, tzinfo=UTC)
        end = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)
    low = {"eq": begin, "ge": begin, "gt": end, "sa": end}.get(prefix)
    high = {"eq": end, "le": end, "lt": begin, "eb": begin}.get(prefix)
    lows = [item for item in (search.updated_from, low) if item]
    highs = [item for item in (search.updated_to, high) if item]
    return replace(search, updated_from=max(lows) if lows else None, updated_to=min(highs) if highs else None)


def _moment(text: str) -> datetime:
    try:
        # A plus sign in an address arrives as a space.
        found = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError as error:
        raise BadSearch("A time is written as 2024-01-31T10:15:00Z.") from error
    if found.tzinfo is None:
        raise BadSearch("A time needs its time zone, for example Z.")
    return found


def page_token(search: Search, after: int) -> str:
    """Write where the next page begins as one opaque word."""
    document = {"p": [list(pair) for pair in search.given], "a": after}
    return base64.urlsafe_b64encode(json.dumps(document, separators=(",", ":")).encode()).decode().rstrip("=")


def _from_token(kind: str, token: str) -> Search:
    try:
        document: Any = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        given = [(str(name), str(value)) for name, value in document["p"]]
        after = int(document["a"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadSearch("This link to a further page is not one of ours. Search again.") from error
    if any(name == "_page" for name, _ in given):
        raise BadSearch("This link to a further page is not one of ours. Search again.")
    return replace(_understand(kind, given), after=after)

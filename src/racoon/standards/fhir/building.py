"""Small builders of FHIR data types; an empty part is left out, because FHIR knows no empty values."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, tzinfo
from typing import Any

Resource = dict[str, Any]
"""A FHIR resource or a part of one, as JSON."""

UCUM = "http://unitsofmeasure.org"
SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
URI = "urn:ietf:rfc:3986"
DICOM_UID = "urn:dicom:uid"

ID_PATTERN = re.compile(r"[A-Za-z0-9\-.]{1,64}")
"""What a resource id may look like (R4, data type id); DICOM UIDs and our pseudonyms fit."""


def filled(document: Mapping[str, Any]) -> Resource:
    """Return a resource without its empty parts."""
    return {name: value for name, value in document.items() if value not in (None, "", [], {})}


def resource_id(*parts: str) -> str:
    """Make a resource id from a name, or a hash of it where the name does not fit the data type."""
    text = "-".join(parts)
    if ID_PATTERN.fullmatch(text):
        return text
    return f"h-{hashlib.sha256(text.encode()).hexdigest()[:40]}"


def coding(system: str, code: str, display: str = "", *, version: str = "") -> Resource:
    """Build a Coding."""
    return filled({"system": system, "version": version, "code": code, "display": display})


def concept(*codings: Resource, text: str = "") -> Resource:
    """Build a CodeableConcept."""
    return filled({"coding": list(codings), "text": text})


def quantity(value: float, unit: str, code: str) -> Resource:
    """Build a Quantity in UCUM: never a number without system and code."""
    number: float | int = int(value) if float(value).is_integer() and abs(value) < 2**53 else float(value)
    return {"value": number, "unit": unit, "system": UCUM, "code": code}


def reference(kind: str, identity: str) -> Resource:
    """Build a relative reference."""
    return {"reference": f"{kind}/{identity}"}


def identifier(system: str, value: str, kind: Resource | None = None) -> Resource:
    """Build an Identifier; ``kind`` is the coding of its type."""
    return filled({"type": concept(kind) if kind else None, "system": system, "value": value})


def uid_identifier(uid: str) -> Resource:
    """Build the identifier of a DICOM UID (R4, ImagingStudy notes: ``urn:oid:`` in the value)."""
    return identifier(DICOM_UID, f"urn:oid:{uid}")


def extension(url: str, **value: Any) -> Resource:
    """Build an extension with one value, e.g. ``extension(url, valueString="B30f")``."""
    if len(value) != 1:
        raise ValueError("an extension has exactly one value")
    return {"url": url, **value}


def complex_extension(url: str, parts: Iterable[Resource]) -> Resource | None:
    """Build an extension of extensions; None when there is no part."""
    found = list(parts)
    return {"url": url, "extension": found} if found else None


def fhir_date(text: str) -> str:
    """Turn a DICOM date into a FHIR date; empty when it is none."""
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:8])).isoformat() if len(text) == 8 else ""
    except ValueError:
        return ""


_TIME = re.compile(r"(\d{2}):?(\d{2}):?(\d{2})?(?:\.(\d{1,6}))?")


def fhir_datetime(day: str, clock: str, zone: tzinfo) -> str:
    """Turn a DICOM date and time into a FHIR dateTime.

    Parameters
    ----------
    day, clock
        ``YYYYMMDD`` and ``HHMMSS.ffffff``; the time may be missing, then only the date is said.
    zone
        Time zone of the site: DICOM mostly names none, FHIR needs one beside a time.
    """
    said = fhir_date(day)
    match = _TIME.fullmatch(clock.strip())
    if not said or match is None:
        return said
    try:
        then = time(int(match[1]), int(match[2]), min(int(match[3] or 0), 59))
    except ValueError:
        return said
    return datetime.combine(date.fromisoformat(said), then, zone).isoformat()


def fhir_instant(moment: datetime) -> str:
    """Turn an aware time into a FHIR instant, in UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def metadata(profile: str, *, source: str = "", updated: datetime | None = None) -> Resource:
    """Build ``meta`` as every MII profile wants it: source and profile."""
    return filled(
        {
            "lastUpdated": fhir_instant(updated) if updated else None,
            "source": source,
            "profile": [profile] if profile else None,
        }
    )

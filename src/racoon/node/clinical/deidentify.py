"""Takes everything out of a clinical resource that could name a person; what is not on the list does not pass.

Structure, codes of public code systems, numbers, booleans and references stay; dates are shifted as those of the
patient's images; ids and local codes become tokens; names, numbers of people, addresses, free text and everything
unknown are left behind and counted.  Pure: who is who is asked through :class:`Names`.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Protocol

from racoon.node.clinical.passing import (
    PLAIN_CODE,
    is_known_url,
    is_name,
    is_profile,
    is_public_code,
    is_public_system,
    is_ucum,
    is_version,
)
from racoon.standards.fhir.acquisition import is_kernel
from racoon.standards.fhir.building import Resource
from racoon.standards.fhir.rules.base import ELEMENTS

LEFT_BEHIND = frozenset(
    {
        "text", "note", "name", "telecom", "photo", "contact", "contained", "display", "line", "city", "district",
        "state", "data", "attachment", "signature", "title", "comment", "description", "conclusion",
        "implicitRules", "language", "versionId", "security", "tag", "source", "performer", "recorder", "asserter",
        "requester", "author", "informationSource", "participant", "generalPractitioner", "managingOrganization",
        "serviceProvider", "organization", "assigner", "serialNumber", "lotNumber", "udiCarrier", "valueString",
        "valueMarkdown", "valueBase64Binary", "patientInstruction", "link", "location", "resultsInterpreter",
        "interpreter", "referrer", "endpoint", "policyRule", "verification", "alias",
    }
)  # fmt: skip
"""Elements that hold names, free text or people of the hospital: never taken."""

_PERIOD_UNITS = frozenset({"s", "min", "h", "d", "wk", "mo", "a"})
_TIMES_OF_DAY = frozenset(
    {
        "MORN",
        "AFT",
        "EVE",
        "NIGHT",
        "CM",
        "CD",
        "CV",
        "ACM",
        "ACD",
        "ACV",
        "PCM",
        "PCD",
        "PCV",
        "HS",
        "WAKE",
        "C",
        "AC",
        "PC",
    }
)
_CODE_ELEMENTS = frozenset(
    {"status", "intent", "use", "mode", "gender", "priority", "kind", "comparator", "type", "valueCode"}
)
_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2})(.*)?)?)?")
_CLOCK = re.compile(r"T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})?")
DATE_ELEMENTS = frozenset(
    {
        "start", "end", "authoredOn", "recordedDate", "issued", "recorded", "dateTime", "date", "dateAsserted",
        "started", "timestamp", "authored", "created", "lastUpdated", "valueDate", "event", "manufactureDate",
        "expirationDate",
    }
)  # fmt: skip
_YEAR_ONLY = frozenset({"birthDate"})
_UID_ELEMENTS = frozenset({"uid", "valueId"})
"""``valueId`` stands in the imaging module's two extensions only: series and instance of a finding."""

REFERENCE = re.compile(
    r"(?:https?://\S+/)?([A-Z][A-Za-z]{1,39})/([A-Za-z0-9\-._]{1,128})(?:/_history/\S+)?|(urn:uuid:[0-9a-fA-F\-]{36})"
)
"""Tolerant of ids with underscores, which published examples have."""

KNOWN_TYPES = frozenset(ELEMENTS) | {
    "BodyStructure", "CarePlan", "Composition", "DeviceMetric", "DocumentReference", "EpisodeOfCare",
    "FamilyMemberHistory", "List", "Location", "Medication", "Organization", "Practitioner", "PractitionerRole",
    "QuestionnaireResponse", "RiskAssessment", "Specimen", "Substance", "Task", "MolecularSequence", "Group",
    "RelatedPerson", "Questionnaire", "Endpoint", "Appointment", "Account", "Coverage", "Goal", "Immunization",
    "AllergyIntolerance", "ClinicalImpression", "MedicationDispense", "Media", "Flag", "EvidenceVariable",
}  # fmt: skip


class Names(Protocol):
    """What the de-identification asks of the room that knows who is who, for one patient."""

    @property
    def shift_days(self) -> int:
        """Days by which the patient's dates move."""

    @property
    def oldest_birth_year(self) -> int:
        """Earlier years of birth are left behind."""

    def subject(self) -> str:
        """Pseudonym of the patient."""

    def token(self, text: str) -> str:
        """Stable short token of an id or a local code."""

    def uid(self, text: str) -> str:
        """Replacement of a DICOM UID, the same that the images have."""


@dataclass
class Losses:
    """What was left behind or changed, counted by element; never what stood there."""

    left: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)


def deidentify(resource: Resource, names: Names, losses: Losses, *, shift: bool = True) -> Resource:
    """Return a resource without anything that could name a person.

    Parameters
    ----------
    resource
        As it came.
    names
        For the patient it belongs to.
    losses
        Counts what was left behind.
    shift
        False keeps dates: consents are law, and their days are compared with the calendar.

    Returns
    -------
    dict
        With ``resourceType``, a tokenised ``id`` and everything the list lets pass.
    """
    kind = str(resource["resourceType"])
    worker = _Worker(kind, names, losses, shift)
    identity = resource.get("id")
    made: Resource = {"resourceType": kind}
    if kind == "Patient":
        made["id"] = names.subject()
    elif isinstance(identity, str):
        made["id"] = names.token(f"{kind}/{identity}")
    content = {
        name: value for name, value in resource.items() if name not in ("resourceType", "id", "identifier")
    }
    if "identifier" in resource and kind != "ImagingStudy":
        losses.left["identifier"] += 1
    elif "identifier" in resource:
        made |= worker.uid_identifiers(resource["identifier"])
    if kind == "Patient":
        address = worker.address(content.pop("address", None))
        made |= {"address": address} if address else {}
    cleaned = worker.clean(content, kind)
    return made | (cleaned if isinstance(cleaned, dict) else {})


@dataclass
class _Worker:
    kind: str
    names: Names
    losses: Losses
    shift: bool

    def clean(self, value: Any, element: str) -> Any:
        """Return what may stay of a value; None when nothing does."""
        if isinstance(value, str):
            return self._text(element, value)
        if isinstance(value, dict):
            return self._object(value)
        if isinstance(value, list):
            items = [self.clean(item, element) for item in value]
            return [item for item in items if item is not None] or None
        return value if isinstance(value, bool | int | float) else None

    def _object(self, value: Resource) -> Resource | None:
        url = value.get("url")
        if url is not None and not (isinstance(url, str) and is_known_url(url)):
            self.losses.left["extension"] += 1
            return None
        made: Resource = {}
        for name, content in value.items():
            if name.startswith("_") and isinstance(content, dict) and "extension" in content:
                made |= self._beside(name, content)
                continue
            if url == "convolutionalKernel" and name == "valueString" and is_kernel(content):
                made[name] = content
                continue
            if (name in LEFT_BEHIND and not self._is_coded_place(name)) or not is_name(name):
                self.losses.left[_shown(name)] += 1
                continue
            kept = self._element(name, content, value)
            if kept is not None:
                made[name] = kept
        # An extension whose value was left behind says nothing any more.
        return made if set(made) - {"url"} else None

    def _element(self, name: str, content: Any, value: Resource) -> Any:
        if name == "code" and isinstance(content, str):
            return self._code(value.get("system"), content)
        if name == "system":
            return self._system(content)
        if name == "reference" and isinstance(content, str):
            return self._reference(content)
        if name == "identifier":
            self.losses.left["identifier"] += 1
            return None
        if name == "unit" and "code" in value:
            # Words of a unit may be anything; the UCUM code beside them says the same.
            return None
        return self.clean(content, name)

    def _beside(self, name: str, content: Resource) -> Resource:
        """What is said of a simple element stands beside it, such as where a date comes from."""
        is_known = is_name(name[1:]) and name[1:] not in LEFT_BEHIND
        if not is_known or not isinstance(content["extension"], list):
            self.losses.left["extension"] += 1
            return {}
        kept = self._object({"extension": content["extension"]})
        return {name: kept} if kept else {}

    def _is_coded_place(self, name: str) -> bool:
        return name == "location" and self.kind == "BodyStructure"

    def _text(self, element: str, text: str) -> str | None:
        if element in _YEAR_ONLY:
            # The oldest are few enough to be recognised.
            is_kept = re.fullmatch(r"\d{4}(-.*)?", text) and int(text[:4]) >= self.names.oldest_birth_year
            if not is_kept:
                self.losses.left[element] += 1
            return text[:4] if is_kept else None
        if element in DATE_ELEMENTS or element.endswith("DateTime"):
            return self._date(text)
        if element in _UID_ELEMENTS:
            return self.names.uid(text.removeprefix("urn:oid:"))
        if element == "url":
            return text
        if element == "uri":
            return (
                text
                if re.fullmatch(r"urn:oid:2\.16\.840\.1\.113883\.3\.1937(\.\d{1,6}){1,8}", text)
                else None
            )
        if element in ("linkId", "questionnaire"):
            return text if PLAIN_CODE.fullmatch(text) else self.names.token(f"{element}/{text}")
        if element == "profile":
            return text if is_profile(text) else None
        is_code = (
            (element in _CODE_ELEMENTS and PLAIN_CODE.fullmatch(text))
            or (element == "version" and is_version(text))
            or (element == "unit" and is_ucum(text))
            or (element == "comparator" and text in ("<", "<=", ">=", ">"))
            or (element in ("periodUnit", "durationUnit") and text in _PERIOD_UNITS)
            or (element == "when" and text in _TIMES_OF_DAY)
            or (element == "country" and re.fullmatch(r"[A-Z]{2,3}", text))
        )
        if is_code:
            return text
        self.losses.left[_shown(element)] += 1
        return None

    def _code(self, system: Any, text: str) -> str:
        if isinstance(system, str) and is_public_code(system, text):
            return text
        self.losses.tokens["code"] += 1
        return self.names.token(f"code/{system}/{text}")

    def _system(self, system: Any) -> str | None:
        if not isinstance(system, str):
            return None
        if is_public_system(system):
            return system
        self.losses.tokens["system"] += 1
        return f"urn:racoon:local:{self.names.token(f'system/{system}')}"

    def _reference(self, text: str) -> str | None:
        match = REFERENCE.fullmatch(text)
        if match is None or (match[1] and match[1] not in KNOWN_TYPES):
            self.losses.left["reference"] += 1
            return None
        if match[1] == "Patient":
            return f"Patient/{self.names.subject()}"
        kind, identity = (match[1], match[2]) if match[1] else ("Resource", match[3])
        return f"{kind}/{self.names.token(f'{kind}/{identity}')}"

    def _date(self, text: str) -> str | None:
        match = _DATE.fullmatch(text)
        if match is None or (match[4] and not _CLOCK.fullmatch(match[4])):
            self.losses.left["date"] += 1
            return None
        if not match[3]:
            # A month or a year is not moved by days; it is coarse enough as it is.
            return text
        if self.shift and not self.names.subject():
            # What is of nobody, such as a medicine, has no shift: of its days the months stay.
            self.losses.left["date"] += 1
            return None if match[4] else text[:7]
        try:
            day = date(int(match[1]), int(match[2]), int(match[3]))
            moved = day + timedelta(days=self.names.shift_days if self.shift else 0)
        except (ValueError, OverflowError):
            self.losses.left["date"] += 1
            return None
        return f"{moved.isoformat()}{match[4] or ''}"

    def address(self, found: Any) -> list[Resource]:
        """Two digits of the postal code and the country."""
        kept: list[Resource] = []
        for item in found if isinstance(found, list) else []:
            if isinstance(item, dict) and set(item) == {"extension"}:
                # Nothing but the word that there is no address any more.
                made = self._object(item)
                kept += [made] if made else []
                continue
            code, country = (
                (item.get("postalCode"), item.get("country")) if isinstance(item, dict) else (None, None)
            )
            self.losses.left["address"] += 1
            if isinstance(code, str) and re.fullmatch(r"\d{5}", code) and country in ("DE", "DEU"):
                kept.append({"postalCode": code[:2], "country": country})
        return kept[:1]

    def uid_identifiers(self, found: Any) -> Resource:
        """Replace the study's UID as the images have it; every other number is left behind."""
        kept = []
        for item in found if isinstance(found, list) else []:
            value = item.get("value") if isinstance(item, dict) else None
            if isinstance(value, str) and item.get("system") == "urn:dicom:uid":
                replaced = self.names.uid(value.removeprefix("urn:oid:"))
                kept.append({"system": "urn:dicom:uid", "value": f"urn:oid:{replaced}"})
            else:
                self.losses.left["identifier"] += 1
        return {"identifier": kept} if kept else {}


def _shown(name: str) -> str:
    """Names of elements are counted by name only when they look like one."""
    return name if re.fullmatch(r"_?[a-z][A-Za-z]{0,39}", name) else "?"

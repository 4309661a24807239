"""Takes everything out of a clinical resource that could name a person; what is not on the list does not pass.

Structure, codes of public code systems, numbers, booleans and references stay; dates are shifted as those of the
patient's images; ids and local codes become tokens; names, numbers of people, addresses, free text and everything
unknown are left behind and counted.  Pure: who is who is asked through :class:`Names`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Protocol

from racoon.standards.fhir.building import UCUM, Resource
from racoon.standards.fhir.rules.base import ELEMENTS
from racoon.standards.fhir.rules.extensions import EXTENSIONS

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

CODE_SYSTEMS: Mapping[str, str] = {
    "http://snomed.info/sct": r"[1-9]\d{5,17}",
    "http://loinc.org": r"(LA|LP)?\d{1,7}-\d",
    "http://fhir.de/CodeSystem/bfarm/icd-10-gm": r"[A-Z]\d{2}(\.[\d-]{1,3})?[†*!+]?",
    "http://hl7.org/fhir/sid/icd-10": r"[A-Z]\d{2}(\.[\d-]{1,3})?[†*!+]?",
    "http://fhir.de/CodeSystem/bfarm/alpha-id": r"[A-Z]\d{1,6}",
    "http://fhir.de/CodeSystem/bfarm/ops": r"\d-[0-9a-z]{2,3}(\.[0-9a-z]{1,2})?",
    "http://fhir.de/CodeSystem/bfarm/atc": r"[A-Z](\d{2}([A-Z]([A-Z](\d{2})?)?)?)?",
    "http://www.whocc.no/atc": r"[A-Z](\d{2}([A-Z]([A-Z](\d{2})?)?)?)?",
    "http://fhir.de/CodeSystem/ask": r"\d{5}",
    "http://fhir.de/CodeSystem/ifa/pzn": r"\d{7,8}",
    "http://fdasis.nlm.nih.gov": r"[0-9A-Z]{10}",
    "http://terminology.hl7.org/CodeSystem/CAS": r"\d{2,7}-\d{2}-\d",
    "urn:oid:2.16.840.1.113883.6.61": r"\d{2,7}-\d{2}-\d",
    "urn:ietf:rfc:3986": r"urn:oid:1\.2\.840\.10008(\.\d{1,3}){2,9}",
    "http://standardterms.edqm.eu": r"\d{8}",
    "http://dicom.nema.org/resources/ontology/DCM": r"[0-9A-Z_]{2,16}",
    "urn:iso:std:iso:11073:10101": r"\d{1,8}",
    "urn:oid:2.16.840.1.113883.3.1937.777.24.5.3": r"2\.16\.840\.1\.113883\.3\.1937\.777\.24\.5\.3\.\d{1,4}",
    "http://www.orpha.net": r"(ORPHA:?)?\d{1,6}",
}
"""Catalogues whose codes stay, and what their codes look like; a code that does not is treated as a local one."""

PUBLIC_SYSTEMS = re.compile(
    r"(?!.*/[^/]*\d{5})(http://terminology\.hl7\.org/CodeSystem/|http://hl7\.org/fhir/|http://fhir\.de/CodeSystem/"
    r"|https://fhir\.kbv\.de/CodeSystem/|https://www\.medizininformatik-initiative\.de/fhir/"
    r"|http://ihe-d\.de/CodeSystems/|http://fhir\.de/sid/destatis/|urn:oid:2\.16\.840\.1\.113883\.6\.)[A-Za-z0-9/_.\-]{0,120}"
)
"""Where the short code lists of HL7 and the German base profiles live."""

_LIST_CODE = re.compile(
    r"[A-Za-z†*!][A-Za-z_\-]{0,39}|\d{1,4}|[A-Z]{1,3}\d{1,3}(\.\d{1,2})?|2(\.\d{1,10}){5,14}"
)
_PLAIN_CODE = re.compile(r"[a-z][a-z\-]{0,39}")
_PROFILE_URL = re.compile(
    r"(?!.*\d{5})https?://(hl7\.org/fhir|fhir\.de|fhir\.kbv\.de|www\.medizininformatik-initiative\.de/fhir)"
    r"/[A-Za-z0-9/_.\-]{1,150}(\|[\d.]{1,12})?"
)
_PARTS = frozenset(name for table in EXTENSIONS.values() for name in table.parts) | {
    "ErsteUndZweiteStelle", "DritteStelle", "VierteStelle", "domain", "status",
}  # fmt: skip
"""Names of the parts of complex extensions; a part of another name is left behind."""

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
        "started", "timestamp", "lastUpdated", "valueDate", "event", "manufactureDate", "expirationDate",
    }
)  # fmt: skip
_YEAR_ONLY = frozenset({"birthDate"})
_UID_ELEMENTS = frozenset({"uid"})
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

_NAME = re.compile(r"[a-z][A-Za-z]{0,39}")


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
        if isinstance(value, dict):
            return self._object(value)
        if isinstance(value, list):
            items = [self.clean(item, element) for item in value]
            return [item for item in items if item is not None] or None
        if isinstance(value, bool | int | float):
            return value
        return self._text(element, value) if isinstance(value, str) else None

    def _object(self, value: Resource) -> Resource | None:
        url = value.get("url")
        if url is not None and not (isinstance(url, str) and (url in _PARTS or _PROFILE_URL.fullmatch(url))):
            self.losses.left["extension"] += 1
            return None
        made: Resource = {}
        for name, content in value.items():
            if (name in LEFT_BEHIND and not self._is_coded_place(name)) or not _NAME.fullmatch(name):
                self.losses.left[_shown(name)] += 1
                continue
            if name == "code" and isinstance(content, str):
                kept: Any = self._code(value.get("system"), content)
            elif name == "system":
                kept = self._system(content)
            elif name == "reference" and isinstance(content, str):
                kept = self._reference(content)
            elif name == "identifier":
                self.losses.left["identifier"] += 1
                continue
            elif name == "unit" and "code" in value:
                # Words of a unit may be anything; the UCUM code beside them says the same.
                continue
            else:
                kept = self.clean(content, name)
            if kept is not None:
                made[name] = kept
        # An extension whose value was left behind says nothing any more.
        return made if set(made) - {"url"} else None

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
        if element == "profile":
            return text if _PROFILE_URL.fullmatch(text) else None
        is_code = (
            (element in _CODE_ELEMENTS and _PLAIN_CODE.fullmatch(text))
            or (element == "version" and re.fullmatch(r"20\d{2}(\.\d{1,2})*|20\d{2}[01]\d[0-3]\d", text))
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
        pattern = CODE_SYSTEMS.get(system) if isinstance(system, str) else None
        if system == UCUM:
            known = is_ucum(text)
        elif pattern is not None:
            known = re.fullmatch(pattern, text) is not None
        else:
            known = bool(
                isinstance(system, str) and PUBLIC_SYSTEMS.fullmatch(system) and _LIST_CODE.fullmatch(text)
            )
        if known:
            return text
        self.losses.tokens["code"] += 1
        return self.names.token(f"code/{system}/{text}")

    def _system(self, system: Any) -> str | None:
        if not isinstance(system, str):
            return None
        if system in CODE_SYSTEMS or system == UCUM or PUBLIC_SYSTEMS.fullmatch(system):
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
        try:
            day = date(int(match[1]), int(match[2]), int(match[3]))
            moved = day + timedelta(days=self.names.shift_days if self.shift else 0)
        except (ValueError, OverflowError):
            self.losses.left["date"] += 1
            return None
        return f"{moved.isoformat()}{match[4] or ''}"

    def address(self, found: Any) -> list[Resource]:
        """Two digits of the postal code and the country."""
        kept = []
        for item in found if isinstance(found, list) else []:
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


_ATOMS = (
    r"(10\*|10\^|%|\[ppth\]|\[ppm\]|\[pH\]|\[[iI]U\]|\[arb'U\]|\[CFU\]|\[Ch\]|\[drp\]|\[in_i\]|\[lb_av\]|\[degF\]"
    r"|[YZEPTGMkhdcmunpfa]?(m\[Hg\]|m\[H2O\]|osm|mol|kat|cal|eq|rad|bar|Cel|Ohm|Sv|Gy|Bq|Hz|Pa|Wb|lm|lx|eV|m|s|g|L|l"
    r"|U|V|A|J|N|W|T|F|C|K|H|S|B|t)|da?|deg|a|mo|wk|d|h|min|1)"
)
_UCUM = re.compile(
    rf"(?!.{{25}})/?({_ATOMS}|\d{{1,4}})(-?\d)?(\{{(counts|score|cells|ratio|titer)\}})?"
    rf"([./]({_ATOMS}|\d{{1,4}})(-?\d)?)*|\{{(counts|score|cells|ratio|titer|INR)\}}"
)


def is_ucum(text: str) -> bool:
    """Tell whether a text is a unit of UCUM; a subset that is large enough for medicine and has no room for words."""
    return _UCUM.fullmatch(text) is not None


def _shown(name: str) -> str:
    """Names of elements are counted by name only when they look like one."""
    return name if re.fullmatch(r"_?[a-z][A-Za-z]{0,39}", name) else "?"

"""What may pass an import: codes of public catalogues, names of elements, addresses of profiles, units.  Pure.

A list of what passes, never of what is stopped: whatever is not recognised here becomes a token or is left behind.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from racoon.domain.questionnaire.answers import AUTOMATION
from racoon.standards.fhir.building import UCUM
from racoon.standards.fhir.findings import BIOMARKERS, METHODS
from racoon.standards.fhir.rules.extensions import EXTENSIONS

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
    BIOMARKERS: r"(?!.*\d{5})[a-z][a-z0-9_\-.]{0,60}",
    METHODS: r"(?!.*\d{5})[a-z][a-z0-9_\-.]{0,60}",
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
PLAIN_CODE = re.compile(r"[a-z][a-z\-]{0,39}")
_PROFILE_URL = re.compile(
    r"(?!.*(?<!iso)\d{5})https?://(hl7\.org/fhir|fhir\.de|fhir\.kbv\.de|www\.medizininformatik-initiative\.de/fhir)"
    r"/[A-Za-z0-9/_.\-]{1,150}(\|[\d.]{1,12})?"
)
_PARTS = frozenset(name for table in EXTENSIONS.values() for name in table.parts) | {
    "ErsteUndZweiteStelle", "DritteStelle", "VierteStelle", "domain", "status",
}  # fmt: skip
"""Names of the parts of complex extensions; a part of another name is left behind."""

ORDERED_STUDY = "urn:racoon:ordered-study"
"""Extension of an order: UID of the imaging study that it is about (``valueId``, replaced as in the images)."""

ACCESSION = "urn:racoon:accession"
"""Extension of an order: its accession number (``valueCoding``, whose code becomes a token)."""

ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
"""R4's extension that stands where a value was taken back."""

_OWN_URLS = frozenset({AUTOMATION, ORDERED_STUDY, ACCESSION})

_NAME = re.compile(r"[a-z][A-Za-z]{0,39}")


_ATOMS = (
    r"(10\*|10\^|%|\[ppth\]|\[ppm\]|\[pH\]|\[[iI]U\]|\[arb'U\]|\[CFU\]|\[Ch\]|\[drp\]|\[in_i\]|\[lb_av\]|\[degF\]"
    r"|[YZEPTGMkhdcmunpfa]?(m\[Hg\]|m\[H2O\]|osm|mol|kat|cal|eq|rad|bar|Cel|Ohm|Sv|Gy|Bq|Hz|Pa|Wb|lm|lx|eV|m|s|g|L|l"
    r"|U|V|A|J|N|W|T|F|C|K|H|S|B|t)|da?|deg|a|mo|wk|d|h|min|1)"
)
_UCUM = re.compile(
    rf"(?!.{{25}})/?({_ATOMS}|\d{{1,4}})(-?\d)?(\{{(counts|score|cells|ratio|titer)\}})?"
    rf"([./]({_ATOMS}|\d{{1,4}})(-?\d)?)*|\{{(counts|score|cells|ratio|titer|INR)\}}"
)


# The same few names, addresses and codes come again and again: each is looked at once.


@lru_cache(maxsize=4096)
def is_name(name: str) -> bool:
    """Tell whether a text looks like the name of an element."""
    return _NAME.fullmatch(name) is not None


@lru_cache(maxsize=4096)
def is_profile(url: str) -> bool:
    """Tell whether a text is the address of a public profile or extension."""
    return _PROFILE_URL.fullmatch(url) is not None


def is_known_url(url: str) -> bool:
    """Tell whether a text names an extension or a part of one that we know."""
    return url in _PARTS or url in _OWN_URLS or is_profile(url)


@lru_cache(maxsize=4096)
def is_public_system(system: str) -> bool:
    """Tell whether a code system is a public one."""
    return system in CODE_SYSTEMS or system == UCUM or PUBLIC_SYSTEMS.fullmatch(system) is not None


@lru_cache(maxsize=16_384)
def is_public_code(system: str, code: str) -> bool:
    """Tell whether a code of a public system looks like one of that system."""
    if system == UCUM:
        return is_ucum(code)
    pattern = CODE_SYSTEMS.get(system)
    if pattern is not None:
        return re.fullmatch(pattern, code) is not None
    return PUBLIC_SYSTEMS.fullmatch(system) is not None and _LIST_CODE.fullmatch(code) is not None


def is_ucum(text: str) -> bool:
    """Tell whether a text is a unit of UCUM; a subset that is large enough for medicine and has no room for words."""
    return _UCUM.fullmatch(text) is not None


_VERSION = re.compile(
    r"20\d{2}(\.\d{1,2})*|20\d{2}[01]\d[0-3]\d|\d{1,3}(\.\d{1,3}){0,2}"
    r"|http://snomed\.info/sct(/(900000000000207008|11000274103)(/version/20\d{6})?)?"
)


def is_version(text: str) -> bool:
    """Tell whether a text is the version of a catalogue: a year, a day, small numbers, an edition of SNOMED CT."""
    return _VERSION.fullmatch(text) is not None

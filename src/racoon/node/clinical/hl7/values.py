"""Codes, numbers and ranges of a segment as FHIR; and the word that a value was taken back.  Pure."""

from __future__ import annotations

import re

from racoon.node.clinical.passing import ABSENT, is_ucum
from racoon.standards.fhir.building import LOINC, SNOMED, UCUM, Resource, filled
from racoon.standards.hl7v2.message import Segment

_SYSTEMS = {"LN": LOINC, "SCT": SNOMED, "UCUM": UCUM, "ATC": "http://fhir.de/CodeSystem/bfarm/atc"}
_ICD = re.compile(r"(?:I10G?|ICD-?10(?:-?GM)?|10GM)[- ]?(20\d{2})?", re.IGNORECASE)
_WORDS = {
    "positiv": "10828004", "positive": "10828004", "negativ": "260385009", "negative": "260385009",
    "nachweisbar": "260373001", "nicht nachweisbar": "260415000",
}  # fmt: skip
"""Words of qualitative results that are no free text, in SNOMED CT."""

_NUMBER = re.compile(r"([<>]=?)?\s*([+-]?\d{1,12}(?:[.,]\d{1,9})?)")
_RANGE = re.compile(r"([+-]?\d{1,12}(?:[.,]\d{1,9})?)\s*-\s*([+-]?\d{1,12}(?:[.,]\d{1,9})?)")


def concept(segment: Segment, field: int, repetition: int = 1, system: str = "") -> Resource:
    """Read a coded element (CE, CWE): two codes with their systems, and no text; ``system`` where it names none."""
    codings = []
    for first in (1, 4):
        code = segment.value(field, first, repetition=repetition)
        if code:
            codings.append(_coding(segment.value(field, first + 2, repetition=repetition) or system, code))
    return filled({"coding": codings})


def _coding(system: str, code: str) -> Resource:
    icd = _ICD.fullmatch(system)
    if icd is not None:
        return filled(
            {"system": "http://fhir.de/CodeSystem/bfarm/icd-10-gm", "version": icd[1], "code": code}
        )
    return {"system": _SYSTEMS.get(system, f"urn:hl7v2:coding-system:{system or 'none'}"), "code": code}


def value_of(result: Segment) -> Resource:
    """Read OBX-5: a number with its unit, or a code; other words are left out."""
    kind = result.value(2)
    if kind in ("CE", "CWE", "CNE", "CF"):
        found = concept(result, 5)
        return {"valueCodeableConcept": found} if found else {}
    text = result.value(5)
    if kind == "SN":
        # A range or a ratio is no number.
        text = "" if result.value(5, 3) else text + result.value(5, 2)
    match = _NUMBER.fullmatch(text)
    if match is not None:
        return {"valueQuantity": filled({"comparator": match[1]}) | _quantity(match[2], result)}
    word = _WORDS.get(text.casefold())
    return {"valueCodeableConcept": {"coding": [{"system": SNOMED, "code": word}]}} if word else {}


def _quantity(number: str, result: Segment) -> Resource:
    """Give a number its unit; one that is not UCUM becomes a local code, so that two of them are never mixed."""
    unit = result.value(6)
    made: Resource = {"value": float(number.replace(",", "."))}
    if not unit:
        return made
    return made | {"system": UCUM if is_ucum(unit) else "urn:hl7v2:unit", "code": unit}


def ranges_of(result: Segment) -> list[Resource]:
    """Read OBX-7: ``3.5-5.1``, ``<5`` or ``>60``; words are left out."""
    text = result.value(7)
    both, one = _RANGE.fullmatch(text), _NUMBER.fullmatch(text)
    if both is not None:
        return [{"low": _quantity(both[1], result), "high": _quantity(both[2], result)}]
    if one is not None and one[1]:
        return [{"high" if one[1].startswith("<") else "low": _quantity(one[2], result)}]
    return []


def taken_back() -> Resource:
    """Return what stands beside an element, or in its place, whose value the sender deleted."""
    return {"extension": [{"url": ABSENT, "valueCode": "unknown"}]}

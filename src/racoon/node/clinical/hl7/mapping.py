"""From a message to the FHIR resources that the import takes.  Pure: who a number belongs to now is asked.

Ids are digests of what the hospital's systems call a thing, so that every later message of a visit, an order or a
value meets the same resource.  Free text is not even carried to the import.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo

from racoon.node.clinical.deidentify import is_ucum
from racoon.node.clinical.hl7.model import ORDERS, PERSON_EVENTS, RESULTS, HeldMessage
from racoon.node.clinical.hl7.reading import kind_of, number_in
from racoon.standards.fhir.building import LOINC, SNOMED, UCUM, Resource, filled
from racoon.standards.hl7v2.message import Message, Segment
from racoon.standards.hl7v2.times import fhir_date, fhir_time

_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
_SYSTEMS = {"LN": LOINC, "SCT": SNOMED, "UCUM": UCUM, "ATC": "http://fhir.de/CodeSystem/bfarm/atc"}
_ICD = re.compile(r"(?:I10G?|ICD-?10(?:-?GM)?|10GM)[- ]?(20\d{2})?", re.IGNORECASE)
_GENDERS = {"F": "female", "M": "male", "O": "other", "A": "other", "D": "other", "U": "unknown"}
_CLASSES = {"I": "IMP", "B": "IMP", "O": "AMB", "R": "AMB", "E": "EMER", "P": "PRENC"}
"""PV1-2 (HL7 table 0004) as v3-ActCode."""

_VISIT_STATES = {
    "A01": "in-progress",
    "A02": "in-progress",
    "A03": "finished",
    "A04": "in-progress",
    "A11": "cancelled",
    "A13": "in-progress",
}
"""What an event says of a visit; an update (A08) and a cancelled transfer (A12) say nothing of its state."""

_ORDER_STATES = {
    "NW": "active", "SN": "active", "SC": "active", "XO": "active", "OK": "active", "RL": "active", "HD": "on-hold",
    "CA": "revoked", "OC": "revoked", "CR": "revoked", "DC": "revoked", "OD": "revoked", "DR": "revoked",
}  # fmt: skip
"""ORC-1 (HL7 table 0119); CM in ORC-5 completes an order."""

_RESULT_STATES = {
    "F": "final", "P": "preliminary", "C": "corrected", "R": "preliminary", "S": "preliminary", "U": "final",
    "D": "entered-in-error", "W": "entered-in-error", "X": "cancelled", "I": "registered", "O": "registered",
}  # fmt: skip
"""OBX-11 (HL7 table 0085)."""

_NOT_LABORATORY = frozenset({"RAD", "CT", "NMR", "NMS", "RUS", "CUS", "RX", "VUS", "EC", "EN", "PF", "OUS"})
"""OBR-24 (HL7 table 0074) of results that are no laboratory's."""

_TEXTS = frozenset({"TX", "FT", "ED", "RP"})
_WORDS = {
    "positiv": "10828004", "positive": "10828004", "negativ": "260385009", "negative": "260385009",
    "nachweisbar": "260373001", "nicht nachweisbar": "260415000",
}  # fmt: skip
"""Words of qualitative results that are no free text, in SNOMED CT."""

_NUMBER = re.compile(r"([<>]=?)?\s*([+-]?\d{1,12}(?:[.,]\d{1,9})?)")
_RANGE = re.compile(r"([+-]?\d{1,12}(?:[.,]\d{1,9})?)\s*-\s*([+-]?\d{1,12}(?:[.,]\d{1,9})?)")
_FLAGS = re.compile(r"[A-Z]{1,2}|[<>]")


@dataclass(frozen=True)
class Reading:
    """How this site's messages are read.

    Parameters
    ----------
    zone
        Of times that say none.
    authority
        Assigning authority of the number in the images.
    system
        Identifier system of that number in FHIR; empty where none is configured.
    """

    zone: tzinfo
    authority: str = ""
    system: str = ""


def resources_of(
    message: Message, reading: Reading, received: datetime, survivor: Callable[[str], str]
) -> list[Resource]:
    """Return the resources a message tells of; the Patient first.

    Parameters
    ----------
    message
        One of the kinds that are worked off, but no merge.
    reading
        How to read it.
    received
        When it came: stands for a time that the message does not give.
    survivor
        Tells under which number a patient goes on after merges.

    Raises
    ------
    HeldMessage
    """
    kind = kind_of(message)
    person = message.first("PID")
    number = number_in(person, 3, reading.authority)
    if person is None or not number:
        raise HeldMessage("no_patient")
    event = message.first("EVN")
    told = (event.text(2) if event is not None else "") or message.header.text(7)
    at = fhir_time(told, reading.zone) if told else ""
    if told and not at:
        raise HeldMessage("bad_time")
    if len(at) <= len("2024-01-01"):
        # A time without hours orders nothing; the moment it came does.
        at = received.isoformat(timespec="seconds")
    maker = _Maker(message, reading, at, survivor(number))
    made = [maker.patient(person, is_full=kind.startswith("ADT"))]
    if kind == RESULTS:
        return made + list(maker.results())
    if kind in ORDERS:
        return made + list(maker.orders())
    if kind.partition("^")[2] not in PERSON_EVENTS:
        made += maker.encounter(kind.partition("^")[2])
    return made


@dataclass(frozen=True)
class _Maker:
    message: Message
    reading: Reading
    at: str
    number: str

    def _resource(self, kind: str, *name: str, **content: object) -> Resource:
        return filled(
            {"resourceType": kind, "id": _digest(kind, *name), "meta": {"lastUpdated": self.at}, **content}
        )

    def _of_patient(self, kind: str, *name: str, **content: object) -> Resource:
        subject = {"reference": f"Patient/{_digest('Patient', self.number)}"}
        return self._resource(kind, *name, subject=subject, **content)

    def patient(self, person: Segment, *, is_full: bool) -> Resource:
        kind = {"coding": [{"system": f"{_TERMINOLOGY}/v2-0203", "code": "MR"}]}
        identifier = filled({"type": kind, "system": self.reading.system, "value": self.number})
        made = self._resource("Patient", self.number, identifier=[identifier])
        if not is_full:
            # What a laboratory knows of the person is a copy; it never stands above the admission's own.
            made["meta"] = {"lastUpdated": "1970-02-01T00:00:00+00:00"}
            return made
        died = fhir_time(person.text(29), self.reading.zone)
        country = person.text(11, 6)
        address = filled(
            {"postalCode": person.text(11, 5), "country": "DE" if country in ("", "D", "DEU") else country}
        )
        return made | filled(
            {
                "gender": _GENDERS.get(person.text(8), ""),
                "birthDate": fhir_date(person.text(7)),
                "address": [address] if "postalCode" in address else [],
                "deceasedDateTime": died,
                "deceasedBoolean": True if person.text(30) == "Y" and not died else None,
            }
        )

    def encounter(self, event: str) -> list[Resource]:
        visit = self.message.first("PV1")
        number = visit.text(19) if visit is not None else ""
        if visit is None or not number:
            # Without a number of the visit, a later message could not be told from another stay.
            return []
        start, end = (fhir_time(visit.text(field), self.reading.zone) for field in (44, 45))
        # An update that names the end tells of a discharge.
        state = _VISIT_STATES.get(event) or ("finished" if end else "")
        if event in ("A01", "A04"):
            start = start or self.at
        if event == "A03":
            end = end or self.at
        if state != "finished":
            end = ""
        history = filled({"status": state, "period": filled({"start": self.at, "end": end})})
        made = self._of_patient(
            "Encounter",
            number,
            status=state or "unknown",
            statusHistory=[history] if state else [],
            period=filled({"start": start, "end": end}),
            **(
                {"class": {"system": f"{_TERMINOLOGY}/v3-ActCode", "code": code}}
                if (code := _CLASSES.get(visit.text(2)))
                else {}
            ),
        )
        return [made]

    def _in_visit(self) -> Resource | None:
        visit = self.message.first("PV1")
        number = visit.text(19) if visit is not None else ""
        return {"reference": f"Encounter/{_digest('Encounter', number)}"} if number else None

    def orders(self) -> Iterator[Resource]:
        order: Segment | None = None
        for segment in self.message.segments:
            if segment.name == "ORC":
                order = segment
            if segment.name != "OBR":
                continue
            name = _order_name(segment, order)
            if not name:
                raise HeldMessage("not_stored")
            state = _ORDER_STATES.get(order.text(1) if order is not None else "NW", "unknown")
            if order is not None and order.text(5) == "CM":
                state = "completed"
            yield self._of_patient(
                "ServiceRequest",
                *name,
                status=state,
                intent="order",
                code=_concept(segment, 4),
                encounter=self._in_visit(),
                authoredOn=fhir_time(order.text(9), self.reading.zone) if order is not None else "",
                occurrenceDateTime=fhir_time(segment.text(36), self.reading.zone),
            )

    def results(self) -> Iterator[Resource]:
        request: Segment | None = None
        order: Segment | None = None
        seen: dict[tuple[str, ...], int] = {}
        for segment in self.message.segments:
            if segment.name == "ORC":
                order = segment
            elif segment.name == "OBR":
                request = segment
            elif segment.name == "OBX" and request is not None and segment.text(2) not in _TEXTS:
                name = self._result_name(segment, request)
                seen[name] = seen.get(name, 0) + 1
                yield self._result(segment, request, order, (*name, str(seen[name])))

    def _result_name(self, result: Segment, request: Segment) -> tuple[str, ...]:
        own = request.text(3) or request.text(2) or f"{self.number}/{request.text(7)}"
        return (self.message.header.text(3), own, request.text(4), result.text(3), result.text(4))

    def _result(
        self, result: Segment, request: Segment, order: Segment | None, name: tuple[str, ...]
    ) -> Resource:
        taken = fhir_time(result.text(14) or request.text(7), self.reading.zone)
        laboratory = {"system": f"{_TERMINOLOGY}/observation-category", "code": "laboratory"}
        is_laboratory = request.text(24) not in _NOT_LABORATORY
        flag = result.text(8).upper()
        asked = _order_name(request, order)
        return self._of_patient(
            "Observation",
            *name,
            status=_RESULT_STATES.get(result.text(11), "unknown"),
            category=[{"coding": [laboratory]}] if is_laboratory else [],
            code=_concept(result, 3),
            encounter=self._in_visit(),
            basedOn=[{"reference": f"ServiceRequest/{_digest('ServiceRequest', *asked)}"}] if asked else [],
            effectiveDateTime=taken,
            interpretation=[
                {"coding": [{"system": f"{_TERMINOLOGY}/v3-ObservationInterpretation", "code": flag}]}
            ]
            if _FLAGS.fullmatch(flag)
            else [],
            referenceRange=_ranges(result),
            **_value(result),
        )


def _order_name(request: Segment, order: Segment | None) -> tuple[str, ...]:
    number = request.text(2) or (order.text(2) if order is not None else "") or request.text(3)
    return (number, request.text(4)) if number else ()


def _digest(*parts: str) -> str:
    return f"hl7-{hashlib.sha256(chr(0x1F).join(parts).encode()).hexdigest()[:40]}"


def _concept(segment: Segment, field: int, repetition: int = 1) -> Resource:
    """Read a coded element (CE, CWE): two codes with their systems, and no text."""
    codings = []
    for first in (1, 4):
        code = segment.text(field, first, repetition=repetition)
        if code and code != '""':
            codings.append(_coding(segment.text(field, first + 2, repetition=repetition), code))
    return filled({"coding": codings})


def _coding(system: str, code: str) -> Resource:
    icd = _ICD.fullmatch(system)
    if icd is not None:
        return filled(
            {"system": "http://fhir.de/CodeSystem/bfarm/icd-10-gm", "version": icd[1], "code": code}
        )
    return {"system": _SYSTEMS.get(system, f"urn:hl7v2:coding-system:{system or 'none'}"), "code": code}


def _value(result: Segment) -> Resource:
    kind = result.text(2)
    if kind in ("CE", "CWE", "CNE", "CF"):
        found = _concept(result, 5)
        return {"valueCodeableConcept": found} if found else {}
    text = result.text(5)
    if kind == "SN":
        # A range or a ratio is no number.
        text = "" if result.text(5, 3) else text + result.text(5, 2)
    match = _NUMBER.fullmatch(text)
    if match is not None:
        return {"valueQuantity": filled({"comparator": match[1]}) | _quantity(match[2], result)}
    word = _WORDS.get(text.casefold())
    return {"valueCodeableConcept": {"coding": [{"system": SNOMED, "code": word}]}} if word else {}


def _quantity(number: str, result: Segment) -> Resource:
    """Give a number its unit; one that is not UCUM becomes a local code, so that two of them are never mixed."""
    unit = result.text(6)
    made: Resource = {"value": float(number.replace(",", "."))}
    if not unit or unit == '""':
        return made
    return made | {"system": UCUM if is_ucum(unit) else "urn:hl7v2:unit", "code": unit}


def _ranges(result: Segment) -> list[Resource]:
    """Read OBX-7: ``3.5-5.1``, ``<5`` or ``>60``; words are left out."""
    text = result.text(7)
    both, one = _RANGE.fullmatch(text), _NUMBER.fullmatch(text)
    if both is not None:
        return [{"low": _quantity(both[1], result), "high": _quantity(both[2], result)}]
    if one is not None and one[1]:
        return [{"high" if one[1].startswith("<") else "low": _quantity(one[2], result)}]
    return []

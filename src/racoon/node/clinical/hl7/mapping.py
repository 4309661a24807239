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

from racoon.node.clinical.hl7.model import ORDERS, PERSON_EVENTS, RESULTS, HeldMessage
from racoon.node.clinical.hl7.ordered import ordered_study, study_told
from racoon.node.clinical.hl7.reading import kind_of, number_in
from racoon.node.clinical.hl7.values import concept, ranges_of, taken_back, value_of
from racoon.standards.fhir.building import Resource, filled
from racoon.standards.hl7v2.message import Message, Segment
from racoon.standards.hl7v2.times import fhir_date, fhir_time

_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
_GENDERS = {"F": "female", "M": "male", "O": "other", "A": "other", "D": "other", "U": "unknown"}
_DEATHS = {"Y": True, "N": False}
"""PID-30; ``N`` says that an earlier death was told by mistake."""

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

_DIAGNOSIS_STATES = {"A": "provisional", "W": "provisional", "F": "confirmed"}
"""DG1-6 (HL7 table 0052): admitting and working diagnoses may change, final ones do not."""

_NOT_LABORATORY = frozenset({"RAD", "CT", "NMR", "NMS", "RUS", "CUS", "RX", "VUS", "EC", "EN", "PF", "OUS"})
"""OBR-24 (HL7 table 0074) of results that are no laboratory's."""

_TEXTS = frozenset({"TX", "FT", "ED", "RP"})
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
    at = told_at(message, reading, received)
    maker = _Maker(message, reading, at, survivor(number))
    made = [maker.patient(person, is_full=kind.startswith("ADT"))]
    if kind == RESULTS:
        return made + list(maker.results())
    if kind in ORDERS:
        return made + list(maker.orders())
    if kind.partition("^")[2] not in PERSON_EVENTS:
        made += maker.encounter(kind.partition("^")[2])
        made += maker.diagnoses()
    return made


def told_at(message: Message, reading: Reading, received: datetime) -> str:
    """Return when what a message tells happened: EVN-2, else MSH-7, else when it came.

    Raises
    ------
    HeldMessage
        If the time is none.
    """
    event = message.first("EVN")
    told = (event.value(2) if event is not None else "") or message.header.value(7)
    at = fhir_time(told, reading.zone) if told else ""
    if told and not at:
        raise HeldMessage("bad_time")
    if len(at) <= len("2024-01-01"):
        # A time without hours orders nothing; the moment it came does.
        at = received.isoformat(timespec="seconds")
    return at


def people_of(message: Message, reading: Reading, received: datetime) -> list[Resource]:
    """Return the Patient of every PID, each under its own number: of a message about several patients.

    Raises
    ------
    HeldMessage
    """
    at = told_at(message, reading, received)
    return [
        _Maker(message, reading, at, number_in(person, 3, reading.authority)).patient(person, is_full=True)
        for person in message.all("PID")
    ]


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
        died = fhir_time(person.value(29), self.reading.zone)
        country = person.value(11, 6)
        address = filled(
            {"postalCode": person.value(11, 5), "country": "DE" if country in ("", "D", "DEU") else country}
        )
        # A death that is taken back is one, in whichever of the two fields it was told.
        lives = person.is_null(29) or person.is_null(30)
        return made | filled(
            {
                "gender": _GENDERS.get(person.value(8), ""),
                "_gender": taken_back() if person.is_null(8) else {},
                "birthDate": fhir_date(person.value(7)),
                "_birthDate": taken_back() if person.is_null(7) else {},
                "address": [taken_back()]
                if person.is_null(11)
                else [address]
                if "postalCode" in address
                else [],
                "deceasedDateTime": died,
                "deceasedBoolean": _DEATHS.get(person.value(30)) if not died else None,
                "_deceasedBoolean": taken_back() if lives and not died else {},
            }
        )

    def encounter(self, event: str) -> list[Resource]:
        visit = self.message.first("PV1")
        number = visit.value(19) if visit is not None else ""
        if visit is None or not number:
            # Without a number of the visit, a later message could not be told from another stay.
            return []
        start, end = (fhir_time(visit.value(field), self.reading.zone) for field in (44, 45))
        # An update that names the end tells of a discharge.
        state = _VISIT_STATES.get(event) or ("finished" if end else "")
        if event in ("A01", "A04"):
            start = start or self.at
        if event == "A03":
            end = end or self.at
        if state != "finished":
            end = ""
        history = filled({"status": state, "period": filled({"start": self.at, "end": end})})
        kind = _CLASSES.get(visit.value(2))
        kind_now = {"system": f"{_TERMINOLOGY}/v3-ActCode", "code": kind} if kind else {}
        made = self._of_patient(
            "Encounter",
            number,
            status=state or "unknown",
            statusHistory=[history] if state else [],
            period=filled(
                {
                    "start": start,
                    "_start": taken_back() if visit.is_null(44) and not start else {},
                    "end": end,
                    "_end": taken_back() if visit.is_null(45) and not end else {},
                }
            ),
            **{"class": taken_back() if visit.is_null(2) else kind_now},
        )
        return [made]

    def diagnoses(self) -> Iterator[Resource]:
        """Read DG1; a code that comes again for the visit is the same diagnosis, with what is known of it now."""
        visit = self.message.first("PV1")
        stay = (visit.value(19) if visit is not None else "") or self.number
        for segment in self.message.segments:
            if segment.name != "DG1":
                continue
            # Older messages name the catalogue in DG1-2 and nothing beside the code.
            coded = concept(segment, 3, system=segment.value(2))
            if not coded:
                continue
            is_wrong = segment.value(21) == "D"
            state = "entered-in-error" if is_wrong else _DIAGNOSIS_STATES.get(segment.value(6), "")
            verification = {"system": f"{_TERMINOLOGY}/condition-ver-status", "code": state}
            yield self._of_patient(
                "Condition",
                stay,
                *(f"{item['system']}|{item['code']}" for item in coded["coding"][:1]),
                verificationStatus={"coding": [verification]} if state else {},
                code=coded,
                encounter=self._in_visit(),
                recordedDate=fhir_time(segment.value(5), self.reading.zone) or self.at,
            )

    def _in_visit(self) -> Resource | None:
        visit = self.message.first("PV1")
        number = visit.value(19) if visit is not None else ""
        return {"reference": f"Encounter/{_digest('Encounter', number)}"} if number else None

    def orders(self) -> Iterator[Resource]:
        order: Segment | None = None
        for place, segment in enumerate(self.message.segments):
            if segment.name == "ORC":
                order = segment
            if segment.name != "OBR":
                continue
            name = _order_name(segment, order)
            if not name:
                raise HeldMessage("not_stored")
            state = _ORDER_STATES.get(order.value(1) if order is not None else "NW", "unknown")
            if order is not None and order.value(5) == "CM":
                state = "completed"
            is_undated = order is not None and order.is_null(9)
            yield self._of_patient(
                "ServiceRequest",
                *name,
                extension=ordered_study(segment, self.message.segments[place + 1 :]),
                status=state,
                intent="order",
                code=concept(segment, 4),
                encounter=self._in_visit(),
                authoredOn=fhir_time(order.value(9), self.reading.zone) if order is not None else "",
                _authoredOn=taken_back() if is_undated else {},
                occurrenceDateTime=fhir_time(segment.value(36), self.reading.zone),
                _occurrenceDateTime=taken_back() if segment.is_null(36) else {},
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
            elif segment.name == "OBX" and request is not None and (told := study_told(segment)):
                asked = _order_name(request, order)
                if asked:
                    yield self._of_patient("ServiceRequest", *asked, extension=told, intent="order")
            elif segment.name == "OBX" and request is not None and segment.value(2) not in _TEXTS:
                name = self._result_name(segment, request)
                seen[name] = seen.get(name, 0) + 1
                yield self._result(segment, request, order, (*name, str(seen[name])))

    def _result_name(self, result: Segment, request: Segment) -> tuple[str, ...]:
        own = request.value(3) or request.value(2) or f"{self.number}/{request.value(7)}"
        return (self.message.header.value(3), own, request.value(4), result.value(3), result.value(4))

    def _result(
        self, result: Segment, request: Segment, order: Segment | None, name: tuple[str, ...]
    ) -> Resource:
        taken = fhir_time(result.value(14) or request.value(7), self.reading.zone)
        laboratory = {"system": f"{_TERMINOLOGY}/observation-category", "code": "laboratory"}
        is_laboratory = request.value(24) not in _NOT_LABORATORY
        flag = result.value(8).upper()
        asked = _order_name(request, order)
        return self._of_patient(
            "Observation",
            *name,
            status=_RESULT_STATES.get(result.value(11), "unknown"),
            category=[{"coding": [laboratory]}] if is_laboratory else [],
            code=concept(result, 3),
            encounter=self._in_visit(),
            basedOn=[{"reference": f"ServiceRequest/{_digest('ServiceRequest', *asked)}"}] if asked else [],
            effectiveDateTime=taken,
            interpretation=[
                {"coding": [{"system": f"{_TERMINOLOGY}/v3-ObservationInterpretation", "code": flag}]}
            ]
            if _FLAGS.fullmatch(flag)
            else [],
            referenceRange=ranges_of(result),
            **value_of(result),
        )


def _order_name(request: Segment, order: Segment | None) -> tuple[str, ...]:
    number = request.value(2) or (order.value(2) if order is not None else "") or request.value(3)
    return (number, request.value(4)) if number else ()


def _digest(*parts: str) -> str:
    return f"hl7-{hashlib.sha256(chr(0x1F).join(parts).encode()).hexdigest()[:40]}"

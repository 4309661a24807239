"""A signed structured report as FHIR: the response, an Observation for each coded answer, the report, the reading.

An answer is coded where its question has a SNOMED CT or LOINC code; the rest stays in the QuestionnaireResponse.
Free text and typed days are not written (decision 0091), and a reader is a name that only this node understands.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from racoon.domain.questionnaire import (
    Answer,
    Answered,
    Coding,
    Item,
    Template,
    answers_by_path,
    items_to_fhir,
)
from racoon.domain.questionnaire.answers import SOURCE
from racoon.standards.fhir import codes, versions
from racoon.standards.fhir.building import (
    LOINC,
    SNOMED,
    UCUM,
    Resource,
    coding,
    concept,
    extension,
    fhir_datetime,
    fhir_instant,
    filled,
    metadata,
    quantity,
    reference,
    resource_id,
)
from racoon.standards.fhir.examinations import IMAGING, order_id
from racoon.standards.fhir.findings import report_category, report_code
from racoon.standards.fhir.imaging import Writing
from racoon.standards.fhir.versions import extension_url

_FINDINGS = (LOINC, "18782-3", "Radiology Study observation (narrative)")
_READING = (SNOMED, "28191001", "Consultation and report by radiologist (procedure)")

RECOMMENDATION = (LOINC, "18783-1")
"""A question with this code asks what should be done next (Radiology Study recommendation)."""

READER = "urn:racoon:reader"


@dataclass(frozen=True)
class SignedFacts:
    """One signed version of a report.

    Parameters
    ----------
    identity
        Report and version at this node.
    pseudonym, imaging_study_uid
        Whose, and of what.
    author
        Account of the reader; only a hash of it is written.
    is_amended
        Whether it replaced an earlier version.
    signed_at
        When: a time of this machine, not of the patient.
    template, items
        What was asked and answered.
    places
        Finding to (series, instance): where a number that was taken from it was measured.
    has_order
        Whether the study's order is written too.
    day, clock
        Study Date (shifted) and Time.
    """

    identity: str
    pseudonym: str
    imaging_study_uid: str
    author: str
    is_amended: bool
    signed_at: datetime
    template: Template
    items: tuple[Answered, ...]
    places: Mapping[str, tuple[str, str]]
    has_order: bool = False
    day: str = ""
    clock: str = ""


def response_id(identity: str) -> str:
    """Return the id of a signed version's QuestionnaireResponse."""
    return resource_id("response", identity)


def reading_id(identity: str) -> str:
    """Return the id of the Procedure that a signed version is the outcome of."""
    return resource_id("reading", identity)


def signed_report_id(identity: str) -> str:
    """Return the id of a signed version's DiagnosticReport."""
    return resource_id("signed", identity)


def _status(facts: SignedFacts, first: str) -> str:
    return "amended" if facts.is_amended else first


def questionnaire_response(facts: SignedFacts, writing: Writing) -> Resource:
    """Write the answers of a signed version, without those in free words."""
    return filled(
        {
            "resourceType": "QuestionnaireResponse",
            "id": response_id(facts.identity),
            "meta": metadata("", source=writing.source, updated=facts.signed_at),
            "partOf": [reference("Procedure", reading_id(facts.identity))],
            "questionnaire": facts.template.canonical,
            "status": _status(facts, "completed"),
            "subject": reference("Patient", resource_id(facts.pseudonym)),
            "authored": fhir_instant(facts.signed_at),
            "author": _reader(facts, writing),
            "item": list(_without_words(items_to_fhir(facts.template, facts.items))),
        }
    )


def _reader(facts: SignedFacts, writing: Writing) -> Resource:
    name = hashlib.sha256(f"{writing.source}\x1f{facts.author}".encode()).hexdigest()[:16]
    return {"type": "Practitioner", "identifier": {"system": READER, "value": name}}


def _without_words(items: list[Any]) -> Iterator[Resource]:
    for item in items:
        answers = [
            _outside(answer)
            for answer in item.get("answer", [])
            if not {"valueString", "valueDate"} & set(answer)
        ]
        inside = list(_without_words(item.get("item", [])))
        if answers or inside:
            kept = {name: value for name, value in item.items() if name in ("linkId", "definition")}
            yield filled(kept | {"answer": answers, "item": inside})


def _outside(answer: Resource) -> Resource:
    """Leave out which mark an answer came from: its number here means nothing outside, the Observation has the UIDs."""
    kept = [item for item in answer.get("extension", []) if item["url"] != SOURCE]
    return filled(answer | {"extension": kept})


def answer_observations(facts: SignedFacts, writing: Writing) -> list[Resource]:
    """Write an Observation for each answer to a question with a code; several answers become several."""
    asked = {item.link_id: item for item in facts.template.walk()}
    made = []
    for path, answers in answers_by_path(facts.template, facts.items).items():
        item = asked[_last(path)]
        code = next((found for found in item.codes if found.system in (SNOMED, LOINC)), None)
        for number, answer in enumerate(answers):
            value = _value(item, answer)
            is_finding = code is not None and (code.system, code.code) != RECOMMENDATION
            if code is not None and value is not None and is_finding:
                made.append(_observation(facts, writing, f"{path}#{number}", code, value, answer))
    return made


def _value(item: Item, answer: Answer) -> Resource | None:
    found = answer.value
    if isinstance(found, bool):
        return {"valueCodeableConcept": concept(coding(*(codes.PRESENT if found else codes.ABSENT)))}
    if isinstance(found, int | float):
        if not math.isfinite(found) or (item.unit and item.unit.system != UCUM):
            return None
        unit = item.unit.code if item.unit else "1"
        return {"valueQuantity": quantity(found, codes.UNIT_NAMES.get(unit, unit), unit)}
    if isinstance(found, Coding) and found.system and found.code:
        return {"valueCodeableConcept": concept(coding(found.system, found.code, found.display))}
    return None


def _observation(
    facts: SignedFacts, writing: Writing, place: str, code: Coding, value: Resource, answer: Answer
) -> Resource:
    series_uid, instance_uid = facts.places.get(answer.finding_id, ("", ""))
    named = hashlib.sha256(f"{facts.identity}\x1f{place}".encode()).hexdigest()[:24]
    return filled(
        {
            "resourceType": "Observation",
            "id": resource_id("answer", named),
            "meta": metadata(versions.FINDING, source=writing.source, updated=facts.signed_at),
            "extension": [
                extension(extension_url(name), valueId=uid)
                for name, uid in (("series-uid", series_uid), ("sop-instanz-uid", instance_uid))
                if uid
            ],
            "partOf": [reference("Procedure", reading_id(facts.identity))],
            "status": _status(facts, "final"),
            "category": [concept(coding(*_FINDINGS))],
            "code": concept(coding(code.system, code.code, code.display)),
            "subject": reference("Patient", resource_id(facts.pseudonym)),
            "effectiveDateTime": fhir_datetime(facts.day, facts.clock, writing.zone),
            "issued": fhir_instant(facts.signed_at),
            **value,
            "derivedFrom": [
                reference("ImagingStudy", resource_id(facts.imaging_study_uid)),
                reference("QuestionnaireResponse", response_id(facts.identity)),
            ],
        }
    )


def recommendation(facts: SignedFacts, writing: Writing) -> Resource | None:
    """Write the CarePlan of what the reader recommends; None where no question asks for it, or it is in words only.

    A recommendation is coded: the profile's description is free text, which is not written (decision 0091).
    """
    asked = {item.link_id: item for item in facts.template.walk()}
    found = [
        answer.value
        for path, answers in answers_by_path(facts.template, facts.items).items()
        for answer in answers
        if RECOMMENDATION in {(code.system, code.code) for code in asked[_last(path)].codes}
    ]
    coded = [item for item in found if isinstance(item, Coding) and item.system and item.code]
    if not coded:
        return None
    return filled(
        {
            "resourceType": "CarePlan",
            "id": resource_id("plan", facts.identity),
            "meta": metadata(versions.RECOMMENDATION, source=writing.source, updated=facts.signed_at),
            "status": "active",
            "intent": "proposal",
            "subject": reference("Patient", resource_id(facts.pseudonym)),
            "created": fhir_instant(facts.signed_at),
            "supportingInfo": [reference("DiagnosticReport", signed_report_id(facts.identity))],
            "activity": [
                {
                    "detail": {
                        "code": concept(coding(item.system, item.code, item.display)),
                        "status": "not-started",
                    }
                }
                for item in coded
            ],
        }
    )


def _last(path: str) -> str:
    return path.rpartition("/")[2].partition("[")[0]


def signed_report(facts: SignedFacts, writing: Writing) -> Resource:
    """Write the DiagnosticReport of a signed version."""
    return filled(
        {
            "resourceType": "DiagnosticReport",
            "id": signed_report_id(facts.identity),
            "meta": metadata(versions.REPORT, source=writing.source, updated=facts.signed_at),
            "basedOn": [reference("ServiceRequest", order_id(facts.imaging_study_uid))]
            if facts.has_order
            else [],
            "status": _status(facts, "final"),
            "category": [report_category()],
            "code": report_code(),
            "subject": reference("Patient", resource_id(facts.pseudonym)),
            "effectiveDateTime": fhir_datetime(facts.day, facts.clock, writing.zone),
            "issued": fhir_instant(facts.signed_at),
            "result": [
                reference("Observation", str(item["id"])) for item in answer_observations(facts, writing)
            ],
            "imagingStudy": [reference("ImagingStudy", resource_id(facts.imaging_study_uid))],
        }
    )


def reading_procedure(facts: SignedFacts, writing: Writing) -> Resource:
    """Write the Procedure of reading, whose outcome the report is."""
    return filled(
        {
            "resourceType": "Procedure",
            "id": reading_id(facts.identity),
            "meta": metadata(versions.READING_PROCEDURE, source=writing.source, updated=facts.signed_at),
            "status": "completed",
            "category": concept(coding(*IMAGING)),
            "code": concept(coding(*_READING)),
            "subject": reference("Patient", resource_id(facts.pseudonym)),
            "performedDateTime": fhir_instant(facts.signed_at),
            "report": [reference("DiagnosticReport", signed_report_id(facts.identity))],
        }
    )


def composition(facts: SignedFacts, writing: Writing) -> Resource:
    """Write the Composition that presents the report and its coded findings as one document."""
    report = reference("DiagnosticReport", signed_report_id(facts.identity))
    found = [reference("Observation", str(item["id"])) for item in answer_observations(facts, writing)]
    inner = [{"title": "Findings", "entry": found}] if found else []
    return filled(
        {
            "resourceType": "Composition",
            "id": resource_id("composition", facts.identity),
            "meta": metadata(versions.COMPOSITION, source=writing.source, updated=facts.signed_at),
            "status": _status(facts, "final"),
            "type": concept(coding(LOINC, "18748-4", "Diagnostic imaging study")),
            "subject": reference("Patient", resource_id(facts.pseudonym)),
            "date": fhir_instant(facts.signed_at),
            "author": [_reader(facts, writing)],
            "title": "Diagnostic imaging study",
            "section": [
                filled({"code": concept(coding(*_FINDINGS)), "entry": [report], "section": inner}),
            ],
        }
    )

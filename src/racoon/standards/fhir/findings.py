"""Values measured in images as Observation of the imaging module, and the report that holds them together.

An Observation carries the pseudonymous UIDs of its series and of the instance it shows best in the module's two
extensions: a value still opens its pixels, in whatever system it ends up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from racoon.domain.coding import Code
from racoon.errors import Refused
from racoon.standards.fhir import codes, versions
from racoon.standards.fhir.building import (
    LOINC,
    SNOMED,
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
from racoon.standards.fhir.examinations import located
from racoon.standards.fhir.imaging import Writing
from racoon.standards.fhir.versions import extension_url

BIOMARKERS = "urn:racoon:biomarker"
"""Code system of our definitions: the id is the code, the definition's version the version."""

METHODS = "urn:racoon:biomarker-method"


def report_category() -> Resource:
    """Build the category of every report: an imaging report, a study of radiology."""
    return concept(
        coding(SNOMED, "4201000179104", "Imaging report (record artifact)"),
        coding(LOINC, "18748-4", "Diagnostic imaging study"),
        coding("http://terminology.hl7.org/CodeSystem/v2-0074", "RAD", "Radiology"),
    )


def report_code() -> Resource:
    """Build the code of every report."""
    return concept(coding(LOINC, "18748-4", "Diagnostic imaging study"))


class NothingMeasured(Refused):
    """A value that is none, or not valid, is no finding; it stays in the node's list with its reason."""

    code = "fhir.nothing_measured"


@dataclass(frozen=True)
class MeasuredFacts:
    """One measured value with its way back to the pixels.

    Parameters
    ----------
    identity
        Number of the value at this node.
    pseudonym, imaging_study_uid, series_uid, instance_uid
        Whose, and where; the instance may be empty.
    biomarker, version, title, formula
        Definition, and its rule in one line.
    value, unit
        UCUM.
    label
        Structure; None for the whole image.
    automation
        ``manual``, ``assisted``, ``automatic`` or empty.
    software
        Program that computed it.
    computed_at
        When it was computed: a time of this machine, not of the patient.
    day, clock
        Study Date (shifted) and Time.
    """

    identity: str
    pseudonym: str
    imaging_study_uid: str
    series_uid: str
    instance_uid: str
    biomarker: str
    version: str
    title: str
    formula: str
    value: float
    unit: str
    label: Code | None
    automation: str
    software: str
    computed_at: datetime
    day: str = ""
    clock: str = ""


def measurement(facts: MeasuredFacts, writing: Writing) -> Resource:
    """Write a measured value as Observation.

    Raises
    ------
    NothingMeasured
        If it is no finite number.
    """
    if not math.isfinite(facts.value):
        raise NothingMeasured("A value without a number cannot be written as an observation.")
    place = codes.code_of(facts.label)
    category = [coding(LOINC, "18782-3", "Radiology Study observation (narrative)")]
    if writing.version.measurement_category:
        category.append(
            coding(SNOMED, writing.version.measurement_category, "Measurement procedure (procedure)")
        )
    return filled(
        {
            "resourceType": "Observation",
            "id": observation_id(facts.identity),
            "meta": metadata(
                writing.version.measurement_profile, source=writing.source, updated=facts.computed_at
            ),
            "extension": [
                extension(extension_url(name), valueId=uid)
                for name, uid in (("series-uid", facts.series_uid), ("sop-instanz-uid", facts.instance_uid))
                if uid
            ],
            "status": "preliminary" if facts.automation == "automatic" else "final",
            "category": [concept(*category)],
            "code": concept(coding(BIOMARKERS, facts.biomarker, facts.title, version=facts.version)),
            "subject": reference("Patient", resource_id(facts.pseudonym)),
            "effectiveDateTime": fhir_datetime(facts.day, facts.clock, writing.zone),
            "issued": fhir_instant(facts.computed_at),
            "valueQuantity": quantity(facts.value, codes.UNIT_NAMES.get(facts.unit, facts.unit), facts.unit),
            "bodySite": located(place, facts.pseudonym) if place and place["system"] == SNOMED else None,
            "method": concept(
                coding(METHODS, f"{facts.biomarker}-{facts.version}", facts.title), text=facts.formula
            ),
            "device": {"display": facts.software} if facts.software else None,
            "derivedFrom": [reference("ImagingStudy", resource_id(facts.imaging_study_uid))],
        }
    )


def observation_id(identity: str) -> str:
    """Return the id of a measured value's Observation."""
    return resource_id("measurement", identity)


def report(study: Resource, observations: Sequence[Resource], issued: datetime, writing: Writing) -> Resource:
    """Write the DiagnosticReport that holds the values of one imaging study together.

    Parameters
    ----------
    study
        The ImagingStudy.
    observations
        Its Observations; at least one.
    issued
        When the newest value was computed.
    """
    return filled(
        {
            "resourceType": "DiagnosticReport",
            "id": resource_id("report", str(study["id"])),
            "meta": metadata(versions.REPORT, source=writing.source, updated=issued),
            "basedOn": study.get("basedOn"),
            # Computed values that nobody signed: a person's report has another status.
            "status": "preliminary",
            "category": [report_category()],
            "code": report_code(),
            "subject": study["subject"],
            "effectiveDateTime": study.get("started"),
            "issued": fhir_instant(issued),
            "result": [reference("Observation", str(item["id"])) for item in observations],
            "imagingStudy": [reference("ImagingStudy", str(study["id"]))],
        }
    )

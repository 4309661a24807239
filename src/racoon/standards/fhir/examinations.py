"""What stands around a study: the order it filled, the procedure that made it, the contrast medium, the body's part.

All of it is written from the images alone: an order that the hospital's own system sent stays a resource of the
clinical course.  The order here is a filler's (R4, request-intent ``filler-order``): that a study was made says that
there was one, and no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from racoon.standards.fhir import codes, versions
from racoon.standards.fhir.acquisition import number_of, text_of
from racoon.standards.fhir.building import (
    SNOMED,
    Resource,
    coding,
    concept,
    extension,
    fhir_datetime,
    filled,
    identifier,
    metadata,
    quantity,
    reference,
    resource_id,
)
from racoon.standards.fhir.imaging import SeriesFacts, StudyFacts, Writing, device_id

IMAGING = (SNOMED, "363679005", "Imaging (procedure)")
CONTRAST_MEDIUM = (SNOMED, "385420005", "Contrast media")
BODY_STRUCTURE = "http://hl7.org/fhir/StructureDefinition/bodySite"
"""R4's extension from a coded place to the BodyStructure."""

_VOLUME, _START, _STOP = "00181041", "00181042", "00181043"
"""Contrast/Bolus Volume, Start Time, Stop Time (PS3.3 section C.7.6.4)."""


def order_id(imaging_study_uid: str) -> str:
    """Return the id of the order that a study filled."""
    return resource_id("order", imaging_study_uid)


def procedure_id(imaging_study_uid: str) -> str:
    """Return the id of the procedure that made a study."""
    return resource_id("imaging", imaging_study_uid)


def order(study: StudyFacts, writing: Writing) -> Resource | None:
    """Write the ServiceRequest that a study filled; None when its kind of procedure has no code we know."""
    code = codes.procedure(_modalities(study))
    if code is None:
        return None
    return filled(
        {
            "resourceType": "ServiceRequest",
            "id": order_id(study.uid),
            "meta": metadata(versions.ORDER, source=writing.source, updated=study.updated),
            "identifier": [identifier("urn:racoon:order", order_id(study.uid))],
            "status": "completed",
            "intent": "filler-order",
            "category": [concept(coding(*IMAGING))],
            "code": concept(code),
            "subject": reference("Patient", resource_id(study.pseudonym)),
            "supportingInfo": [reference("ImagingStudy", resource_id(study.uid))],
        }
    )


def imaging_procedure(study: StudyFacts, writing: Writing) -> Resource | None:
    """Write the Procedure that made a study; None when it has no code we know."""
    code = codes.procedure(_modalities(study))
    if code is None:
        return None
    # What made masks and reports later did not make the study.
    acquired = [series for series in study.series if series.modality in codes.MODALITIES]
    sites = {series.body_part: codes.body_site(series.body_part) for series in acquired}
    makers = dict.fromkeys(device_id(series.manufacturer, series.model) for series in acquired)
    return filled(
        {
            "resourceType": "Procedure",
            "id": procedure_id(study.uid),
            "meta": metadata(versions.IMAGING_PROCEDURE, source=writing.source, updated=study.updated),
            "basedOn": [reference("ServiceRequest", order_id(study.uid))],
            "status": "completed",
            "category": concept(coding(*IMAGING)),
            "code": concept(code),
            "subject": reference("Patient", resource_id(study.pseudonym)),
            "performedDateTime": fhir_datetime(study.day, study.clock, writing.zone),
            "bodySite": [concept(site) for site in sites.values() if site],
            "usedReference": [reference("Device", maker) for maker in makers if maker],
        }
    )


def contrast_id(series_uid: str) -> str:
    """Return the id of the contrast medium of a series."""
    return resource_id("contrast", series_uid)


def contrast(study: StudyFacts, series: SeriesFacts, writing: Writing) -> Resource | None:
    """Write the contrast medium of a series; None where DICOM says no volume, which the profile demands."""
    volume_ml = number_of(series.header, _VOLUME)
    if not series.has_contrast or volume_ml is None or volume_ml <= 0:
        return None
    day = series.day or study.day
    start, stop = (
        fhir_datetime(day, clock, writing.zone) if clock else ""
        for clock in (text_of(series.header, _START), text_of(series.header, _STOP))
    )
    when: Mapping[str, Any] = {"effectiveDateTime": fhir_datetime(day, series.clock, writing.zone)}
    if "T" in start:
        when = {"effectivePeriod": filled({"start": start, "end": stop if stop >= start else ""})}
    if not any(when.values()):
        return None
    return filled(
        {
            "resourceType": "MedicationAdministration",
            "id": contrast_id(series.uid),
            "meta": metadata(versions.CONTRAST, source=writing.source, updated=study.updated),
            "partOf": [reference("Procedure", procedure_id(study.uid))],
            "status": "completed",
            "medicationCodeableConcept": concept(coding(*CONTRAST_MEDIUM)),
            "subject": reference("Patient", resource_id(study.pseudonym)),
            **when,
            "dosage": {"dose": quantity(volume_ml, "milliliter", "mL")},
        }
    )


def body_structure_id(pseudonym: str, code: str) -> str:
    """Return the id of a subject's part of the body."""
    return resource_id("body", pseudonym, code)


def body_structure(pseudonym: str, place: Resource, writing: Writing) -> Resource:
    """Write a part of a subject's body, coded in SNOMED CT, in which something was measured."""
    return filled(
        {
            "resourceType": "BodyStructure",
            "id": body_structure_id(pseudonym, str(place["code"])),
            "meta": metadata(versions.BODY_STRUCTURE, source=writing.source),
            "active": True,
            "location": concept(place),
            "patient": reference("Patient", resource_id(pseudonym)),
        }
    )


def located(place: Resource, pseudonym: str) -> Resource:
    """Write a bodySite that leads to its BodyStructure."""
    target = reference("BodyStructure", body_structure_id(pseudonym, str(place["code"])))
    return {"extension": [extension(BODY_STRUCTURE, valueReference=target)], **concept(place)}


def _modalities(study: StudyFacts) -> set[str]:
    return {series.modality for series in study.series}

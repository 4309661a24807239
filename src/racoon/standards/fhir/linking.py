"""An ImagingStudy with everything that it leads to: order, procedure, reason, contrast medium, weight and height.

Each link stands only where its target is written too, so that no reference leads nowhere.
"""

from __future__ import annotations

from collections.abc import Sequence

from racoon.standards.fhir import codes, versions
from racoon.standards.fhir.acquisition import number_of
from racoon.standards.fhir.building import (
    LOINC,
    Resource,
    coding,
    concept,
    extension,
    fhir_datetime,
    filled,
    metadata,
    quantity,
    reference,
    resource_id,
)
from racoon.standards.fhir.examinations import contrast, contrast_id, order_id, procedure_id
from racoon.standards.fhir.imaging import StudyFacts, Writing, imaging_study
from racoon.standards.fhir.versions import extension_url

_CONTRAST = extension_url("kontrastmittel")
_VITAL_SIGNS = ("http://terminology.hl7.org/CodeSystem/observation-category", "vital-signs", "Vital Signs")
_WEIGHT, _HEIGHT = "00101030", "00101020"
"""Patient's Weight in kg, Patient's Size in m (PS3.3 section C.7.2.2)."""

LIKELY_KG = (0.3, 650.0)
LIKELY_CM = (20.0, 260.0)
"""What a person can weigh and measure: another number is a slip of the keyboard, such as centimetres for metres."""


def linked_study(study: StudyFacts, writing: Writing, reasons: Sequence[Resource] = ()) -> Resource:
    """Write an ImagingStudy with its links.

    Parameters
    ----------
    study
        A study of the archive.
    writing
        How this node writes.
    reasons
        Codes of the order's reason in public catalogues, as CodeableConcepts.
    """
    resource = imaging_study(study, writing)
    has_order = codes.procedure({series.modality for series in study.series}) is not None
    measures = {
        item["id"]: reference("Observation", str(item["id"])) for item in body_measures(study, writing)
    }
    extensions = [
        extension(extension_url(name), valueReference=measures[identity])
        for name, identity in (("gewicht", weight_id(study.uid)), ("groesse", height_id(study.uid)))
        if identity in measures
    ]
    with_contrast = {series.uid for series in study.series if contrast(study, series, writing) is not None}
    for series in resource.get("series", ()):
        if series["uid"] in with_contrast:
            target = reference("MedicationAdministration", contrast_id(series["uid"]))
            detail = extension("contrastBolusDetails", valueReference=target)
            for item in series["extension"]:
                if item["url"] == _CONTRAST:
                    item["extension"].append(detail)
    links = {
        "extension": extensions,
        "basedOn": [reference("ServiceRequest", order_id(study.uid))] if has_order else [],
        "procedureReference": reference("Procedure", procedure_id(study.uid)) if has_order else None,
        "reasonCode": list(reasons),
    }
    return filled(resource | links)


def weight_id(imaging_study_uid: str) -> str:
    """Return the id of the body weight that a study says."""
    return resource_id("weight", imaging_study_uid)


def height_id(imaging_study_uid: str) -> str:
    """Return the id of the body height that a study says."""
    return resource_id("height", imaging_study_uid)


def study_of_measure(identity: str) -> str:
    """Return the imaging study of a body weight's or height's id; empty for another id."""
    kind, _, uid = identity.partition("-")
    return uid if kind in ("weight", "height") else ""


def body_measures(study: StudyFacts, writing: Writing) -> list[Resource]:
    """Write weight and height as the images say them: Observations of R4's profiles for vital signs.

    Several series say the same of one subject; the first that says something likely is taken.  Without a date of the
    study nothing is written, because the profiles demand one.
    """
    when = fhir_datetime(study.day, study.clock, writing.zone)
    weights = [number_of(series.header, _WEIGHT) for series in study.series]
    heights = [number_of(series.header, _HEIGHT) for series in study.series]
    weight_kg = next((item for item in weights if item and LIKELY_KG[0] <= item <= LIKELY_KG[1]), None)
    tall_cm = (round(item * 100, 3) for item in heights if item)
    height_cm = next((item for item in tall_cm if LIKELY_CM[0] <= item <= LIKELY_CM[1]), None)
    made = [
        (weight_id(study.uid), versions.BODY_WEIGHT, "29463-7", "Body weight", weight_kg, "kg"),
        (height_id(study.uid), versions.BODY_HEIGHT, "8302-2", "Body height", height_cm, "cm"),
    ]
    return [
        filled(
            {
                "resourceType": "Observation",
                "id": identity,
                "meta": metadata(profile, source=writing.source, updated=study.updated),
                "status": "final",
                "category": [concept(coding(*_VITAL_SIGNS))],
                "code": concept(coding(LOINC, code, words)),
                "subject": reference("Patient", resource_id(study.pseudonym)),
                "effectiveDateTime": when,
                "valueQuantity": quantity(number, unit, unit),
                "derivedFrom": [reference("ImagingStudy", resource_id(study.uid))],
            }
        )
        for identity, profile, code, words, number, unit in made
        if number is not None and when
    ]

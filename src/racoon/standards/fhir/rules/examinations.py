"""Tables of what stands around an imaging study: order, procedures, contrast medium, place in the body, report."""

from __future__ import annotations

from racoon.standards.fhir import versions
from racoon.standards.fhir.building import LOINC, SNOMED
from racoon.standards.fhir.rules.model import ProfileRules, Rule

_CODED = ("system", "code")
_IMAGING = {"system": SNOMED, "code": "363679005"}
_PATIENT = Rule("subject", 1, 1, targets=("Patient",))


def _category() -> tuple[Rule, ...]:
    return (
        Rule("category", 1),
        Rule("category.coding", 1),
        *(Rule(f"category.coding.{name}", 1, 1) for name in _CODED),
        Rule("category.coding:sct", 0, 1),
        Rule("category.coding:sct.display", pattern="Imaging (procedure)"),
    )


ORDER = ProfileRules(
    versions.ORDER,
    "ServiceRequest",
    rules=(
        *_category(),
        Rule("code", 1, 1),
        Rule("code.coding", 1),
        *(Rule(f"code.coding.{name}", 1, 1) for name in _CODED),
        Rule("code.coding:loinc", 0, 1, codes="loinc"),
        Rule("code.coding:sct", 0, 1, codes="snomed"),
        _PATIENT,
        Rule("reasonCode.coding", 1),
        *(Rule(f"reasonCode.coding.{name}", 1, 1) for name in _CODED),
        Rule("reasonCode.coding:sct", 0, 1, codes="snomed"),
        Rule("supportingInfo", targets=("DiagnosticReport", "ImagingStudy")),
    ),
    slices={
        "category.coding:sct": _IMAGING | {"display": "Imaging (procedure)"},
        "code.coding:loinc": {"system": LOINC},
        "code.coding:sct": {"system": SNOMED},
        "reasonCode.coding:sct": {"system": SNOMED},
    },
)

IMAGING_PROCEDURE = ProfileRules(
    versions.IMAGING_PROCEDURE,
    "Procedure",
    rules=(
        Rule("basedOn", 1, targets=("ServiceRequest",)),
        *_category(),
        *(Rule(f"code.coding.{name}", 1, 1) for name in _CODED),
        Rule("code.coding:sct", codes="snomed"),
        Rule("code.coding:loinc", 0, 1, codes="loinc"),
        _PATIENT,
    ),
    slices={
        "category.coding:sct": _IMAGING,
        "code.coding:sct": {"system": SNOMED},
        "code.coding:loinc": {"system": LOINC},
    },
)

READING_PROCEDURE = ProfileRules(
    versions.READING_PROCEDURE,
    "Procedure",
    rules=(
        *_category(),
        *(Rule(f"code.coding.{name}", 1, 1) for name in _CODED),
        Rule("code.coding:sct", 0, 1),
        Rule("code.coding:sct.display", pattern="Consultation and report by radiologist (procedure)"),
        _PATIENT,
        Rule("report", 1, targets=("DiagnosticReport", "Composition", "DocumentReference")),
    ),
    slices={
        "category.coding:sct": _IMAGING,
        "code.coding:sct": {"system": SNOMED, "code": "28191001"},
    },
)

CONTRAST = ProfileRules(
    versions.CONTRAST,
    "MedicationAdministration",
    rules=(_PATIENT, Rule("dosage", 1, 1), Rule("dosage.dose", 1, 1)),
)

BODY_STRUCTURE = ProfileRules(
    versions.BODY_STRUCTURE,
    "BodyStructure",
    rules=(
        Rule("morphology", 0, 1, codes="snomed"),
        Rule("location", 0, 1, codes="snomed"),
        Rule("locationQualifier", codes="snomed"),
    ),
)

RECOMMENDATION = ProfileRules(
    versions.RECOMMENDATION,
    "CarePlan",
    rules=(_PATIENT, Rule("supportingInfo", targets=("DiagnosticReport",))),
)

_FINDINGS = {"system": LOINC, "code": "18782-3", "display": "Radiology Study observation (narrative)"}

COMPOSITION = ProfileRules(
    versions.COMPOSITION,
    "Composition",
    rules=(
        Rule("type.coding", 1),
        *(Rule(f"type.coding.{name}", 1, 1) for name in _CODED),
        Rule("type.coding:loinc", 0, 1),
        *(Rule(f"type.coding:loinc.{name}", 1, 1) for name in _CODED),
        Rule("type.coding:loinc.display", pattern="Diagnostic imaging study"),
        _PATIENT,
        Rule("author", targets=("Practitioner",)),
        Rule("section", 1),
        *(Rule(f"section.code.coding.{name}", 1, 1) for name in _CODED),
        Rule("section.entry", 1),
        Rule("section:diagRep", 1, 1),
        Rule("section:diagRep.code", 1, 1, pattern={"coding": [_FINDINGS]}),
        Rule("section:diagRep.entry", 1, targets=("DiagnosticReport",)),
    ),
    slices={
        "type.coding:loinc": {"system": LOINC, "code": "18748-4"},
        "section:diagRep": {"code": {"coding": [_FINDINGS]}},
    },
)

EXAMINATIONS = (
    ORDER,
    IMAGING_PROCEDURE,
    READING_PROCEDURE,
    CONTRAST,
    BODY_STRUCTURE,
    RECOMMENDATION,
    COMPOSITION,
)

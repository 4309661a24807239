"""One table per profile in use.

Laid beside the published StructureDefinitions by ``tests/conformance/test_fhir_profiles.py``: every minimum, fixed
value and required binding of a differential stands here.
"""

from __future__ import annotations

from collections.abc import Mapping

from racoon.standards.fhir import versions
from racoon.standards.fhir.building import LOINC, SNOMED, UCUM
from racoon.standards.fhir.rules.audit import AUDITS
from racoon.standards.fhir.rules.clinic import (
    BODY_HEIGHT,
    BODY_WEIGHT,
    CONDITION,
    ICD_10_GM,
    LABORATORY,
    PSEUDONYMISED_PATIENT,
    consent_rules,
)
from racoon.standards.fhir.rules.examinations import EXAMINATIONS
from racoon.standards.fhir.rules.model import ProfileRules, Rule
from racoon.standards.fhir.versions import extension_url


def _with_extensions(path: str, **names: str) -> dict[str, object]:
    return {f"{path}:{slice_}": {"url": extension_url(name)} for slice_, name in names.items()}


IMAGING_STUDY = ProfileRules(
    versions.IMAGING_STUDY,
    "ImagingStudy",
    rules=(
        Rule("status", 1, 1, codes="imaging-status"),
        Rule("subject", 1, 1, targets=("Patient",)),
        Rule("modality", codes="cid-33"),
        Rule("extension:bildgebungsgrund", 0, 1),
        Rule("extension:koerpergewicht", 0, 1),
        Rule("extension:koerpergroesse", 0, 1),
        Rule("series.uid", 1, 1),
        Rule("series.modality", 1, 1, codes="cid-33"),
        Rule("series.bodySite", 0, 1, codes="snomed"),
        Rule("series.laterality", 0, 1, codes="cid-244"),
        Rule("series.performer.actor", 1, 1, targets=("Device",)),
        Rule("series.extension:modalitaetCT", 0, 1),
        Rule("series.extension:modalitaetMG_CR_DX", 0, 1),
        Rule("series.extension:modalitaetMR", 0, 1),
        Rule("series.extension:modalitaetPT", 0, 1),
        Rule("series.extension:modalitaetNM", 0, 1),
        Rule("series.extension:modalitaetUS", 0, 1),
        Rule("series.extension:kontrastmittel", 0, 1),
        Rule("series.extension:schichtdicke", 0, 1),
        Rule("series.instance.uid", 1, 1),
        Rule("series.instance.sopClass", 1, 1),
        Rule("series.instance.extension:InstanceDetails", 0, 1),
    ),
    slices=_with_extensions(
        "extension", bildgebungsgrund="bildgebungsgrund", koerpergewicht="gewicht", koerpergroesse="groesse"
    )
    | _with_extensions(
        "series.extension",
        modalitaetCT="modalitaet-ct",
        modalitaetMG_CR_DX="modalitaet-mg-cr-dx",
        modalitaetMR="modalitaet-mr",
        modalitaetPT="modalitaet-pt",
        modalitaetNM="modalitaet-nm",
        modalitaetUS="modalitaet-us",
        kontrastmittel="kontrastmittel",
        schichtdicke="serie-schichtdicke",
    )
    | _with_extensions("series.instance.extension", InstanceDetails="instanz-details"),
)

DEVICE = ProfileRules(
    versions.DEVICE,
    "Device",
    rules=(Rule("deviceName.name", 1, 1), Rule("deviceName.type", 1, 1, codes="device-name")),
)

_FINDING_SLICES = {
    "category.coding:loinc": {"system": LOINC, "code": "18782-3"},
    "category.coding:sct": {"system": SNOMED, "code": "122869004"},
    "code.coding:sct": {"system": SNOMED},
    "method.coding:sct": {"system": SNOMED},
    "extension:SeriesUID": {"url": extension_url("series-uid")},
    "extension:SOPInstanzUID": {"url": extension_url("sop-instanz-uid")},
    "bodySite.extension:bodyStructure": {"url": "http://hl7.org/fhir/StructureDefinition/bodySite"},
}

_FINDING_RULES = (
    Rule("status", 1, 1, codes="observation-status"),
    Rule("extension:SeriesUID", 0, 1),
    Rule("extension:SOPInstanzUID", 0, 1),
    Rule("partOf", targets=("Procedure",)),
    Rule("category.coding", 1),
    Rule("category.coding.system", 1, 1),
    Rule("category.coding.code", 1, 1),
    Rule("category.coding:loinc", 0, 1),
    Rule("category.coding:loinc.system", 1, 1),
    Rule("category.coding:loinc.code", 1, 1),
    Rule("category.coding:loinc.display", pattern="Radiology Study observation (narrative)"),
    Rule("code", 1, 1),
    Rule("code.coding", 1),
    Rule("code.coding.system", 1, 1),
    Rule("code.coding.code", 1, 1),
    Rule("code.coding:sct", 0, 1, codes="snomed"),
    Rule("subject", 1, 1, targets=("Patient",)),
    Rule("value[x]", 1, 1),
    Rule("valueCodeableConcept.coding.system", 1, 1),
    Rule("valueCodeableConcept.coding.code", 1, 1),
    Rule("valueQuantity.unit", 1, 1),
    Rule("valueQuantity.system", 1, 1),
    Rule("valueQuantity.code", 1, 1),
    Rule("bodySite", 0, 1, codes="snomed"),
    Rule("bodySite.extension:bodyStructure", 0, 1),
    Rule("hasMember", targets=("Observation", "QuestionnaireResponse", "MolecularSequence")),
)

FINDING = ProfileRules(versions.FINDING, "Observation", _FINDING_RULES, _FINDING_SLICES)

MEASUREMENT = ProfileRules(
    versions.MEASUREMENT,
    "Observation",
    rules=(
        *_FINDING_RULES,
        Rule("category.coding:sct", 0, 1),
        Rule("category.coding:sct.display", pattern="Measurement procedure (procedure)"),
        Rule("valueQuantity", 1, 1),
        Rule("valueQuantity.system", pattern=UCUM),
        Rule("method.coding", 1),
        Rule("method.coding.system", 1, 1),
        Rule("method.coding.code", 1, 1),
        Rule("method.coding:sct", 0, 1),
        Rule("component.code.coding.system", pattern=SNOMED),
        Rule("component.valueQuantity.system", pattern=UCUM),
    ),
    slices=_FINDING_SLICES,
)

REPORT = ProfileRules(
    versions.REPORT,
    "DiagnosticReport",
    rules=(
        Rule("status", 1, 1, codes="report-status"),
        Rule("basedOn", targets=("ServiceRequest", "CarePlan")),
        Rule("category", 1),
        Rule("category.coding", 1),
        Rule("category.coding.system", 1, 1),
        Rule("category.coding.code", 1, 1),
        Rule("category.coding:sct", 1, 1),
        Rule("category.coding:sct.system", 1, 1),
        Rule("category.coding:sct.code", 1, 1),
        Rule("category.coding:sct.display", pattern="Imaging report (record artifact)"),
        Rule("category.coding:loinc", 0, 1),
        Rule("category.coding:loinc.system", 1, 1),
        Rule("category.coding:loinc.code", 1, 1),
        Rule("category.coding:loinc.display", pattern="Diagnostic imaging study"),
        Rule("category.coding:diagnostic-service-sections", 0, 1),
        Rule("category.coding:diagnostic-service-sections.system", 1, 1),
        Rule("category.coding:diagnostic-service-sections.code", 1, 1),
        Rule("category.coding:diagnostic-service-sections.display", pattern="Radiology"),
        Rule("code", 1, 1),
        Rule("code.coding", 1),
        Rule("code.coding.system", 1, 1),
        Rule("code.coding.code", 1, 1),
        Rule("code.coding:sct", 0, 1, codes="snomed"),
        Rule("code.coding:loinc", 0, 1, codes="loinc"),
        Rule("subject", 1, 1, targets=("Patient",)),
        Rule("effective[x]", 0, 1),
        Rule("imagingStudy", 1, targets=("ImagingStudy",)),
        Rule("conclusionCode.coding", 1),
        Rule("conclusionCode.coding.system", 1, 1),
        Rule("conclusionCode.coding.code", 1, 1),
        Rule("conclusionCode.coding:icd10-gm", 0, 1, codes="icd-10-gm"),
        Rule("conclusionCode.coding:sct", 0, 1, codes="snomed"),
    ),
    slices={
        "category.coding:sct": {"system": SNOMED, "code": "4201000179104"},
        "category.coding:loinc": {"system": LOINC, "code": "18748-4"},
        "category.coding:diagnostic-service-sections": {
            "system": "http://terminology.hl7.org/CodeSystem/v2-0074",
            "code": "RAD",
        },
        "code.coding:sct": {"system": SNOMED},
        "code.coding:loinc": {"system": LOINC},
        "conclusionCode.coding:icd10-gm": {"system": ICD_10_GM},
        "conclusionCode.coding:sct": {"system": SNOMED},
    },
)


PROFILES: Mapping[str, ProfileRules] = {
    table.url: table
    for table in (
        IMAGING_STUDY,
        DEVICE,
        FINDING,
        MEASUREMENT,
        REPORT,
        PSEUDONYMISED_PATIENT,
        CONDITION,
        LABORATORY,
        BODY_WEIGHT,
        BODY_HEIGHT,
        *EXAMINATIONS,
        *AUDITS,
    )
}
"""Tables that are the same in every version."""


def profile_rules(url: str, version: versions.ProfileVersion) -> ProfileRules | None:
    """Return the table of a profile; None when we have none."""
    bare = url.partition("|")[0]
    return consent_rules(version) if bare == versions.CONSENT else PROFILES.get(bare)

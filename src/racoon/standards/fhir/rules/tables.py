"""One table per profile in use.

Laid beside the published StructureDefinitions by ``tests/conformance/test_fhir_profiles.py``: every minimum, fixed
value and required binding of a differential stands here.
"""

from __future__ import annotations

from collections.abc import Mapping

from racoon.standards.fhir import versions
from racoon.standards.fhir.building import LOINC, SNOMED, UCUM, Resource
from racoon.standards.fhir.rules.model import Invariant, ProfileRules, Rule
from racoon.standards.fhir.versions import extension_url

V2_0203 = "http://terminology.hl7.org/CodeSystem/v2-0203"
ICD_10_GM = "http://fhir.de/CodeSystem/bfarm/icd-10-gm"
OBSERVATION_VALUE = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
POLICIES = "urn:oid:2.16.840.1.113883.3.1937.777.24.5.3"


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


def _official_gender_is_said(patient: Resource) -> bool:
    if patient.get("gender") != "other":
        return True
    extensions = patient.get("_gender", {}).get("extension", [])
    return any(
        item.get("url") == "http://fhir.de/StructureDefinition/gender-amtlich-de" for item in extensions
    )


def _country_is_a_code(patient: Resource) -> bool:
    countries = [item.get("country") for item in patient.get("address", []) if isinstance(item, dict)]
    return all(country is None or (country.isalpha() and len(country) in (2, 3)) for country in countries)


def _no_name_or_contact(patient: Resource) -> bool:
    return not any(name in patient for name in ("name", "telecom", "photo", "contact"))


_ADDRESS = ("Strassenanschrift", "Postfach")

PSEUDONYMISED_PATIENT = ProfileRules(
    versions.PSEUDONYMISED_PATIENT,
    "Patient",
    rules=(
        Rule("identifier", 1),
        Rule("identifier:PseudonymisierterIdentifier.system", 1, 1),
        Rule("identifier:PseudonymisierterIdentifier.value", 1, 1),
        Rule("gender", 0, 1, codes="gender"),
        Rule("deceased[x]", 0, 1),
        *(
            Rule(f"address:{kind}.{name}", 1, 1)
            for kind in _ADDRESS
            for name in ("type", "postalCode", "country")
        ),
    ),
    slices={
        "identifier:PseudonymisierterIdentifier": {
            "type": {"coding": [{"system": OBSERVATION_VALUE, "code": "PSEUDED"}]}
        },
        "identifier:AnonymisierterIdentifier": {
            "type": {"coding": [{"system": OBSERVATION_VALUE, "code": "ANONYED"}]}
        },
        "address:Strassenanschrift": {"type": "both"},
        "address:Postfach": {"type": "postal"},
    },
    invariants=(
        Invariant(
            "mii-pat-1", "The gender 'other' needs the official German kind.", _official_gender_is_said
        ),
        Invariant("pat-cnt-2or3-char", "A country is a code of two or three letters.", _country_is_a_code),
        Invariant("racoon-pat-1", "A pseudonymised patient has no name and no contact.", _no_name_or_contact),
    ),
)

CONDITION = ProfileRules(
    versions.CONDITION,
    "Condition",
    rules=(
        Rule("code", 1, 1),
        Rule("code.coding", 1),
        Rule("code.coding:icd10-gm", 0, 1, codes="icd-10-gm"),
        Rule("code.coding:alpha-id", 0, 1, codes="alpha-id"),
        Rule("code.coding:sct", 0, 1, codes="snomed"),
        Rule("code.coding:sct.system", 1, 1),
        Rule("code.coding:sct.code", 1, 1),
        Rule("code.coding:orphanet", 0, 1),
        Rule("code.coding:orphanet.system", 1, 1),
        Rule("code.coding:orphanet.code", 1, 1),
        Rule("bodySite.coding", 1),
        Rule("bodySite.coding:snomed-ct", 1, 1, codes="snomed"),
        Rule("bodySite.coding:snomed-ct.system", 1, 1),
        Rule("bodySite.coding:snomed-ct.code", 1, 1),
        Rule("recordedDate", 1, 1),
        Rule("subject", 1, 1),
    ),
    slices={
        "code.coding:icd10-gm": {"system": ICD_10_GM},
        "code.coding:alpha-id": {"system": "http://fhir.de/CodeSystem/bfarm/alpha-id"},
        "code.coding:sct": {"system": SNOMED},
        "code.coding:orphanet": {"system": "http://www.orpha.net"},
        "bodySite.coding:snomed-ct": {"system": SNOMED},
    },
    invariants=(
        Invariant(
            "racoon-icd-year",
            "An ICD-10-GM code needs the year of its catalogue as version.",
            lambda condition: all(
                item.get("version")
                for item in condition.get("code", {}).get("coding", [])
                if isinstance(item, dict) and item.get("system") == ICD_10_GM
            ),
            "warning",
        ),
    ),
)


def _value_or_reason(observation: Resource) -> bool:
    has_value = any(name.startswith("value") for name in observation)
    return has_value or bool(observation.get("hasMember")) or "dataAbsentReason" in observation


def _date_is_precise(observation: Resource) -> bool:
    text = observation.get("effectiveDateTime")
    return text is None or len(text) >= 8


LABORATORY = ProfileRules(
    versions.LABORATORY,
    "Observation",
    rules=(
        Rule("status", 1, 1, codes="observation-status"),
        Rule("identifier", 1),
        Rule("identifier:analyseBefundCode", 1, 1),
        *(
            Rule(f"identifier:analyseBefundCode.{name}", 1, 1)
            for name in ("type", "system", "value", "assigner")
        ),
        Rule("category", 1),
        Rule("category.coding", 2),
        Rule("category.coding:loinc-observation", 1, 1),
        Rule("category.coding:observation-category", 1, 1),
        Rule("code", 1, 1),
        Rule("subject", 1, 1),
        Rule("effective[x]", 1, 1),
        *(Rule(f"valueQuantity.{name}", 1, 1) for name in ("value", "unit", "system", "code")),
        Rule("valueQuantity.system", pattern=UCUM),
        Rule("valueCodeableConcept.coding", 1),
        Rule("valueCodeableConcept.coding.system", 1, 1),
        Rule("valueCodeableConcept.coding.code", 1, 1),
        Rule("bodySite", 0, 0),
    ),
    slices={
        "identifier:analyseBefundCode": {"type": {"coding": [{"system": V2_0203, "code": "OBI"}]}},
        "category.coding:loinc-observation": {"system": LOINC, "code": "26436-6"},
        "category.coding:observation-category": {
            "system": "http://terminology.hl7.org/CodeSystem/observation-category",
            "code": "laboratory",
        },
    },
    invariants=(
        Invariant("mii-lab-1", "The time of a laboratory value says at least the day.", _date_is_precise),
        Invariant("mii-lab-2", "Without a value there is a reason for it.", _value_or_reason),
    ),
)


def consent_rules(version: versions.ProfileVersion) -> ProfileRules:
    """Return the table of the consent profile, whose category moved between code systems."""
    mii = {
        "coding": [
            {"system": version.consent_category_system, "code": "2.16.840.1.113883.3.1937.777.24.2.184"}
        ]
    }
    inner = "provision.provision"
    return ProfileRules(
        versions.CONSENT,
        "Consent",
        rules=(
            Rule("status", 1, 1, codes="consent-status"),
            Rule("scope", 1, 1),
            Rule("scope.coding", 1, 1),
            Rule("scope.coding.system", 1, 1, pattern="http://terminology.hl7.org/CodeSystem/consentscope"),
            Rule("scope.coding.code", 1, 1, pattern="research"),
            Rule("category", 2),
            Rule("category:loinc", 1, 1),
            Rule("category:loinc.coding", 1, 1),
            Rule("category:mii", 1, 1),
            Rule("category:mii.coding", 1, 1),
            Rule("patient", 1, 1, targets=("Patient",)),
            Rule("dateTime", 1, 1),
            Rule("policy", 1),
            Rule("policy.uri", 1, 1),
            Rule("provision.type", 1, 1, codes="provision-type"),
            Rule("provision.period", 1, 1),
            Rule("provision.period.start", 1, 1),
            Rule("provision.period.end", 1, 1),
            Rule("provision.action", 0, 0),
            Rule("provision.code", 0, 0),
            Rule(f"{inner}.type", 1, 1, codes="provision-type"),
            Rule(f"{inner}.period", 1, 1),
            Rule(f"{inner}.period.start", 1, 1),
            Rule(f"{inner}.period.end", 1, 1),
            Rule(f"{inner}.action", 0, 0),
            Rule(f"{inner}.code", 1, None, codes="consent-policy"),
            Rule(f"{inner}.code.coding", 1),
            Rule(f"{inner}.code.coding.system", 1, 1),
            Rule(f"{inner}.code.coding.code", 1, 1),
            Rule(f"{inner}.provision", 0, 0),
        ),
        slices={
            "category:loinc": {"coding": [{"system": LOINC, "code": "57016-8"}]},
            "category:mii": mii,
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
    )
}
"""Tables that are the same in every version."""


def profile_rules(url: str, version: versions.ProfileVersion) -> ProfileRules | None:
    """Return the table of a profile; None when we have none."""
    bare = url.partition("|")[0]
    return consent_rules(version) if bare == versions.CONSENT else PROFILES.get(bare)

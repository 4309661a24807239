"""Tables of the clinical modules: person (pseudonymised), diagnosis, laboratory, consent."""

from __future__ import annotations

from racoon.standards.fhir import versions
from racoon.standards.fhir.building import LOINC, SNOMED, UCUM, Resource
from racoon.standards.fhir.rules.model import Invariant, ProfileRules, Rule

V2_0203 = "http://terminology.hl7.org/CodeSystem/v2-0203"
ICD_10_GM = "http://fhir.de/CodeSystem/bfarm/icd-10-gm"
OBSERVATION_VALUE = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"


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


_VITAL_SIGNS = {
    "coding": [
        {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}
    ]
}


def _vital_sign(url: str, code: str, units: str) -> ProfileRules:
    """R4's own profile of a vital sign that is one quantity."""
    return ProfileRules(
        url,
        "Observation",
        rules=(
            Rule("status", 1, 1, codes="observation-status"),
            Rule("category", 1),
            Rule("category:VSCat", 1, 1),
            Rule("code", 1, 1),
            Rule("code.coding:vitalSign", 1, 1),
            Rule("subject", 1, 1, targets=("Patient",)),
            Rule("effective[x]", 1, 1),
            Rule("valueQuantity", 0, 1),
            Rule("valueQuantity.value", 1, 1),
            Rule("valueQuantity.unit", 1, 1),
            Rule("valueQuantity.system", 1, 1, pattern=UCUM),
            Rule("valueQuantity.code", 1, 1, codes=units),
        ),
        slices={"category:VSCat": _VITAL_SIGNS, "code.coding:vitalSign": {"system": LOINC, "code": code}},
        invariants=(
            Invariant("vs-1", "The day of a vital sign is known at least.", _date_is_precise),
            Invariant("vs-2", "A vital sign has a value, or a reason why it has none.", _value_or_reason),
        ),
    )


BODY_WEIGHT = _vital_sign(versions.BODY_WEIGHT, "29463-7", "body-weight-units")
BODY_HEIGHT = _vital_sign(versions.BODY_HEIGHT, "8302-2", "body-length-units")

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

"""What the form of a cohort offers to choose from.  Pure."""

from __future__ import annotations

from collections.abc import Mapping

from racoon.domain.clinical_criterion import ICD
from racoon.domain.cohort import SNOMED
from racoon.domain.consent import (
    COLLECT,
    MERGE,
    OUTSIDE_EU,
    RECONTACT_FURTHER_COLLECTION,
    RETROSPECTIVE,
    STORE,
    USE,
)

SYSTEMS: Mapping[str, str] = {
    ICD: "ICD-10-GM",
    "http://loinc.org": "LOINC",
    "http://fhir.de/CodeSystem/bfarm/ops": "OPS",
    "http://fhir.de/CodeSystem/bfarm/atc": "ATC",
    SNOMED: "SNOMED CT",
}
"""Code systems that the form offers; a code of another one is written ``system|code``, as in a search of FHIR."""

USUAL_SYSTEM: Mapping[str, str] = {
    "condition": ICD,
    "observation": "http://loinc.org",
    "procedure": "http://fhir.de/CodeSystem/bfarm/ops",
    "medication": "http://fhir.de/CodeSystem/bfarm/atc",
}
"""Code system that a new criterion begins with."""

POLICIES: Mapping[str, str] = {
    "use": USE,
    "store": STORE,
    "collect": COLLECT,
    "retrospective": RETROSPECTIVE,
    "outside_eu": OUTSIDE_EU,
    "merge": MERGE,
    "recontact": RECONTACT_FURTHER_COLLECTION,
}
"""Policies of the broad consent that the form offers; others are written as codes."""

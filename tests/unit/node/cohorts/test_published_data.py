"""The published synthetic patients: for every code the SQL finds the same patients as a look into the files."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from racoon.domain.clinical_criterion import ICD, SYSTEMS, ClinicalCriterion
from racoon.domain.cohort import CohortDefinition, parse_cohort
from racoon.domain.consent import STORE, USE
from racoon.node.app.clinic import import_files
from racoon.node.cohorts import service
from racoon.node.cohorts.facts import NOT_A_FACT
from tests.node_rooms import NodeInProcess

KINDS = {"Condition": "condition", "Observation": "observation", "Procedure": "procedure"}


@pytest.fixture
def bundles(repository: Path) -> Path:
    for place in repository.parents:
        folder = place / "shared" / "fhir" / "mii-testdata" / "bundles"
        if folder.is_dir():
            return folder
    pytest.skip("FHIR MATERIAL MISSING: ../shared/fhir is not there; this test needs the published test data")


def resources(folder: Path) -> list[dict[str, Any]]:
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    return [entry["resource"] for document in documents for entry in document.get("entry", [])]


def patients_by_code(folder: Path) -> dict[tuple[str, str, str], set[str]]:
    found: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for resource in resources(folder):
        kind = KINDS.get(resource["resourceType"])
        verified = [
            coding.get("code") for coding in (resource.get("verificationStatus") or {}).get("coding", [])
        ]
        if kind is None or {resource.get("status"), *verified} & NOT_A_FACT or "subject" not in resource:
            continue
        for coding in (resource.get("code") or {}).get("coding", []):
            if coding.get("code") and coding.get("system"):
                system = SYSTEMS.get(coding["system"], coding["system"])
                found[kind, system, coding["code"]].add(resource["subject"]["reference"])
    return found


def test_every_code_finds_its_patients_and_consent_decides_who_is_read(
    node: NodeInProcess, bundles: Path
) -> None:
    node.rely_on()
    report = import_files(node.config, bundles)
    assert report["consents"]["documents"] == 6
    expected = patients_by_code(bundles)
    codes = [key for key in expected if key[1] in (ICD, "http://loinc.org", "http://snomed.info/sct")]
    assert len(codes) > 20
    with node.rooms.database.connect() as connection:
        for kind, system, code in codes:
            definition = CohortDefinition(((ClinicalCriterion(kind, ((system, code),)),),))
            wanted = set(expected[kind, system, code])
            if system == ICD:
                for (other_kind, other, longer), patients in expected.items():
                    if (other_kind, other) == (kind, ICD) and longer.startswith(f"{code}."):
                        wanted |= patients
            found = service.members(connection, parse_cohort(definition.to_dict()), node.consent.condition)
            assert len(found) == len(wanted), (kind, system, code)


def test_only_patients_whose_consent_permits_today_are_read_without_a_basis(
    node: NodeInProcess, bundles: Path
) -> None:
    import_files(node.config, bundles)
    permitted = set()
    for resource in resources(bundles):
        if resource["resourceType"] == "Consent" and resource["status"] == "active":
            policies = {
                coding["code"]
                for inner in resource["provision"]["provision"]
                if inner["type"] == "permit" and inner["period"]["end"] > "2026"
                for concept in inner["code"]
                for coding in concept["coding"]
            }
            if {STORE, USE} <= policies:
                permitted.add(resource["patient"]["reference"])
    everybody = CohortDefinition(
        (tuple(ClinicalCriterion(kind, ((s, c),)) for kind, s, c in sorted(patients_by_code(bundles))),)
    )
    with node.rooms.database.connect() as connection:
        found = service.members(connection, everybody, node.consent.condition)
    assert 0 < len(found) <= len(permitted) < 8

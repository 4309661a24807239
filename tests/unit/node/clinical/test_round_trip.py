"""What a node writes as FHIR comes into another one without loss, for every profile; published examples too."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from racoon.node.clinical import _store
from racoon.node.clinical.deidentify import DATE_ELEMENTS
from racoon.node.clinical.importing import Importer
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.platform.database import Database, create_all
from racoon.standards.fhir.imaging import Writing
from racoon.standards.fhir.reading import iterate_resources, tolerate
from racoon.standards.fhir.rules.checking import check
from racoon.standards.fhir.rules.tables import PROFILES
from racoon.standards.fhir.subjects import SubjectFacts, patient
from racoon.standards.fhir.versions import CONDITION, CONSENT, FINDING, LABORATORY, MEASUREMENT, VERSIONS
from tests.unit.standards.fhir.test_examinations import surroundings
from tests.unit.standards.fhir.test_writing import BERLIN, PSEUDONYM, written

HL7 = "http://terminology.hl7.org/CodeSystem"
WRITING = Writing(VERSIONS["2026"], BERLIN, "urn:racoon:site:alpha", "urn:racoon:alpha:pseudonym")

LEFT = frozenset(
    {"identifier", "author", "display", "text", "title", "unit", "name", "manufacturer", "deviceName", "id",
     "source", "lastUpdated", "birthDate", "device", "performer"}
)  # fmt: skip
"""What an import leaves behind on purpose: people, words, numbers of people; a unit's words beside its code."""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = Database(f"sqlite:///{tmp_path}/node.sqlite")
    create_all(found, "node")
    yield found
    found.dispose()


@pytest.fixture
def importer(tmp_path: Path, database: Database) -> Iterator[Importer]:
    names = Pseudonymiser(tmp_path / "names" / "master.key", f"sqlite:///{tmp_path}/names/names.sqlite")
    yield Importer(database, names)
    names.close()


def contents(database: Database) -> list[dict[str, Any]]:
    with database.connect() as connection:
        return [row.content for row in connection.execute(sa.select(_store.resource.c.content))]


def said(value: Any, element: str = "") -> Iterator[tuple[str, str]]:
    """Yield everything that is said, with its element; of dates, ids and UIDs that something is said."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name not in LEFT:
                yield from said(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from said(item, element)
    elif isinstance(value, str) and element == "reference":
        yield element, value.partition("/")[0]
    elif isinstance(value, str) and (element in DATE_ELEMENTS or element.endswith("DateTime")):
        yield element, re.sub(r"\d", "0", value)[:10]
    elif element in ("uid", "valueId", "questionnaire"):
        yield element, "something"
    else:
        yield element, json.dumps(value)


def of_the_clinic(version: str) -> list[dict[str, Any]]:
    """What a node never writes itself: a diagnosis, a laboratory value, a consent."""
    loinc, subject = "http://loinc.org", {"reference": f"Patient/{PSEUDONYM}"}
    policies = "urn:oid:2.16.840.1.113883.3.1937.777.24.5.3"
    period = {"start": "2024-01-31", "end": "2029-01-30"}
    category = VERSIONS[version].consent_category_system
    permit = {
        "type": "permit",
        "period": period,
        "code": [{"coding": [{"system": policies, "code": f"{policies.removeprefix('urn:oid:')}.6"}]}],
    }
    return [
        {
            "resourceType": "Condition",
            "id": "c1",
            "meta": {"profile": [CONDITION]},
            "clinicalStatus": {"coding": [{"system": f"{HL7}/condition-clinical", "code": "active"}]},
            "code": {
                "coding": [
                    {"system": "http://fhir.de/CodeSystem/bfarm/icd-10-gm", "version": "2024", "code": "C34.1"},
                    {"system": "http://snomed.info/sct", "code": "254637007"},
                ]
            },
            "bodySite": [{"coding": [{"system": "http://snomed.info/sct", "code": "39607008"}]}],
            "subject": subject,
            "onsetDateTime": "2024-01-02",
            "recordedDate": "2024-01-31",
        },
        {
            "resourceType": "Observation",
            "id": "l1",
            "meta": {"profile": [LABORATORY]},
            "identifier": [
                {
                    "type": {"coding": [{"system": f"{HL7}/v2-0203", "code": "OBI"}]},
                    "system": "https://laboratory.example",
                    "value": "1",
                    "assigner": {"display": "Laboratory"},
                }
            ],
            "status": "final",
            "category": [
                {
                    "coding": [
                        {"system": loinc, "code": "26436-6"},
                        {"system": f"{HL7}/observation-category", "code": "laboratory"},
                    ]
                }
            ],
            "code": {"coding": [{"system": loinc, "code": "67151-1"}]},
            "subject": subject,
            "effectiveDateTime": "2024-01-31T07:30:00+01:00",
            "valueQuantity": {
                "value": 14.5, "unit": "ng/L", "system": "http://unitsofmeasure.org", "code": "ng/L"
            },
            "interpretation": [{"coding": [{"system": f"{HL7}/v3-ObservationInterpretation", "code": "H"}]}],
        },
        {
            "resourceType": "Consent",
            "id": f"k-{version}",
            "meta": {"profile": [CONSENT]},
            "status": "active",
            "scope": {"coding": [{"system": f"{HL7}/consentscope", "code": "research"}]},
            "category": [
                {"coding": [{"system": loinc, "code": "57016-8"}]},
                {"coding": [{"system": category, "code": "2.16.840.1.113883.3.1937.777.24.2.184"}]},
            ],
            "patient": subject,
            "dateTime": "2024-01-31",
            "policy": [{"uri": "urn:oid:2.16.840.1.113883.3.1937.777.24.2.1791"}],
            "provision": {"type": "deny", "period": period, "provision": [permit]},
        },
    ]  # fmt: skip


def specimens(url: str, version: str) -> list[dict[str, Any]]:
    """Everything that claims a profile, as one version of the package has it, with ids of its own."""
    everything = [*written(version), *surroundings(version), *of_the_clinic(version)]
    found = [item for item in everything if url in item.get("meta", {}).get("profile", ())]
    return [item | {"id": f"{item['id']}.{number}"} for number, item in enumerate(found)]


NOT_OF_A_COURSE = frozenset({"Device", "AuditEvent"})
"""Of nobody's clinical course: an import counts them as left out, a reader of files reads them."""

VERSIONS_OF = {FINDING: VERSIONS, MEASUREMENT: {"2027-ballot": VERSIONS["2027-ballot"]}}


IN_USE = [(url, name) for url in sorted({*PROFILES, CONSENT}) for name in VERSIONS_OF.get(url, VERSIONS)]
"""The table of profiles itself with each version that writes it: nobody can forget one here."""


@pytest.mark.parametrize(("url", "name"), IN_USE)
def test_every_profile_goes_out_and_comes_in_without_loss(
    database: Database, importer: Importer, tmp_path: Path, url: str, name: str
) -> None:
    out, version = specimens(url, name), VERSIONS[name]
    assert out, "nothing is written for a profile that stands in the table"
    assert [issue for item in out for issue in check(item, version) if issue.severity == "error"] == []
    path = tmp_path / "out.ndjson"
    path.write_text("".join(json.dumps(item) + "\n" for item in out), "utf-8")
    # As files: nothing is mended, nothing is changed.
    assert [found.resource for found in iterate_resources(path)] == out
    assert [tolerate(item, version)[1] for item in out] == [[] for _ in out]
    # Into the clinical course of another node, which reads the version that it writes itself, and says what it mends.
    person = patient(SubjectFacts(PSEUDONYM, "F", "1961"), WRITING)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(person) + "\n")
    report = importer.import_path(path)
    assert report.as_json()["reasons"] == {}
    kinds = {item["resourceType"] for item in out}
    if kinds <= NOT_OF_A_COURSE:
        assert report.left_out == len(out)
        return
    assert report.left_out == 0
    stored = [item for item in contents(database) if item["resourceType"] in kinds]
    assert lost([tolerate(item)[0] for item in out], stored) == {}


@pytest.mark.parametrize("url", sorted({*PROFILES, CONSENT}))
@pytest.mark.parametrize("reader", sorted(VERSIONS))
def test_what_one_version_writes_every_other_reads_and_says_what_it_tolerated(url: str, reader: str) -> None:
    for name in VERSIONS_OF.get(url, VERSIONS):
        for item in specimens(url, name):
            mended, notes = tolerate(item, VERSIONS[reader])
            assert [issue for issue in check(mended, VERSIONS[reader]) if issue.severity == "error"] == []
            is_moved = VERSIONS[name].consent_category_system != VERSIONS[reader].consent_category_system
            said = ["consent-category"] if url == CONSENT and is_moved else []
            assert [note.code for note in notes] == said
            assert mended == item or said


def lost(sources: list[dict[str, Any]], stored: list[dict[str, Any]]) -> dict[tuple[str, str], int]:
    before = Counter(thing for item in sources for thing in said(item))
    after = Counter(thing for item in stored for thing in said(item))
    return dict(before - after)


@pytest.mark.parametrize("module", ["bildgebung", "diagnose", "fall", "labor", "consent"])
def test_published_examples_come_in_without_loss(
    database: Database, importer: Importer, repository: Path, tmp_path: Path, module: str
) -> None:
    folder = repository.parent / "shared" / "fhir" / f"mii-{module}" / "examples"
    if not folder.is_dir():
        pytest.skip("FHIR MATERIAL MISSING: ../shared/fhir is not there; this test needs the examples")
    found = [item.resource for item in iterate_resources(folder) if item.resource is not None]
    subjects = {
        item[name]["reference"].partition("/")[2]
        for item in found
        for name in ("subject", "patient")
        if str(item.get(name, {}).get("reference", "")).startswith("Patient/")
    }
    people = [{"resourceType": "Patient", "id": name} for name in sorted(subjects)]
    lines = "".join(json.dumps(item) + "\n" for item in [*people, *found])
    (tmp_path / "examples.ndjson").write_text(lines, "utf-8")
    report = importer.import_path(tmp_path / "examples.ndjson")
    assert report.as_json()["reasons"] == {}
    stored = contents(database)
    kinds = {item["resourceType"] for item in stored} - {"Patient"}
    mended = [tolerate(item)[0] for item in found if item["resourceType"] in kinds]
    # What was left behind is in the report; codes of the hospital's own become tokens.
    gone = {thing for thing in lost(mended, stored) if thing[0] not in WORDS}
    assert {text.strip('"').rpartition("/")[2] for _, text in gone} == KNOWN_LOSSES[module]
    assert sum(report.losses.left.values()) > 0
    assert report.losses.tokens["code"] == len(TOKENS & KNOWN_LOSSES[module])


WORDS = frozenset({"description", "conclusion", "valueString", "data", "contentType", "valueBase64Binary"})

TOKENS = frozenset({"BQML", "Elektrolyte", "Gro\\u00dfesBlutbild"})
"""Codes that are not of a catalogue we know: the example writes a unit of DICOM as if it were one of UCUM."""

KNOWN_LOSSES = {
    # A reason of the examination is in words.
    "bildgebung": {"mii-ex-bildgebung-bildgebungsgrund", "BQML"},
    "diagnose": set(),
    # Marks of test data, and the rooms and beds of the hospital.
    "fall": {"v3-ActReason", "HTEST", "location-physical-type", "ro", "bd", "wa"},
    "labor": {"Laborgruppe", "Elektrolyte", "LabTests", "Gro\\u00dfesBlutbild"},
    # The signed page itself.
    "consent": {"Xacml"},
}

"""The clinical course comes in under pseudonyms: nothing lost, nothing twice, nobody named."""

from __future__ import annotations

import copy
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from racoon.domain.identity import PatientId
from racoon.node.clinical import _store, removing
from racoon.node.clinical import service as clinical
from racoon.node.clinical.import_report import ImportReport
from racoon.node.clinical.importing import Importer
from racoon.node.clinical.passing import is_ucum
from racoon.node.clinical.preparing import mark_of
from racoon.node.cohorts import service as cohorts
from racoon.node.cohorts._store import clinical_fact
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.platform.database import Database, create_all

ICD = "http://fhir.de/CodeSystem/bfarm/icd-10-gm"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = Database(f"sqlite:///{tmp_path}/node.sqlite")
    create_all(found, "node")
    yield found
    found.dispose()


@pytest.fixture
def names(tmp_path: Path) -> Iterator[Pseudonymiser]:
    found = Pseudonymiser(tmp_path / "names" / "master.key", f"sqlite:///{tmp_path}/names/names.sqlite")
    yield found
    found.close()


@pytest.fixture
def importer(database: Database, names: Pseudonymiser) -> Importer:
    return Importer(database, names)


def patient(identity: str = "p1", number: str = "4711") -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": identity,
        "identifier": [
            {
                "type": {
                    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]
                },
                "system": "http://hospital.example/mrn",
                "value": number,
            }
        ],
        "name": [{"family": "Müller", "given": ["Änne"]}],
        "gender": "female",
        "birthDate": "1961-05-17",
        "address": [{"postalCode": "12345", "city": "Berlin", "line": ["Gasse 1"], "country": "DE"}],
    }


def condition(identity: str = "c1", subject: str = "p1", day: str = "2024-03-01") -> dict[str, Any]:
    return {
        "resourceType": "Condition",
        "id": identity,
        "subject": {"reference": f"Patient/{subject}", "display": "Änne Müller"},
        "code": {
            "coding": [{"system": ICD, "version": "2024", "code": "C34.1", "display": "Lunge"}],
            "text": "Frau M.",
        },
        "recordedDate": day,
        "note": [{"text": "Frau Müller ist da"}],
    }


def write(folder: Path, *resources: dict[str, Any], name: str = "a.ndjson") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("".join(json.dumps(item) + "\n" for item in resources), "utf-8")
    return folder


def rows(database: Database, table: sa.Table) -> list[dict[str, Any]]:
    with database.connect() as connection:
        return [dict(row._mapping) for row in connection.execute(sa.select(table))]


def test_course_joins_the_images_and_keeps_its_distances(
    database: Database, names: Pseudonymiser, importer: Importer, tmp_path: Path
) -> None:
    # The condition stands before its patient, in another file.
    write(tmp_path / "in", condition(), name="a.ndjson")
    write(tmp_path / "in", patient(), name="b.ndjson")
    report = importer.import_path(tmp_path / "in")
    assert report.counts() == {
        "read": 2,
        "stored": 2,
        "unchanged": 0,
        "refused": 0,
        "left_out": 0,
        "removed": 0,
    }
    (row,) = rows(database, _store.condition)
    number = PatientId("4711")
    assert row["pseudonym"] == names.pseudonym(number)
    shifted = date(2024, 3, 1) + timedelta(days=names.date_shift_days(number))
    assert (row["code"], row["recorded"]) == ("C34.1", shifted.isoformat())
    assert row["codings"] == [[ICD, "C34.1", "2024"]]
    (person,) = rows(database, _store.subject)
    assert (person["gender"], person["birth_year"]) == ("female", "1961")
    assert report.as_json()["subjects_by"] == {"number": 1}


def test_taking_the_same_files_again_changes_nothing(
    database: Database, importer: Importer, tmp_path: Path
) -> None:
    folder = write(tmp_path / "in", patient(), condition())
    importer.import_path(folder)
    before = rows(database, _store.resource)
    report = importer.import_path(folder)
    assert report.counts() == {
        "read": 2,
        "stored": 0,
        "unchanged": 2,
        "refused": 0,
        "left_out": 0,
        "removed": 0,
    }
    assert rows(database, _store.resource) == before


def test_changed_resource_replaces_its_rows(database: Database, importer: Importer, tmp_path: Path) -> None:
    importer.import_path(write(tmp_path / "in", patient(), condition()))
    changed = condition()
    changed["code"]["coding"][0]["code"] = "C34.2"
    report = importer.import_path(write(tmp_path / "in", patient(), changed))
    assert (report.stored, report.unchanged) == (1, 1)
    assert [row["code"] for row in rows(database, _store.condition)] == ["C34.2"]


def test_record_that_becomes_another_patient_stops_its_whole_case(
    database: Database, importer: Importer, tmp_path: Path
) -> None:
    importer.import_path(write(tmp_path / "in", patient(), condition()))
    report = importer.import_path(
        write(tmp_path / "in", patient(number="4712"), condition(), condition("c2"), patient("p2", "9"))
    )
    assert report.as_json()["reasons"] == {"other_patient Condition": 2, "other_patient Patient": 1}
    assert report.stored == 1
    assert len(rows(database, _store.condition)) == 1


def test_resource_that_moves_to_another_patient_is_refused(importer: Importer, tmp_path: Path) -> None:
    importer.import_path(write(tmp_path / "in", patient(), patient("p2", "9"), condition()))
    report = importer.import_path(write(tmp_path / "in", condition(subject="p2")))
    assert report.as_json()["reasons"] == {"other_patient Condition": 1}


def test_what_cannot_be_taken_is_counted_by_reason(importer: Importer, tmp_path: Path) -> None:
    folder = write(
        tmp_path / "in",
        condition(subject="nobody"),
        {"resourceType": "Condition", "id": "c9"},
        {**condition("x"), "id": ""},
        {"resourceType": "Mueller", "id": "1"},
        {"resourceType": "Practitioner", "id": "1", "name": [{"family": "Arzt"}]},
        patient(),
    )
    with (folder / "a.ndjson").open("a") as file:
        file.write("{broken\n")
    report = importer.import_path(folder)
    assert report.as_json()["reasons"] == {
        "no_id Condition": 1,
        "no_subject Condition": 1,
        "subject_unknown Condition": 1,
        "unknown_type": 1,
        "unreadable": 1,
    }
    assert (report.stored, report.left_out) == (1, 1)


def test_year_of_birth_of_the_oldest_is_left_behind(
    database: Database, importer: Importer, tmp_path: Path
) -> None:
    importer.import_path(write(tmp_path / "in", {**patient(), "birthDate": "1921-02-03"}))
    assert [row["birth_year"] for row in rows(database, _store.subject)] == [""]


def test_report_is_kept(database: Database, importer: Importer, tmp_path: Path) -> None:
    importer.import_path(write(tmp_path / "in", patient()))
    with database.connect() as connection:
        (kept,) = _store.load_reports(connection)
    assert kept["read"] == 1
    assert kept["subjects_by"] == {"number": 1}


# -- identifiers


LEAKS = ("LEAK", "Zacharias", "19010203", "1901-02-03", "8675309")


class _Planter:
    def __init__(self) -> None:
        self.number = 0

    def text(self) -> str:
        self.number += 1
        return f"LEAK{self.number:05d} Zacharias 8675309"

    def plant(self, value: Any, keep: frozenset[str]) -> Any:
        """Put an identifier into every text and beside every element, at every depth."""
        if isinstance(value, dict):
            planted = {name: item if name in keep else self.plant(item, keep) for name, item in value.items()}
            planted |= {
                "display": self.text(),
                "text": {"status": "generated", "div": f"<div>{self.text()}</div>"},
                "note": [{"text": self.text(), "authorString": self.text()}],
                "identifier": [{"system": self.text(), "value": self.text()}],
                "extension": [
                    {
                        "url": "http://hl7.org/fhir/StructureDefinition/patient-birthPlace",
                        "valueString": self.text(),
                    },
                    {
                        "url": f"http://hl7.org/fhir/StructureDefinition/LEAK{self.number}00000",
                        "valueCode": "x",
                    },
                    {"url": self.text().replace(" ", ""), "valueBoolean": True},
                    {
                        "url": "http://hl7.org/fhir/StructureDefinition/x",
                        "valueReference": {"reference": self.text()},
                    },
                ],
                "contained": [{"resourceType": "Patient", "name": [{"family": self.text()}]}],
                self.text(): self.text(),
                "unknownElement": self.text(),
                "_gender": {"id": self.text()},
                "photo": [{"data": self.text()}],
            }
            return planted
        if isinstance(value, list):
            return [self.plant(item, keep) for item in value]
        return self.text() if isinstance(value, str) else value


def test_identifier_in_any_field_stays_outside(
    database: Database, importer: Importer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    planter = _Planter()
    resources = []
    for source in examples_of_every_kind():
        keep = frozenset({"resourceType"})
        planted = planter.plant(source, keep)
        planted["id"] = source["id"]
        if "subject" in planted:
            planted["subject"]["reference"] = "Patient/p1"
        if "patient" in planted:
            planted["patient"]["reference"] = "Patient/p1"
        resources.append(planted)
    who = planter.plant(patient(number="LEAK4711 Zacharias"), frozenset({"resourceType", "id", "gender"}))
    who["identifier"] = patient(number="LEAK4711 Zacharias")["identifier"]
    who["birthDate"] = "1901-02-03"
    report = importer.import_path(write(tmp_path / "in", who, *resources, name="LEAK00000.ndjson"))
    # The proof that it could have leaked: every resource was read, taken and stored.
    assert (report.refused, report.stored) == (0, len(resources) + 1)
    said = json.dumps(report.as_json()) + caplog.text
    with database.connect() as connection:
        said += json.dumps(_store.load_reports(connection))
    database.dispose()
    for file in tmp_path.glob("node.sqlite*"):
        said += file.read_bytes().decode("latin-1")
    for file in (tmp_path / "names").iterdir():
        said += file.read_bytes().decode("latin-1")
    assert [leak for leak in LEAKS if leak.lower() in said.lower()] == []


def examples_of_every_kind() -> list[dict[str, Any]]:
    """One resource of each kind with a flat table, and some without, with something in every usual element."""
    coded = {
        "coding": [{"system": "http://loinc.org", "code": "718-7", "version": "2.77", "display": "x"}],
        "text": "x",
    }
    subject = {"subject": {"reference": "Patient/p1", "display": "x"}}
    period = {"start": "2024-01-01", "end": "2024-01-02T10:00:00+01:00"}
    return [
        condition() | {"bodySite": [coded], "onsetDateTime": "2024-01-01", "stage": [{"summary": coded}]},
        {
            "resourceType": "Observation",
            "id": "o1",
            **subject,
            "status": "final",
            "code": coded,
            "effectiveDateTime": "2024-01-01",
            "valueQuantity": {"value": 1.5, "unit": "x", "code": "x", "system": "x"},
            "component": [{"code": coded, "valueString": "x"}],
            "performer": [{"display": "x"}],
        },
        {
            "resourceType": "MedicationStatement",
            "id": "m1",
            **subject,
            "status": "active",
            "medicationCodeableConcept": coded,
            "effectivePeriod": period,
            "dosage": [
                {
                    "text": "x",
                    "patientInstruction": "x",
                    "timing": {"repeat": {"periodUnit": "x", "when": ["x"]}},
                }
            ],
        },
        {
            "resourceType": "Procedure",
            "id": "r1",
            **subject,
            "status": "completed",
            "code": coded,
            "performedPeriod": period,
        },
        {
            "resourceType": "Encounter",
            "id": "e1",
            **subject,
            "status": "finished",
            "class": {"system": "x", "code": "x"},
            "period": period,
            "hospitalization": {"origin": {"display": "x"}, "dischargeDisposition": coded},
            "location": [{"location": {"display": "x"}}],
        },
        {
            "resourceType": "Consent",
            "id": "k1",
            "patient": {"reference": "Patient/p1"},
            "status": "active",
            "dateTime": "2024-01-01",
            "policy": [{"uri": "x"}],
            "provision": {
                "type": "deny",
                "provision": [{"type": "permit", "period": period, "code": [coded]}],
            },
        },
        {
            "resourceType": "DiagnosticReport",
            "id": "d1",
            **subject,
            "status": "final",
            "code": coded,
            "conclusion": "x",
            "presentedForm": [{"contentType": "x", "data": "x", "title": "x"}],
        },
        {
            "resourceType": "ImagingStudy",
            "id": "i1",
            **subject,
            "status": "available",
            "description": "x",
            "series": [{"uid": "1.2.3", "description": "x", "bodySite": {"system": "x", "code": "x"}}],
        },
        {
            "resourceType": "ServiceRequest",
            "id": "s1",
            **subject,
            "status": "active",
            "intent": "order",
            "code": coded,
            "reasonCode": [coded],
            "patientInstruction": "x",
        },
        {"resourceType": "List", "id": "l1", **subject, "status": "current", "mode": "working", "title": "x"},
    ]


def test_images_named_by_the_clinic_are_the_archived_ones(
    database: Database, names: Pseudonymiser, importer: Importer, tmp_path: Path
) -> None:
    study = {
        "resourceType": "ImagingStudy",
        "id": "i1",
        "subject": {"reference": "Patient/p1"},
        "status": "available",
        "identifier": [
            {"system": "urn:dicom:uid", "value": "urn:oid:1.2.840.99"},
            {"system": "http://hospital.example/accession", "value": "ACC4711"},
        ],
        "series": [{"uid": "1.2.840.99.1", "modality": {"code": "CT"}}],
    }
    importer.import_path(write(tmp_path / "in", patient(), study))
    content = next(row["content"] for row in rows(database, _store.resource) if row["kind"] == "ImagingStudy")
    assert content["identifier"] == [
        {"system": "urn:dicom:uid", "value": f"urn:oid:{names.uid('1.2.840.99')}"}
    ]
    assert content["series"][0]["uid"] == names.uid("1.2.840.99.1")


@pytest.mark.parametrize(
    "text",
    [
        "mg",
        "mL",
        "10*9/L",
        "/nL",
        "mmol/L",
        "mg/dL",
        "%",
        "1",
        "mm[Hg]",
        "kg/m2",
        "[iU]/L",
        "/min",
        "fL",
        "pg",
        "ug/h",
    ],
)
def test_units_of_medicine_are_units(text: str) -> None:
    assert is_ucum(text)


@pytest.mark.parametrize(
    "text", ["LEAK00001", "Mueller", "Zacharias", "4711-0815", "{Mueller}", "x" * 40, ""]
)
def test_words_are_no_units(text: str) -> None:
    assert not is_ucum(text)


# -- everything of the published test data


def test_all_published_test_data_come_in_without_loss(
    database: Database, importer: Importer, repository: Path
) -> None:
    folder = repository.parent / "shared" / "fhir" / "mii-testdata" / "bundles"
    if not folder.is_dir():
        pytest.skip(
            "FHIR MATERIAL MISSING: ../shared/fhir is not there; this test needs the published test data"
        )
    sources = []
    for path in sorted(folder.glob("*.json")):
        sources += [entry["resource"] for entry in json.loads(path.read_text("utf-8"))["entry"]]
    unique = {(item["resourceType"], item["id"]): item for item in sources}
    report = importer.import_path(folder)
    assert report.as_json()["reasons"] == {}
    assert report.read.total() == len(sources)
    clinical = [
        item
        for item in unique.values()
        if item["resourceType"]
        not in ("Organization", "Practitioner", "PractitionerRole", "Device", "DeviceMetric")
        and not mark_of(item)
    ]
    # Two say of themselves that they were written by mistake.
    assert sum(bool(mark_of(item)) for item in unique.values()) == 2
    stored = rows(database, _store.resource)
    assert Counter(row["kind"] for row in stored) == Counter(item["resourceType"] for item in clinical)
    with database.connect() as connection:
        counts = _store.count_rows(connection)
    expected = Counter(item["resourceType"] for item in clinical)
    assert counts["clinical_subject"] == expected["Patient"]
    assert counts["clinical_condition"] == expected["Condition"]
    assert counts["clinical_observation"] == expected["Observation"]
    assert counts["clinical_procedure"] == expected["Procedure"]
    assert counts["clinical_encounter"] == expected["Encounter"]
    assert counts["clinical_medication"] == sum(
        expected[kind] for kind in ("MedicationRequest", "MedicationStatement", "MedicationAdministration")
    )
    assert lost(clinical, stored) == Counter()
    assert all(row["code"] for row in rows(database, _store.medication))
    again = importer.import_path(folder)
    assert (again.stored, again.refused) == (0, 0)


def lost(sources: list[dict[str, Any]], stored: list[dict[str, Any]]) -> Counter[str]:
    """Count codes and numbers that are in the sources and not in what was stored, wherever they stand."""
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()
    for item in sources:
        collect(stripped(item), before)
    for row in stored:
        collect(row["content"], after)
    return before - after


PEOPLE = {"performer", "recorder", "asserter", "requester", "author", "informationSource", "participant",
          "organization", "serviceProvider", "identifier", "meta", "policyRule", "contact", "location", "name",
          "telecom", "address", "assigner", "contained"}  # fmt: skip
"""What is left behind on purpose."""


def stripped(value: Any) -> Any:
    if isinstance(value, dict):
        is_body = value.get("resourceType") == "BodyStructure"
        return {
            name: stripped(item)
            for name, item in value.items()
            if not name.startswith("_") and (name not in PEOPLE or (is_body and name == "location"))
        }
    return [stripped(item) for item in value] if isinstance(value, list) else copy.copy(value)


def collect(value: Any, found: Counter[str]) -> None:
    if isinstance(value, dict):
        if "system" in value and "code" in value:
            found[f"{value['system']}|{value['code']}"] += 1
        for item in value.values():
            collect(item, found)
    elif isinstance(value, list):
        for item in value:
            collect(item, found)
    elif isinstance(value, bool | int | float):
        found[str(value)] += 1


def test_import_report_counts_are_numbers_only() -> None:
    report = ImportReport()
    report.refuse("no_id", "Condition")
    assert report.counts() == {
        "read": 0,
        "stored": 0,
        "unchanged": 0,
        "refused": 1,
        "left_out": 0,
        "removed": 0,
    }


def test_links_are_sealed(names: Pseudonymiser, tmp_path: Path) -> None:
    names.link({"fhir/Patient/LEAK1": PatientId("LEAK4711")})
    names.link({"fhir/Patient/LEAK1": PatientId("another")})
    assert names.linked("fhir/Patient/LEAK1") == "LEAK4711"
    assert names.linked("fhir/Patient/2") is None
    names.close()
    with sqlite3.connect(tmp_path / "names" / "names.sqlite") as connection:
        assert "LEAK" not in str(connection.execute("SELECT * FROM mapping").fetchall())


def test_what_the_clinic_takes_back_is_taken_out(
    database: Database, names: Pseudonymiser, tmp_path: Path
) -> None:
    tag = {"system": "https://hospital.example/state", "code": "deleted"}
    importer = Importer(
        database,
        names,
        on_stored=[cohorts.record_clinical],
        deleted_tags=[f"{tag['system']}|{tag['code']}"],
    )
    importer.import_path(write(tmp_path / "in", patient(), *(condition(f"c{n}") for n in range(4))))
    assert len(rows(database, clinical_fact)) == 4
    wrong = condition("c1") | {
        "verificationStatus": {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/condition-ver-status",
                    "code": "entered-in-error",
                }
            ]
        }
    }
    never = wrong | {"id": "never"}
    history = {
        "resourceType": "Bundle",
        "type": "history",
        "entry": [
            {"request": {"method": "DELETE", "url": "Condition/c0"}},
            {"request": {"method": "PUT", "url": "Condition/c0"}, "resource": condition("c0")},
            {"request": {"method": "DELETE", "url": "Condition?code=1"}},
        ],
    }
    folder = write(tmp_path / "feed", wrong, never, condition("c2") | {"meta": {"tag": [tag]}})
    (folder / "b.json").write_text(json.dumps(history), "utf-8")
    for is_new in (True, False):
        report = importer.import_path(folder)
        assert (report.stored, report.refused) == (0, 1)
        expected = {"deleted Condition": 1, "entered_in_error Condition": 1, "tagged Condition": 1}
        assert dict(report.removals) == (expected if is_new else {})
    (row,) = rows(database, _store.condition)
    assert row["key"] == names.token("fhir/Condition/c3")
    assert [fact["resource_key"] for fact in rows(database, clinical_fact)] == [row["key"]]
    # It comes back when the clinic has it again.
    assert importer.import_path(write(tmp_path / "again", condition("c0"))).stored == 1
    with database.begin() as connection:
        assert len(removing.load_removals(connection)) == 3
        clinical.forget_subject(connection, names.pseudonym(PatientId("4711")))
        assert removing.load_removals(connection) == []

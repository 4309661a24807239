"""Issue G, the clinic's data meet the images: FHIR both ways, consent, nothing identifiable across the wall."""

from __future__ import annotations

import json
import resource
import time
from datetime import date, timedelta
from pathlib import Path

from racoon.node.clinical.importing import Importer
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.platform.database import Database, create_all
from tools.acceptance import Figures, Step

TITLE = "the clinic's data meet the images: FHIR both ways and consent"

PATIENTS = 5_000
CONDITIONS = 5


def import_many(folder: Path) -> Figures:
    """Import patients and conditions; memory must not grow with them, and a second time changes nothing."""
    source = folder / "in"
    source.mkdir()
    with (
        (source / "Patient.ndjson").open("w") as patients,
        (source / "Condition.ndjson").open("w") as conditions,
    ):
        for number in range(PATIENTS):
            patients.write(json.dumps(_patient(number)) + "\n")
            for index in range(CONDITIONS):
                conditions.write(json.dumps(_condition(number, index)) + "\n")
    database = Database(f"sqlite:///{folder}/node.sqlite")
    create_all(database, "node")
    names = Pseudonymiser(folder / "names" / "master.key", f"sqlite:///{folder}/names/names.sqlite")
    importer = Importer(database, names)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.monotonic()
    report = importer.import_path(source)
    seconds = time.monotonic() - started
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    again = importer.import_path(source)
    names.close()
    database.dispose()
    assert report.refused == 0
    assert report.stored == PATIENTS * (1 + CONDITIONS)
    assert again.stored == 0
    assert grown_mb < 150, "memory grows with the number of resources"
    return {
        "resources": report.stored,
        "resources_per_s": round(report.stored / seconds),
        "memory_grown_mb": round(grown_mb),
    }


def _patient(number: int) -> dict[str, object]:
    kind = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]}
    return {
        "resourceType": "Patient",
        "id": f"p{number}",
        "identifier": [{"type": kind, "system": "http://hospital.example/mrn", "value": f"MRN{number}"}],
        "name": [{"family": f"Name{number}"}],
        "gender": "female" if number % 2 else "male",
        "birthDate": (date(1940, 1, 1) + timedelta(days=number)).isoformat(),
    }


def _condition(number: int, index: int) -> dict[str, object]:
    code = {
        "system": "http://fhir.de/CodeSystem/bfarm/icd-10-gm",
        "version": "2024",
        "code": f"C{30 + index}.1",
    }
    return {
        "resourceType": "Condition",
        "id": f"c{number}-{index}",
        "subject": {"reference": f"Patient/p{number}"},
        "code": {"coding": [code]},
        "recordedDate": (date(2020, 1, 1) + timedelta(days=number % 1000 + index)).isoformat(),
    }


STEPS = [
    Step(
        "profiles",
        "rule tables beside the published profiles; every example read, and what it lacks said; what is written"
        " accepted by an independent model",
        tests=("tests/conformance/test_fhir_profiles.py", "tests/unit/standards/fhir"),
    ),
    Step(
        "facade",
        "a node's FHIR is read, searched, paged and exported, with rights, withdrawal and audit",
        tests=("tests/unit/node/clinical/test_http.py", "tests/unit/node/clinical/test_model.py"),
    ),
    Step(
        "real-images",
        "studies of real CT, MR and PT exported as FHIR pass the rule tables and an independent model",
        tests=("tests/conformance/test_fhir_of_real_images.py",),
    ),
    Step(
        "import",
        "all published test data come in without loss; identifiers planted in every field stay outside",
        tests=("tests/unit/node/clinical/test_importing.py",),
    ),
    Step("consent", "the decision table of consent", tests=("tests/unit/domain/test_consent.py",)),
    Step(
        "many",
        f"{PATIENTS * (1 + CONDITIONS)} resources come in with flat memory, and again without a change",
        action=import_many,
    ),
]

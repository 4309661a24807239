"""Identifiers in every element of every FHIR type: nothing of them comes out, by any way.

They are made from an independent model of R4 (``tests/planted_fhir.py``) and imported into a whole node; then
everything that leaves it, and everything it keeps, is searched.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from racoon.node.clinical.deidentify import KNOWN_TYPES
from racoon.node.clinical.importing import Importer
from racoon.node.clinical.model import TYPES, parse_search
from racoon.node.clinical.pushing import Answer, Pusher
from racoon.standards.fhir.building import Resource
from racoon.standards.fhir.files import check_files
from racoon.standards.fhir.reading import tolerate
from racoon.standards.fhir.versions import VERSIONS
from tests.node_rooms import NodeInProcess
from tests.planted_fhir import DAY, LEAKS, Planter

PATIENT = "p1"
COURSE = frozenset(
    {
        "Condition", "Observation", "Procedure", "Encounter", "Consent", "MedicationAdministration", "DiagnosticReport",
        "MedicationStatement", "MedicationRequest", "ImagingStudy", "ServiceRequest", "CarePlan", "Composition",
        "BodyStructure", "QuestionnaireResponse",
    }
)  # fmt: skip
"""Kinds that have to be stored, or nothing is proven."""


def planted_resources() -> list[Resource]:
    """Two resources of every type: planted everywhere, and with public systems around what is planted."""
    made: list[Resource] = []
    for is_disguised in (False, True):
        planter = Planter(is_disguised=is_disguised)
        for kind in sorted(KNOWN_TYPES - {"Patient"}):
            resource = planter.resource(kind, f"{kind[:20]}-{int(is_disguised)}", PATIENT)
            if kind == "Consent":
                # Consents are law: their days stay, because they are compared with the calendar.
                resource = json.loads(json.dumps(resource).replace(DAY, "2024-01-31"))
            made.append(resource)
        assert planter.planted > 50_000
    person = Planter(is_disguised=True).resource("Patient", PATIENT, PATIENT)
    number = {"type": {"coding": [{"code": "MR"}]}, "system": "urn:mrn", "value": "LEAK 8675309 Zacharias"}
    return [person | {"identifier": [number]}, *made]


class Place:
    """A node that took everything in, with what its programs wrote to the log meanwhile."""

    def __init__(self, folder: Path, log: pytest.LogCaptureFixture) -> None:
        self.node = NodeInProcess(folder / "node")
        self.node.rely_on()
        self.given = planted_resources()
        source = folder / "in" / "LEAK 8675309.ndjson"
        source.parent.mkdir()
        source.write_text("".join(json.dumps(item) + "\n" for item in self.given), "utf-8")
        self.source = source
        importer = Importer(self.node.rooms.database, self.node.names)
        with log.at_level(logging.DEBUG):
            self.report = importer.import_path(source)
        self.log = log.text
        with self.node.rooms.database.connect() as connection:
            rows = connection.exec_driver_sql("SELECT kind FROM clinical_resource").all()
        self.stored = {row.kind for row in rows}


@pytest.fixture
def place(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Place]:
    found = Place(tmp_path, caplog)
    yield found
    found.node.close()


def leaked(text: str) -> list[str]:
    return [leak for leak in LEAKS if leak.lower() in text.lower()]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_identifiers_in_every_element_of_every_type_stay_outside(place: Place, tmp_path: Path) -> None:
    assert place.stored >= COURSE, "what is not taken proves nothing"
    assert leaked(json.dumps(place.report.as_json())) == []
    assert leaked(place.log) == []
    # The wire: every resource as the facade gives it, what is pushed, pages, lists, refusals.
    node = place.node
    facade, diz, officer = node.app.state.fhir, node.person("diz"), node.person("dpo")
    said = [json.dumps(item) for kind in TYPES for _, item in facade.iterate(parse_search(kind, []))]
    said += [json.dumps(item) for kind in TYPES for _, item, _ in facade.examine(parse_search(kind, []))]
    sent: list[Resource] = []

    def send(bundle: Resource) -> Answer:
        sent.append(bundle)
        return Answer(200)

    Pusher(facade, node.rooms.database, "https://diz.example/fhir", send).run()
    said.append(json.dumps(sent))
    for who in (diz, officer):
        for kind in TYPES:
            said.append(who.get(f"/fhir/{kind}?_count=500").text)
            said.append(who.get(f"/intake/outgoing?type={kind}").text)
        addresses = ("/api/clinical/imports", "/intake/sources", "/intake/matching", "/fhir/metadata")
        said += [who.get(address).text for address in addresses]
        said += [who.get(f"/fhir/{item['resourceType']}/{item['id']}").text for item in place.given[:200]]
    assert [leaked(text) for text in said if leaked(text)] == []
    # What is kept: every file of the node, its databases and their journals among them.
    node.rooms.database.dispose()
    files = [path for path in (tmp_path / "node").rglob("*") if path.is_file()]
    assert any(path.name == "node.sqlite" for path in files)
    found: dict[str, Any] = {
        path.name: leaks for path in files if (leaks := leaked(path.read_bytes().decode("latin-1")))
    }
    assert found == {}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_rules_and_what_reading_tolerates_quote_nothing(tmp_path: Path) -> None:
    given = planted_resources()
    path = tmp_path / "LEAK.ndjson"
    path.write_text("".join(json.dumps(item) + "\n" for item in given), "utf-8")
    for version in VERSIONS.values():
        report = check_files(path, version).as_json()
        assert report["errors"], "rules that find nothing prove nothing"
        said = json.dumps(report).replace("LEAK.ndjson", "")
        assert leaked(said) == []
    notes = [note.to_dict() for item in given for note in tolerate(item)[1]]
    assert leaked(json.dumps(notes)) == []

"""The FHIR facade as a data integration centre uses it: read, search, include, page, export; rights and audit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI
from starlette.testclient import TestClient

from racoon.domain.dataset import DatasetManifest
from racoon.domain.identity import Pseudonym, Role
from racoon.domain.plan import Bins, Measurement, MeasuringPlan
from racoon.node.approvals.service import Approvals
from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.node.clinical.http import router
from racoon.node.clinical.importing import Importer
from racoon.node.clinical.service import Facade
from racoon.node.measuring import service as measuring
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.platform.audit import AuditLog
from racoon.platform.auth import install_accounts
from racoon.platform.database import Database, create_all
from racoon.platform.http import create_app
from racoon.standards.fhir.imaging import Writing
from racoon.standards.fhir.rules.checking import check
from racoon.standards.fhir.versions import VERSIONS, extension_url
from tests.dicom_objects import uid
from tests.unit.node.measuring.cohort import LIVER, LUNGS, store_subject

PASSWORD = "a long enough password"
BASE = "http://testserver/fhir"
SUBJECTS = 3
PLAN = MeasuringPlan(
    "livers",
    (
        Measurement("volume", "1", LIVER, Bins(0.0, 0.1, 0.01)),
        # Contrast medium is not excluded by a fact: laa_950 of these images is valid, mean density too.
        Measurement("laa_950", "1", LUNGS, Bins(0.0, 100.0, 10.0)),
    ),
)


@dataclass
class Node:
    """One node with three subjects, each with a measured liver and lung."""

    app: FastAPI
    database: Database
    audit: AuditLog
    withdrawn: set[str] = field(default_factory=set)

    def client(self, name: str = "reader") -> TestClient:
        client = TestClient(self.app)
        answer = client.post("/api/session", json={"username": name, "password": PASSWORD})
        client.cookies.clear()
        client.headers["Authorization"] = f"Bearer {answer.json()['token']}"
        return client


@pytest.fixture(scope="module")
def whole_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder: Path = tmp_path_factory.mktemp("node")
    database = Database(f"sqlite:///{folder}/node.sqlite")
    create_all(database, "node")
    withdrawn: set[str] = set()
    archive = Archive(
        database, LocalFolder(folder / "objects"), is_readable=lambda pseudonym: pseudonym not in withdrawn
    )
    manifest = DatasetManifest(
        "study-1", "livers", tuple(store_subject(archive, number) for number in range(1, SUBJECTS + 1))
    )
    measuring.run_protocol(PLAN, manifest, archive, database)
    audit = AuditLog("node")
    app = create_app("node", "0")
    accounts = install_accounts(app, "node", database)
    for name, role in (
        ("reader", Role.READER),
        ("officer", Role.DPO),
        ("informatician", Role.SITE_INFORMATICIAN),
    ):
        accounts.create(database, name, PASSWORD, [role])
    approvals = Approvals(audit, lambda *_: None, Ed25519PrivateKey.generate(), feasibility_enabled=True)
    writing = Writing(
        VERSIONS["2026"], ZoneInfo("Europe/Berlin"), "urn:racoon:site:alpha", "urn:racoon:alpha"
    )
    app.state.database, app.state.audit, app.state.archive = database, audit, archive
    app.state.fhir = Facade(archive, approvals, writing)
    app.include_router(router)
    yield Node(app, database, audit, withdrawn)
    database.dispose()


@pytest.fixture
def node(whole_node: Node) -> Iterator[Node]:
    yield whole_node
    whole_node.withdrawn.clear()


def search(client: TestClient, address: str) -> dict[str, Any]:
    answer = client.get(f"/fhir/{address}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/fhir+json")
    found: dict[str, Any] = answer.json()
    return found


def matches(bundle: dict[str, Any], mode: str = "match") -> list[str]:
    return [
        f"{entry['resource']['resourceType']}/{entry['resource']['id']}"
        for entry in bundle.get("entry", [])
        if entry["search"]["mode"] == mode
    ]


def links(bundle: dict[str, Any]) -> dict[str, str]:
    return {item["relation"]: item["url"] for item in bundle["link"]}


@pytest.mark.parametrize(
    ("query", "studies"),
    [
        ("", [1, 2, 3]),
        ("patient=SUBJ-2", [2]),
        ("subject=Patient/SUBJ-2", [2]),
        ("subject=Patient/SUBJ-2,Patient/SUBJ-3", [2, 3]),
        ("patient=SUBJ-2&subject=Patient/SUBJ-3", []),
        (f"_id={uid(3)}", [3]),
        (f"identifier=urn:dicom:uid%7Curn:oid:{uid(3)}", [3]),
        ("modality=CT", [1, 2, 3]),
        ("modality=http://dicom.nema.org/resources/ontology/DCM%7CMR", []),
        ("modality=MR,CT", [1, 2, 3]),
        ("started=2024-01-31", [1, 2, 3]),
        ("started=ge2024-02", []),
        ("started=ge2024-01&started=lt2024-02", [1, 2, 3]),
        ("_lastUpdated=ge2020-01-01", [1, 2, 3]),
        ("_lastUpdated=lt2020-01-01", []),
    ],
)
def test_searches_of_imaging_studies_find_what_they_say(node: Node, query: str, studies: list[int]) -> None:
    bundle = search(node.client(), f"ImagingStudy?{query}")
    assert matches(bundle) == [f"ImagingStudy/{uid(number)}" for number in studies]
    # Servers that drop what they do not know say so only here.
    assert len(links(bundle)["self"].partition("?")[2].split("&")) == len(query.split("&"))


def test_everything_given_out_passes_the_rule_tables(node: Node) -> None:
    client = node.client("informatician")
    for kind in ("Patient", "ImagingStudy", "Observation", "DiagnosticReport", "Device", "Provenance"):
        bundle = search(client, kind)
        assert bundle["entry"], kind
        for entry in bundle["entry"]:
            issues = [item for item in check(entry["resource"]) if item.severity == "error"]
            assert issues == []
            same = client.get(entry["fullUrl"].removeprefix("http://testserver")).json()
            assert same == entry["resource"]


def test_pages_give_everything_once_by_opaque_links(node: Node) -> None:
    client = node.client()
    bundle = search(client, "Observation?code=volume,laa_950&_count=2")
    seen = matches(bundle)
    while "next" in links(bundle):
        address = links(bundle)["next"].removeprefix(f"{BASE}/")
        assert "_page=" in address
        bundle = search(client, address)
        seen += matches(bundle)
    whole = matches(search(client, "Observation?code=volume,laa_950"))
    assert seen == whole
    assert len(set(whole)) == 2 * SUBJECTS
    assert search(client, "Observation?_summary=count")["total"] == len(whole)


def test_include_brings_each_reference_once(node: Node) -> None:
    bundle = search(
        node.client(), "ImagingStudy?_include=ImagingStudy:subject&_include=ImagingStudy:performer&_count=2"
    )
    included = matches(bundle, "include")
    assert [item for item in included if item.startswith("Patient/")] == ["Patient/SUBJ-1", "Patient/SUBJ-2"]
    assert len([item for item in included if item.startswith("Device/")]) == 1


def test_value_leads_to_its_image_and_its_origin(node: Node) -> None:
    client = node.client()
    bundle = search(client, "Observation?patient=SUBJ-1&code=volume&_include=Observation:derived-from")
    (value,) = [entry["resource"] for entry in bundle["entry"] if entry["search"]["mode"] == "match"]
    assert matches(bundle, "include") == [f"ImagingStudy/{uid(1)}"]
    uids = {item["url"]: item["valueId"] for item in value["extension"]}
    assert uids[extension_url("series-uid")] == uid(1, 1)
    assert uids[extension_url("sop-instanz-uid")] in {uid(1, 1, number) for number in range(1, 5)}
    stored = measuring_value(node, "SUBJ-1")
    assert value["valueQuantity"]["value"] == pytest.approx(stored)
    origin = search(client, f"Provenance?target=Observation/{value['id']}")
    assert matches(origin) == [f"Provenance/provenance-{value['id']}"]
    (report,) = search(client, "DiagnosticReport?patient=SUBJ-1")["entry"]
    assert {"reference": f"Observation/{value['id']}"} in report["resource"]["result"]


def measuring_value(node: Node, pseudonym: str) -> float:
    with node.database.connect() as connection:
        rows = measuring.load_values(connection, biomarker="volume")
    return next(float(value.value or 0) for _, value in rows if value.pseudonym == pseudonym)


def test_withdrawn_subject_is_nowhere_at_once(node: Node) -> None:
    client = node.client("informatician")
    node.withdrawn.add("SUBJ-2")
    for kind in ("Patient", "ImagingStudy", "Observation", "DiagnosticReport", "Provenance"):
        assert "SUBJ-2" not in json.dumps(search(client, kind))
    assert client.get("/fhir/Patient/SUBJ-2").status_code == 404
    assert client.get(f"/fhir/ImagingStudy/{uid(2)}").status_code == 404
    assert matches(search(client, "Patient")) == ["Patient/SUBJ-1", "Patient/SUBJ-3"]
    assert len(export(client, "ImagingStudy")) == SUBJECTS - 1


def export(client: TestClient, kinds: str, since: str = "") -> list[dict[str, Any]]:
    query = f"_type={kinds}" + (f"&_since={since}" if since else "")
    accepted = client.get(f"/fhir/$export?{query}", headers={"Prefer": "respond-async"})
    assert accepted.status_code == 202, accepted.text
    manifest = client.get(accepted.headers["content-location"]).json()
    assert manifest["requiresAccessToken"] is True
    lines: list[dict[str, Any]] = []
    for item in manifest["output"]:
        answer = client.get(item["url"])
        assert answer.headers["content-type"] == "application/fhir+ndjson"
        lines += [json.loads(line) for line in answer.text.splitlines()]
    return lines


def test_export_gives_every_resource_as_a_line(node: Node) -> None:
    client = node.client("informatician")
    lines = export(client, "Patient,ImagingStudy,Observation")
    assert [item["resourceType"] for item in lines] == (
        ["Patient"] * SUBJECTS + ["ImagingStudy"] * SUBJECTS + ["Observation"] * 2 * SUBJECTS
    )
    assert export(client, "ImagingStudy", since="2100-01-01T00:00:00Z") == []


@pytest.mark.parametrize(
    ("name", "address", "status", "code"),
    [
        ("reader", "ImagingStudy?name=x", 400, "invalid"),
        ("reader", "Medication", 404, "not-found"),
        ("reader", "Patient/none", 404, "not-found"),
        ("reader", "Patient/no%20id", 404, "not-found"),
        ("reader", "ResearchSubject", 403, "forbidden"),
        ("officer", "ImagingStudy", 403, "forbidden"),
        ("officer", "Observation", 403, "forbidden"),
        ("officer", "$export?_type=Patient", 403, "forbidden"),
        ("reader", "$export?_type=ResearchSubject", 403, "forbidden"),
        ("reader", "$export?patient=1", 400, "invalid"),
        ("reader", "$export-status/nonsense", 404, "not-found"),
        ("reader", "$export-file/Patient/nonsense", 404, "not-found"),
    ],
)
def test_refusals_are_outcomes_in_words(node: Node, name: str, address: str, status: int, code: str) -> None:
    answer = node.client(name).get(f"/fhir/{address}")
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/fhir+json")
    (issue,) = answer.json()["issue"]
    assert (issue["severity"], issue["code"]) == ("error", code)
    assert issue["diagnostics"].endswith(".")


def test_nobody_reads_without_an_account(node: Node) -> None:
    answer = TestClient(node.app).get("/fhir/Patient")
    assert answer.status_code == 401
    assert answer.json()["resourceType"] == "OperationOutcome"


def test_includes_respect_the_rights_of_their_own_type(node: Node) -> None:
    officer = node.client("officer")
    assert officer.get("/fhir/ResearchStudy").status_code == 200
    assert officer.get("/fhir/ResearchSubject").status_code == 403


def test_every_read_is_audited_before_it_is_answered(node: Node) -> None:
    client = node.client()
    client.get("/fhir/ImagingStudy?patient=SUBJ-1")
    client.get(f"/fhir/ImagingStudy/{uid(1)}")
    export(client, "Patient")
    with node.database.connect() as connection:
        entries = node.audit.entries(connection, limit=4)
    assert [(entry.action, entry.target) for entry in entries] == [
        ("fhir.export", "fhir/Patient"),
        ("fhir.export", "fhir/export"),
        ("fhir.read", f"fhir/ImagingStudy/{uid(1)}"),
        ("fhir.search", "fhir/ImagingStudy"),
    ]
    assert entries[2].details == {"pseudonym": "SUBJ-1"}
    assert {entry.actor for entry in entries} == {"reader"}


def test_metadata_say_exactly_what_is_supported(node: Node) -> None:
    statement = search(node.client(), "metadata")
    assert statement["fhirVersion"] == "4.0.1"
    resources = {item["type"]: item for item in statement["rest"][0]["resource"]}
    names = [item["name"] for item in resources["ImagingStudy"]["searchParam"]]
    assert {"_id", "identifier", "patient", "subject", "modality", "started", "_lastUpdated"} <= set(names)


def test_series_of_another_subject_cannot_be_smuggled_in(node: Node) -> None:
    node.withdrawn.add("SUBJ-1")
    bundle = search(node.client(), f"Observation?derived-from=ImagingStudy/{uid(1)}")
    assert matches(bundle) == []
    assert Pseudonym("SUBJ-1") not in json.dumps(bundle.get("entry", []))


def test_last_imports_are_listed_for_those_who_watch_the_intake(node: Node, tmp_path: Path) -> None:
    names = Pseudonymiser(tmp_path / "names" / "master.key", f"sqlite:///{tmp_path}/names/names.sqlite")
    (tmp_path / "a.ndjson").write_text('{"resourceType": "Condition", "id": "1"}\n')
    Importer(node.database, names).import_path(tmp_path / "a.ndjson")
    names.close()
    (kept,) = node.client("officer").get("/api/clinical/imports").json()
    assert (kept["read"], kept["reasons"]) == (1, {"no_subject Condition": 1})
    assert node.client("reader").get("/api/clinical/imports").status_code == 403

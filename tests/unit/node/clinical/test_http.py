"""The FHIR facade as a data integration centre uses it: read, search, include, page, export; rights and audit."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI
from starlette.testclient import TestClient

from racoon.domain.dataset import DatasetManifest
from racoon.domain.identity import Pseudonym, Role
from racoon.domain.plan import Bins, Measurement, MeasuringPlan
from racoon.domain.questionnaire import initial_items, items_to_fhir, normal_items
from racoon.node.approvals.service import Approvals
from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.node.clinical import _push_store
from racoon.node.clinical.disclosing import Disclosing
from racoon.node.clinical.http import router
from racoon.node.clinical.importing import Importer
from racoon.node.clinical.model import TYPES
from racoon.node.clinical.pushing import Answer, Pusher, ServerBusy
from racoon.node.clinical.service import Facade
from racoon.node.measuring import service as measuring
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.node.reading.findings.service import Findings
from racoon.node.reading.reports import _versions
from racoon.node.reading.reports.catalogue import templates
from racoon.node.reading.reports.model import ReportVersion
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.auth import install_accounts
from racoon.platform.database import Database, create_all
from racoon.platform.http import create_app
from racoon.standards.fhir.building import fhir_instant
from racoon.standards.fhir.disclosures import DISCLOSURE
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
    for name, roles in (
        ("reader", [Role.READER]),
        ("officer", [Role.DPO]),
        ("informatician", [Role.SITE_INFORMATICIAN]),
        ("both", [Role.READER, Role.DATA_MANAGER]),
        ("diz", [Role.DIZ]),
        ("diz-reader", [Role.DIZ, Role.READER]),
    ):
        accounts.create(database, name, PASSWORD, roles)
    approvals = Approvals(audit, lambda *_: None, Ed25519PrivateKey.generate(), feasibility_enabled=True)
    writing = Writing(
        VERSIONS["2026"], ZoneInfo("Europe/Berlin"), "urn:racoon:site:alpha", "urn:racoon:alpha"
    )
    app.state.database, app.state.audit, app.state.archive = database, audit, archive
    findings = Findings(database, audit, archive)
    app.state.fhir = Facade(archive, approvals, writing, findings=findings, audit=audit)
    app.include_router(router)
    sign(database)
    yield Node(app, database, audit, withdrawn)
    database.dispose()


TEMPLATE = "thorax-short"
SIGNED = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def sign(database: Database) -> None:
    """Sign what a reader said of the first subject's images: normal but for one remark in words."""
    template = next(item for item in templates().values() if TEMPLATE in item.url)
    items = items_to_fhir(template, normal_items(template, initial_items(template)))
    items[0].setdefault("item", []).append({"linkId": "quality-reason", "answer": [{"valueString": "LEAK"}]})
    with database.begin() as connection:
        _versions.insert(
            connection,
            ReportVersion(
                report_id="11111111-2222-3333-4444-555555555555",
                version=2,
                kind="signed",
                text="",
                response={"questionnaire": template.canonical, "item": items},
                sha256="0" * 64,
                pseudonym="SUBJ-1",
                imaging_study_uid=uid(1),
                author="Dr. LEAK",
                signed_at=SIGNED,
            ),
        )


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


WRITTEN = (
    "Patient", "ImagingStudy", "Observation", "DiagnosticReport", "Device", "Provenance", "ServiceRequest",
    "Procedure", "BodyStructure", "QuestionnaireResponse", "Composition",
)  # fmt: skip


def test_everything_given_out_passes_the_rule_tables(node: Node) -> None:
    client = node.client("informatician")
    for kind in WRITTEN:
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
    assert [item["resourceType"] for item in lines if not item["id"].startswith("answer-")] == (
        ["Patient"] * SUBJECTS + ["ImagingStudy"] * SUBJECTS + ["Observation"] * 2 * SUBJECTS
    )
    assert export(client, "ImagingStudy", since="2100-01-01T00:00:00Z") == []


def test_signed_report_leads_from_its_answers_to_its_order(node: Node) -> None:
    client = node.client("informatician")
    (document,) = [
        entry["resource"]
        for entry in search(client, "Composition?patient=SUBJ-1&_include=Composition:entry")["entry"]
        if entry["search"]["mode"] == "match"
    ]
    report_id = document["section"][0]["entry"][0]["reference"]
    report = client.get(f"/fhir/{report_id}").json()
    answers = {item["reference"] for item in report["result"]}
    found = search(client, f"Observation?derived-from=ImagingStudy/{uid(1)}&_count=500")
    coded = [item for item in matches(found) if item.startswith("Observation/answer-")]
    assert set(coded) == answers
    assert len(answers) >= 5
    effusion = search(client, "Observation?code=http://snomed.info/sct%7C60046008")["entry"]
    assert [item["resource"]["valueCodeableConcept"]["coding"][0]["code"] for item in effusion]
    assert client.get(f"/fhir/{report['basedOn'][0]['reference']}").json()["intent"] == "filler-order"
    readings = search(client, "Procedure?patient=SUBJ-1&code=28191001")["entry"]
    assert readings[0]["resource"]["report"] == [{"reference": report_id}]
    said = json.dumps([search(client, kind) for kind in WRITTEN])
    # Free words and the reader's name stay in the node.
    assert "LEAK" not in said
    after = SIGNED.isoformat().replace("+00:00", "Z")
    assert len(matches(search(client, f"Procedure?_lastUpdated=eq{after}"))) == 1


def test_pages_end_between_the_resources_of_one_study(node: Node) -> None:
    client = node.client("informatician")
    for kind in ("Procedure", "DiagnosticReport", "Observation"):
        whole = matches(search(client, f"{kind}?_count=500"))
        bundle = search(client, f"{kind}?_count=1")
        seen = matches(bundle)
        while "next" in links(bundle):
            bundle = search(client, links(bundle)["next"].removeprefix(f"{BASE}/"))
            seen += matches(bundle)
        assert seen == whole, kind


def test_readers_are_given_nothing_that_others_signed(node: Node) -> None:
    for name in ("reader", "both"):
        client = node.client(name)
        assert "answer-" not in json.dumps(search(client, "Observation?_count=500"))
        assert "signed-" not in json.dumps(search(client, "DiagnosticReport"))
        assert "reading-" not in json.dumps(search(client, "Procedure"))


def test_audit_of_fhir_is_given_as_fhir(node: Node) -> None:
    reader, officer = node.client(), node.client("officer")
    reader.get(f"/fhir/ImagingStudy/{uid(2)}")
    everything = search(officer, "AuditEvent?patient=SUBJ-2&_count=500")["entry"]
    target = {"reference": f"ImagingStudy/{uid(2)}"}
    both = [
        item
        for item in (entry["resource"] for entry in everything)
        if item["entity"][1].get("what") == target
    ][-2:]
    assert [issue for item in both for issue in check(item) if issue.severity == "error"] == []
    found, told = both
    assert told["meta"]["profile"] == [DISCLOSURE]
    assert (found["action"], found["subtype"][0]["code"]) == ("R", "read")
    assert found["entity"][1]["what"] == {"reference": f"ImagingStudy/{uid(2)}"}
    later = search(officer, "AuditEvent?date=ge2100-01-01")
    assert matches(later) == []


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
        ("reader", "QuestionnaireResponse", 403, "forbidden"),
        ("both", "Composition", 403, "forbidden"),
        ("informatician", "AuditEvent", 403, "forbidden"),
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
        entries = node.audit.entries(connection, limit=6)
    assert [(entry.action, entry.target) for entry in entries] == [
        ("fhir.disclose", "fhir/Patient"),
        ("fhir.export", "fhir/Patient"),
        ("fhir.export", "fhir/export"),
        ("fhir.read", f"fhir/ImagingStudy/{uid(1)}"),
        ("fhir.disclose", "fhir/ImagingStudy"),
        ("fhir.search", "fhir/ImagingStudy"),
    ]
    assert entries[3].details == {"pseudonym": "SUBJ-1"}
    assert entries[4].details == {"subjects": ["SUBJ-1"]}
    assert len(entries[0].details["subjects"]) == SUBJECTS
    assert {entry.actor for entry in entries} == {"reader"}


def test_metadata_say_exactly_what_is_supported(node: Node) -> None:
    statement = search(node.client(), "metadata")
    assert statement["fhirVersion"] == "4.0.1"
    resources = {item["type"]: item for item in statement["rest"][0]["resource"]}
    # What it says is what answers; what it does not say is refused; so for every type, parameter and include.
    client, others = node.client(), [node.client(name) for name in ("officer", "diz", "informatician")]
    assert set(resources) == set(TYPES)
    values = {"date": "ge2000-01-01", "token": "x|none", "reference": "Patient/none", "string": "none"}
    every = {item["name"] for resource in resources.values() for item in resource["searchParam"]}
    for kind, resource in resources.items():
        who = next(who for who in (client, *others) if who.get(f"/fhir/{kind}?_count=1").status_code == 200)
        known = {item["name"]: item["type"] for item in resource["searchParam"]}
        assert {item["code"] for item in resource["interaction"]} == {"read", "search-type"}
        for name in sorted(every):
            answer = who.get(f"/fhir/{kind}", params={name: values[known.get(name, "token")], "_count": "1"})
            assert answer.status_code == (200 if name in known else 400), (kind, name)
            if name in known:
                assert f"{name}=" in answer.json()["link"][0]["url"]
        for name in resource.get("searchInclude", ()):
            answer = who.get(f"/fhir/{kind}", params={"_include": name, "_count": "1"})
            assert answer.status_code == 200, name
        assert who.get(f"/fhir/{kind}", params={"_include": f"{kind}:nothing"}).status_code == 400
        given = [entry["resource"] for entry in search(who, f"{kind}?_count=500").get("entry", ())]
        claimed = {url for item in given for url in item["meta"].get("profile", ())}
        assert claimed <= set(resource.get("supportedProfile", ())), kind
        assert who.post(f"/fhir/{kind}", json={}).status_code == 405
        assert all(who.get(f"/fhir/{kind}/{item['id']}").status_code == 200 for item in given[:1])
    assert [item["name"] for item in statement["rest"][0]["operation"]] == ["export"]
    assert client.get("/fhir/Medication").status_code == 404


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


# -- sending to another server


@dataclass
class OtherServer:
    """A server as the specification describes it, as far as these transactions go; answers as it is told to."""

    answers: list[Answer] = field(default_factory=list)
    held: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: int = 0

    def __call__(self, bundle: dict[str, Any]) -> Answer:
        self.asked += 1
        answer = self.answers.pop(0) if self.answers else Answer(200)
        if answer.status != 200:
            return answer
        named = {entry["fullUrl"]: entry["request"]["url"] for entry in bundle["entry"] if "fullUrl" in entry}
        for entry in bundle["entry"]:
            address = entry["request"]["url"]
            if entry["request"]["method"] == "DELETE":
                del self.held[address]
            else:
                text = json.dumps(entry["resource"])
                for name, url in named.items():
                    text = text.replace(name, url)
                self.held[address] = json.loads(text)
        return answer


def pusher(node: Node, server: OtherServer) -> Pusher:
    facade: Facade = node.app.state.fhir
    pause = threading.Event()
    told = Disclosing(node.audit, "pusher", "operator")
    pause.wait = lambda timeout=None: False  # type: ignore[method-assign]  # nobody waits here
    return Pusher(
        facade,
        node.database,
        "https://diz.example/fhir",
        server,
        pause=pause,
        note=lambda connection, sent: told.record(connection, "fhir/push/https://diz.example/fhir", sent),
    )


def forget_pushes(node: Node) -> None:
    with node.database.begin() as connection:
        connection.execute(sa.delete(_push_store.push))


def test_everything_of_a_subject_is_sent_once_and_every_reference_leads_somewhere(node: Node) -> None:
    forget_pushes(node)
    server = OtherServer([Answer(503, 1.0), Answer(0), Answer(200)])
    report = pusher(node, server).run()
    assert (report.sent, report.unchanged, report.refused) == (SUBJECTS, 0, {})
    assert set(report.resources) == set(WRITTEN) - {"Provenance"}
    assert sum(report.resources.values()) - 2 == len(server.held)
    said = json.dumps(list(server.held.values()))
    assert "LEAK" not in said
    for reference in re.findall(r'"reference": "([^"]+)"', said):
        assert reference in server.held
    # A second run, and one by a server that lost nothing, changes nothing.
    asked, held = server.asked, dict(server.held)
    assert pusher(node, server).run().as_json()["unchanged"] == SUBJECTS
    assert (server.asked, server.held) == (asked, held)


def test_every_subject_that_was_sent_is_a_disclosure_and_no_other(node: Node) -> None:
    forget_pushes(node)
    started, server = fhir_instant(clock.now()), OtherServer([Answer(422), Answer(200)])

    def told() -> list[dict[str, Any]]:
        bundle = search(node.client("officer"), f"AuditEvent?date=ge{started}&_count=500")
        found = [entry["resource"] for entry in bundle.get("entry", ())]
        return [item for item in found if item["type"]["code"] == "110106"]

    pusher(node, server).run()
    events = told()
    assert [item["meta"]["profile"] for item in events] == [[DISCLOSURE]] * (SUBJECTS - 1)
    assert {item["agent"][1]["network"]["address"] for item in events} == {"https://diz.example/fhir"}
    # Who was refused there is not told; the second run sends that one, and then it is.
    pusher(node, server).run()
    people = [item["entity"][0]["what"]["reference"] for item in told()]
    assert sorted(people) == [f"Patient/SUBJ-{number}" for number in range(1, SUBJECTS + 1)]


def test_run_that_was_cut_off_goes_on_where_it_ended(node: Node) -> None:
    forget_pushes(node)
    server = OtherServer([Answer(200), *[Answer(503)] * 6])
    with pytest.raises(ServerBusy):
        pusher(node, server).run()
    report = pusher(node, server).run()
    assert (report.unchanged, report.sent) == (1, SUBJECTS - 1)


def test_who_is_withdrawn_is_taken_back(node: Node) -> None:
    forget_pushes(node)
    server = OtherServer()
    pusher(node, server).run()
    node.withdrawn.add("SUBJ-1")
    report = pusher(node, server).run()
    assert (report.taken_back, report.unchanged) == (1, SUBJECTS - 1)
    assert "SUBJ-1" not in json.dumps(server.held)
    assert any(address.startswith("Device?") for address in server.held)


def test_refusal_is_counted_and_the_others_go_on(node: Node) -> None:
    forget_pushes(node)
    server = OtherServer([Answer(422)])
    report = pusher(node, server).run()
    assert (report.sent, report.refused) == (SUBJECTS - 1, {422: 1})
    assert pusher(node, server).run().sent == 1


def test_server_that_stays_busy_ends_the_run(node: Node) -> None:
    forget_pushes(node)
    with pytest.raises(ServerBusy):
        pusher(node, OtherServer([Answer(429)] * 20)).run()


def test_data_integration_centre_reads_the_core_data_set_and_nothing_more(node: Node) -> None:
    diz = node.client("diz")
    counts = {}
    for kind in TYPES:
        answer = diz.get(f"/fhir/{kind}")
        assert answer.status_code == (403 if kind == "AuditEvent" else 200), kind
        counts[kind] = len(answer.json().get("entry", []))
    assert all(counts[kind] for kind in WRITTEN), counts
    manifest = diz.get(diz.get("/fhir/$export").headers["content-location"]).json()
    assert {item["type"] for item in manifest["output"]} == set(TYPES) - {"AuditEvent"}
    # Who also reads images may still be blinded to what others signed, whatever other role there is.
    assert node.client("diz-reader").get("/fhir/Composition").status_code == 403


def test_withdrawn_subject_is_nowhere_for_the_data_integration_centre(node: Node) -> None:
    diz = node.client("diz")
    node.withdrawn.add("SUBJ-1")
    for kind in sorted(set(WRITTEN) - {"Device"}):
        assert "SUBJ-1" not in diz.get(f"/fhir/{kind}?_count=500").text, kind
        assert diz.get(f"/fhir/{kind}/SUBJ-1").status_code == 404
    lines = diz.get(diz.get("/fhir/$export").headers["content-location"]).json()["output"]
    text = "".join(diz.get(item["url"].removeprefix("http://testserver")).text for item in lines)
    assert "SUBJ-2" in text
    assert "SUBJ-1" not in text

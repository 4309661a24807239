"""``racoon fhir``: check without a network, export and import at a node, exit codes and one JSON document each."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from racoon.cli import main
from racoon.node.app.administration import audit_verify, prepare
from racoon.node.app.rooms import open_archive
from racoon.node.settings import load_node_settings
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database
from tests.dicom_objects import ct_series, deidentified, uid

PATIENT = {
    "resourceType": "Patient",
    "id": "p1",
    "identifier": [{"system": "http://hospital.example/mrn", "value": "LEAK4711"}],
    "name": [{"family": "Zacharias"}],
    "gender": "female",
}
CONDITION = {
    "resourceType": "Condition",
    "id": "c1",
    "subject": {"reference": "Patient/p1"},
    "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}], "text": "Zacharias"},
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "node.toml"
    path.write_text(f'site = "ALPHA"\ndata_directory = "{tmp_path / "data"}"\n')
    return path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any, str]:
    code = main(["fhir", *words, "--json"])
    said = capsys.readouterr()
    return code, json.loads(said.out), said.out + said.err


def written(folder: Path, *resources: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "a.ndjson").write_text("".join(json.dumps(item) + "\n" for item in resources))
    return folder


def test_check_says_place_and_rule_and_no_value(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = {"resourceType": "Condition", "id": "LEAK_1", "code": {"text": "Zacharias"}, "leak": "Zacharias"}
    code, document, said = run(capsys, "check", str(written(tmp_path / "in", PATIENT, wrong)))
    assert code == 1
    assert document["conformant"] is False
    assert document["resources"] == {"Condition": 1, "Patient": 1}
    assert {(item["place"], item["path"]) for item in document["findings"]} == {
        ("a.ndjson:2", "Condition.id"),
        ("a.ndjson:2", "Condition.subject"),
        ("a.ndjson:2", "Condition.?"),
    }
    assert "Zacharias" not in said
    assert "LEAK" not in said


def test_check_of_what_conforms_is_code_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, document, _ = run(capsys, "check", str(written(tmp_path / "in", PATIENT, CONDITION)))
    assert (code, document["conformant"], document["errors"]) == (0, True, {})


def push_to_a_stand_in(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> list[tuple[str, str, dict[str, Any]]]:
    """Push twice to a server that takes everything, written for this test; returns what it was asked."""
    asked: list[tuple[str, str, dict[str, Any]]] = []
    able = [{"type": kind, "searchParam": [{"name": "identifier"}]} for kind in ("Patient", "ImagingStudy")]

    class StandIn(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked.append((self.command, self.path, json.loads(body or "{}")))
            said = json.dumps({"rest": [{"resource": able}]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST = answer  # noqa: N815 -- names of the base class

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- name of the base class
            pass

    code = main(["fhir", "push", "--config", str(config), "--json"])
    assert "push_to" in capsys.readouterr().out
    assert code != 0
    with HTTPServer(("127.0.0.1", 0), StandIn) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with config.open("a") as file:
            file.write(f'[fhir]\npush_to = "http://127.0.0.1:{server.server_port}/fhir/"\n')
        code, document, _ = run(capsys, "push", "--config", str(config))
        assert (code, document["sent"]) == (0, 1)
        assert {"Device", "Observation"} <= set(document["not_taken"])
        code, document, _ = run(capsys, "push", "--config", str(config))
        assert (code, document["sent"], document["unchanged"]) == (0, 0, 1)
        server.shutdown()
    # Each run asks what the server can do; only the first one sends.
    assert asked[-1][0] == "GET"
    return asked[:-1]


def test_push_goes_to_an_encrypted_address_or_to_this_machine(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with config.open("a") as file:
        file.write('[fhir]\npush_to = "http://diz.example/fhir"\n')
    assert main(["fhir", "push", "--config", str(config), "--json"]) != 0
    assert "https" in capsys.readouterr().out


def test_check_for_people_is_readable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["fhir", "check", str(written(tmp_path / "in", {"resourceType": "Condition", "id": "1"}))]) == 1
    )
    assert "Not everything conforms." in capsys.readouterr().out
    assert main(["fhir", "check", str(tmp_path / "none")]) == 65
    assert "There is no such file or folder." in capsys.readouterr().err


def test_export_writes_what_check_accepts(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = load_node_settings(config)
    prepare(settings)
    database = Database(settings.database)
    archive = open_archive(settings, database)
    archive.store([deidentified(item) for item in ct_series(np.zeros((2, 8, 8), np.int16))])
    words = ["--document", "invented people", "--scope", "all images", "--approved-by", "A. Amt"]
    basis = [
        "consent",
        "basis",
        "--config",
        str(config),
        "--study",
        "site:archive",
        "--kind",
        "synthetic",
        *words,
    ]
    export = ["export", str(tmp_path / "out"), "--config", str(config), "--types", "Patient,ImagingStudy"]
    code, document, _ = run(capsys, *export)
    assert (code, document["written"]) == (0, {"Patient": 0, "ImagingStudy": 0})
    assert main([*basis, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["study_id"] == "site:archive"
    code, document, _ = run(capsys, *export)
    assert (code, document["written"]) == (0, {"Patient": 1, "ImagingStudy": 1})
    (line,) = (tmp_path / "out" / "ImagingStudy.ndjson").read_text().splitlines()
    assert json.loads(line)["id"] == uid(1)
    asked = push_to_a_stand_in(config, capsys)
    assert asked[0][:2] == ("GET", "/fhir/metadata")
    ((method, path, bundle),) = asked[1:]
    assert (method, path, bundle["type"]) == ("POST", "/fhir", "transaction")
    sent = {entry["resource"]["resourceType"] for entry in bundle["entry"]}
    # The stand-in says that it finds these by identifier, and only these.
    assert sent == {"Patient", "ImagingStudy"}
    code, document, _ = run(capsys, "check", str(tmp_path / "out"))
    assert (code, document["errors"]) == (0, {})
    with database.connect() as connection:
        entry, _ = AuditLog("node").entries(connection, action="fhir.export")
    assert entry.actor.startswith("console")
    database.dispose()
    assert audit_verify(config)["valid"]


def test_unknown_type_is_refused_before_anything_is_written(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, document, _ = run(
        capsys, "export", str(tmp_path / "out"), "--config", str(config), "--types", "Medication"
    )
    assert (code, document["error"]["code"]) == (2, "fhir.not_found")
    assert not (tmp_path / "out").exists()


def test_import_takes_in_and_names_nobody(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = written(tmp_path / "in", CONDITION, PATIENT)
    code, document, said = run(capsys, "import", str(source), "--config", str(config))
    assert (code, document["stored"], document["refused"]) == (0, 2, 0)
    assert document["subjects_by"] == {"only_identifier": 1}
    code, document, more = run(capsys, "import", str(source), "--config", str(config))
    assert (code, document["stored"], document["unchanged"]) == (0, 0, 2)
    (source / "b.ndjson").write_text(
        json.dumps({**CONDITION, "id": "c2", "subject": {"reference": "Patient/x"}})
    )
    code, document, last = run(capsys, "import", str(source), "--config", str(config))
    assert (code, document["reasons"]) == (65, {"subject_unknown Condition": 1})
    assert [leak for leak in ("LEAK", "Zacharias") if leak in said + more + last] == []

"""A diagnostics bundle holds what helps and nothing of anybody."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest
import sqlalchemy as sa

from racoon.cli.doctor import doctor
from racoon.errors import Refused
from racoon.platform.database import Database
from racoon.platform.diagnosis import Finding
from racoon.platform.diagnosis.bundle import magnitude, outline, write_bundle
from tests.node_rooms import NodeInProcess

SECRETS = (
    "R1-SECRETPSEUDONYM",
    "1.2.276.4711",
    "Mustermann",
    "RS-0042",
    "ALPHA",
    "clinic.example",
    "hunter2hunter2",
    "/srv/somewhere",
)
LINE = {
    "time": "2026-11-24T00:00:00Z",
    "level": "warning",
    "event": "series stored",
    "error": "OperationalError",
    "count": 3,
    "pseudonym": SECRETS[0],
    "series_uid": SECRETS[1],
    "patient": SECRETS[2],
    "study_id": SECRETS[3],
    "site": SECRETS[4],
    "host": SECRETS[5],
    "file_name": SECRETS[7],
}
SETTINGS = {
    "site": "ALPHA",
    "data_directory": "/srv/somewhere",
    "heartbeat_s": 30.0,
    "http": {"host": "clinic.example", "port": 8600, "behind_proxy": True},
    "oidc": [{"name": "Mustermann", "client_id": "hunter2hunter2"}],
    "deid": {"keep": ["R1-SECRETPSEUDONYM"]},
}


def test_nothing_of_anybody_is_in_it(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    written = f"{json.dumps(LINE)}\nMustermann is no JSON\n[1]\n"
    (logs / "node.jsonl").write_text(written, encoding="utf-8")
    database = Database("sqlite://")
    with database.begin() as connection:
        connection.execute(sa.text("CREATE TABLE person (name TEXT)"))
        connection.execute(sa.text("INSERT INTO person VALUES ('Mustermann'), ('R1-SECRETPSEUDONYM')"))
    target = io.BytesIO()
    findings = [Finding("folder: /srv/somewhere", "problem", "Mustermann", "Ask clinic.example.")]
    sizes = write_bundle(
        target, findings=findings, settings=SETTINGS, data_folder=tmp_path, database=database
    )
    with zipfile.ZipFile(target) as archive:
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    assert set(texts) == set(sizes)
    whole = "\n".join(texts.values())
    assert [secret for secret in SECRETS if secret in whole] == []
    assert json.loads(texts["log.jsonl"]) == {
        name: LINE[name] for name in ("count", "error", "event", "level", "time")
    }
    assert json.loads(texts["findings.json"]) == [{"check": "folder", "state": "problem"}]
    assert json.loads(texts["database.json"])["rows"] == {"person": "< 10"}
    assert json.loads(texts["settings.json"])["http"] == {
        "host": "given",
        "port": 8600,
        "behind_proxy": True,
    }


def test_numbers_of_rows_are_given_by_their_magnitude() -> None:
    assert [magnitude(count) for count in (0, 1, 9, 10, 99, 100)] == [
        "0",
        "< 10",
        "< 10",
        "< 100",
        "< 100",
        "< 1000",
    ]
    assert outline({"keys": ["a", {"b": 1}]}) == {"keys": ["given", {"b": 1}]}


def test_the_doctor_makes_one_of_a_node(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node = NodeInProcess(tmp_path / "node")
    subject = node.store(1, "4711")
    node.close()
    target = tmp_path / "bundle.zip"
    doctor(config=node.config, bundle=target)
    assert "Written" in capsys.readouterr().out
    with zipfile.ZipFile(target) as archive:
        whole = b"".join(archive.read(name) for name in archive.namelist())
        rows = json.loads(archive.read("database.json"))
    assert rows["is_open"]
    assert rows["revision"]
    assert str(subject).encode() not in whole
    assert str(tmp_path).encode() not in whole
    with pytest.raises(Refused, match="exists"):
        doctor(config=node.config, bundle=target)
    with pytest.raises(Refused, match="--config"):
        doctor(bundle=tmp_path / "other.zip")


def test_the_site_informatician_gets_one_from_the_browser_and_the_audit_knows(tmp_path: Path) -> None:
    node = NodeInProcess(tmp_path / "node")
    subject = node.store(1, "4711")
    assert node.person("dpo").get("/diagnostics.zip").status_code == 403
    answer = node.person("site_informatician").get("/diagnostics.zip")
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        whole = b"".join(archive.read(name) for name in archive.namelist())
        assert json.loads(archive.read("database.json"))["is_open"]
    assert str(subject).encode() not in whole
    assert str(tmp_path).encode() not in whole
    with node.rooms.database.connect() as connection:
        (entry,) = node.rooms.audit.entries(connection, action="diagnostics.make")
    assert entry.actor == "site_informatician"
    node.close()

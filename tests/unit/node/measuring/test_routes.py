"""From a number to its pixels: the routes, who may use them, and what a withdrawn consent hides."""

from __future__ import annotations

import csv
import io

import pytest
from starlette.testclient import TestClient

from racoon.domain.identity import Role
from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.node.measuring import service
from racoon.node.measuring.http import router
from racoon.platform.auth import AccountStore, install_accounts
from racoon.platform.http import create_app
from tests.unit.node.measuring.cohort import SUBJECTS

PASSWORD = "correct horse"
ORIGIN = {"origin": "http://testserver"}


@pytest.fixture
def client(plan, manifest, archive, database):
    service.run_protocol(plan, manifest, archive, database)
    accounts = AccountStore("node")
    accounts.create(database, "rita", PASSWORD, [Role.READER])
    accounts.create(database, "vera", PASSWORD, [Role.UAC_MEMBER])
    app = create_app("Test", "1")
    install_accounts(app, "node", database)
    app.state.archive = archive
    app.include_router(router)
    with TestClient(app) as client:
        yield client


def sign_in(client, name):
    answer = client.post("/api/session", json={"username": name, "password": PASSWORD}, headers=ORIGIN)
    assert answer.status_code < 300, answer.text


def test_a_reader_pages_through_all_values(client):
    sign_in(client, "rita")
    seen, after = [], 0
    while after is not None:
        page = client.get("/api/measurements", params={"study": "study-1", "after": after, "limit": 7}).json()
        seen += page["measurements"]
        after = page["next_after"]
    assert len(seen) == SUBJECTS * 5
    first = seen[0]
    assert first["link"].startswith(f"/reading/series/{first['series_uid']}?instance=")
    assert first["masks"][0]["algorithm_type"] == "MANUAL"
    assert first["title_de"] == "Volumen"
    assert client.get("/api/measurements", params={"study": "other"}).json()["measurements"] == []
    only = client.get(
        "/api/measurements", params={"series": first["series_uid"], "biomarker": "volume"}
    ).json()
    assert [item["value"] for item in only["measurements"]] == [first["value"]]
    assert client.get("/api/measurements/findings").json() == []


def test_export_holds_every_value_exactly(client):
    sign_in(client, "rita")
    answer = client.get("/api/measurements/export.csv", params={"study": "study-1"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    listed = client.get("/api/measurements", params={"study": "study-1"}).json()["measurements"]
    assert [float(row["value"]) if row["value"] else None for row in rows] == [
        item["value"] for item in listed
    ]


def test_parquet_keeps_types_and_streams_in_row_groups(client, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(service, "PAGE", 7)
    monkeypatch.setattr("racoon.node.measuring.export.ROWS_AT_ONCE", 16)
    sign_in(client, "rita")
    answer = client.get("/api/measurements/export.parquet", params={"study": "study-1"})
    assert answer.headers["content-type"] == "application/vnd.apache.parquet"
    found = parquet.ParquetFile(io.BytesIO(answer.content))
    assert found.num_row_groups == 3  # forty values, sixteen at once
    rows = found.read().to_pylist()
    listed = client.get("/api/measurements", params={"study": "study-1"}).json()["measurements"]
    for name in ("value", "valid", "reason", "pseudonym", "biomarker"):
        assert [row[name] for row in rows] == [item[name] for item in listed], name
    assert all(row["computed_at"].tzinfo is not None for row in rows)
    text = client.get("/api/measurements/export.csv", params={"study": "study-1"}).text
    assert len(list(csv.DictReader(io.StringIO(text)))) == len(rows)


@pytest.mark.parametrize("path", ["", "/findings", "/export.csv", "/export.parquet"])
def test_nobody_else_may_read_single_values(client, path):
    assert client.get(f"/api/measurements{path}").status_code == 401
    sign_in(client, "vera")
    assert client.get(f"/api/measurements{path}").status_code == 403


def test_a_withdrawn_subject_disappears_from_lists(client, database, tmp_path):
    sign_in(client, "rita")
    client.app.state.archive = Archive(
        database, LocalFolder(tmp_path / "objects"), is_readable=lambda pseudonym: pseudonym != "SUBJ-2"
    )
    listed = client.get("/api/measurements", params={"study": "study-1"}).json()["measurements"]
    assert {item["pseudonym"] for item in listed} == {f"SUBJ-{n}" for n in range(1, SUBJECTS + 1)} - {
        "SUBJ-2"
    }
    assert "SUBJ-2" not in client.get("/api/measurements/export.csv").text

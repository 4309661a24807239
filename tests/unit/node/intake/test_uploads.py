"""Objects over HTTP and from a watched folder end where those of a scanner end."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from racoon.domain.identity import Role
from racoon.node.intake import spool as spool_module
from racoon.node.intake.http import dicomweb
from racoon.node.intake.spool import Spool
from racoon.node.intake.watching import WatchedFolder
from racoon.platform.auth import install_accounts
from racoon.platform.http import create_app
from racoon.standards.dicomweb import multipart
from tests.planted_identifiers import ROOT, STUDY, make_ct
from tests.unit.node.intake.conftest import Node

CT = [make_ct(number, planted=False).data for number in range(1, 4)]
CLASS, INSTANCE = "00081150", "00081155"


@pytest.fixture
def sender(node: Node) -> Any:
    app = create_app("node", "1")
    accounts = install_accounts(app, "node", node.database)
    accounts.create(node.database, "anna", "correct horse", [Role.DATA_MANAGER], "ALPHA")
    accounts.create(node.database, "rita", "correct horse", [Role.READER], "ALPHA")
    app.state.intake = node.intake
    app.include_router(dicomweb)

    def client(name: str) -> TestClient:
        session = accounts.open_session(node.database, accounts.verify(node.database, name, "correct horse"))
        return TestClient(
            app, headers={"authorization": f"Bearer {session.token}", "origin": "http://testserver"}
        )

    return client


def send(client: TestClient, objects: list[bytes], path: str = "/dicom-web/studies", **headers: str) -> Any:
    boundary = multipart.new_boundary()
    parts = [multipart.Part("application/dicom", [data]) for data in objects]
    content_type = multipart.content_type("application/dicom", boundary)
    return client.post(
        path,
        content=b"".join(multipart.write(parts, boundary)),
        headers={"content-type": content_type, **headers},
    )


def references(document: dict[str, Any], sequence: str) -> list[dict[str, Any]]:
    return list(document.get(sequence, {}).get("Value", []))


def test_uploaded_objects_are_durable_and_named(node: Node, sender: Any) -> None:
    answer = send(sender("anna"), [CT[0], b"rubbish", CT[1]])
    assert answer.status_code == 202
    assert answer.headers["content-type"].startswith("application/dicom+json")
    stored = references(answer.json(), "00081199")
    assert [item[INSTANCE]["Value"] for item in stored] == [[f"{ROOT}.4.1"], [f"{ROOT}.4.2"]]
    assert all(item["00081196"]["Value"] == [0xB000] for item in stored), "identity will be removed"
    (failed,) = references(answer.json(), "00081198")
    assert failed["00081197"]["Value"] == [0xC000]
    # What could not be named is refused, and kept for a person all the same.
    assert [file.path.read_bytes() for file in node.spool.waiting(9)] == [CT[0], b"rubbish", CT[1]]
    assert node.loop().run_once().archived == 2


def test_object_of_another_study_is_not_taken(node: Node, sender: Any) -> None:
    assert send(sender("anna"), [CT[0]], f"/dicom-web/studies/{STUDY}").status_code == 202
    answer = send(sender("anna"), [CT[0]], "/dicom-web/studies/1.2.3")
    assert answer.status_code == 409
    assert references(answer.json(), "00081198")[0]["00081197"]["Value"] == [0xA900]
    assert len(node.spool.waiting(9)) == 1


def test_too_large_object_is_named_and_the_rest_is_taken(node: Node, sender: Any) -> None:
    node.intake.largest_bytes = len(CT[0]) + 10
    answer = send(sender("anna"), [CT[0] * 3, CT[1]])
    assert answer.status_code == 202
    assert references(answer.json(), "00081198")[0]["00081197"]["Value"] == [0xA700]
    assert len(node.spool.waiting(9)) == 1


def test_full_disk_is_said_and_rights_are_asked(
    node: Node, sender: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert send(sender("rita"), [CT[0]]).status_code == 403
    monkeypatch.setattr(spool_module, "RESERVE_BYTES", 1 << 60)
    answer = send(sender("anna"), [CT[0]])
    assert (answer.status_code, answer.json()["code"]) == (503, "storage.full")


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/dicom", 400),
        ('multipart/related; type="application/dicom"', 400),
        ('multipart/related; type="application/dicom+json"; boundary=x', 415),
        ("text/plain", 415),
    ],
)
def test_other_uploads_are_refused(sender: Any, content_type: str, status: int) -> None:
    answer = sender("anna").post("/dicom-web/studies", content=b"x", headers={"content-type": content_type})
    assert answer.status_code == status


# The watched folder


@pytest.fixture
def watched(tmp_path: Path) -> WatchedFolder:
    return WatchedFolder(
        tmp_path / "drop", Spool(tmp_path / "spool"), tmp_path / "imports", largest_bytes=1 << 20
    )


def test_file_is_taken_when_it_lies_still(tmp_path: Path, watched: WatchedFolder) -> None:
    drop, spool = tmp_path / "drop", Spool(tmp_path / "spool")
    assert watched.look() == 0
    (drop / "deep").mkdir()
    file = drop / "deep" / "a.dcm"
    file.write_bytes(CT[0][:100])
    (drop / "b.dcm.part").write_bytes(CT[1])
    assert watched.look() == 0
    file.write_bytes(CT[0])
    assert watched.look() == 0, "it grew since the last look"
    assert watched.look() == 1
    assert [item.path.read_bytes() for item in spool.waiting(9)] == [CT[0]]
    assert sorted(path.name for path in drop.rglob("*")) == ["b.dcm.part"]


def test_archive_is_taken_and_a_bad_one_set_aside(tmp_path: Path, watched: WatchedFolder) -> None:
    drop, spool = tmp_path / "drop", Spool(tmp_path / "spool")
    drop.mkdir()
    with zipfile.ZipFile(drop / "good.zip", "w") as archive:
        archive.writestr("a", CT[0])
        archive.writestr("b", CT[1])
    (drop / "bad.zip").write_bytes(b"PK\x03\x04")
    watched.look()
    assert watched.look() == 1
    assert len(spool.waiting(9)) == 2
    reason, kept = sorted((path.suffix, path) for path in (drop / "refused").iterdir())
    assert (reason[0], kept[0]) == (".txt", ".zip")
    assert "damaged" in reason[1].read_text()
    assert (watched.look(), watched.look()) == (0, 0)


def test_answer_is_a_document(sender: Any) -> None:
    document = json.loads(send(sender("anna"), [CT[0]]).text)
    assert set(document) == {"00081190", "00081199"}

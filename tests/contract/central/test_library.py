"""The library of models: promoted with evidence, approved by a second person, checked by a node, taken back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason='needs the extra: pip install "racoon[learning]"')

from racoon.learning.architectures import initial_weights
from racoon.learning.inference import golden_example
from racoon.learning.packages import PackageRefused, write_package
from racoon.node.compute.shelf import Shelf
from racoon.platform.audit import AuditLog
from racoon.platform.certificates import public_key_text
from racoon.platform.database import Database, create_all
from racoon.protocol.library import LibraryEntry, LibraryList
from tests.simulated_network import DEFINITION, Network, SimulatedNode
from tests.unit.learning.making import KEY, PLAN, STATEMENTS

pytestmark = pytest.mark.learning

SIGNER = public_key_text(KEY)
METRICS = {
    "ALPHA": {"model": "federated", "site": "ALPHA", "n": 4, "mean": 0.81, "lower": 0.7, "upper": 0.9},
    "all": {"model": "federated", "site": "all", "n": 9, "mean": 0.8, "lower": 0.75, "upper": 0.85},
    "trivial": 0.4,
}


def make(folder: Path, **statements: Any) -> Path:
    """A package with untrained weights: a library does not ask how good they are."""
    weights = initial_weights(PLAN)
    card = {**STATEMENTS, "metrics": METRICS, **statements}
    return write_package(folder, PLAN, weights, golden_example(PLAN, weights), card, KEY)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("package"))


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    database = Database(f"sqlite:///{tmp_path}/node.sqlite")
    create_all(database, "node")
    yield Shelf(database, AuditLog("node"), tmp_path / "models", [SIGNER])
    database.dispose()


def offer(network: Network, name: str, package: Path, study_id: str) -> Any:
    files = {"package": (package.name, package.read_bytes())}
    return network.person(name).post("/api/library", data={"study_id": study_id}, files=files)


def listed(node: SimulatedNode) -> tuple[LibraryEntry, ...]:
    answer = node.client.get("/node/v1/library")
    assert answer.status_code == 200, answer.text
    return LibraryList.model_validate(answer.json()).models


def study(network: Network) -> str:
    return str(network.post("pi", "/api/studies", {"definition": DEFINITION})["study_id"])


def test_a_model_goes_from_a_study_to_the_nodes_and_is_taken_back(
    network: Network, package: Path, shelf: Shelf
) -> None:
    node = network.enrol("ALPHA")
    study_id = study(network)
    digest = package.stem

    def fetch(entry: LibraryEntry) -> bytes:
        answer = node.client.get(f"/node/v1/library/{entry.hash}")
        assert answer.status_code == 200
        return answer.content

    offered = offer(network, "office", package, study_id)
    assert offered.status_code == 201, offered.text
    assert offered.json()["state"] == "offered"
    assert [row["site"] for row in offered.json()["metrics"]] == ["ALPHA", "all"]
    # Nobody outside sees it before a second person agreed.
    assert listed(node) == ()
    assert node.client.get(f"/node/v1/library/{digest}").status_code == 404
    own = network.person("office").post(f"/api/library/{digest}/approval")
    assert (own.status_code, own.json()["code"]) == (403, "library.same_person")
    assert network.person("pi").post(f"/api/library/{digest}/approval").status_code == 403
    assert network.post("office2", f"/api/library/{digest}/approval")["state"] == "approved"

    done = shelf.follow(listed(node), fetch, "operator", "operator")
    assert done == {"added": [digest], "kept": [], "withdrawn": [], "refused": []}
    assert shelf.find("blocks") == shelf.find(digest[:10]) == shelf.path(digest)
    assert shelf.path(digest).read_bytes() == package.read_bytes()
    assert shelf.follow(listed(node), fetch, "operator", "operator")["kept"] == [digest]

    path = f"/api/library/{digest}/withdrawal"
    assert network.person("office2").post(path, json={"reason": ""}).status_code == 422
    network.post("office2", path, {"reason": "Masks turn over at the base."})
    assert node.client.get(f"/node/v1/library/{digest}").status_code == 404
    assert shelf.follow(listed(node), fetch, "operator", "operator")["withdrawn"] == [digest]
    for refused in (
        lambda: shelf.find("blocks"),
        lambda: shelf.find(digest),
        lambda: shelf.require_runnable(digest),
    ):
        with pytest.raises(PackageRefused):
            refused()
    with pytest.raises(PackageRefused, match="Masks turn over") as caught:
        shelf.add(package.read_bytes(), "file", "operator", "operator")
    assert caught.value.error_code == "package.withdrawn"
    with network.central.database.connect() as connection:
        actions = [entry.action for entry in network.central.audit.entries(connection, purpose=study_id)]
    assert [action for action in actions if action.startswith("model.")] == [
        "model.withdrawn",
        "model.approved",
        "model.offered",
    ]


def test_a_model_without_evidence_or_with_a_taken_version_is_not_offered(
    network: Network, package: Path, tmp_path: Path
) -> None:
    study_id = study(network)
    blind = make(tmp_path, metrics={})
    answer = offer(network, "office", blind, study_id)
    assert (answer.status_code, answer.json()["code"]) == (403, "library.no_evidence")
    assert offer(network, "office", package, study_id).status_code == 201
    assert offer(network, "office", package, study_id).status_code == 201
    answer = offer(network, "office", make(tmp_path, licence="other"), study_id)
    assert (answer.status_code, answer.json()["code"]) == (403, "library.version_taken")
    answer = network.person("office").post(
        "/api/library", data={"study_id": study_id}, files={"package": ("x", b"no package")}
    )
    assert answer.json()["code"] == "package.unreadable"
    assert offer(network, "auditor", package, study_id).status_code == 403
    assert len(network.get("pi", "/api/library")) == 1


def test_a_node_takes_only_what_it_named_and_what_arrived_whole(
    package: Path, shelf: Shelf, tmp_path: Path
) -> None:
    database = Database(f"sqlite:///{tmp_path}/other.sqlite")
    create_all(database, "node")
    stranger = Shelf(database, AuditLog("node"), tmp_path / "other", [])
    entry = LibraryEntry(
        hash=package.stem,
        name="blocks",
        version="1.0.0",
        study_id="S1",
        signer=SIGNER,
        file_sha256="0" * 64,
        size=1,
    )
    asked: list[str] = []

    def fetch(entry: LibraryEntry) -> bytes:
        asked.append(entry.hash)
        return package.read_bytes()

    (refused,) = stranger.follow([entry], fetch, "operator", "operator")["refused"]
    assert (refused["code"], asked) == ("package.signer", [])
    with pytest.raises(PackageRefused):
        stranger.add(package.read_bytes(), "file", "operator", "operator")
    assert stranger.models() == []
    (refused,) = shelf.follow([entry], lambda _: b"PK something else", "operator", "operator")["refused"]
    assert refused["code"] == "package.unreadable"
    assert shelf.models() == []
    added = shelf.add(package.read_bytes(), "file", "operator", "operator")
    assert (added.source, added.runtime) == ("file", "torch")
    assert not list((tmp_path / "models").glob("waiting*"))
    with pytest.raises(PackageRefused) as caught:
        shelf.find("nothing")
    assert caught.value.error_code == "package.not_here"
    database.dispose()


def test_the_page_shows_the_evidence_in_both_languages(network: Network, package: Path) -> None:
    study_id = study(network)
    person = network.person("office")
    sent = person.post(
        "/library",
        data={"study_id": study_id},
        files={"package": (package.name, package.read_bytes())},
        follow_redirects=False,
    )
    assert sent.status_code == 303, sent.text
    for language, words in (
        ("en", ("best trivial model", "Approve for the nodes", "0.8")),
        ("de", ("bestes triviales Modell", "Für die Knoten freigeben", "0,8", "Modelle")),
    ):
        page = person.get("/library", headers={"accept": "text/html", "accept-language": language}).text
        assert all(word in page for word in words), [word for word in words if word not in page]
    own = person.post(f"/library/{package.stem}/approval", headers={"accept-language": "de"})
    assert "gibt es nicht frei" in own.text
    assert "Promote a model" not in network.person("auditor").get("/library").text
    other = network.person("office2")
    assert other.post(f"/library/{package.stem}/approval").status_code == 200
    page = other.post(f"/library/{package.stem}/withdrawal", data={"reason": "Too old."}).text
    assert "Too old." in page
    assert json.dumps(network.get("pi", "/api/library"))

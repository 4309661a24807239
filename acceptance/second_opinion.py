"""A second FHIR server, which none of us wrote either: Medplum's router and repository, strict about the R4 base."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from acceptance.fhir_server import every_kind, questions_for
from racoon.node.clinical.model import parse_search
from racoon.node.clinical.pushing import KINDS, Answer, Pusher
from racoon.standards.fhir.building import Resource
from racoon.standards.fhir.transactions import name_of, transaction
from racoon.standards.fhir.versions import VERSIONS
from tests.conformance.test_fhir_of_real_images import SOURCE, facade_of_real_images
from tools.acceptance import ROOT, Figures
from tools.build_viewer import find_node

SOURCES = ROOT / "acceptance" / "second_server"
PLACE = ROOT / "build" / "second-fhir-server"

OLDEST_NODE = (22, 18)
"""Medplum's packages name it."""

WITHOUT: frozenset[str] = frozenset()
"""R4 has identifiers of every type that is sent, and this server knows them all."""


def install() -> str:
    """Install the pinned packages, once; returns the Node.js that runs them."""
    npm, programs = find_node(OLDEST_NODE)
    PLACE.mkdir(parents=True, exist_ok=True)
    done, pins = PLACE / "pins.json", (SOURCES / "package.json").read_bytes()
    shutil.copy(SOURCES / "server.mjs", PLACE)
    if not done.is_file() or done.read_bytes() != pins:
        shutil.copy(SOURCES / "package.json", PLACE)
        quiet = ["--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
        subprocess.run([*npm, "install", *quiet], cwd=PLACE, check=True)
        done.write_bytes(pins)
    return str(Path(programs) / "node")


@contextmanager
def second_server(folder: Path) -> Iterator[httpx.Client]:
    """Start the server on a free port of this machine; it ends with the context."""
    command = [install(), "server.mjs"]
    with (folder / "second-server.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=PLACE, stdout=subprocess.PIPE, stderr=log)
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
                yield client
        finally:
            server.terminate()
            server.communicate()


def find(client: httpx.Client, address: str) -> list[Resource]:
    """Search there; what matches is as many as the server says, beside what was to be included."""
    found = client.get(f"/{address}")
    assert found.status_code == 200, found.text
    entries = found.json().get("entry", [])
    matches = [entry for entry in entries if entry.get("search", {}).get("mode") != "include"]
    assert len(matches) == found.json()["total"], address
    return [entry["resource"] for entry in entries]


def load_in_second(folder: Path) -> Figures:
    """Send real CT, MR and PT to the second server, which refuses what breaks R4, and find them there."""
    folder.mkdir(parents=True, exist_ok=True)
    shared = ROOT.parent / "shared" / "data"
    with facade_of_real_images(shared, folder) as (facade, database), second_server(folder) as client:

        def send(bundle: Resource) -> Answer:
            return Answer(200 if not _refusals(client, bundle) else 400)

        _is_strict(client)
        report = (pusher := Pusher(facade, database, str(client.base_url), send, WITHOUT)).run()
        assert not report.refused, report.refused
        patients = [patient for _, patient in facade.iterate(parse_search("Patient", []))]
        given = [resource for patient in patients for resource in pusher.of_subject(patient)]
        questions = [question for resource in given for question in questions_for(resource)]
        for address, is_expected in questions:
            assert any(is_expected(found) for found in find(client, address)), address
        assert find(client, "ImagingStudy?modality=ECG") == []
        before = {kind: len(find(client, f"{kind}?_count=500")) for kind in report.resources}
        for patient in patients:
            assert _refusals(client, transaction(pusher.of_subject(patient), SOURCE)) == []
        assert {kind: len(find(client, f"{kind}?_count=500")) for kind in before} == before
        assert sum(before.values()) == len({name_of(resource) for resource in given})
        kinds = {kind for name in VERSIONS for kind in every_kind(client, name, WITHOUT, find)}
    assert kinds == {*KINDS, "Patient", "Device"}
    return {
        "subjects": report.sent,
        "resources": sum(before.values()),
        "searches": len(questions),
        "kinds_taken": len(kinds),
    }


def _refusals(client: httpx.Client, bundle: Resource) -> list[str]:
    """Send a transaction; returns what was said of the entries that were not taken."""
    response = client.post("/", json=bundle)
    assert response.status_code == 200, response.text
    answers = [entry["response"] for entry in response.json()["entry"]]
    return [json.dumps(answer) for answer in answers if not str(answer["status"]).startswith("2")]


def _is_strict(client: httpx.Client) -> None:
    """Prove that the server refuses what R4 does not know: its yes is worth something."""
    wrong = {"resourceType": "Patient", "gender": "unknown", "weight": 80}
    assert client.post("/Patient", json=wrong).status_code == 400
    assert client.post("/ImagingStudy", json={"resourceType": "ImagingStudy"}).status_code == 400
    asked = client.get("/Patient?nobody-knows-this=1")
    assert asked.status_code == 400 or asked.json()["total"] == 0, "questions are not dropped"

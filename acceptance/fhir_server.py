"""An independent FHIR server, which none of us wrote, in a Python environment of its own, and what is asked of it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx

from racoon.node.clinical.calling import Address, Service
from racoon.node.clinical.fetching import Fetcher, Wish
from racoon.node.clinical.importing import Importer
from racoon.node.clinical.model import parse_search
from racoon.node.clinical.pushing import KINDS, Answer, Pusher
from racoon.node.clinical.removing import load_removals
from racoon.node.cohorts import service as cohorts
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.platform.database import Database, create_all
from racoon.standards.fhir.building import Resource
from racoon.standards.fhir.rules.checking import check
from racoon.standards.fhir.transactions import name_of, transaction, types_without_identifier
from racoon.standards.fhir.versions import VERSIONS
from tests.clinic_of_many import conditions, patient
from tests.conformance.test_fhir_of_real_images import SOURCE, facade_of_real_images
from tests.unit.standards.fhir.test_examinations import surroundings
from tests.unit.standards.fhir.test_writing import written
from tools.acceptance import ROOT, Figures

PINS = ROOT / "acceptance" / "fhir-server.txt"
PLACE = ROOT / "build" / "fhir-server"
START_S = 60


def environment() -> Path:
    """Make the server's environment, once; returns its command."""
    command, done = PLACE / "bin" / "sekmet", PLACE / "pins.txt"
    if not done.is_file() or done.read_bytes() != PINS.read_bytes():
        subprocess.run([sys.executable, "-m", "venv", "--clear", PLACE], check=True)
        subprocess.run([PLACE / "bin" / "pip", "install", "-q", "-r", PINS], check=True)
        done.write_bytes(PINS.read_bytes())
    return command


@contextmanager
def other_server(folder: Path) -> Iterator[httpx.Client]:
    """Start the server on a free port of this machine, strict about what it takes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    base = f"http://127.0.0.1:{port}/fhir"
    settings = folder / "settings.yaml"
    settings.write_text(
        f"base_url: {base}\nhost: 127.0.0.1\nport: {port}\ndata_dir: {folder}/data\n"
        "validation: {inbound: strict}\nsimulator: {enabled: false}\n",
        encoding="utf-8",
    )
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [environment(), "serve", "--config", settings], cwd=folder, stdout=log, stderr=log, env=_plain()
        )
        try:
            with httpx.Client(base_url=base, timeout=60, trust_env=False) as client:
                _wait(client, server)
                yield client
        finally:
            server.terminate()
            server.wait()


def _plain() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def _wait(client: httpx.Client, server: subprocess.Popen[bytes]) -> None:
    for _ in range(START_S * 4):
        assert server.poll() is None, "the server ended; see server.log"
        try:
            if client.get("/metadata").status_code == 200:
                return
        except httpx.TransportError:
            pass
        threading.Event().wait(0.25)
    raise AssertionError("the server does not answer")


def search(client: httpx.Client, address: str) -> list[Resource]:
    """Search there, and make sure by the ``self`` link that nothing of the question was dropped."""
    found = client.get(f"/{address}")
    assert found.status_code == 200, found.text
    bundle = found.json()
    (own,) = [item["url"] for item in bundle["link"] if item["relation"] == "self"]
    asked = {name for name, _ in parse_qsl(urlsplit(address).query)}
    understood = {name for name, _ in parse_qsl(urlsplit(own).query)}
    assert asked <= understood, (address, own)
    return [entry["resource"] for entry in bundle.get("entry", [])]


def load_elsewhere(folder: Path) -> Figures:
    """Send real CT, MR and PT to the other server, and find them there as a data integration centre does."""
    shared = ROOT.parent / "shared" / "data"
    folder.mkdir(parents=True, exist_ok=True)
    with facade_of_real_images(shared, folder) as (facade, database), other_server(folder) as client:

        def send(bundle: Resource) -> Answer:
            response = client.post("/", json=bundle)
            if response.is_error:
                (folder / "refused.json").write_text(response.text, encoding="utf-8")
                (folder / "bundle.json").write_text(json.dumps(bundle), encoding="utf-8")
            return Answer(response.status_code)

        without = types_without_identifier(client.get("/metadata").json(), ("Patient", "Device", *KINDS))
        # R4 has identifiers of these too; this server does not know them and says so.
        assert without == {"BodyStructure", "Composition", "QuestionnaireResponse"}
        pusher = Pusher(facade, database, str(client.base_url), send, without)
        report = pusher.run()
        assert not report.refused, report.refused
        assert pusher.run().unchanged == report.sent
        patients = [patient for _, patient in facade.iterate(parse_search("Patient", []))]
        given = [resource for patient in patients for resource in pusher.of_subject(patient)]
        for resource in given:
            issues = [item for item in check(resource, VERSIONS["2027-ballot"]) if item.severity == "error"]
            assert issues == []
        questions = [question for resource in given for question in questions_for(resource)]
        for address, is_expected in questions:
            assert any(is_expected(found) for found in search(client, address)), address
        assert search(client, "ImagingStudy?modality=ECG") == []
        # Sent again by a node that has forgotten it: nothing is there twice.
        before = {kind: len(search(client, f"{kind}?_count=500")) for kind in report.resources}
        for patient in patients:
            assert send(transaction(pusher.of_subject(patient), SOURCE)).status == 200
        after = {kind: len(search(client, f"{kind}?_count=500")) for kind in before}
        kinds = {kind for name in VERSIONS for kind in every_kind(client, name, without)}
    assert after == before
    assert sum(before.values()) == len({name_of(resource) for resource in given})
    return {
        "subjects": report.sent,
        "resources": sum(before.values()),
        "searches": len(questions),
        "kinds_taken": len(kinds),
    }


Find = Callable[[httpx.Client, str], list[Resource]]


def every_kind(client: httpx.Client, version: str, without: frozenset[str], find: Find = search) -> set[str]:
    """Send one resource of every kind that is sent, values and signed reports too, and find each there."""
    given = {name_of(item): item for item in [*written(version), *surroundings(version)]}
    kinds = {*KINDS, "Patient", "Device"} - without
    sent = [item for item in given.values() if item["resourceType"] in kinds]
    response = client.post("/", json=transaction(sent, SOURCE, without))
    assert response.status_code == 200, response.text
    for resource in sent:
        kind = resource["resourceType"]
        (found,) = find(client, f"{kind}?identifier={SOURCE}:fhir|{name_of(resource)}")
        assert found["meta"].get("profile") == resource["meta"].get("profile")
    return {str(item["resourceType"]) for item in sent}


Question = tuple[str, Callable[[Resource], bool]]


def questions_for(resource: Resource) -> Iterator[Question]:
    """Yield the searches that have to find a resource there."""
    kind, name = resource["resourceType"], name_of(resource)

    def is_it(found: Resource) -> bool:
        own = found.get("identifier", [])
        return any(item.get("value") == name for item in (own if isinstance(own, list) else [own]))

    yield f"{kind}?identifier={SOURCE}:fhir|{name}", is_it
    if kind == "Patient":
        yield f"Patient?identifier=urn:racoon:alpha|{resource['id']}", is_it
        yield f"Patient?gender={resource['gender']}&_lastUpdated=ge2020-01-01", is_it
    if kind == "ImagingStudy":
        uid = resource["identifier"][0]["value"]
        modality = resource["modality"][0]["code"]
        yield f"ImagingStudy?identifier=urn:dicom:uid|{uid}", is_it
        yield f"ImagingStudy?modality={modality}&started=ge{resource['started'][:10]}&_count=500", is_it
        included = f"ImagingStudy?identifier=urn:dicom:uid|{uid}&_include=ImagingStudy:subject"
        yield included, lambda found: found["resourceType"] == "Patient"
        patient = f"Patient/{resource['subject']['reference'].removeprefix('Patient/')}"
        chained = f"ImagingStudy?subject:Patient.identifier={SOURCE}:fhir|{patient}&_count=500"
        yield chained, is_it
    if kind in ("Procedure", "ServiceRequest"):
        code = resource["code"]["coding"][0]
        yield f"{kind}?code={code['system']}|{code['code']}&_count=500", is_it


DELETED = 3


def delete_elsewhere(folder: Path) -> Figures:
    """Fetch a course from the other server, delete some of it there, and find it gone here with the next fetch."""
    folder.mkdir(parents=True, exist_ok=True)
    database = Database(f"sqlite:///{folder}/node.sqlite")
    create_all(database, "node")
    names = Pseudonymiser(folder / "names" / "master.key", f"sqlite:///{folder}/names/names.sqlite")
    importer = Importer(database, names, on_stored=[cohorts.record_clinical])
    wish = Wish(("Patient", "Condition"))
    given = [item for number in range(4) for item in (patient(number), *conditions(number))]
    with other_server(folder) as client:
        service = Service(Address("the other server", str(client.base_url)))
        for resource in given:
            answer = client.put(f"/{resource['resourceType']}/{resource['id']}", json=resource)
            assert answer.is_success, answer.text
        first = Fetcher(service, database, importer).run(wish)
        for item in list(conditions(0))[:DELETED]:
            assert client.delete(f"/Condition/{item['id']}").is_success
            assert client.get(f"/Condition/{item['id']}").status_code == 410
        second = Fetcher(service, database, importer).run(wish)
        third = Fetcher(service, database, importer).run(wish)
        service.close()
    with database.connect() as connection:
        removed = load_removals(connection)
    names.close()
    database.dispose()
    assert (first["stored"], first["removed"], first["deletions_untold"]) == (len(given), 0, [])
    assert (second["removed"], third["removed"], second["stored"]) == (DELETED, 0, 0)
    assert [row["reason"] for row in removed] == ["deleted"] * DELETED
    return {"resources": len(given), "deleted_there": DELETED, "taken_out_here": second["removed"]}

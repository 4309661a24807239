"""Issue G, the clinic's data meet the images: FHIR both ways, consent, nothing identifiable across the wall."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

from racoon.node.app.administration import prepare
from racoon.node.app.messages import inbox_folder, open_door
from racoon.node.app.rooms import open_pseudonyms
from racoon.node.clinical.hl7.inbox import Inbox
from racoon.node.clinical.hl7.listener import MllpListener
from racoon.node.clinical.importing import Importer
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.node.settings import load_node_settings
from racoon.platform.database import Database, create_all
from tests.hl7_messages import Caller, Sent, expected_course, faulty_stream, found_course
from tools.acceptance import Figures, Step

TITLE = "the clinic's data meet the images: FHIR both ways and consent"

PATIENTS = 5_000
CONDITIONS = 5


def import_many(folder: Path) -> Figures:
    """Import patients and conditions; memory must not grow with them, and a second time changes nothing."""
    source = folder / "in"
    source.mkdir()
    with (
        (source / "Patient.ndjson").open("w") as patients,
        (source / "Condition.ndjson").open("w") as conditions,
    ):
        for number in range(PATIENTS):
            patients.write(json.dumps(_patient(number)) + "\n")
            for index in range(CONDITIONS):
                conditions.write(json.dumps(_condition(number, index)) + "\n")
    database = Database(f"sqlite:///{folder}/node.sqlite")
    create_all(database, "node")
    names = Pseudonymiser(folder / "names" / "master.key", f"sqlite:///{folder}/names/names.sqlite")
    importer = Importer(database, names)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.monotonic()
    report = importer.import_path(source)
    seconds = time.monotonic() - started
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    again = importer.import_path(source)
    names.close()
    database.dispose()
    assert report.refused == 0
    assert report.stored == PATIENTS * (1 + CONDITIONS)
    assert again.stored == 0
    assert grown_mb < 150, "memory grows with the number of resources"
    return {
        "resources": report.stored,
        "resources_per_s": round(report.stored / seconds),
        "memory_grown_mb": round(grown_mb),
    }


def _patient(number: int) -> dict[str, object]:
    kind = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]}
    return {
        "resourceType": "Patient",
        "id": f"p{number}",
        "identifier": [{"type": kind, "system": "http://hospital.example/mrn", "value": f"MRN{number}"}],
        "name": [{"family": f"Name{number}"}],
        "gender": "female" if number % 2 else "male",
        "birthDate": (date(1940, 1, 1) + timedelta(days=number)).isoformat(),
    }


def _condition(number: int, index: int) -> dict[str, object]:
    code = {
        "system": "http://fhir.de/CodeSystem/bfarm/icd-10-gm",
        "version": "2024",
        "code": f"C{30 + index}.1",
    }
    return {
        "resourceType": "Condition",
        "id": f"c{number}-{index}",
        "subject": {"reference": f"Patient/p{number}"},
        "code": {"coding": [code]},
        "recordedDate": (date(2020, 1, 1) + timedelta(days=number % 1000 + index)).isoformat(),
    }


MESSAGES, MESSAGE_PATIENTS = 10_000, 900
CONNECTIONS = 4
RATE = 300
"""Messages a second of one core, listener, worker and senders together."""

_WORKER = """
import sys, threading
from pathlib import Path
from racoon.node.app.messages import open_worker
from racoon.node.app.rooms import open_pseudonyms
from racoon.node.settings import load_node_settings
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database

settings = load_node_settings(Path(sys.argv[1]))
open_worker(settings, Database(settings.database), AuditLog("node"), open_pseudonyms(settings)).run(threading.Event())
"""


def take_faulty_messages(folder: Path) -> Figures:
    """Send a hospital's faulty day over MLLP while it is worked off, kill the worker twice, and look at everything."""
    config = folder / "node.toml"
    senders = "".join(
        f'[[hl7.senders]]\nname = "{name}"\naddresses = ["127.0.0.1"]\napplication = "{name}"\n'
        for name in ("KIS", "LIS")
    )
    config.write_text(f'site = "ALPHA"\ndata_directory = "data"\n[hl7]\n{senders}', "utf-8")
    settings = load_node_settings(config)
    prepare(settings)
    stream = faulty_stream(11, MESSAGES, MESSAGE_PATIENTS)
    inbox = Inbox(inbox_folder(settings))
    listener = MllpListener(settings.hl7, open_door(settings), inbox)
    before, started = _cpu_s(), time.monotonic()
    answered = 0
    worker = _start_worker(config)
    try:
        for part in (stream[: MESSAGES // 2], stream[MESSAGES // 2 :]):
            with ThreadPoolExecutor(CONNECTIONS) as pool:
                lanes = [
                    [item for item in part if item.patient % CONNECTIONS == lane]
                    for lane in range(CONNECTIONS)
                ]
                answered += sum(pool.map(lambda lane: _send(listener.port, lane), lanes))
            # Killed in whatever it does; the next one goes on.
            worker.kill()
            worker.wait()
            worker = _start_worker(config)
        while inbox.counts()["waiting"]:
            threading.Event().wait(0.2)
    finally:
        worker.kill()
        worker.wait()
        listener.stop()
    seconds, cpu_s = time.monotonic() - started, _cpu_s() - before
    counts = inbox.counts()
    inbox.close()
    names, database = open_pseudonyms(settings), Database(settings.database)
    found, expected = found_course(database, names, MESSAGE_PATIENTS), expected_course(stream)
    names.close()
    database.dispose()
    assert counts["held"] == 0
    assert counts["done"] == len({item.block for item in stream if item.code == "AA"})
    assert found == expected, "something is lost, doubled or out of order"
    assert answered / cpu_s >= RATE, f"{answered / cpu_s:.0f} messages a second of one core"
    return {
        "messages": len(stream),
        "worked_off": counts["done"],
        "refused": counts["refused"],
        "visits_values_orders": sum(len(part) for part in found),
        "messages_per_cpu_s": round(answered / cpu_s),
        "messages_per_s": round(answered / seconds),
    }


def _send(port: int, stream: Sequence[Sent]) -> int:
    """Send blocks, twenty ahead of their answers; a block that breaks off is answered when the next one begins."""
    caller = Caller(port)
    wanted = [item.code or "AR" for item in stream]
    if not stream[-1].code:
        wanted.pop()
    for start in range(0, len(stream), 20):
        part = stream[start : start + 20]
        caller.send(b"".join(item.block for item in part))
        # The answer to a last block that breaks off comes with the next part.
        ready = len(part) - (not part[-1].code) + (start > 0 and not stream[start - 1].code)
        for _ in range(ready):
            code = caller.code()
            assert code == wanted.pop(0), code
    caller.close()
    assert not wanted
    return len(stream)


def _start_worker(config: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _WORKER, str(config)])


def _cpu_s() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


STEPS = [
    Step(
        "profiles",
        "rule tables beside the published profiles; every example read, and what it lacks said; what is written"
        " accepted by an independent model",
        tests=("tests/conformance/test_fhir_profiles.py", "tests/unit/standards/fhir"),
    ),
    Step(
        "facade",
        "a node's FHIR is read, searched, paged and exported, with rights, withdrawal and audit",
        tests=("tests/unit/node/clinical/test_http.py", "tests/unit/node/clinical/test_model.py"),
    ),
    Step(
        "real-images",
        "studies of real CT, MR and PT exported as FHIR pass the rule tables and an independent model",
        tests=("tests/conformance/test_fhir_of_real_images.py",),
    ),
    Step(
        "import",
        "all published test data come in without loss; identifiers planted in every field stay outside",
        tests=("tests/unit/node/clinical/test_importing.py",),
    ),
    Step(
        "messages",
        "HL7 v2: encodings, faults, merges, order per patient; planted identifiers stay outside",
        tests=("tests/unit/node/clinical/hl7", "tests/unit/standards/hl7v2"),
    ),
    Step(
        "faulty-messages",
        f"{MESSAGES} HL7 v2 messages with faults and a worker that is killed: nothing lost, nothing twice, in order",
        action=take_faulty_messages,
    ),
    Step("consent", "the decision table of consent", tests=("tests/unit/domain/test_consent.py",)),
    Step(
        "many",
        f"{PATIENTS * (1 + CONDITIONS)} resources come in with flat memory, and again without a change",
        action=import_many,
    ),
]

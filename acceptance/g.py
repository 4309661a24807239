"""Issue G, the clinic's data meet the images: FHIR both ways, consent, nothing identifiable across the wall."""

from __future__ import annotations

import os
import resource
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from acceptance.fhir_server import delete_elsewhere, load_elsewhere
from acceptance.second_opinion import load_in_second
from racoon.node.app.administration import prepare
from racoon.node.app.messages import inbox_folder, open_door
from racoon.node.app.rooms import open_pseudonyms
from racoon.node.clinical.hl7.inbox import Inbox
from racoon.node.clinical.hl7.listener import MllpListener
from racoon.node.clinical.importing import Importer
from racoon.node.cohorts import service as cohorts
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.node.settings import load_node_settings
from racoon.platform.database import Database, create_all
from racoon.science.linkage.rehearsal import rehearse
from tests.clinic_of_many import CONDITIONS, SERIES, write_clinic
from tests.hl7_messages import Caller, Sent, expected_course, faulty_stream, found_course
from tools.acceptance import Figures, Step

TITLE = "the clinic's data meet the images: FHIR both ways and consent"

PATIENTS = int(os.environ.get("RACOON_ACCEPTANCE_PATIENTS", "1000000"))
"""Of the step ``many``; each has five conditions and one imaging study of three series."""

RESOURCES_PER_S = 5_000
"""Of two cores: what the writer and its helper used of the processor counts, whoever else is on the machine."""


def import_many(folder: Path) -> Figures:
    """Import a whole clinic and then a feed of changes; memory must not grow with the number of resources."""
    counts = write_clinic(folder / "in", PATIENTS)
    database = Database(f"sqlite:///{folder}/node.sqlite")
    create_all(database, "node")
    names = Pseudonymiser(folder / "names" / "master.key", f"sqlite:///{folder}/names/names.sqlite")
    importer = Importer(
        database, names, on_stored=[cohorts.record_clinical], tables_kept=[cohorts.clinical_fact]
    )
    settled: list[float] = []

    def note_memory(read: int) -> None:
        # What caches may hold is full by then; from here on nothing may grow.
        if not settled and read >= sum(counts.values()) / 4:
            settled.append(_memory_mb())

    before, started = _cpu_s(), time.monotonic()
    report = importer.import_path(folder / "in", progress=note_memory, is_helped=True)
    seconds, cpu_s = time.monotonic() - started, _cpu_s() - before
    grown_mb = _memory_mb() - settled[0]
    changes = write_clinic(folder / "feed", PATIENTS, step=100, revision=1)
    before, started = _cpu_s(), time.monotonic()
    feed = importer.import_path(folder / "feed", is_helped=False)
    feed_s, feed_cpu_s = time.monotonic() - started, _cpu_s() - before
    names.close()
    database.dispose()
    assert report.refused == feed.refused == 0
    assert report.stored == sum(counts.values())
    assert feed.stored == changes["Condition"]
    rate = report.stored / (cpu_s / 2)
    assert rate >= RESOURCES_PER_S, f"{rate:.0f} resources a second of two cores"
    assert grown_mb < 100, "memory grows with the number of resources"
    return {
        "resources": report.stored,
        "series": counts["ImagingStudy"] * SERIES,
        "resources_per_s_of_two_cores": round(rate),
        "resources_per_s": round(report.stored / seconds),
        "memory_grown_mb": round(grown_mb),
        "changes": feed.stored,
        "changes_s": round(feed_s, 1),
        "changes_cpu_s": round(feed_cpu_s, 1),
    }


def _memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


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
    folder.mkdir(parents=True, exist_ok=True)
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


LINKED_PEOPLE = 10_000


def link_two_sites(_folder: Path) -> Figures:
    """Link two invented sites with 30 % overlap and typing errors; the system itself reports how well."""
    started = time.monotonic()
    found = rehearse(LINKED_PEOPLE, 0.3, secrets.token_bytes(32), seed=7)
    assert found.precision >= 0.99, found.precision
    assert found.recall >= 0.9, found.recall
    return {
        "people_per_site": found.people,
        "common": found.overlap,
        "linked": found.linked,
        "precision": round(found.precision, 4),
        "recall": round(found.recall, 4),
        "seconds": round(time.monotonic() - started, 1),
    }


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
        "round-trip",
        "what is written of every profile in the table, in every version, comes in without loss, and is read by each"
        " other version, which says what it tolerated",
        tests=("tests/unit/node/clinical/test_round_trip.py",),
    ),
    Step(
        "planted",
        "identifiers in every element of every FHIR type, from an independent model: none on the wire, in logs,"
        " errors, files or the database",
        tests=(
            "tests/unit/node/clinical/test_planted.py",
            "tests/unit/node/clinical/test_planted_everywhere.py",
        ),
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
    Step(
        "consent",
        "the decision table of consent, line by line; sealed names go with a withdrawal",
        tests=(
            "tests/unit/domain/test_consent.py",
            "tests/unit/domain/test_consent_lines.py",
            "tests/unit/node/consent/test_withdrawn_names.py",
        ),
    ),
    Step(
        "many",
        f"{PATIENTS * (2 + CONDITIONS)} resources come in at {RESOURCES_PER_S} a second of two cores with flat"
        " memory; then a feed of changes of one patient in a hundred",
        action=import_many,
    ),
    Step(
        "other-server",
        "studies of real CT, MR and PT, sent to an independent FHIR server, are found there by the searches of a"
        " data integration centre, with nothing dropped from a question and nothing there twice",
        action=load_elsewhere,
    ),
    Step(
        "second-opinion",
        "a second independent server, strict about R4, takes every kind that is sent and finds it by the same searches",
        action=load_in_second,
    ),
    Step(
        "trust",
        "adapters of gICS, gPAS, the MII interface, E-PIX and Mainzelliste against stand-ins; down means not read",
        tests=("tests/contract/test_trust_services.py", "tests/unit/node/clinical/test_trusting.py"),
    ),
    Step(
        "diz",
        "search and bulk export with checkpoints, retries, and parameters that a server drops; what the clinic deleted"
        " is taken out",
        tests=("tests/unit/node/clinical/test_fetching.py",),
    ),
    Step(
        "linkage",
        f"two invented sites of {LINKED_PEOPLE} linked without names: precision >= 0.99 at recall >= 0.9",
        action=link_two_sites,
    ),
    Step(
        "linkage-wire",
        "what sites and the linkage unit send each other names nobody, and nothing of it is left",
        tests=("tests/unit/node/clinical/test_linkage.py", "tests/unit/science/linkage"),
    ),
    Step(
        "matching",
        "a wrong-patient suspicion stops the case until a person decided; how well a dataset is linked",
        tests=("tests/unit/node/clinical/test_matching.py",),
    ),
    Step(
        "orders",
        "orders without a study UID find their images by the accession number, or wait for a person",
        tests=("tests/unit/node/clinical/test_ordering.py", "tests/unit/node/clinical/hl7/test_ordered.py"),
    ),
    Step(
        "mappings",
        "a registry's table is mapped in the browser without naming anybody, saved in versions, and taken",
        tests=("tests/unit/node/clinical/test_tables.py", "tests/unit/node/clinical/test_spreadsheet.py"),
    ),
    Step(
        "killed-listener",
        "the listener's own process is killed in the middle of a stream: what it acknowledged is there, once",
        tests=("tests/network/test_hl7_kill.py",),
    ),
    Step(
        "identities",
        "near matches are listed, decided and undone by a person; nothing is merged silently, names are sealed",
        tests=("tests/unit/node/clinical/test_doubts.py",),
    ),
    Step(
        "outgoing",
        "what would leave is shown with rules, removals and refusals; doubtful identities on their pages",
        tests=("tests/unit/node/clinical/test_outgoing.py",),
    ),
    Step(
        "validator",
        "an official validator by path, in a process of its own with a time limit (a stand-in here)",
        tests=("tests/unit/node/clinical/test_validating.py",),
    ),
    Step(
        "neighbours",
        "cohort lists, site codes and visits of another network in and out; transfers in named pieces",
        tests=("tests/contract/test_neighbour_lists.py", "tests/unit/node/clinical/test_neighbour_page.py"),
    ),
    Step(
        "tables",
        "the clinical course of a dataset's subjects as Parquet, every flat table whole, with the linkage report",
        tests=("tests/unit/node/clinical/test_snapshots.py",),
    ),
    Step(
        "linked-counts",
        "after a linkage a person of two sites counts once, and every count says what was linked",
        tests=("tests/unit/node/cohorts/test_counting_once.py", "tests/unit/central/cohorts/test_model.py"),
    ),
    Step(
        "deleted-elsewhere",
        "what is deleted at an independent FHIR server is taken out here with the next fetch",
        action=delete_elsewhere,
    ),
]

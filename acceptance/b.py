"""Issue B, the node's DICOM side: receive anything, lose nothing, leak nothing, serve fast."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from racoon.node.deid.service import Deidentifier
from racoon.node.pseudonyms.service import Pseudonymiser
from tests.planted_identifiers import make_ct
from tools.acceptance import ROOT, Figures, Step

TITLE = "the node's DICOM side: receive anything, lose nothing, leak nothing, serve fast"

SLICES = 300
SLICES_PER_SECOND = 150


def speed(folder: Path) -> Figures:
    """De-identify full-size CT slices in one process: at least 150 a second and core."""
    dataset = pydicom.dcmread(io.BytesIO(make_ct(planted=False).data))
    dataset.Rows = dataset.Columns = 512
    dataset.PixelData = np.random.default_rng(7).integers(0, 4096, (512, 512), dtype="<u2").tobytes()
    stream = io.BytesIO()
    dataset.save_as(stream)
    data = stream.getvalue()
    deidentifier = Deidentifier("basic", Pseudonymiser(None, None))
    deidentifier.apply(data)
    start = time.process_time()
    for _ in range(SLICES):
        deidentifier.apply(data)
    rate = SLICES / (time.process_time() - start)
    assert rate >= SLICES_PER_SECOND, rate
    folder.mkdir(parents=True, exist_ok=True)
    return {"slices_per_second_and_core": round(rate)}


def bench(script: str, *options: str) -> Callable[[Path], Figures]:
    """A step that runs a benchmark and passes when the goal of the issue is met."""

    def measure(folder: Path) -> Figures:
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, ROOT / "bench" / script, *options, "--json"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src")))}
        done = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False, env=environment
        )
        (folder / "bench.json").write_text(done.stdout, encoding="utf-8")
        found = json.loads(done.stdout)
        figures = dict(_figures(found))
        assert found["met"], figures
        return figures

    return measure


def _figures(found: Mapping[str, Any], name: str = "") -> Iterator[tuple[str, float | int | str]]:
    """Write a benchmark's document as lines of figures."""
    for key, value in found.items():
        if isinstance(value, dict):
            yield from _figures(value, f"{name} {key}".removeprefix(" questions").strip())
        else:
            yield f"{name} {key}".strip(), round(value, 2) if isinstance(value, float) else value


STEPS = [
    Step(
        "de-identification",
        "identifiers in every element of every class: none survives; references resolve",
        tests=("tests/unit/node/deid",),
    ),
    Step(
        "outcomes",
        "every real file is archived or quarantined with its reason; dciodvfy finds no new error",
        tests=("tests/conformance/test_deid_outcomes.py", "tests/conformance/test_deidentification.py"),
    ),
    Step(
        "midi-actions",
        "the ten action types of MIDI-B: what must go goes, what must stay stays; a broken output is found",
        tests=("tests/conformance/test_midi_actions.py",),
    ),
    Step(
        "segmentations-elsewhere",
        "highdicom reads our SEG after de-identification: same masks, references that resolve",
        tests=(
            "tests/conformance/test_highdicom_reads_ours.py",
            "tests/unit/standards/dicom/test_segmentation.py",
        ),
    ),
    Step(
        "withdrawn-originals",
        "a withdrawal erases what waits in spool and quarantine, with proof; and what comes later",
        tests=("tests/unit/node/consent/test_withdrawn_originals.py",),
    ),
    Step(
        "commands",
        "the commands by which others check us have their names and options",
        tests=("tests/unit/cli/test_stable_commands.py", "tests/conformance/test_volume_commands.py"),
    ),
    Step(
        "way-back",
        "who a subject is: own role, a reason, a second person, audited before it is shown, stored nowhere",
        tests=("tests/unit/node/pseudonyms",),
    ),
    Step("speed", "de-identification per second and core", action=speed),
    Step(
        "ways-in",
        "folders, ZIP files, media, HTTP, a watched folder and a PACS all end in the same durable spool",
        tests=("tests/unit/node/intake", "tests/unit/cli/test_intake.py", "tests/network/test_pull.py"),
    ),
    Step(
        "pages-of-intake",
        "flow, quarantine with corrections and work list: shown in two languages, decided with rights and reasons",
        tests=("tests/unit/node/intake/test_pages.py", "tests/unit/node/intake/test_quarantine.py"),
    ),
    Step(
        "from-the-pacs",
        "accession lists and study protocols from DCMTK and over DICOMweb; lost answers are asked for again",
        tests=("tests/network/test_pull.py", "tests/network/test_pull_dicomweb.py"),
    ),
    Step(
        "kill-moments",
        "kill -9 at 50 moments of 2000 instances: everything acknowledged is there once, byte for byte",
        tests=("tests/network/test_kill_moments.py", "tests/network/test_dicom_intake.py"),
    ),
    Step(
        "mutated-files",
        "a hundred thousand mutated files: each has an end, in bounded time and memory",
        tests=("tests/conformance/test_mutated_files.py",),
    ),
    Step(
        "dose-and-quality",
        "last cumulative dose of real reports, never a sum; quality rules in plain words",
        tests=(
            "tests/conformance/test_dose_reports.py",
            "tests/unit/standards/dicom/test_dose.py",
            "tests/unit/standards/dicom/test_quality.py",
        ),
    ),
    Step(
        "every-object-ends",
        "every real file by storescu, STOW and import: archived or quarantined, none lost or counted twice",
        tests=("tests/conformance/test_every_object_ends.py", "tests/network/test_ways_in.py"),
    ),
    Step(
        "volumes",
        "each irregular geometry is reported, refused or resampled where its voxels were",
        tests=(
            "tests/conformance/test_volume_commands.py",
            "tests/conformance/test_volumes_on_real_data.py",
            "tests/unit/standards/dicom",
            "tests/unit/science/geometry",
        ),
    ),
    Step(
        "senders",
        "DCMTK and pynetdicom send, encrypted too; what is acknowledged survives kill -9",
        tests=("tests/network/test_dicom_intake.py",),
    ),
    Step(
        "hostile-peers",
        "ten thousand mutated PDU streams a seed: each ends its association and nothing else",
        tests=("tests/network/test_dicom_robustness.py", "tests/unit/platform/dimse"),
    ),
    Step(
        "dicomweb",
        "search, retrieval and storing by PS3.18",
        tests=(
            "tests/unit/node/archive",
            "tests/unit/standards/dicomweb",
            "tests/conformance/test_dicom_json.py",
            "tests/conformance/test_dicomweb_client.py",
        ),
    ),
    Step(
        "dicomweb-schema",
        "Schemathesis on every DICOMweb route, and bodies of every shape for storing: no failure",
        tests=("tests/conformance/test_dicomweb_schema.py",),
    ),
    Step(
        "archive-knows-its-series",
        "class, quality in plain words and the last cumulative dose in the index, shown and searched",
        tests=(
            "tests/unit/node/archive/test_assessing.py",
            "tests/unit/node/archive/test_pages.py",
            "tests/contract/test_node_history.py",
        ),
    ),
    Step(
        "derived-objects",
        "SEG, SR, RTSTRUCT and parametric maps: stored where their references resolve, refused in words elsewhere",
        tests=("tests/unit/node/archive/test_derived.py",),
    ),
    Step(
        "deletion",
        "object, index, metadata, facts and evidence are gone; the proof's hash is in the audit chain",
        tests=("tests/unit/node/archive/test_deletion.py", "tests/unit/node/archive/test_pages.py"),
    ),
    Step(
        "rights",
        "rights per study and role on every DICOMweb route",
        tests=("tests/unit/node/archive/test_access.py",),
    ),
    Step(
        "irregular-series",
        "archived, reported, refused or resampled with their masks as the plan says",
        tests=("tests/unit/node/archive/test_irregular.py", "tests/unit/node/compute/test_compute.py"),
    ),
    Step(
        "foreign-tools",
        "Orthanc sends, is fetched from, reads and stores; DCMTK searches and fetches; dcm2niix sees our geometry",
        tests=(
            "tests/network/test_orthanc.py",
            "tests/network/test_query_retrieve.py",
            "tests/network/test_storescu.py",
            "tests/conformance/test_dcm2niix.py",
            "tests/conformance/test_dicomweb_client.py",
            "tests/conformance/test_transfer_syntaxes.py",
        ),
    ),
    Step(
        "object-stores",
        "a folder and a bucket keep the same promises",
        tests=("tests/contract/test_object_store.py",),
    ),
    Step(
        "intake-beside-orthanc",
        "2000 CT slices, one and four senders: at least Orthanc's rate in its default, synced configuration",
        action=bench("bench_intake.py", "--instances", "2000"),
    ),
    Step(
        "retrieval-beside-orthanc",
        "a series of 250 slices: at least twice Orthanc's MB a second",
        action=bench("bench_wado.py"),
    ),
    Step(
        "behind-the-intake",
        "de-identified, archived, indexed, assessed: at least 150 slices a second and core, memory flat",
        action=bench("bench_behind_intake.py", "--instances", "2000"),
    ),
    Step(
        "qido",
        "one million instances: exact match 5 ms, 100 studies 20 ms (p95), rights checked",
        action=bench("bench_qido.py", "--instances", "1000000"),
    ),
    Step(
        "qido-beside-orthanc",
        "60 000 instances in both: the same questions, and the ratio",
        action=bench("bench_qido.py", "--instances", "60000"),
    ),
    Step(
        "browser-of-100000-series",
        "the archive browser with every filter, far down the list, over 100 000 series: p95 100 ms",
        action=bench("bench_browse.py", "--series", "100000"),
    ),
]

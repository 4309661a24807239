"""DCMTK sends a real CT to a running node: it appears, pseudonymised, and nothing of its origin is left anywhere."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest

from tests.live import LiveDemo
from tests.waiting import eventually

pytestmark = pytest.mark.slow

SITE = "ALPHA"


def originals(folder: Path) -> set[bytes]:
    """Names, numbers, dates and UIDs as they stand in the files that were sent."""
    words: set[str] = set()
    for path in folder.rglob("*.dcm"):
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        for keyword in (
            "PatientName",
            "PatientID",
            "PatientBirthDate",
            "AccessionNumber",
            "StudyDate",
            "SeriesDate",
            "AcquisitionDate",
            "StudyInstanceUID",
            "SeriesInstanceUID",
            "SOPInstanceUID",
            "FrameOfReferenceUID",
            "InstitutionName",
            "ReferringPhysicianName",
        ):
            words.add(str(dataset.get(keyword, "")))
    return {word.encode() for word in words if len(word) >= 6}


def test_a_real_ct_from_dcmtk_arrives_without_its_identity(
    light_demo: LiveDemo, shared_data: Path, tmp_path: Path, needs_program: Callable[[str, str], str]
) -> None:
    storescu = needs_program("storescu", "dcmtk")
    with zipfile.ZipFile(shared_data / "ct_abdomen_dicom" / "CRLM-CT-1004_CT.zip") as archive:
        archive.extractall(tmp_path)
    for number, path in enumerate(path for path in tmp_path.rglob("*") if path.is_file()):
        if path.suffix != ".dcm":
            path.rename(path.with_name(f"{number}.dcm"))
    words = originals(tmp_path)
    assert len(words) > 40
    node = light_demo.node(SITE, "informatician")
    before = node.intake()["days"][0]["archived"]
    command = [
        storescu,
        "+sd",
        "+r",
        "-aet",
        "PACS",
        "-aec",
        SITE,
        "127.0.0.1",
        str(light_demo.ports(SITE)[1]),
    ]
    sent = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, check=False, timeout=120)
    assert sent.returncode == 0, sent.stderr
    eventually(
        lambda: node.intake()["days"][0]["archived"] == before + 41 and node.intake()["waiting"] == 0,
        timeout_s=60,
        what="41 slices are archived",
    )
    data = light_demo.data(SITE)
    found = [
        (str(path.relative_to(light_demo.folder)), word)
        for folder in (data, light_demo.folder / "central", light_demo.folder / "logs")
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith("pacs-")
        for content in [path.read_bytes()]
        for word in words
        if word in content
    ]
    assert found == []
    assert list((data / "spool").rglob("*.dcm")) == []


def test_what_leaves_the_node_is_only_what_the_protocol_names(light_demo: LiveDemo) -> None:
    connection = sqlite3.connect(f"file:{light_demo.data(SITE) / 'node.sqlite'}?mode=ro", uri=True)
    sent = connection.execute("SELECT type, envelope FROM link_outbox").fetchall()
    released = connection.execute("SELECT count(*) FROM release_ledger").fetchone()[0]
    pseudonyms = {row[0] for row in connection.execute("SELECT DISTINCT pseudonym FROM series_fact")}
    series = {row[0] for row in connection.execute("SELECT DISTINCT series_uid FROM series_fact")}
    connection.close()
    assert {kind for kind, _ in sent} <= {
        "heartbeat",
        "study.standing",
        "track.changed",
        "job.accepted",
        "job.progress",
        "job.result",
        "audit.anchor",
    }
    assert sum(kind == "job.result" for kind, _ in sent) == released
    wire = "\n".join(envelope for _, envelope in sent)
    assert pseudonyms
    assert not [word for word in pseudonyms | series if word in wire]


def test_the_mapping_of_pseudonyms_holds_no_plain_text(light_demo: LiveDemo) -> None:
    country = json.loads((light_demo.folder / "country" / "country.json").read_text())
    cases = [case["case"] for case in country["cases"] if case["site"] == SITE]
    folder = light_demo.folder / "country" / "pacs" / SITE
    patients = set()
    for case in cases:
        dataset = pydicom.dcmread(next((folder / case).glob("*.dcm")), stop_before_pixels=True)
        patients |= {str(dataset.PatientID), str(dataset.PatientName.family_name)}
    content = b"".join(
        path.read_bytes() for path in (light_demo.data(SITE) / "pseudonyms").rglob("*") if path.is_file()
    )
    assert content
    assert not [patient for patient in patients if patient.encode() in content]

"""The light demo from DICOM to result: true numbers, nothing identifiable, every wall standing."""

from __future__ import annotations

import json
import math
import sqlite3
import statistics
import subprocess
import sys
from collections import defaultdict

import pydicom
import pytest

from racoon.client import ServerProblem
from tests.live import LiveDemo

pytestmark = pytest.mark.slow


def values_by_measurement(demo: LiveDemo, site: str) -> dict[str, list[float]]:
    """All valid values of a site, read from its own database, not through our code."""
    connection = sqlite3.connect(f"file:{demo.data(site) / 'node.sqlite'}?mode=ro", uri=True)
    rows = connection.execute(
        "SELECT measurement, value FROM measurement WHERE valid = 1 AND value IS NOT NULL"
    ).fetchall()
    connection.close()
    values = defaultdict(list)
    for key, value in rows:
        values[key].append(value)
    return values


def sites(demo: LiveDemo) -> list[str]:
    return [name for name in json.loads((demo.folder / "ports.json").read_text()) if name != "CENTRAL"]


def test_everything_sent_was_archived_and_the_spools_are_empty(light_demo: LiveDemo) -> None:
    summary = light_demo.summary
    assert summary["sites"] == summary["nodes"] == 3
    assert summary["instances_sent"] == summary["instances_archived"] > 100
    for site in sites(light_demo):
        assert list((light_demo.data(site) / "spool").rglob("*.dcm")) == []


def test_pooled_numbers_equal_those_over_all_values_of_the_sites_that_were_not_suppressed(
    light_demo: LiveDemo,
) -> None:
    per_site = {site: values_by_measurement(light_demo, site) for site in sites(light_demo)}
    checked = 0
    for row in light_demo.summary["measuring"]:
        values = [
            value
            for site, measured in per_site.items()
            if site not in row["suppressed_sites"]
            for value in measured.get(row["biomarker"], [])
        ]
        if not row["n"]:
            continue
        assert row["n"] == len(values)
        assert math.isclose(row["mean"], math.fsum(values) / len(values), rel_tol=1e-9, abs_tol=1e-9)
        assert math.isclose(row["sd"], statistics.stdev(values), rel_tol=1e-9, abs_tol=1e-9)
        checked += 1
    assert checked >= 5


def identifiers(demo: LiveDemo) -> set[bytes]:
    """Every invented patient's own words, as the PACS sent them: read from the files themselves."""
    words: set[str] = set()
    for case in (demo.folder / "country" / "pacs").glob("*/*"):
        dataset = pydicom.dcmread(next(case.glob("*.dcm")), stop_before_pixels=True)
        words |= {str(dataset.PatientName.family_name), str(dataset.PatientName.given_name)}
        words |= {str(dataset.get(name, "")) for name in ("PatientID", "AccessionNumber", "PatientBirthDate")}
        words |= {str(dataset.StudyInstanceUID), str(dataset.SeriesInstanceUID), str(dataset.SOPInstanceUID)}
        words |= {str(dataset.ReferringPhysicianName), str(dataset.get("PatientAddress", ""))}
    return {
        encoded
        for word in words
        if len(word) >= 6
        for encoded in (word.encode(), word.encode("latin-1", "replace"))
    }


def test_no_identifier_is_anywhere_but_with_the_pacs(light_demo: LiveDemo) -> None:
    planted = identifiers(light_demo)
    assert len(planted) > 50
    found = []
    for folder in [light_demo.data(site) for site in sites(light_demo)] + [
        light_demo.folder / "central",
        light_demo.folder / "logs",
        light_demo.folder / "report",
    ]:
        for path in folder.rglob("*"):
            if path.is_file() and "quarantine" not in path.parts and not path.name.startswith("pacs-"):
                content = path.read_bytes()
                found += [(path.name, word) for word in planted if word in content]
    assert found == []


def test_every_value_opens_its_pixels_for_a_reader_of_that_site_and_for_nobody_else(
    light_demo: LiveDemo,
) -> None:
    site = sites(light_demo)[0]
    rows = light_demo.node(site, "radiologist").measurements(light_demo.summary["study_id"])
    assert rows
    page = light_demo.node(site, "radiologist").get_bytes(rows[0]["link"])
    assert b"<html" in page.lower()
    for login in ("committee", "dpo"):
        with pytest.raises(ServerProblem) as refusal:
            light_demo.node(site, login).measurements(light_demo.summary["study_id"])
        assert refusal.value.http_status == 403


def test_audit_chains_hold_at_every_participant(light_demo: LiveDemo) -> None:
    for name in ("CENTRAL", *sites(light_demo)):
        role = "central" if name == "CENTRAL" else "node"
        config = light_demo.folder / name.lower() / f"{role}.toml"
        done = subprocess.run(
            [sys.executable, "-m", "racoon", "audit", "verify", "--config", str(config), "--json"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["valid"] is True


def test_an_idle_node_uses_less_than_250_mb(light_demo: LiveDemo) -> None:
    memory = light_demo.summary["node_idle_pss_mb"]
    assert all(megabytes <= 250 for name, megabytes in memory.items() if name != "CENTRAL"), memory

"""Doses of real reports of nine machines: what stands in them, the last cumulative value, and never a sum."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pydicom
import pytest

from racoon.node.deid.service import Deidentifier
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.standards.dicom.classification import classify_folder
from racoon.standards.dicom.dose import read_dose_report

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

NAMES = {
    "ct_dlp_total": "dlp_total",
    "irradiation_events": "irradiation_events",
    "dap_total": "dose_area_product_total",
}


def totals_of(path: Path) -> dict[str, list[float]]:
    report = read_dose_report(pydicom.dcmread(path, stop_before_pixels=True))
    found: dict[str, list[float]] = {}
    for total in report.totals if report else ():
        found.setdefault(total.name, []).append(total.value)
    return found


def test_totals_are_those_that_the_reports_hold(shared_data: Path) -> None:
    with (shared_data / "dose_reports" / "expected.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    checked = 0
    for row in rows:
        found = totals_of(shared_data / "dose_reports" / row["file"])
        for column, name in NAMES.items():
            if row[column]:
                assert found[name] == [pytest.approx(float(row[column]))], (row["file"], name)
                checked += 1
    assert checked >= 18


def copied(shared_data: Path, folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        shutil.copy(shared_data / "dose_reports" / name, folder)
    return folder


def test_last_cumulative_report_is_the_dose_of_the_study(shared_data: Path, tmp_path: Path) -> None:
    """7.46 and 77.27 mGy.cm, the second holding the first: 77.27, not 84.73."""
    folder = copied(
        shared_data, tmp_path / "in", "CT-RDSR-Siemens-Multi-2.dcm", "CT-RDSR-Siemens-Multi-1.dcm"
    )
    (study,) = classify_folder(folder)["doses"]
    assert (study["reports"], study["superseded"]) == (2, 1)
    assert {total["name"]: total["value"] for total in study["totals"]}["dlp_total"] == 77.27


def test_reports_side_by_side_are_listed_and_not_added(shared_data: Path, tmp_path: Path) -> None:
    folder = copied(
        shared_data, tmp_path / "in", "CT-RDSR-Siemens-Continued-1.dcm", "CT-RDSR-Siemens-Continued-2.dcm"
    )
    (study,) = classify_folder(folder)["doses"]
    assert (study["superseded"], study["totals"]) == (0, None)
    values = [
        total["value"]
        for item in study["current"]
        for total in item["totals"]
        if total["name"] == "dlp_total"
    ]
    assert values == [60.17, 56.44]


def test_dose_survives_de_identification(shared_data: Path, tmp_path: Path) -> None:
    deidentifier = Deidentifier("basic", Pseudonymiser(None, None))
    for name in ("CT-RDSR-Siemens-Multi-1.dcm", "CT-RDSR-Siemens-Multi-2.dcm"):
        result = deidentifier.apply(shared_data / "dose_reports" / name)
        (tmp_path / name).write_bytes(result.dataset_bytes)
    (study,) = classify_folder(tmp_path)["doses"]
    assert (study["superseded"], {total["value"] for total in study["totals"]}) == (1, {2.0, 77.27})

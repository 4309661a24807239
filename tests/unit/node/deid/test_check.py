"""The data protection officer's check: silent on what the engine wrote, loud on everything else."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pydicom
import pytest

from racoon.cli import main
from racoon.node.deid.check import Category, NothingToCheck, check_folder
from racoon.node.deid.folder import BadFolder, deidentify_folder
from racoon.node.deid.model import OPTIONS
from racoon.node.deid.report import _FINDINGS, OPTION_WORDS, as_text
from tests.planted_identifiers import make_ct, make_seg
from tests.planted_objects import make_report, make_structure_set


@pytest.fixture
def originals(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    objects = {"ct": make_ct(), "seg": make_seg(), "sr": make_report(), "rt": make_structure_set()}
    for name, planted in objects.items():
        (folder / f"{name}.dcm").write_bytes(planted.data)
    return folder


def test_nothing_is_found_in_what_the_engine_wrote(originals: Path, tmp_path: Path) -> None:
    for profile in ("basic", "device"):
        out = tmp_path / profile
        assert deidentify_folder(originals, out, profile=profile)["written"] == 4
        result = check_folder(out, profile, known=["MÜLLER^Zacharias Homer", "PLANTED4711", "29.08.1951"])
        assert result.as_json()["findings"] == []
        assert (result.objects, len(result.subjects)) == (4, 1)


def test_originals_are_full_of_findings(originals: Path) -> None:
    result = check_folder(originals, known=["PLANTED4711"])
    assert not result.is_clean
    expected = set(Category) - {Category.PIXELS, Category.NO_RULES, Category.UNREADABLE}
    assert expected <= set(result.findings)
    assert result.findings[Category.KNOWN_IDENTIFIER].total() == 4
    text = as_text(result)
    assert "LEAK" not in text
    assert "Zacharias" not in text


@pytest.mark.parametrize(
    ("keyword", "value", "category"),
    [
        ("SeriesDescription", "Thorax Schmidt", Category.FREE_TEXT),
        ("PatientID", "4711", Category.PERSON),
        ("OperatorsName", "Schmidt", Category.OUTSIDE_LIST),
        ("AccessionNumber", "A1", Category.SHOULD_BE_EMPTY),
        ("SeriesInstanceUID", "1.2.3.4", Category.FOREIGN_UID),
        ("BurnedInAnnotation", "YES", Category.PIXELS),
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.77.1.4", Category.NO_RULES),
    ],
)
def test_one_change_is_one_finding(
    keyword: str, value: str, category: Category, originals: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    deidentify_folder(originals, out)
    path = next(p for p in out.rglob("*.dcm") if pydicom.dcmread(p).Modality == "CT")
    dataset = pydicom.dcmread(path)
    setattr(dataset, keyword, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(path)
    result = check_folder(out)
    assert category in result.findings
    assert set(result.findings) <= {category, Category.HEAD_OF_FILE}


def test_report_has_words_for_everything_in_both_languages() -> None:
    assert set(_FINDINGS) == set(Category)
    assert set(OPTION_WORDS) == set(OPTIONS)
    assert all(english != german for english, german in [*_FINDINGS.values(), *OPTION_WORDS.values()])


def test_commands(originals: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, key = tmp_path / "out", tmp_path / "key.json"
    command = ["dicom", "deidentify", str(originals), str(out), "--key-file", str(key), "--json"]
    assert _exit(command) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["written"] == 4
    assert key.stat().st_mode & 0o077 == 0
    names = sorted(path.name for path in out.rglob("*.dcm"))
    again = tmp_path / "again"
    assert _exit(["dicom", "deidentify", str(originals), str(again), "--key-file", str(key), "--json"]) == 0
    assert sorted(path.name for path in again.rglob("*.dcm")) == names, "the same key gives the same names"
    capsys.readouterr()
    assert _exit(["node", "deid", "check", str(out), "--language", "de"]) == 0
    assert "nichts gefunden" in capsys.readouterr().out
    assert _exit(["node", "deid", "check", str(originals), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["clean"] is False


def _exit(arguments: list[str]) -> int:
    try:
        return int(main(arguments) or 0)
    except SystemExit as ended:
        return int(ended.code or 0)


def test_folders_that_make_no_sense_are_refused(originals: Path, tmp_path: Path) -> None:
    with pytest.raises(BadFolder):
        deidentify_folder(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(BadFolder):
        deidentify_folder(originals, originals / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NothingToCheck):
        check_folder(tmp_path / "empty")

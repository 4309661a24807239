"""dcm2niix, what most research pipelines convert with, sees a series where ``racoon dicom volume`` sees it."""

from __future__ import annotations

import json
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from racoon.cli import main

pytestmark = [pytest.mark.external, pytest.mark.filterwarnings("ignore::UserWarning:pydicom")]

SERIES = ("ct_abdomen_dicom/CRLM-CT-1004_CT.zip",)


@pytest.mark.parametrize("name", SERIES)
def test_geometry_and_voxels_are_the_same(
    name: str,
    shared_data: Path,
    tmp_path: Path,
    needs_program: Callable[[str, str], str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    program = needs_program("dcm2niix", "dcm2niix")
    with zipfile.ZipFile(shared_data / name) as archive:
        archive.extractall(tmp_path / "series")
    cleaned, ours, theirs = tmp_path / "cleaned", tmp_path / "ours.nii.gz", tmp_path / "theirs"
    theirs.mkdir()
    # What a node exports is de-identified; dcm2niix has to read that.
    assert main(["dicom", "deidentify", str(tmp_path / "series"), str(cleaned), "--json"]) == 0
    capsys.readouterr()
    assert main(["dicom", "volume", str(cleaned), "--out", str(ours), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["findings"] == []
    done = subprocess.run(
        [program, "-b", "n", "-z", "n", "-o", theirs, "-f", "out", cleaned],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    (file,) = theirs.glob("*.nii")
    mine = nibabel.as_closest_canonical(nibabel.load(ours))
    foreign = nibabel.as_closest_canonical(nibabel.load(file))
    assert mine.shape == foreign.shape
    np.testing.assert_allclose(mine.affine, foreign.affine, atol=1e-3)
    np.testing.assert_array_equal(np.asarray(mine.dataobj), np.asarray(foreign.dataobj))

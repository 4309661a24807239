"""``racoon dicom volume`` and ``classify`` on real and odd series: everything irregular is said, nothing guessed."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import highdicom as hd
import nibabel
import numpy as np
import pydicom
import pytest

from racoon.cli import main

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

Command = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def dicom(capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*words: object) -> tuple[int, dict[str, Any]]:
        code = main(["dicom", *map(str, words), "--json"])
        return code, json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def tilted(shared_data: Path, tmp_path: Path) -> Path:
    with zipfile.ZipFile(shared_data / "dicom_odd" / "ct_head_ge_tilt_variable_spacing.zip") as archive:
        archive.extractall(tmp_path / "tilted")
    return tmp_path / "tilted"


@pytest.fixture
def abdomen(shared_data: Path, tmp_path: Path) -> Path:
    with zipfile.ZipFile(shared_data / "ct_abdomen_dicom" / "CRLM-CT-1004_CT.zip") as archive:
        archive.extractall(tmp_path / "abdomen")
    return tmp_path / "abdomen"


def codes(facts: dict[str, Any]) -> set[str]:
    return {finding["code"] for finding in facts["findings"]}


def test_regular_series_is_written_where_highdicom_sees_it(
    dicom: Command, abdomen: Path, tmp_path: Path
) -> None:
    code, facts = dicom("volume", abdomen, "--out", tmp_path / "out.nii.gz")
    assert (code, facts["shape"], facts["findings"]) == (0, [41, 512, 512], [])
    assert facts["spacing_mm"] == pytest.approx([5.0, 0.796875, 0.796875])
    files = [path for path in abdomen.rglob("*") if path.is_file()]
    oracle = hd.get_volume_from_series([pydicom.dcmread(path) for path in files])
    written = nibabel.load(tmp_path / "out.nii.gz")
    volume = np.asarray(written.dataobj)
    rng = np.random.default_rng(5)
    index = np.stack([rng.integers(0, size, 500) for size in volume.shape], axis=1)
    world_lps = np.diag([-1, -1, 1, 1]) @ written.affine @ np.c_[index, np.ones(500)].T
    place = np.rint(np.linalg.inv(oracle.affine) @ world_lps)[:3].astype(int)
    np.testing.assert_array_equal(volume[tuple(index.T)], oracle.array[tuple(place)])


def test_tilted_uneven_head_is_refused_and_nothing_is_written(
    dicom: Command, tilted: Path, tmp_path: Path
) -> None:
    code, facts = dicom("volume", tilted, "--out", tmp_path / "out.nii")
    assert (code, facts["shape"], facts["affine_lps"], facts["out"]) == (1, None, None, None)
    assert codes(facts) == {"tilt", "nonuniform"}
    assert not (tmp_path / "out.nii").exists()


def test_tilted_uneven_head_is_resampled_to_where_its_voxels_were(
    dicom: Command, tilted: Path, tmp_path: Path
) -> None:
    code, facts = dicom("volume", tilted, "--out", tmp_path / "out.nii", "--resample")
    assert code == 0
    assert codes(facts) == {"tilt", "nonuniform", "resampled"}
    written = nibabel.load(tmp_path / "out.nii")
    axes = written.affine[:3, :3] / np.linalg.norm(written.affine[:3, :3], axis=0)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-6)  # upright: no shear is left
    volume = np.asarray(written.dataobj)
    to_index = np.linalg.inv(np.diag([-1, -1, 1, 1]) @ written.affine)
    errors = []
    for path in sorted(tilted.rglob("*")):
        if not path.is_file():
            continue
        dataset = pydicom.dcmread(path)
        pixels = dataset.pixel_array.astype(float) * dataset.RescaleSlope + dataset.RescaleIntercept
        cosines = np.array(dataset.ImageOrientationPatient, float)
        spacing = np.array(dataset.PixelSpacing, float)
        # A smooth place inside the head: nearest neighbours are compared, so noise must average out.
        rows, columns = np.mgrid[200:320, 200:320]
        world = (
            np.array(dataset.ImagePositionPatient, float)[:, None]
            + np.outer(cosines[3:], rows.ravel() * spacing[0])
            + np.outer(cosines[:3], columns.ravel() * spacing[1])
        )
        index = to_index @ np.vstack([world, np.ones(world.shape[1])])
        height = index[2, 0]
        low, weight = int(np.floor(height + 1e-6)), height - np.floor(height + 1e-6)
        if low + 1 >= volume.shape[2]:
            continue
        first, second = np.rint(index[0]).astype(int), np.rint(index[1]).astype(int)
        found = volume[first, second, low] * (1 - weight) + volume[first, second, low + 1] * weight
        errors.append(float(np.median(found) - np.median(pixels[rows.ravel(), columns.ravel()])))
    assert len(errors) > 20
    assert np.abs(errors).mean() < 8, "HU of the head stay where they were"


@pytest.mark.parametrize(
    ("change", "expected"),
    [("missing", {"missing"}), ("copy", {"duplicate"}), ("conflict", {"duplicate"})],
)
def test_real_series_with_a_flaw(
    dicom: Command, abdomen: Path, tmp_path: Path, change: str, expected: set[str]
) -> None:
    files = sorted(path for path in abdomen.rglob("*") if path.is_file())
    headers = {path: float(pydicom.dcmread(path).ImagePositionPatient[2]) for path in files}
    middle = sorted(files, key=lambda path: headers[path])[20]
    if change == "missing":
        middle.unlink()
    elif change == "copy":
        shutil.copy(middle, middle.with_name("again.dcm"))
    else:
        dataset = pydicom.dcmread(middle)
        dataset.PixelData = bytes(len(dataset.PixelData))
        dataset.save_as(middle.with_name("again.dcm"))
    code, facts = dicom("volume", abdomen)
    assert (code, facts["shape"], codes(facts)) == (1, None, expected)
    code, facts = dicom("volume", abdomen, "--resample")
    if change == "conflict":
        assert (code, facts["shape"]) == (1, None), "nobody can tell which picture is meant"
    else:
        assert (code, facts["shape"]) == (0, [41, 512, 512])
        assert facts["spacing_mm"][0] == pytest.approx(5.0)


def test_enhanced_multi_frame_with_two_stacks(dicom: Command, shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "dicom_odd" / "enhanced_mr_philips_fieldmap.dcm"
    code, facts = dicom("volume", source, "--resample")
    assert (code, codes(facts), len(facts["stacks"])) == (1, {"multi_stack"}, 2)
    assert [part["shape"] for part in facts["stacks"]] == [[32, 64, 64], [32, 64, 64]]
    code, first = dicom("volume", source, "--stack", 1, "--out", tmp_path / "one.nii.gz")
    assert (code, first["shape"], first["spacing_mm"]) == (0, [32, 64, 64], pytest.approx([4, 4, 4]))
    frames = np.asarray(nibabel.load(tmp_path / "one.nii.gz").dataobj)
    whole = pydicom.dcmread(source)
    scaled = []
    for pixels, item in zip(whole.pixel_array, whole.PerFrameFunctionalGroupsSequence, strict=True):
        transform = item.PixelValueTransformationSequence[0]
        scaled.append(pixels * float(transform.RescaleSlope) + float(transform.RescaleIntercept))
    planes = [frames[:, :, number].T for number in range(32)]
    assert all(any(np.allclose(plane, frame, rtol=1e-4, atol=1e-2) for frame in scaled) for plane in planes)


def test_enhanced_multi_frame_with_one_stack(dicom: Command, shared_data: Path) -> None:
    code, facts = dicom("volume", shared_data / "dicom_odd" / "enhanced_mr_siemens_xa10_6_1.dcm")
    assert (code, facts["shape"], facts["findings"]) == (0, [6, 64, 64], [])


@pytest.mark.parametrize(
    ("name", "code"),
    [("no-pixel-data.dcm", "dicom.no_such_series"), ("no-pixel-spacing.dcm", "volume.unsuitable_object")],
)
def test_objects_that_are_no_volume(dicom: Command, shared_data: Path, name: str, code: str) -> None:
    exit_code, answer = dicom("volume", shared_data / "dicom_odd" / name)
    assert (exit_code in (2, 65), answer["error"]["code"]) == (True, code)


def test_torso_without_uids_is_still_one_volume(dicom: Command, shared_data: Path) -> None:
    folder = shared_data / "ct_torso_61_organs" / "dicom" / "j2k_lossless_series"
    code, facts = dicom("volume", folder, "--resample")
    assert (code, facts["shape"]) == (0, [20, 512, 512])


def test_classes_of_real_series(dicom: Command, shared_data: Path, abdomen: Path, tilted: Path) -> None:
    def only(folder: Path) -> dict[str, Any]:
        (entry,) = dicom("classify", folder)[1]["series"]
        return {name: entry[name] for name in ("kind", "plane", "contrast", "kernel", "thickness")}

    assert only(abdomen) == {
        "kind": "volume", "plane": "axial", "contrast": "enhanced", "kernel": "soft", "thickness": "thick",
    }  # fmt: skip
    assert only(tilted)["kind"] == "volume"
    torso = only(shared_data / "ct_torso_61_organs" / "dicom" / "j2k_lossless_series")
    assert (torso["kind"], torso["plane"], torso["kernel"]) == ("volume", "axial", "soft")


def test_classes_of_reports_and_projections(dicom: Command, shared_data: Path) -> None:
    _, reports = dicom("classify", shared_data / "dose_reports")
    kinds: dict[str, set[str]] = {}
    for entry in reports["series"]:
        kinds.setdefault(entry["modality"], set()).add(entry["kind"])
    assert kinds == {"SR": {"dose_report"}, "CT": {"dose_report"}, "DX": {"projection"}, "MG": {"projection"}}
    assert {entry["body_part"] for entry in reports["series"] if entry["modality"] == "MG"} == {"BREAST"}
    _, others = dicom("classify", shared_data / "dicom_seg_sr")
    by_modality = {(entry["modality"], entry["kind"]) for entry in others["series"]}
    assert {("SEG", "segmentation"), ("SR", "structured_report"), ("DX", "projection")} <= by_modality

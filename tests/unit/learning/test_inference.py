"""Running a package: contract, axes, windows, files, SEG, resume; all without network."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

pytest.importorskip("torch", reason='needs the extra: pip install "racoon[learning]"')
from racoon.domain.plan import TrainingPlan
from racoon.domain.training import InputContract
from racoon.learning.architectures import initial_weights
from racoon.learning.cases import classes_on_grid, prepare_case
from racoon.learning.contract import broken_rules
from racoon.learning.evaluation import evaluate_folders
from racoon.learning.files_inference import infer_files
from racoon.learning.folders import BadFolder, find_images, find_pairs, load_pair, split_subjects
from racoon.learning.inference import Model, SeriesRefused, mask_hash
from racoon.learning.orientation import Axes
from racoon.learning.packages import open_package
from racoon.learning.runtimes import open_network
from racoon.learning.subprocesses import child_environment
from racoon.learning.training import evaluate, train_local
from racoon.learning.windows import class_shares, softmax
from racoon.standards.dicom.segmentation import SourceGrid, read_masks
from racoon.standards.files import load_image
from tests.unit.learning.making import PLAN, make_package, make_volume, write_nifti_site

pytestmark = pytest.mark.learning

AXIAL = np.diag([1.0, 1.0, 1.0, 1.0])[:, [2, 1, 0, 3]]
"""Slices to the head, rows to the back, columns to the left: 1 mm each."""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_package(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def model(package: Path) -> Model:
    return Model(open_package(package))


def _dice(first: np.ndarray, second: np.ndarray) -> float:
    return 2.0 * float((first & second).sum()) / float(first.sum() + second.sum())


def test_a_model_finds_what_it_was_trained_for_and_repeats_itself(model: Model) -> None:
    voxels, mask = make_volume(77)
    classes = model.segment(voxels, AXIAL, "CT")
    assert classes.shape == mask.shape
    assert _dice(classes == 1, mask) > 0.7
    assert mask_hash(classes, AXIAL) == mask_hash(model.segment(voxels, AXIAL, "CT"), AXIAL)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 0, 1)])
@pytest.mark.parametrize("turns", [(1, 1, 1), (-1, 1, -1)])
def test_the_order_of_the_axes_does_not_change_what_is_found(
    model: Model, order: tuple[int, int, int], turns: tuple[int, int, int]
) -> None:
    voxels, _ = make_volume(78)
    straight = model.segment(voxels, AXIAL, "CT")
    moved = voxels.transpose(order)
    affine = AXIAL[:, [*order, 3]].copy()
    for axis, sign in enumerate(turns):
        if sign < 0:
            affine[:3, 3] += affine[:3, axis] * (moved.shape[axis] - 1)
            affine[:3, axis] *= -1
    moved = moved[tuple(slice(None, None, sign) for sign in turns)]
    found = model.segment(moved, affine, "CT")
    axes = Axes.of(affine)
    np.testing.assert_array_equal(axes.apply(found), straight)
    np.testing.assert_array_equal(axes.undo(axes.apply(found)), found)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"modality": "MR"}, "modality MR is not CT"),
        ({"affine": np.diag([9.0, 1.0, 1.0, 1.0])[[2, 1, 0, 3]]}, "mm between slices"),
        ({"affine": np.diag([1.0, 4.0, 4.0, 1.0])[[2, 1, 0, 3]]}, "pixels of 4 × 4 mm"),
        ({"voxels": np.zeros((1, 32, 32))}, "fewer than 2"),
        ({"voxels": np.zeros((4, 32, 32))}, "same value"),
        ({"voxels": np.full((4, 32, 32), np.nan)}, "not a number"),
        ({"voxels": np.random.default_rng(0).uniform(3000, 4000, (4, 32, 32))}, "Hounsfield"),
    ],
)
def test_a_series_outside_the_contract_is_refused_with_the_reason(
    model: Model, change: dict, reason: str
) -> None:
    given = {"voxels": make_volume(1)[0], "affine": AXIAL, "modality": "CT"} | change
    with pytest.raises(SeriesRefused, match=reason):
        model.segment(**given)
    assert broken_rules(PLAN, **given)


def test_a_file_without_a_modality_is_not_refused_for_it() -> None:
    assert broken_rules(PLAN, make_volume(1)[0], AXIAL, "") == ()


@pytest.mark.parametrize("shape", [(3, 20, 30), (3, 32, 32), (3, 64, 48), (2, 65, 33)])
@pytest.mark.parametrize("larger", ["shrink", "tile"])
def test_classes_return_to_the_voxels_they_came_from(shape: tuple[int, int, int], larger: str) -> None:
    plan = replace(PLAN, larger=larger)
    mask = np.zeros(shape, bool)
    mask[:, shape[1] // 4 : shape[1] // 2, shape[2] // 4 : shape[2] // 2] = True
    case = prepare_case(plan, "x", np.random.default_rng(0).normal(size=shape), [mask])
    back = classes_on_grid(case.classes, plan, shape)
    assert back.shape == shape
    if larger == "tile" or (shape[1] <= 32 and shape[2] <= 32):
        np.testing.assert_array_equal(back == 1, mask)
    else:
        assert _dice(back == 1, mask) > 0.8


def test_windows_agree_with_one_pass_where_they_overlap_nothing_else() -> None:
    network = open_network(PLAN, initial_weights(PLAN), None, "torch")
    images = np.random.default_rng(0).normal(size=(2, 3, 32, 32)).astype(np.float32)
    whole = softmax(network(images))
    np.testing.assert_array_equal(class_shares(network, images, (32, 32)), whole)
    large = class_shares(network, np.concatenate([images, images], axis=3), (32, 32))
    assert large.shape == (2, 2, 32, 64)
    np.testing.assert_allclose(large.sum(axis=1), np.ones((2, 32, 64)), rtol=1e-5)
    # The first columns are seen by the first window alone.
    np.testing.assert_allclose(large[..., :16], whole[..., :16], rtol=1e-4, atol=1e-6)


def test_tiled_training_learns_from_slices_larger_than_the_network() -> None:
    plan = replace(PLAN, larger="tile", local_steps=10, rounds=3, learning_rate=1e-2)
    cases = []
    for seed in range(4):
        voxels, mask = make_volume(seed, (6, 48, 40))
        cases.append(prepare_case(plan, str(seed), voxels, [mask]))
    assert cases[0].image.shape == (6, 48, 40)
    weights = train_local(plan, cases, initial_weights(plan))
    assert evaluate(plan, weights, cases).mean > 0.6


def test_files_are_segmented_refused_resumed_and_scored(package: Path, tmp_path: Path) -> None:
    site = write_nifti_site(tmp_path / "site", 5, 3)
    bad = nib.Nifti1Image(np.zeros((32, 32, 6), np.float32), np.eye(4))
    nib.save(bad, site / "images" / "empty.nii.gz")
    out = tmp_path / "out"
    first = infer_files(package, site, out)
    states = {row["name"]: row["state"] for row in first["series"]}
    assert states == {"case50": "segmented", "case51": "segmented", "case52": "segmented", "empty": "refused"}
    assert "same value" in next(row["reason"] for row in first["series"] if row["name"] == "empty")
    assert first["use"].startswith("Research use only")
    assert "sockets refused" in first["isolation"]
    mask: nib.Nifti1Image = nib.load(out / "case50.nii.gz")
    assert b"research use only" in mask.header["descrip"].tobytes()
    stamps = {path.name: path.stat().st_mtime_ns for path in out.glob("*.nii.gz")}
    (out / "case51.nii.gz").unlink()
    again = infer_files(package, site, out)
    assert [row.get("hash") for row in again["series"]] == [row.get("hash") for row in first["series"]]
    renewed = {name for name, stamp in stamps.items() if (out / name).stat().st_mtime_ns != stamp}
    assert renewed == {"case51.nii.gz"}

    scores = evaluate_folders(out, site)
    assert scores["subjects_compared"] == 3
    assert scores["without_reference"] == []
    dice = scores["labels"]["1"]["dice"]
    assert dice["n"] == 3
    assert 0.7 < dice["lower"] <= dice["mean"] <= dice["upper"] <= 1.0
    assert scores["baseline"]["dice"]["1"]["mean"] < dice["mean"]
    json.dumps(scores, allow_nan=False)


def test_perfect_empty_and_missing_predictions_have_the_scores_they_must(tmp_path: Path) -> None:
    site = write_nifti_site(tmp_path / "site", 5, 3)
    same = evaluate_folders(site, site)["labels"]["1"]
    assert [same[name]["mean"] for name in ("dice", "nsd", "hd95_mm")] == [1.0, 1.0, 0.0]
    guesses = tmp_path / "guesses"
    guesses.mkdir()
    image = nib.load(site / "labels" / "case50.nii.gz")
    nib.save(nib.Nifti1Image(np.zeros(image.shape, np.uint8), image.affine), guesses / "case50.nii.gz")
    found = evaluate_folders(guesses, site)
    assert found["missing"] == ["case51", "case52"]
    assert found["labels"]["1"]["dice"]["mean"] == found["labels"]["1"]["nsd"]["mean"] == 0.0
    assert found["labels"]["1"]["hd95_mm"]["mean"] is None
    assert found["labels"]["1"]["missed"] == 3
    with pytest.raises(BadFolder):
        evaluate_folders(tmp_path / "guesses", write_nifti_site(tmp_path / "other", 6, 1))


def test_a_dicom_series_gets_a_seg_that_names_its_algorithm(package: Path, tmp_path: Path) -> None:
    folder = tmp_path / "series"
    folder.mkdir()
    voxels, mask = make_volume(5)
    _write_ct(folder, voxels)
    out = tmp_path / "out"
    answer = infer_files(package, folder, out)
    (row,) = answer["series"]
    assert row["files"] == ["series.nii.gz", "series.seg.dcm"]
    assert row["unchecked"] == []
    dataset = pydicom.dcmread(out / "series.seg.dcm")
    (segment,) = dataset.SegmentSequence
    (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
    assert segment.SegmentAlgorithmType == "AUTOMATIC"
    assert algorithm.AlgorithmName == "blocks"
    assert open_package(package).hash in algorithm.AlgorithmParameters
    assert "research use only" in dataset.SeriesDescription.lower()
    loaded = load_image(folder)
    assert loaded.volume is not None
    ((_, drawn),) = read_masks(dataset, SourceGrid.of_volume(loaded.volume))
    nifti: nib.Nifti1Image = nib.load(out / "series.nii.gz")
    np.testing.assert_array_equal(np.asarray(nifti.dataobj).transpose(2, 1, 0).astype(bool), drawn)
    assert _dice(drawn, mask) > 0.7
    content = (out / "series.seg.dcm").read_bytes()
    infer_files(package, folder, tmp_path / "again")
    assert (tmp_path / "again" / "series.seg.dcm").read_bytes() == content
    # The same folder with its SEG is a training case, by the code of the label.
    subject = tmp_path / "subjects" / "one"
    subject.parent.mkdir()
    folder.rename(subject)
    (subject / "series.seg.dcm").write_bytes(content)
    (pair,) = find_pairs(subject.parent)
    case, _ = load_pair(PLAN, pair)
    np.testing.assert_array_equal(case.classes == 1, drawn)


def _write_ct(folder: Path, voxels: np.ndarray) -> None:
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    series, study, frame = (generate_uid(entropy_srcs=[word]) for word in ("series", "study", "frame"))
    for index, plane in enumerate(np.rint(voxels).astype(np.int16)):
        dataset = pydicom.Dataset()
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid(
            entropy_srcs=["instance", str(index)]
        )
        dataset.SeriesInstanceUID, dataset.StudyInstanceUID, dataset.FrameOfReferenceUID = (
            series,
            study,
            frame,
        )
        dataset.Modality, dataset.PatientID, dataset.PatientName = "CT", "P1", "P1"
        dataset.PatientBirthDate = dataset.PatientSex = dataset.AccessionNumber = dataset.StudyID = ""
        dataset.ReferringPhysicianName = ""
        dataset.StudyDate, dataset.StudyTime = "20260101", "120000"
        dataset.SeriesNumber, dataset.InstanceNumber = 1, index + 1
        dataset.Manufacturer = "X"
        dataset.ImagePositionPatient = [0.0, 0.0, float(index)]
        dataset.ImageOrientationPatient = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
        dataset.PixelSpacing, dataset.SliceThickness = [1.0, 1.0], 1.0
        dataset.Rows, dataset.Columns = plane.shape
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit, dataset.PixelRepresentation = 15, 1
        dataset.RescaleIntercept, dataset.RescaleSlope = 0, 1
        dataset.PixelData = plane.tobytes()
        dataset.save_as(folder / f"{index}.dcm", enforce_file_format=True)


def test_a_sealed_process_reaches_no_network_and_starts_no_program() -> None:
    program = """
import socket, subprocess, sys
from racoon.learning.isolation import seal_process
seal_process()
for attempt in (
    lambda: socket.create_connection(("127.0.0.1", 9)),
    lambda: socket.getaddrinfo("example.org", 80),
    lambda: subprocess.run(["true"]),
):
    try:
        attempt()
    except PermissionError as error:
        print(error)
    else:
        sys.exit("it went through")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env=child_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("may not do this") == 3


def test_subjects_are_split_whole_and_the_same_way_every_time(tmp_path: Path) -> None:
    folder = tmp_path / "bids"
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    for subject in range(6):
        for session in range(2):
            for part in ("images", "labels"):
                (folder / part / f"sub-{subject}_ses-{session}.nii.gz").touch()
    pairs = find_pairs(folder)
    train, unseen = split_subjects(pairs, 0.34, 7)
    assert {pair.subject for pair in train} & {pair.subject for pair in unseen} == set()
    assert (len(train), len(unseen)) == (8, 4)
    assert split_subjects(tuple(reversed(pairs)), 0.34, 7)[1] == tuple(reversed(unseen))
    assert split_subjects(pairs, 0.0, 7)[1] == ()


def test_three_layouts_of_folders_are_understood(tmp_path: Path) -> None:
    beside = tmp_path / "beside"
    beside.mkdir()
    for name in ("A_image.nii.gz", "A_mask.nii.gz", "B_image.nii.gz"):
        (beside / name).touch()
    assert [(pair.name, pair.mask is not None) for pair in find_images(beside)] == [
        ("A_image", True),
        ("B_image", False),
    ]
    assert [pair.name for pair in find_pairs(write_nifti_site(tmp_path / "nifti", 1, 2))] == [
        "case10",
        "case11",
    ]
    with pytest.raises(BadFolder):
        find_pairs(tmp_path / "nowhere")
    (tmp_path / "void").mkdir()
    with pytest.raises(BadFolder):
        find_images(tmp_path / "void")


def test_a_nifti_case_is_the_array_it_was_written_from(tmp_path: Path) -> None:
    (pair,) = find_pairs(write_nifti_site(tmp_path / "site", 3, 1))
    voxels, mask = make_volume(300)
    case, sums = load_pair(PLAN, pair)
    expected = prepare_case(PLAN, pair.name, voxels.astype(np.float32), [mask])
    np.testing.assert_array_equal(case.classes, expected.classes)
    np.testing.assert_array_equal(case.image, expected.image)
    assert sums.images == 1
    tight: TrainingPlan = replace(PLAN, contract=InputContract(slice_mm=(3.0, 4.0)))
    with pytest.raises(BadFolder, match="does not fit the plan"):
        load_pair(tight, pair)


def test_only_the_largest_part_of_each_structure_stays_where_the_plan_says_so() -> None:
    from racoon.learning.inference import POSTPROCESSING

    classes = np.zeros((3, 10, 10), np.uint8)
    classes[:, 1:5, 1:5], classes[0, 8, 8], classes[:, 6:8, 1:3] = 1, 1, 2
    kept = POSTPROCESSING["largest_component"](classes, 2)
    assert kept[0, 8, 8] == 0
    assert (kept == 2).sum() == 12
    assert (kept == 1).sum() == 48

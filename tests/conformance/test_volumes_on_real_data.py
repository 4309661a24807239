"""Volumes and segmentations of real objects against independent readers."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import highdicom as hd
import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from racoon.standards.dicom.pixels import UndecodablePixels, decode_frame
from racoon.standards.dicom.segmentation import SourceGrid, UnsupportedSegmentation, read_masks
from racoon.standards.dicom.volume import (
    Frame,
    IrregularSeries,
    UnsuitableObject,
    Volume,
    arrange,
    build_volume,
    frames_of,
    stored_range_of,
)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")


def load(datasets: list[Dataset]) -> Volume:
    by_uid = {str(item.SOPInstanceUID): item for item in datasets}
    arrangement = arrange(frame for item in datasets for frame in frames_of(item))

    def pixels(frame: Frame) -> np.ndarray:
        return decode_frame(by_uid[frame.sop_instance_uid], frame.number - 1)

    return build_volume(arrangement, stored_range_of(datasets[0]), pixels)


def unzip(path: Path) -> list[Dataset]:
    with zipfile.ZipFile(path) as container:
        files = [
            container.read(name) for name in container.namelist() if name.lower().endswith((".dcm", ".ima"))
        ]
    return [pydicom.dcmread(io.BytesIO(data)) for data in files]


def test_abdomen_ct_equals_highdicom(shared_data: Path) -> None:
    datasets = unzip(shared_data / "ct_abdomen_dicom" / "CRLM-CT-1004_CT.zip")
    volume = load(datasets)
    oracle = hd.get_volume_from_series(datasets)

    assert volume.image.voxels.dtype == np.int16
    assert volume.findings == ()
    reference = hd.Volume(
        volume.image.voxels,
        volume.image.affine,
        "PATIENT",
        frame_of_reference_uid=oracle.frame_of_reference_uid,
    )
    matched = oracle.match_geometry(reference)
    np.testing.assert_array_equal(matched.array, volume.image.voxels)


def test_tilted_head_ct_is_refused_with_its_reasons(shared_data: Path) -> None:
    datasets = unzip(shared_data / "dicom_odd" / "ct_head_ge_tilt_variable_spacing.zip")
    assert len(datasets) >= 28
    with pytest.raises(IrregularSeries) as refusal:
        load(datasets)
    findings = {finding.code.value: finding for finding in refusal.value.findings}
    assert findings["tilt"].values["angle_deg"] == pytest.approx(18.5, abs=1.0)
    assert "nonuniform" in findings


def test_torso_ct_in_jpeg_2000_equals_its_nifti_labels_grid(shared_data: Path) -> None:
    folder = shared_data / "ct_torso_61_organs" / "dicom"
    datasets = [pydicom.dcmread(path) for path in sorted((folder / "j2k_lossless_series").glob("*.dcm"))]
    volume = load(datasets)
    labels = nibabel.load(folder / "seg_of_dicom_series.nii.gz")

    assert volume.image.shape == tuple(reversed(labels.shape))
    flip = np.diag([-1.0, -1.0, 1.0, 1.0])  # NIfTI is RAS, DICOM is LPS
    corners = np.array([[i, j, k, 1.0] for i in (0, 9) for j in (0, 9) for k in (0, labels.shape[2] - 1)])
    ours = np.linalg.inv(volume.image.affine) @ flip @ labels.affine @ corners.T
    assert np.abs(ours - np.rint(ours)).max() < 0.02


def test_dcmqi_segmentation_equals_highdicom(shared_data: Path) -> None:
    folder = shared_data / "dicom_seg_sr" / "dcmqi" / "segmentations"
    sources = [pydicom.dcmread(path) for path in sorted((folder / "ct-3slice").glob("*.dcm"))]
    seg = pydicom.dcmread(folder / "liver.dcm")
    grid = SourceGrid.of_volume(load(sources))

    ((segment, mask),) = read_masks(seg, grid)

    assert segment.label.meaning == "Liver"
    oracle = hd.seg.Segmentation.from_dataset(seg).get_volume(
        segment_numbers=[1], allow_missing_positions=True
    )
    assert int(mask.sum()) == int((oracle.array > 0).sum()) > 0
    inside = np.argwhere(oracle.array.reshape(oracle.spatial_shape) > 0)
    world = oracle.map_indices_to_reference(inside)
    index = np.rint((np.linalg.inv(grid.affine) @ np.c_[world, np.ones(len(world))].T)[:3]).astype(int)
    assert mask[tuple(index)].all()


def test_highdicom_single_frame_segmentation_equals_its_pixels(shared_data: Path) -> None:
    folder = shared_data / "dicom_seg_sr" / "highdicom"
    seg = pydicom.dcmread(folder / "seg_image_ct_binary_single_frame.dcm")
    grid = SourceGrid.of_volume(load([pydicom.dcmread(folder / "ct_image.dcm")]))

    ((_, mask),) = read_masks(seg, grid)

    np.testing.assert_array_equal(mask[0], seg.pixel_array > 0)


@pytest.mark.parametrize("name", ["enhanced_mr_siemens_xa10_6_1.dcm", "enhanced_mr_philips_fieldmap.dcm"])
def test_enhanced_mr_is_stacked_or_refused_with_reason(shared_data: Path, name: str) -> None:
    dataset = pydicom.dcmread(shared_data / "dicom_odd" / name)
    try:
        volume = load([dataset])
    except IrregularSeries as refusal:
        codes, volume = {finding.code.value for finding in refusal.findings}, None
    else:
        codes = set()
    assert codes <= {"multi_stack", "duplicate", "nonuniform"}
    if volume is not None:
        assert volume.image.shape[0] == dataset.NumberOfFrames
        np.testing.assert_array_equal(np.sort(volume.frame_numbers), np.arange(1, dataset.NumberOfFrames + 1))


def test_objects_that_are_no_slices_are_refused(shared_data: Path) -> None:
    no_spacing = pydicom.dcmread(shared_data / "dicom_odd" / "no-pixel-spacing.dcm")
    no_pixels = pydicom.dcmread(shared_data / "dicom_odd" / "no-pixel-data.dcm")
    with pytest.raises(UnsuitableObject):
        frames_of(no_spacing)
    with pytest.raises(UndecodablePixels):
        decode_frame(no_pixels)


def test_fractional_example_is_refused(shared_data: Path) -> None:
    found = [
        dataset
        for path in sorted((shared_data / "dicom_seg_sr").rglob("*.dcm"))
        if (dataset := pydicom.dcmread(path)).get("SegmentationType") == "FRACTIONAL"
    ]
    grid = SourceGrid(np.eye(4), (2, 2, 2), {})
    for dataset in found:
        with pytest.raises(UnsupportedSegmentation):
            list(read_masks(dataset, grid))

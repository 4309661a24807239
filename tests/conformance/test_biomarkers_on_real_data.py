"""Biomarkers on real images whose numbers somebody else computed."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest

from racoon.science.biomarkers import Context, Region, get_definition
from racoon.science.image import Image
from racoon.science.segmentation import segment_body

TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
CHEST = Context("CT", kvp=120.0)


def load_nifti(path: Path) -> Image:
    """Read a NIfTI file as (slice, row, column) with an LPS affine."""
    found = nibabel.load(path)
    voxels = np.asarray(found.dataobj).transpose(2, 1, 0)
    return Image(np.ascontiguousarray(voxels), (TO_LPS @ found.affine)[:, [2, 1, 0, 3]])


def measure(name: str, region: Region) -> float:
    return get_definition(name, "1").compute_region(region, CHEST).value


def test_volumes_and_densities_of_61_organs(shared_data: Path) -> None:
    folder = shared_data / "ct_torso_61_organs"
    image, labels = load_nifti(folder / "ct.nii.gz"), load_nifti(folder / "seg_61_labels.nii.gz")
    expected = json.loads((folder / "reference" / "label_volumes_and_hu.json").read_text())
    assert len(expected) == 61
    for number, row in expected.items():
        region = Region(image, labels.voxels == int(number))
        assert region.voxel_count == row["voxels"]
        assert measure("volume", region) == pytest.approx(row["ml"], abs=5e-4)
        assert measure("mean_density", region) == pytest.approx(row["mean_hu"], abs=5e-4)


def test_body_of_a_real_patient_holds_all_organs_and_no_table(shared_data: Path) -> None:
    folder = shared_data / "ct_torso_61_organs"
    image, labels = load_nifti(folder / "ct.nii.gz"), load_nifti(folder / "seg_61_labels.nii.gz")
    body = segment_body(image)
    assert body[labels.voxels > 0].mean() > 0.999
    # The table lies at least 8 voxels behind the back in this scan; nothing there may be called body.
    region = Region(image, body)
    assert 22_000 < measure("volume", region) < 25_500
    assert measure("fat_attenuation", region) == pytest.approx(-91, abs=6)


def even_odd(contours: list[np.ndarray], rows: int, columns: int) -> np.ndarray:
    """Mark pixel centres inside an odd number of contours; points are (column, row) in pixels."""
    inside = np.zeros((rows, columns), bool)
    x = np.arange(columns)
    for points in contours:
        following = np.roll(points, -1, axis=0)
        for row in range(max(0, int(points[:, 1].min())), min(rows, int(points[:, 1].max()) + 2)):
            above = points[:, 1] <= row
            edges = above != (following[:, 1] <= row)
            (x1, y1), (x2, y2) = points[edges].T, following[edges].T
            crossings = np.sort(x1 + (row - y1) * (x2 - x1) / (y2 - y1))
            inside[row] ^= np.searchsorted(crossings, x, side="right") % 2 == 1
    return inside


@pytest.mark.slow
def test_lungs_and_tumour_of_a_real_chest_ct(shared_data: Path) -> None:
    folder = shared_data / "ct_lung_rtstruct"
    expected = json.loads((folder / "expected_volumes.json").read_text())
    with tarfile.open(folder / "LUNG1-001_CT.tar.xz") as archive:
        files = [archive.extractfile(member) for member in archive if member.isfile()]
        slices = [pydicom.dcmread(io.BytesIO(item.read()), force=True) for item in files if item]
    slices = [item for item in slices if "PixelData" in item]
    slices.sort(key=lambda item: float(item.ImagePositionPatient[2]))
    first = slices[0]
    voxels = np.stack([item.pixel_array.astype(np.int16) + int(item.RescaleIntercept) for item in slices])
    row_mm, column_mm = map(float, first.PixelSpacing)
    z = [float(item.ImagePositionPatient[2]) for item in slices]
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = z[1] - z[0], row_mm, column_mm, 1
    affine[:3, 3] = first.ImagePositionPatient
    image = Image(voxels, affine)
    structures = pydicom.dcmread(folder / "LUNG1-001_RTSTRUCT.dcm")
    names = {item.ROINumber: str(item.ROIName) for item in structures.StructureSetROISequence}
    checked = 0
    for roi in structures.ROIContourSequence:
        name = names[roi.ReferencedROINumber]
        if name not in expected:
            continue
        mask = np.zeros(voxels.shape, bool)
        by_slice: dict[int, list[np.ndarray]] = {}
        for contour in roi.ContourSequence:
            points = np.array(contour.ContourData, float).reshape(-1, 3)
            index = int(np.argmin(np.abs(np.array(z) - points[0, 2])))
            pixels = (points[:, :2] - np.array(first.ImagePositionPatient[:2], float)) / (column_mm, row_mm)
            by_slice.setdefault(index, []).append(pixels)
        for index, contours in by_slice.items():
            mask[index] = even_odd(contours, *mask.shape[1:])
        region = Region(image, mask)
        row = expected[name]
        assert measure("volume", region) == pytest.approx(row["raster_xor_volume_ml"], rel=0.01)
        assert measure("mean_lung_density", region) == pytest.approx(row["mean_hu_in_raster"], abs=4)
        assert measure("laa_950", region) == pytest.approx(row["percent_below_-950"], abs=0.1)
        checked += 1
    assert checked == 4

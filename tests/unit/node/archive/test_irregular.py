"""Irregular series are stored, reported as findings, and refused or interpolated as asked, masks with them."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset

from racoon.node.archive.service import Archive
from racoon.standards.dicom.resampling import is_resampled
from racoon.standards.dicom.volume import IrregularSeries
from tests.dicom_objects import ct_series, deidentified, segmentation, uid

HEIGHT, ROWS, COLUMNS = 12, 16, 14
LUNG = [("39607008", "SCT", "Lung")]
Z, Y, X = np.mgrid[:HEIGHT, :ROWS, :COLUMNS]
RAMP = (20 * Z + 3 * Y + 2 * X).astype(np.int16)
"""Linear in space: interpolation has to reproduce it exactly."""

BOX = np.zeros((HEIGHT, ROWS, COLUMNS), np.bool_)
BOX[3:9, 4:10, 5:11] = True


def missing_slice() -> tuple[list[Dataset], np.ndarray]:
    kept = [index for index in range(HEIGHT) if index != 5]
    return [item for index, item in enumerate(ct_series(RAMP)) if index in kept], BOX[kept]


def uneven() -> tuple[list[Dataset], np.ndarray]:
    heights = np.array([0, 1, 2, 3.5, 5, 6, 7, 8.5, 10, 11])
    voxels = (20 * heights[:, None, None] + 3 * Y[0] + 2 * X[0]).astype(np.int16)
    series = ct_series(voxels)
    for item, height in zip(series, heights, strict=True):
        item.ImagePositionPatient = [-20.0, -30.0, 100.0 + 2.5 * height]
    return series, BOX[heights.astype(int)]


def tilted() -> tuple[list[Dataset], np.ndarray]:
    # Each slice moves half a row: the planes lean, so the picture is drawn where they lie.
    step = np.array([0.0, 0.4, 2.5])
    planes = [(20 * index + 3 * (Y[0] + index * 0.5) + 2 * X[0]) for index in range(HEIGHT)]
    return ct_series(np.array(planes).round().astype(np.int16), step_mm=step), BOX


def repeated() -> tuple[list[Dataset], np.ndarray]:
    series = ct_series(RAMP)
    copy = ct_series(RAMP)[4]
    copy.SOPInstanceUID = copy.file_meta.MediaStorageSOPInstanceUID = uid(1, 1, 99)
    copy.InstanceNumber = 99
    return [*series, copy], BOX


CASES = {"missing": missing_slice, "nonuniform": uneven, "tilt": tilted, "duplicate": repeated}


@pytest.fixture(params=list(CASES))
def stored(request: pytest.FixtureRequest, archive: Archive) -> str:
    series, box = CASES[request.param]()
    sources = series[: len(box)]
    seg = segmentation(sources, box[..., None], LUNG)
    outcomes = archive.store([deidentified(item) for item in [*series, seg]])
    assert {outcome.result for outcome in outcomes} == {"stored"}
    name: str = request.param
    return name


def test_the_irregularity_is_reported_and_refused_by_default(archive: Archive, stored: str) -> None:
    codes = [finding.code.value for finding in archive.arrange(uid(1, 1)).findings]
    assert stored in codes
    with pytest.raises(IrregularSeries) as refusal:
        archive.load_volume(uid(1, 1))
    assert stored in [finding.code.value for finding in refusal.value.findings]


def test_a_resampled_series_has_its_values_where_they_were(archive: Archive, stored: str) -> None:
    volume = archive.load_volume(uid(1, 1), resample=True)
    image = volume.image
    assert is_resampled(volume)
    voxels = np.asarray(image.voxels, np.float64)
    index = np.argwhere(np.ones(voxels.shape, np.bool_))
    world = index @ image.affine[:3, :3].T + image.affine[:3, 3]
    expected = (
        20 * (world[:, 2] - 100.0) / 2.5 + 3 * (world[:, 1] + 30.0) / 0.8 + 2 * (world[:, 0] + 20.0) / 0.7
    ).reshape(voxels.shape)
    inner = (slice(1, -1), slice(7, -7) if stored == "tilt" else slice(None), slice(None))
    assert np.abs(voxels[inner] - expected[inner]).max() <= 1.01


def test_masks_follow_the_image_to_its_new_grid(archive: Archive, stored: str) -> None:
    volume = archive.load_volume(uid(1, 1), resample=True)
    (found,) = archive.iterate_masks(uid(1, 1), volume)
    assert found.mask.voxels.shape == volume.image.shape
    assert np.array_equal(found.mask.affine, volume.image.affine)
    index = np.argwhere(found.mask.voxels)
    centre = index.mean(axis=0) @ volume.image.affine[:3, :3].T + volume.image.affine[:3, 3]
    lean = 0.4 * 5.5 if stored == "tilt" else 0.0
    assert centre == pytest.approx([-20 + 0.7 * 7.5, -30 + 0.8 * 6.5 + lean, 100 + 2.5 * 5.5], abs=1.3)
    volume_mm3 = index.shape[0] * abs(np.linalg.det(volume.image.affine[:3, :3]))
    assert volume_mm3 == pytest.approx(6 * 6 * 6 * 0.8 * 0.7 * 2.5, rel=0.2)

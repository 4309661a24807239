"""Slices become one array with a true affine; whatever is irregular is reported and never stacked
silently."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from racoon.standards.dicom.pixels import decode_frame
from racoon.standards.dicom.volume import (
    Arrangement,
    Frame,
    IrregularSeries,
    UnsuitableObject,
    Volume,
    arrange,
    build_volume,
    frames_of,
    stored_range_of,
)
from tests.dicom_objects import AXIAL, ct_series, ct_slice

VOXELS = np.random.default_rng(3).integers(-1000, 1500, (20, 8, 6)).astype(np.int16)


def arranged(slices: Sequence[Dataset]) -> Arrangement:
    return arrange(frame for item in slices for frame in frames_of(item))


def built(slices: Sequence[Dataset]) -> Volume:
    by_uid = {str(item.SOPInstanceUID): item for item in slices}

    def pixels(frame: Frame) -> npt.NDArray[np.generic]:
        return decode_frame(by_uid[frame.sop_instance_uid], frame.number - 1)

    return build_volume(arranged(slices), stored_range_of(slices[0]), pixels)


@given(order=st.permutations(range(8)))
def test_volume_is_the_same_in_any_order_of_files(order: list[int]) -> None:
    slices = ct_series(VOXELS[:8])
    volume = built([slices[index] for index in order])

    assert volume.image.voxels.dtype == np.int16
    np.testing.assert_array_equal(volume.image.voxels, VOXELS[:8])
    assert volume.instance_uids == tuple(str(item.SOPInstanceUID) for item in slices)
    assert volume.findings == ()


@given(
    angles=st.tuples(*[st.floats(-1.2, 1.2)] * 3),
    spacing=st.tuples(*[st.floats(0.3, 6.0)] * 3),
    origin=st.tuples(*[st.floats(-300, 300)] * 3),
)
def test_affine_maps_every_voxel_to_its_place(
    angles: tuple[float, ...], spacing: tuple[float, ...], origin: tuple[float, ...]
) -> None:
    from scipy.spatial.transform import Rotation

    turn = Rotation.from_euler("xyz", angles).as_matrix()
    orientation = [*turn[:, 0], *turn[:, 1]]
    slices = ct_series(
        VOXELS[:5],
        orientation=orientation,
        origin_mm=origin,
        slice_spacing_mm=spacing[0],
        spacing_mm=(round(spacing[1], 6), round(spacing[2], 6)),
    )
    image = built(slices).image

    np.testing.assert_array_equal(image.voxels, VOXELS[:5])
    expected = (
        np.asarray(origin)
        + 3 * spacing[0] * turn[:, 2]
        + 2 * spacing[1] * turn[:, 1]
        + 4 * spacing[2] * turn[:, 0]
    )
    np.testing.assert_allclose((image.affine @ [3, 2, 4, 1])[:3], expected, atol=1e-4)
    np.testing.assert_allclose(image.spacing_mm, spacing, rtol=1e-4)
    assert image.voxel_volume_ml == pytest.approx(np.prod(spacing) / 1000, rel=1e-3)


def moved(index: int, by_mm: Sequence[float]) -> Callable[[list[Dataset]], list[Dataset]]:
    def change(slices: list[Dataset]) -> list[Dataset]:
        position = np.asarray(slices[index].ImagePositionPatient, dtype=float) + by_mm
        slices[index].ImagePositionPatient = list(position)
        return slices

    return change


def two_stacks_apart(slices: list[Dataset]) -> list[Dataset]:
    for item in slices[10:]:
        item.ImagePositionPatient = [*item.ImagePositionPatient[:2], item.ImagePositionPatient[2] + 61.3]
    return slices


def two_echoes(slices: list[Dataset]) -> list[Dataset]:
    others = ct_series(VOXELS, series=2)
    for echo, items in enumerate((slices, others), start=1):
        for item in items:
            item.EchoNumbers = echo
    return slices + others


def uneven(slices: list[Dataset]) -> list[Dataset]:
    for index, item in enumerate(slices):
        item.ImagePositionPatient = [0, 0, index * 2 + 0.05 * index**2]
    return slices


CASES: dict[str, Callable[[list[Dataset]], list[Dataset]]] = {
    "missing": lambda slices: slices[:7] + slices[8:],
    "duplicate": lambda slices: [*slices, ct_slice(VOXELS[0], slices[4].ImagePositionPatient, number=99)],
    "nonuniform": uneven,
    "multi_stack": two_stacks_apart,
    "mixed_orientation": lambda slices: [
        *slices,
        ct_slice(VOXELS[0], (0, 0, 0), number=99, orientation=(1, 0, 0, 0, 0, -1)),
    ],
    "mixed_size": lambda slices: [*slices, ct_slice(VOXELS[0][:4], (-20, -30, 150), number=99)],
    "mixed_spacing": lambda slices: [
        *slices,
        ct_slice(VOXELS[0], (-20, -30, 150), number=99, spacing_mm=(0.5, 0.5)),
    ],
}


@pytest.mark.parametrize("code", CASES)
def test_irregular_series_is_reported_and_refused(code: str) -> None:
    slices = CASES[code](ct_series(VOXELS))

    findings = arranged(slices).findings
    assert [finding.code for finding in findings] == [code]
    assert findings[0].message.endswith(".")
    with pytest.raises(IrregularSeries) as refusal:
        built(slices)
    assert refusal.value.findings == findings


def test_stacks_of_several_echoes_are_told_from_duplicates() -> None:
    (finding,) = arranged(two_echoes(ct_series(VOXELS))).findings
    assert (finding.code, finding.values["stacks"]) == ("multi_stack", 2)


def test_gantry_tilt_is_reported_with_its_angle() -> None:
    angle = np.radians(20)
    tilted = (1.0, 0.0, 0.0, 0.0, float(np.cos(angle)), float(-np.sin(angle)))
    slices = ct_series(VOXELS, orientation=tilted, step_mm=(0, 0, 2))

    (finding,) = arranged(slices).findings
    assert finding.code == "tilt"
    assert finding.values["angle_deg"] == pytest.approx(20, abs=0.01)
    with pytest.raises(IrregularSeries, match="gantry tilt"):
        built(slices)


def test_jitter_within_five_percent_is_reported_and_stacked() -> None:
    volume = built(moved(5, (0, 0, 0.05))(ct_series(VOXELS)))
    assert [finding.code for finding in volume.findings] == ["jitter"]
    assert volume.image.spacing_mm[0] == pytest.approx(2.5)


def test_one_slice_sideways_is_not_uniform() -> None:
    (finding,) = arranged(moved(5, (3.0, 0, 0))(ct_series(VOXELS))).findings
    assert finding.code == "nonuniform"


def test_single_slice_takes_its_thickness_and_says_so() -> None:
    volume = built(ct_series(VOXELS[:1], thickness_mm=3.0))
    assert volume.image.spacing_mm[0] == pytest.approx(3.0)
    assert [finding.code for finding in volume.findings] == ["single_slice"]


@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
def test_image_without_place_in_space_is_refused(keyword: str) -> None:
    (item,) = ct_series(VOXELS[:1])
    delattr(item, keyword)
    with pytest.raises(UnsuitableObject):
        frames_of(item)


def test_rescale_that_is_not_whole_gives_float() -> None:
    slices = ct_series(VOXELS[:3], RescaleSlope="0.5", RescaleIntercept="-3.25")
    voxels = built(slices).image.voxels
    stored = np.clip(VOXELS[:3].astype(float) + 1024, 0, 4095)
    assert voxels.dtype == np.float32
    np.testing.assert_allclose(voxels, stored * 0.5 - 3.25)


def test_whole_slope_stays_exact_in_16_bits() -> None:
    slices = ct_series(VOXELS[:3], RescaleSlope="2", RescaleIntercept="-1024")
    voxels = built(slices).image.voxels
    assert voxels.dtype == np.int16
    np.testing.assert_array_equal(voxels, 2 * (VOXELS[:3].astype(int) + 1024) - 1024)


def test_empty_series_has_no_geometry() -> None:
    assert [finding.code for finding in arrange([]).findings] == ["no_geometry"]
    assert AXIAL == (1, 0, 0, 0, 1, 0)

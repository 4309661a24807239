"""Stacks are told apart, and an irregular one is evened out only where that invents nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from pydicom.dataset import Dataset

from racoon.standards.dicom.pixels import decode_frame
from racoon.standards.dicom.resampling import resample_volume, stacks_of
from racoon.standards.dicom.stack import IrregularSeries, arrange
from racoon.standards.dicom.volume import Frame, Volume, frames_of
from tests.dicom_objects import ct_series, ct_slice
from tests.unit.standards.dicom.test_volume import CASES, VOXELS, two_echoes, two_stacks_apart


def frames(slices: Sequence[Dataset]) -> list[Frame]:
    return [frame for item in slices for frame in frames_of(item)]


def resampled(slices: Sequence[Dataset]) -> Volume:
    by_uid = {str(item.SOPInstanceUID): item for item in slices}

    def pixels(frame: Frame) -> npt.NDArray[np.generic]:
        return decode_frame(by_uid[frame.sop_instance_uid], frame.number - 1)

    return resample_volume(arrange(frames(slices)), pixels)


def linear(world_mm: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A field whose values are whole numbers on no grid in particular."""
    return np.asarray(200 + world_mm @ np.array([3.0, -2.0, 5.0]))


def painted(slices: list[Dataset]) -> list[Dataset]:
    """Give every pixel the value of the field at its place."""
    for item in slices:
        (frame,) = frames_of(item)
        row, column = np.mgrid[: frame.rows, : frame.columns]
        world = (
            np.array(frame.position_mm)
            + row[..., None] * frame.pixel_spacing_mm[0] * np.array(frame.orientation[3:])
            + column[..., None] * frame.pixel_spacing_mm[1] * np.array(frame.orientation[:3])
        )
        item.PixelData = np.rint(linear(world) + 1024).astype("<u2").tobytes()
    return slices


def assert_shows_the_field(volume: Volume, fill: float) -> None:
    index = np.indices(volume.image.shape).reshape(3, -1).T
    world = (np.c_[index, np.ones(len(index))] @ volume.image.affine.T)[:, :3]
    found = volume.image.voxels.reshape(-1)
    covered = found != np.float32(fill)
    assert covered.mean() > 0.25
    np.testing.assert_allclose(found[covered], linear(world)[covered], atol=2.0)


def tilted() -> list[Dataset]:
    angle = np.radians(20)
    orientation = (1.0, 0.0, 0.0, 0.0, float(np.cos(angle)), float(-np.sin(angle)))
    return ct_series(VOXELS[:, :, :], orientation=orientation, step_mm=(0, 0, 2))


@pytest.mark.parametrize(
    ("slices", "code"),
    [
        pytest.param(tilted(), "tilt", id="tilt"),
        pytest.param(CASES["nonuniform"](ct_series(VOXELS)), "nonuniform", id="nonuniform"),
        pytest.param(CASES["missing"](ct_series(VOXELS)), "missing", id="missing"),
    ],
)
def test_irregular_stack_shows_the_same_world_after_resampling(slices: list[Dataset], code: str) -> None:
    volume = resampled(painted(slices))
    assert [finding.code.value for finding in volume.findings] == [code, "resampled"]
    assert_shows_the_field(volume, volume.findings[-1].values["fill_value"])
    assert not any(finding.forbids_stack for finding in volume.findings[1:])
    axes = volume.image.affine[:3, :3] / np.linalg.norm(volume.image.affine[:3, :3], axis=0)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-9)


def test_missing_slice_keeps_the_spacing() -> None:
    volume = resampled(painted(CASES["missing"](ct_series(VOXELS))))
    assert volume.image.shape == VOXELS.shape
    assert volume.image.spacing_mm[0] == pytest.approx(2.5)


def test_copy_is_left_out_and_another_picture_at_its_place_is_refused() -> None:
    slices = painted(ct_series(VOXELS))
    copy = painted([ct_slice(VOXELS[0], slices[4].ImagePositionPatient, number=99)])
    values = resampled(slices + copy).findings[-1].values
    assert (values["copies_left_out"], values["slices_after"]) == (1, 20)
    copy[0].PixelData = bytes(len(copy[0].PixelData))
    with pytest.raises(IrregularSeries):
        resampled(slices + copy)


@pytest.mark.parametrize("code", ["multi_stack", "mixed_orientation", "mixed_size", "mixed_spacing"])
def test_planes_that_do_not_belong_together_are_never_interpolated(code: str) -> None:
    with pytest.raises(IrregularSeries):
        resampled(CASES[code](ct_series(VOXELS)))


def test_stacks_are_told_apart() -> None:
    assert [len(stack.frames) for stack in stacks_of(frames(ct_series(VOXELS)))] == [20]
    for slices, sizes in (
        (two_echoes(ct_series(VOXELS)), [20, 20]),
        (two_stacks_apart(ct_series(VOXELS)), [10, 10]),
        (CASES["mixed_orientation"](ct_series(VOXELS)), [20, 1]),
    ):
        stacks = stacks_of(frames(slices))
        assert [len(stack.frames) for stack in stacks] == sizes
        assert all(stack.is_regular for stack in stacks)


def test_repeated_slice_is_no_second_stack() -> None:
    (only,) = stacks_of(frames(CASES["duplicate"](ct_series(VOXELS))))
    assert [finding.code.value for finding in only.findings] == ["duplicate"]


def test_nothing_is_one_empty_stack() -> None:
    assert [len(stack.frames) for stack in stacks_of([])] == [0]

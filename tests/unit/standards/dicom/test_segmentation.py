"""Segmentations land on the exact voxels of their source, or are refused."""

from __future__ import annotations

import highdicom as hd
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from racoon.standards.dicom.segmentation import (
    SegmentationMismatch,
    SourceGrid,
    UnsupportedSegmentation,
    read_masks,
    segments_of,
)
from racoon.standards.dicom.volume import arrange, frames_of
from tests.dicom_objects import ct_series, segmentation

LUNG, LIVER = ("39607008", "SCT", "Lung"), ("10200004", "SCT", "Liver")


def grid_of(slices: list) -> SourceGrid:
    return SourceGrid.of_arrangement(arrange(frame for item in slices for frame in frames_of(item)))


def random_masks(seed: int, shape: tuple[int, int, int], segments: int) -> npt.NDArray[np.bool_]:
    rng = np.random.default_rng(seed)
    masks = rng.random((*shape, segments)) < 0.3
    masks[rng.integers(shape[0])] = False  # an empty slice, which writers leave out
    masks[0, 0, 0, :] = True  # overlap
    return masks


@given(
    seed=st.integers(0, 10_000),
    # Frames of at least 8 pixels: highdicom 0.28 pads smaller ones to a byte, against PS3.5 section 8.1.1.
    shape=st.tuples(st.integers(2, 5), st.integers(3, 9), st.integers(3, 9)),
    angles=st.tuples(*[st.floats(-1.0, 1.0)] * 3),
    omit=st.booleans(),
)
def test_binary_masks_survive_the_round_trip(
    seed: int, shape: tuple[int, int, int], angles: tuple[float, float, float], omit: bool
) -> None:
    turn = Rotation.from_euler("xyz", angles).as_matrix()
    slices = ct_series(
        np.zeros(shape, np.int16),
        orientation=[*turn[:, 0], *turn[:, 1]],
        spacing_mm=(0.6, 1.7),
        slice_spacing_mm=4.0,
    )
    masks = random_masks(seed, shape, 2)
    seg = segmentation(slices, masks, [LUNG, LIVER], omit_empty_frames=omit)

    read = list(read_masks(seg, grid_of(slices[::-1])))

    assert [segment.label.key for segment, _ in read] == ["SCT:39607008", "SCT:10200004"]
    for index, (_, found) in enumerate(read):
        np.testing.assert_array_equal(found, masks[..., index])


@given(seed=st.integers(0, 10_000))
def test_label_map_survives_the_round_trip(seed: int) -> None:
    slices = ct_series(np.zeros((4, 7, 5), np.int16))
    labels = np.random.default_rng(seed).integers(0, 3, (4, 7, 5)).astype(np.uint8)
    labels[0, 0, :2] = 1, 2
    seg = segmentation(slices, labels, [LUNG, LIVER], kind="LABELMAP")

    for number, (segment, found) in enumerate(read_masks(seg, grid_of(slices)), start=1):
        assert segment.number == number
        np.testing.assert_array_equal(found, labels == number)


def test_segment_says_who_drew_it() -> None:
    slices = ct_series(np.zeros((2, 4, 4), np.int16))
    (segment,) = segments_of(segmentation(slices, np.ones((2, 4, 4, 1), np.bool_), [LUNG]))
    assert (segment.algorithm_type, segment.algorithm_name, segment.name) == ("MANUAL", "", "Lung")


def test_mask_on_a_shifted_grid_is_refused() -> None:
    slices = ct_series(np.zeros((3, 4, 4), np.int16))
    seg = segmentation(slices, np.ones((3, 4, 4, 1), np.bool_), [LUNG])
    other = ct_series(np.zeros((3, 4, 4), np.int16), origin_mm=(-20.3, -30.0, 100.0))
    with pytest.raises(SegmentationMismatch, match="between the voxels"):
        list(read_masks(seg, grid_of(other)))


def test_mask_with_another_spacing_is_refused() -> None:
    slices = ct_series(np.zeros((3, 4, 4), np.int16))
    seg = segmentation(slices, np.ones((3, 4, 4, 1), np.bool_), [LUNG])
    other = ct_series(np.zeros((3, 4, 4), np.int16), spacing_mm=(0.4, 0.35))
    with pytest.raises(SegmentationMismatch, match="another grid"):
        list(read_masks(seg, grid_of(other)))


def test_mask_beyond_its_source_is_refused() -> None:
    slices = ct_series(np.zeros((5, 4, 4), np.int16))
    seg = segmentation(slices, np.ones((5, 4, 4, 1), np.bool_), [LUNG])
    with pytest.raises(SegmentationMismatch, match="beyond"):
        list(read_masks(seg, grid_of(slices[:3])))


def test_cropped_mask_lands_at_its_offset() -> None:
    slices = ct_series(np.zeros((3, 9, 8), np.int16))
    masks = np.zeros((3, 9, 8, 1), np.bool_)
    masks[1, 4:7, 2:6, 0] = True
    inner = hd.get_volume_from_series(slices)[:, 3:8, 1:7]
    seg = segmentation(
        slices,
        masks[:, 3:8, 1:7],
        [LUNG],
        plane_positions=inner.get_plane_positions(),
        plane_orientation=inner.get_plane_orientation(),
        pixel_measures=inner.get_pixel_measures(),
    )
    ((_, found),) = read_masks(seg, grid_of(slices))
    np.testing.assert_array_equal(found, masks[..., 0])


def test_fractional_segmentation_is_refused() -> None:
    slices = ct_series(np.zeros((2, 4, 4), np.int16))
    seg = segmentation(
        slices,
        np.full((2, 4, 4, 1), 0.5),
        [LUNG],
        kind="FRACTIONAL",
        fractional_type=hd.seg.SegmentationFractionalTypeValues.PROBABILITY,
    )
    with pytest.raises(UnsupportedSegmentation):
        list(read_masks(seg, grid_of(slices)))

"""DICOM SEG (PS3.3 A.51, C.8.20) read onto the exact grid of the series it was drawn on.

BINARY and LABELMAP segmentations; frames that were left out because they are empty stay empty, segments may
overlap, and a SEG that lies on another grid than its source is refused, never resampled in silence.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from racoon.domain.coding import Code
from racoon.errors import Defect
from racoon.standards.dicom.colour import colour_of
from racoon.standards.dicom.pixels import decode_frame, frame_count, transfer_syntax_of
from racoon.standards.dicom.plane import Frame
from racoon.standards.dicom.volume import Arrangement, Volume

GRID_TOLERANCE_VOXELS = 0.1
"""A frame may miss the grid by a tenth of a voxel: writers round positions to 16 characters, resampling
misses by more."""


class SegmentationMismatch(Defect):
    """A segmentation that is not on the grid of its source series."""

    code = "segmentation.mismatch"


class UnsupportedSegmentation(Defect):
    """A segmentation of a type that has no exact mask, or that contradicts itself."""

    code = "segmentation.unsupported"


@dataclass(frozen=True)
class Segment:
    """One segment's description.

    Parameters
    ----------
    number
        Segment Number (0062,0004).
    label
        Segmented Property Type as code; without one, the Segment Label as the meaning of an empty code.
    name
        Segment Label (0062,0005).
    algorithm_type
        ``MANUAL``, ``SEMIAUTOMATIC`` or ``AUTOMATIC``.
    algorithm_name
        Name of the algorithm, empty for manual work.
    tracking_uid
        Tracking UID, or empty.
    colour
        Recommended Display CIELab Value (0062,000D) as ``#rrggbb``, or empty.
    """

    number: int
    label: Code
    name: str = ""
    algorithm_type: str = ""
    algorithm_name: str = ""
    tracking_uid: str = ""
    colour: str = ""


@dataclass(frozen=True, eq=False)
class SourceGrid:
    """The grid of the source series.

    Parameters
    ----------
    affine
        4x4, (slice, row, column, 1) to LPS mm.
    shape
        Number of (slices, rows, columns).
    slices
        Slice index by (SOP Instance UID, frame number).
    planes
        The slices themselves where they form no even grid; a frame is then looked for among them by its place.
    """

    affine: npt.NDArray[np.float64]
    shape: tuple[int, int, int]
    slices: Mapping[tuple[str, int], int]
    planes: tuple[Frame, ...] = ()

    @classmethod
    def of_planes(cls, frames: Sequence[Frame]) -> SourceGrid:
        """Planes of one size and direction at any heights; each mask frame has to lie on one of them."""
        first = frames[0]
        affine = np.eye(4)
        affine[:3, 0] = np.cross(first.orientation[:3], first.orientation[3:])
        affine[:3, 1] = np.asarray(first.orientation[3:]) * first.pixel_spacing_mm[0]
        affine[:3, 2] = np.asarray(first.orientation[:3]) * first.pixel_spacing_mm[1]
        affine[:3, 3] = first.position_mm
        keys = {(frame.sop_instance_uid, frame.number): index for index, frame in enumerate(frames)}
        return cls(affine, (len(frames), first.rows, first.columns), keys, tuple(frames))

    @classmethod
    def of_volume(cls, volume: Volume) -> SourceGrid:
        """Grid of a loaded volume."""
        keys = zip(volume.instance_uids, volume.frame_numbers, strict=True)
        return cls(volume.image.affine, volume.image.shape, {key: index for index, key in enumerate(keys)})

    @classmethod
    def of_arrangement(cls, arrangement: Arrangement) -> SourceGrid:
        """Grid of a regular stack whose pixels were not loaded."""
        if arrangement.affine is None:
            raise SegmentationMismatch("The source series is not one regular volume.")
        frames = arrangement.frames
        keys = {(frame.sop_instance_uid, frame.number): index for index, frame in enumerate(frames)}
        return cls(arrangement.affine, (len(frames), frames[0].rows, frames[0].columns), keys)


@dataclass(frozen=True)
class _Placement:
    """Where a SEG frame lies: index of its first voxel and the index steps of its rows and columns."""

    origin: tuple[int, int, int]
    row_step: tuple[int, int, int]
    column_step: tuple[int, int, int]


def segments_of(dataset: Dataset) -> tuple[Segment, ...]:
    """Read the segment descriptions, in order of segment number; the background of a label map is left
    out.
    """
    segments = []
    for item in dataset.get("SegmentSequence") or ():
        number = int(item.SegmentNumber)
        if number == 0:
            continue
        name = str(item.get("SegmentLabel") or "")
        segments.append(
            Segment(
                number=number,
                label=_type_code(item, name),
                name=name,
                algorithm_type=str(item.get("SegmentAlgorithmType") or ""),
                algorithm_name=_algorithm_name(item),
                tracking_uid=str(item.get("TrackingUID") or ""),
                colour=_colour(item),
            )
        )
    return tuple(sorted(segments, key=lambda segment: segment.number))


def _colour(item: Dataset) -> str:
    lab = item.get("RecommendedDisplayCIELabValue")
    return colour_of([int(value) for value in lab]) if lab is not None and len(lab) == 3 else ""


def _type_code(item: Dataset, name: str) -> Code:
    codes = item.get("SegmentedPropertyTypeCodeSequence") or ()
    if not codes:
        return Code("", "", name)
    code = codes[0]
    value = str(code.get("CodeValue") or code.get("LongCodeValue") or code.get("URNCodeValue") or "")
    return Code(value, str(code.get("CodingSchemeDesignator") or ""), str(code.get("CodeMeaning") or ""))


def _algorithm_name(item: Dataset) -> str:
    name = str(item.get("SegmentAlgorithmName") or "")
    if not name and item.get("SegmentationAlgorithmIdentificationSequence"):
        name = str(item.SegmentationAlgorithmIdentificationSequence[0].get("AlgorithmName") or "")
    return name


def read_masks(
    dataset: Dataset, grid: SourceGrid, numbers: Sequence[int] | None = None
) -> Iterator[tuple[Segment, npt.NDArray[np.bool_]]]:
    """Yield each segment with its mask on the source grid, one at a time.

    Parameters
    ----------
    dataset
        SEG object with pixel data and file meta.
    grid
        Grid of the source series.
    numbers
        Only these segment numbers, or all.

    Yields
    ------
    tuple
        Segment and boolean array (slice, row, column) of the grid's shape; all False when it has no frames.

    Raises
    ------
    SegmentationMismatch
        If a frame does not lie on the grid.
    UnsupportedSegmentation
        If the segmentation is FRACTIONAL or inconsistent.
    """
    kind = str(dataset.get("SegmentationType") or "")
    wanted = [segment for segment in segments_of(dataset) if numbers is None or segment.number in numbers]
    if kind == "LABELMAP":
        yield from _read_label_map(dataset, grid, wanted)
    elif kind == "BINARY":
        yield from _read_binary(dataset, grid, wanted)
    else:
        raise UnsupportedSegmentation(
            "Only binary and label map segmentations have an exact mask.", details={"type": kind}
        )


def _read_binary(
    dataset: Dataset, grid: SourceGrid, wanted: Sequence[Segment]
) -> Iterator[tuple[Segment, npt.NDArray[np.bool_]]]:
    placer = _Placer(dataset, grid)
    frames: dict[int, list[int]] = defaultdict(list)
    for index, item in enumerate(placer.items):
        group = item.get("SegmentIdentificationSequence") or placer.shared.get(
            "SegmentIdentificationSequence"
        )
        if not group:
            raise UnsupportedSegmentation("A frame does not say which segment it belongs to.")
        frames[int(group[0].ReferencedSegmentNumber)].append(index)
    bits = _Bits(dataset)
    for segment in wanted:
        mask = np.zeros(grid.shape, np.bool_)
        for index in frames.get(segment.number, ()):
            _paste(mask, bits.frame(index), placer.place(index))
        yield segment, mask


def _read_label_map(
    dataset: Dataset, grid: SourceGrid, wanted: Sequence[Segment]
) -> Iterator[tuple[Segment, npt.NDArray[np.bool_]]]:
    placer = _Placer(dataset, grid)
    labels = np.zeros(grid.shape, np.uint16)
    for index in range(len(placer.items)):
        _paste(labels, decode_frame(dataset, index), placer.place(index))
    for segment in wanted:
        yield segment, labels == segment.number


class _Bits:
    """Frames of a BINARY segmentation: bits packed least significant first, without padding between
    frames.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._pixels = int(dataset.Rows) * int(dataset.Columns)
        self._is_packed = int(dataset.BitsAllocated) == 1 and not (
            transfer_syntax_of(dataset).is_compressed and not transfer_syntax_of(dataset).is_deflated
        )
        if self._is_packed:
            self._packed = np.frombuffer(dataset.PixelData, np.uint8)
            if self._packed.size * 8 < self._pixels * frame_count(dataset):
                raise UnsupportedSegmentation("The pixel data end too early; the file was cut off.")

    def frame(self, index: int) -> npt.NDArray[np.bool_]:
        """Return one frame as a boolean array (row, column)."""
        shape = int(self._dataset.Rows), int(self._dataset.Columns)
        if not self._is_packed:
            return decode_frame(self._dataset, index).astype(np.bool_)
        start, stop = index * self._pixels, (index + 1) * self._pixels
        unpacked = np.unpackbits(self._packed[start // 8 : (stop + 7) // 8], bitorder="little")
        return unpacked[start % 8 : start % 8 + self._pixels].view(np.bool_).reshape(shape)


class _Placer:
    """Finds where each frame lies on the source grid."""

    def __init__(self, dataset: Dataset, grid: SourceGrid) -> None:
        self._grid = grid
        self._inverse = np.linalg.inv(grid.affine)
        self._size = int(dataset.Rows), int(dataset.Columns)
        self.shared: Dataset = (dataset.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
        self.items: list[Dataset] = list(dataset.get("PerFrameFunctionalGroupsSequence") or ())
        if len(self.items) != frame_count(dataset):
            raise UnsupportedSegmentation("The number of frames contradicts the frame descriptions.")

    def place(self, index: int) -> _Placement:
        """Return where a frame lies."""
        item = self.items[index]
        by_reference = self._referenced_slice(item)
        position = self._group(item, "PlanePositionSequence").get("ImagePositionPatient")
        if self._grid.planes:
            return self._place_on_plane(item, by_reference, position)
        if not position:
            if by_reference is None or self._size != self._grid.shape[1:]:
                raise SegmentationMismatch("A segmentation frame does not say where it lies.")
            return _Placement((by_reference, 0, 0), (0, 1, 0), (0, 0, 1))
        row_step, column_step = self._steps(item)
        corner = self._inverse @ np.array([*map(float, position), 1.0])
        origin = np.rint(corner[:3]).astype(int)
        off = np.abs(corner[:3] - origin)
        if by_reference is not None and row_step[0] == column_step[0] == 0:
            if abs(corner[0] - by_reference) > 0.5:
                raise SegmentationMismatch(
                    "A segmentation frame lies elsewhere than the image it refers to.",
                    details={"off_slices": round(float(corner[0] - by_reference), 3)},
                )
            # Along the slices the reference is exact, also where positions jitter within the tolerated few
            # per cent.
            origin[0], off[0] = by_reference, 0.0
        if float(off.max()) > GRID_TOLERANCE_VOXELS:
            raise SegmentationMismatch(
                "The segmentation lies between the voxels of its source series.",
                details={"off_voxels": round(float(off.max()), 3)},
            )
        return _Placement((int(origin[0]), int(origin[1]), int(origin[2])), row_step, column_step)

    def _place_on_plane(
        self, item: Dataset, by_reference: int | None, position: Sequence[float] | None
    ) -> _Placement:
        if self._size != self._grid.shape[1:]:
            raise SegmentationMismatch("The segmentation has another size than its source series.")
        if not position:
            if by_reference is None:
                raise SegmentationMismatch("A segmentation frame does not say where it lies.")
            return _Placement((by_reference, 0, 0), (0, 1, 0), (0, 0, 1))
        places = np.array([frame.position_mm for frame in self._grid.planes], dtype=np.float64)
        distances = np.linalg.norm(places - np.array([float(value) for value in position]), axis=1)
        index = int(distances.argmin())
        if distances[index] > GRID_TOLERANCE_VOXELS * min(self._grid.planes[0].pixel_spacing_mm):
            raise SegmentationMismatch(
                "The segmentation lies between the voxels of its source series.",
                details={"off_mm": round(float(distances[index]), 3)},
            )
        if self._steps(item) != ((0, 1, 0), (0, 0, 1)):
            raise SegmentationMismatch("The segmentation is turned against its source series.")
        return _Placement((index, 0, 0), (0, 1, 0), (0, 0, 1))

    def _group(self, item: Dataset, name: str) -> Dataset:
        found = item.get(name) or self.shared.get(name)
        return found[0] if found else Dataset()

    def _referenced_slice(self, item: Dataset) -> int | None:
        found = set()
        for derivation in item.get("DerivationImageSequence") or ():
            for source in derivation.get("SourceImageSequence") or ():
                number = source.get("ReferencedFrameNumber") or 1
                numbers = [number] if isinstance(number, (int, str)) else list(number)
                found |= {(str(source.get("ReferencedSOPInstanceUID")), int(value)) for value in numbers}
        slices = {self._grid.slices[key] for key in found if key in self._grid.slices}
        # Some writers name every source image at every frame; such a reference says nothing.
        return slices.pop() if len(slices) == 1 and len(found) == 1 else None

    def _steps(self, item: Dataset) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        orientation = self._group(item, "PlaneOrientationSequence").get("ImageOrientationPatient")
        spacing = self._group(item, "PixelMeasuresSequence").get("PixelSpacing")
        if not orientation or not spacing:
            raise SegmentationMismatch("A segmentation frame does not say how it lies in space.")
        directions = np.asarray([float(value) for value in orientation])
        linear = self._inverse[:3, :3]
        down = linear @ (directions[3:] * float(spacing[0]))
        right = linear @ (directions[:3] * float(spacing[1]))
        return _lattice_step(down, self._size[0]), _lattice_step(right, self._size[1])


def _lattice_step(step: npt.NDArray[np.float64], count: int) -> tuple[int, int, int]:
    """Round a step between neighbouring SEG pixels to one step of the source grid, if it is one."""
    whole = np.rint(step).astype(int)
    # The error grows along the row, so it is judged at its end.
    drift = float(np.abs(step - whole).max()) * max(count - 1, 1)
    if int(np.abs(whole).sum()) != 1 or drift > 0.5:
        raise SegmentationMismatch(
            "The segmentation has another grid (spacing or orientation) than its source series.",
            details={"step": [round(float(value), 4) for value in step]},
        )
    return int(whole[0]), int(whole[1]), int(whole[2])


def _paste(target: npt.NDArray[np.generic], frame: npt.NDArray[np.generic], placement: _Placement) -> None:
    """Write a frame into the volume; what is set may not lie outside, and never erases what is set."""
    slices, rows, columns = target.shape
    k, r, c = placement.origin
    if (
        placement.row_step == (0, 1, 0)
        and placement.column_step == (0, 0, 1)
        and (r, c) == (0, 0)
        and frame.shape == (rows, columns)
        and 0 <= k < slices
    ):
        np.maximum(target[k], frame, out=target[k], casting="unsafe")
        return
    set_rows, set_columns = np.nonzero(frame)
    index = (
        np.asarray(placement.origin)[:, None]
        + np.asarray(placement.row_step)[:, None] * set_rows
        + np.asarray(placement.column_step)[:, None] * set_columns
    )
    if index.size and (index.min() < 0 or (index.max(axis=1) >= target.shape).any()):
        raise SegmentationMismatch("The segmentation reaches beyond its source series.")
    target[index[0], index[1], index[2]] = frame[set_rows, set_columns]

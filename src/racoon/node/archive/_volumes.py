"""Reads objects into volumes and masks; the geometry itself is in ``standards.dicom``."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset

from racoon.node.archive.model import InstanceRow
from racoon.science.image import Mask
from racoon.standards.dicom.pixels import decode_frame
from racoon.standards.dicom.plane import PLANE_KEYWORDS
from racoon.standards.dicom.resampling import plan_resampling, resample_mask, resample_volume
from racoon.standards.dicom.segmentation import SourceGrid, read_masks
from racoon.standards.dicom.volume import (
    Arrangement,
    Frame,
    IrregularSeries,
    Volume,
    arrange,
    build_volume,
    frames_of,
    stored_range_of,
)


@dataclass(frozen=True, eq=False)
class SegmentationMask:
    """One segment on the grid of its source series, and who drew it.

    Parameters
    ----------
    mask
        Voxels, affine and label.
    seg_instance_uid
        SOP Instance UID of the SEG object.
    segment_number
        Number of the segment in that object.
    algorithm_type
        ``MANUAL``, ``SEMIAUTOMATIC`` or ``AUTOMATIC``.
    algorithm_name
        Name of the algorithm, empty for manual work.
    name
        Segment label as written by its author.
    """

    mask: Mask
    seg_instance_uid: str
    segment_number: int
    algorithm_type: str
    algorithm_name: str
    name: str = ""


class VolumeLoader:
    """Loads volumes and masks.

    Parameters
    ----------
    read
        Returns the file of an instance.
    open_stream
        Opens the file of an instance; headers are read without touching the pixels.
    """

    def __init__(
        self, read: Callable[[InstanceRow], bytes], open_stream: Callable[[InstanceRow], BinaryIO]
    ) -> None:
        self._read = read
        self._open = open_stream

    def arrange(self, rows: Sequence[InstanceRow]) -> Arrangement:
        """Read the headers of a series and sort its planes."""
        return self._arrange(rows)[0]

    def load_volume(self, rows: Sequence[InstanceRow], *, resample: bool = False) -> Volume:
        """Read a series into one array, one object in memory at a time."""
        arrangement, stored_range = self._arrange(rows)
        if arrangement.is_regular:
            return build_volume(arrangement, stored_range, self._loader_of(rows))
        if not resample:
            raise IrregularSeries(arrangement.findings)
        return resample_volume(arrangement, self._loader_of(rows))

    def _loader_of(self, rows: Sequence[InstanceRow]) -> Callable[[Frame], npt.NDArray[np.generic]]:
        by_uid = {row.sop_instance_uid: row for row in rows}
        # A multi-frame object is asked for once per frame; the last one read stays open.
        recent: dict[str, Dataset] = {}

        def load_pixels(frame: Frame) -> npt.NDArray[np.generic]:
            dataset = recent.get(frame.sop_instance_uid)
            if dataset is None:
                recent.clear()
                dataset = read_whole(self._read(by_uid[frame.sop_instance_uid]))
                recent[frame.sop_instance_uid] = dataset
            return decode_frame(dataset, frame.number - 1)

        return load_pixels

    def iterate_resampled_masks(
        self, segmentations: Sequence[InstanceRow], rows: Sequence[InstanceRow], volume: Volume
    ) -> Iterator[SegmentationMask]:
        """Yield every segment drawn on an irregular series, on the grid to which the series was interpolated."""
        if not segmentations:
            return
        plan = plan_resampling(self._arrange(rows)[0], self._loader_of(rows))
        yield from self._masks_on(
            segmentations,
            SourceGrid.of_planes(plan.frames),
            volume.image.affine,
            lambda planes: resample_mask(plan, planes),
        )

    def iterate_masks(
        self, segmentations: Sequence[InstanceRow], source: Volume | Arrangement
    ) -> Iterator[SegmentationMask]:
        """Yield every segment of some SEG objects on the source grid."""
        if not segmentations:
            return
        if isinstance(source, Arrangement):
            if not source.is_regular:
                raise IrregularSeries(source.findings)
            grid = SourceGrid.of_arrangement(source)
        else:
            grid = SourceGrid.of_volume(source)
        yield from self._masks_on(segmentations, grid, grid.affine, lambda voxels: voxels)

    def _masks_on(
        self,
        segmentations: Sequence[InstanceRow],
        grid: SourceGrid,
        affine: npt.NDArray[np.float64],
        bring: Callable[[npt.NDArray[np.bool_]], npt.NDArray[np.bool_]],
    ) -> Iterator[SegmentationMask]:
        for row in segmentations:
            for segment, voxels in read_masks(read_whole(self._read(row)), grid):
                yield SegmentationMask(
                    mask=Mask(bring(voxels), affine, segment.label),
                    seg_instance_uid=row.sop_instance_uid,
                    segment_number=segment.number,
                    algorithm_type=segment.algorithm_type,
                    algorithm_name=segment.algorithm_name,
                    name=segment.name,
                )

    def _arrange(self, rows: Sequence[InstanceRow]) -> tuple[Arrangement, tuple[int, int] | None]:
        frames: list[Frame] = []
        ranges: set[tuple[int, int] | None] = set()
        for row in rows:
            with self._open(row) as stream:
                header = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=list(PLANE_KEYWORDS))
            frames += frames_of(header)
            ranges.add(stored_range_of(header))
        known = [found for found in ranges if found is not None]
        widest = (min(low for low, _ in known), max(high for _, high in known)) if known else None
        return arrange(frames), None if None in ranges else widest


def read_whole(data: bytes) -> Dataset:
    """Read a file with its pixel data."""
    return pydicom.dcmread(io.BytesIO(data))

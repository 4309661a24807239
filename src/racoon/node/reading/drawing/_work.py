"""The grid of a drawing, masks on it, and what the node does to them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt
import pydicom

from racoon.domain.labels import Label
from racoon.node.archive.model import SeriesNotFound
from racoon.node.archive.service import Archive
from racoon.node.reading.drawing.model import BadDrawing, DrawnSegment, NoGrid, SliceChange, Wish
from racoon.node.reading.model import SeriesView, mask_of_runs, runs_of
from racoon.node.reading.scaling import scale_of
from racoon.node.reading.structures import iterate_structures
from racoon.science.image import spacing_of
from racoon.science.segmentation import fill_between, grow_region, smooth, with_margin, without_islands
from racoon.standards.dicom.rendering import output_values
from racoon.standards.dicom.volume import Arrangement

Volume = npt.NDArray[np.bool_]

LONGEST_MM = 100.0
"""More than this of smoothing, margin or reach is a slip of the hand."""


@dataclass(frozen=True, eq=False)
class Canvas:
    """The regular grid that is drawn on.

    Parameters
    ----------
    series_uid
        Whose grid it is.
    places
        SOP Instance UID and frame of each slice.
    affine
        4x4, (slice, row, column, 1) to LPS mm.
    """

    series_uid: str
    places: tuple[tuple[str, int], ...]
    shape: tuple[int, int, int]
    affine: npt.NDArray[np.float64]
    arrangement: Arrangement

    @classmethod
    def of(cls, archive: Archive, view: SeriesView) -> Canvas:
        """Open the grid of a series.

        Raises
        ------
        NoGrid
        """
        if not view.has_overlays:
            raise NoGrid("The pictures of this series form no regular grid, so it cannot carry a mask.")
        arrangement = archive.arrange(view.series_uid)
        assert arrangement.affine is not None
        places = tuple((plane.sop_instance_uid, plane.frame) for plane in view.planes)
        return cls(
            view.series_uid, places, (len(places), view.rows, view.columns), arrangement.affine, arrangement
        )

    @staticmethod
    def voxel_ml(archive: Archive, series_uid: str) -> float:
        """Volume of a voxel of a series in ml, 0 where its pictures form no regular grid."""
        affine = archive.arrange(series_uid).affine
        return abs(float(np.linalg.det(affine[:3, :3]))) / 1000.0 if affine is not None else 0.0

    def mask(self, rows: Iterable[tuple[int, tuple[str, int], list[int]]]) -> Volume:
        """Build the mask of stored slices."""
        at = {place: index for index, place in enumerate(self.places)}
        mask = np.zeros(self.shape, np.bool_)
        for _, place, runs in rows:
            if place in at:
                mask[at[place]] = mask_of_runs(runs, self.shape[1:])
        return mask

    def changes(self, segment: int, mask: Volume, before: Volume | None = None) -> list[SliceChange]:
        """List the slices on which a mask differs from what was there, empty by default."""
        differs = mask if before is None else mask != before
        return [
            SliceChange(segment, int(index), tuple(runs_of(mask[index])))
            for index in np.flatnonzero(differs.any(axis=(1, 2)))
        ]


def adopt(archive: Archive, canvas: Canvas, sop_instance_uid: str) -> list[tuple[DrawnSegment, Volume]]:
    """Read the segments of a stored segmentation, or the regions of contours, of the canvas's series."""
    taken = []
    both = (
        archive.iterate_masks(canvas.series_uid, canvas.arrangement),
        iterate_structures(archive, canvas.series_uid, canvas.arrangement),
    )
    for found in chain.from_iterable(both):
        if found.seg_instance_uid != sop_instance_uid:
            continue
        segment = DrawnSegment(
            0,
            Label(found.mask.label, colour=""),
            origin=f"{found.seg_instance_uid}:{found.segment_number}",
            algorithm=found.algorithm_name,
        )
        taken.append((segment, found.mask.voxels))
    if not taken:
        raise SeriesNotFound("There is no such segmentation of this series.")
    return taken


def work(archive: Archive, canvas: Canvas, wish: Wish, masks: Mapping[int, Volume]) -> Volume:
    """Do what was wished for to a segment.

    Parameters
    ----------
    masks
        The segment itself and the other one, by number.

    Raises
    ------
    BadDrawing
    """
    mask = masks[wish.segment]
    spacing = spacing_of(canvas.affine)
    if not np.isfinite(wish.amount) or abs(wish.amount) > LONGEST_MM:
        raise BadDrawing("The amount is too large.")
    match wish.operation:
        case "grow":
            return mask | _grown(archive, canvas, wish)
        case "fill-between":
            return fill_between(mask, spacing)
        case "smooth":
            return smooth(mask, spacing, max(wish.amount, 0.0))
        case "margin":
            return with_margin(mask, spacing, wish.amount)
        case "islands":
            voxel_ml = abs(float(np.linalg.det(canvas.affine[:3, :3]))) / 1000.0
            return without_islands(mask, voxel_ml, wish.amount if wish.amount > 0 else np.inf)
        case "clear":
            return np.zeros_like(mask)
        case _:
            return _combined(wish, masks)


def _combined(wish: Wish, masks: Mapping[int, Volume]) -> Volume:
    if wish.other not in masks or wish.other == wish.segment:
        raise BadDrawing("Choose a second segment.")
    mask, other = masks[wish.segment], masks[wish.other]
    if wish.operation == "add":
        return mask | other
    return mask & ~other if wish.operation == "subtract" else mask & other


def _grown(archive: Archive, canvas: Canvas, wish: Wish) -> Volume:
    """Grow from the seed, at most as far as the reach; only those slices and pixels are read."""
    slices, rows, columns = canvas.shape
    if not all(0 <= value < size for value, size in zip(wish.seed, canvas.shape, strict=True)):
        raise BadDrawing("The point lies outside the image.")
    steps = spacing_of(canvas.affine)
    reach = [max(1, int(np.ceil(max(wish.amount, 1.0) / step))) for step in steps]
    low = [max(0, value - by) for value, by in zip(wish.seed, reach, strict=True)]
    high = [
        min(size, value + by + 1)
        for value, by, size in zip(wish.seed, reach, (slices, rows, columns), strict=True)
    ]
    values = np.stack(
        [
            _values(archive, *canvas.places[index])[low[1] : high[1], low[2] : high[2]]
            for index in range(low[0], high[0])
        ]
    )
    seed = [value - start for value, start in zip(wish.seed, low, strict=True)]
    # The range is in what the reader sees: SUV for uptake.
    modality = archive.series_row(canvas.series_uid).facts.modality
    factor = scale_of(archive, canvas.series_uid, modality).factor
    if factor != 1.0:
        values = values.astype(np.float64) * factor
    grown = np.zeros(canvas.shape, np.bool_)
    grown[low[0] : high[0], low[1] : high[1], low[2] : high[2]] = grow_region(values, seed, *wish.range)
    return grown


def _values(archive: Archive, instance: str, frame: int) -> npt.NDArray[np.generic]:
    dataset = pydicom.dcmread(io.BytesIO(archive.read_object(archive.instance(instance))))
    if int(dataset.get("SamplesPerPixel", 1)) != 1:
        raise BadDrawing("A colour image has no values to grow through.")
    return output_values(dataset, frame - 1)

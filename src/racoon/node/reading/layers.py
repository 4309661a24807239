"""Images laid over an image in colour: uptake over CT or MR, parametric maps; on the slices of the image below.

Both lie in one frame of reference, so that no registration is guessed (PS3.3 C.7.4.1).  Values are interpolated
linearly here, by the same affines as every measurement; a browser only colours them.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from racoon.node.archive.model import InstanceRow, SeriesFacts, SeriesFilter, SeriesNotFound
from racoon.node.archive.service import Archive
from racoon.node.reading.scaling import PET, Scale, scale_of
from racoon.science.geometry import sample_at
from racoon.science.image import Image, spacing_of
from racoon.standards.dicom.volume import IrregularSeries, UnsuitableObject
from racoon.standards.dicomweb.dicom_json import first

PARAMETRIC_MAP = "1.2.840.10008.5.1.4.1.1.30"

REMEMBERED_VOLUMES = 2
"""A whole-body PET takes 60 MB as floats; a reader fuses one, and perhaps compares with a second."""


@dataclass(frozen=True)
class Layer:
    """What can be laid over a series.

    Parameters
    ----------
    lowest, highest
        Values that the colours begin and end with at first.
    unit
        UCUM, empty where none is known.
    """

    series_uid: str
    name: str
    lowest: float
    highest: float
    unit: str

    def to_dict(self) -> dict[str, object]:
        """Return the JSON form of the API."""
        return {
            "series": self.series_uid,
            "name": self.name,
            "lowest": self.lowest,
            "highest": self.highest,
            "unit": self.unit,
        }


class Layers:
    """Layers of the series of one archive."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._lock = threading.Lock()
        self._volumes: OrderedDict[tuple[str, int], Image] = OrderedDict()

    def below(self, series_uid: str) -> str | None:
        """Return the CT, else MR, that a PET or map is best laid over; None where there is none."""
        for modality in ("CT", "MR"):
            for facts in self._neighbours(series_uid):
                if facts.modality == modality and not self._is_map(facts.series_uid):
                    return facts.series_uid
        return None

    def over(self, series_uid: str) -> tuple[Layer, ...]:
        """List what can be laid over a series: PET and parametric maps in its frame of reference."""
        found = []
        for facts in self._neighbours(series_uid):
            if facts.modality == PET or self._is_map(facts.series_uid):
                scale = scale_of(self._archive, facts.series_uid, facts.modality)
                found.append(self._describe(facts, scale))
        return tuple(found)

    def sample(self, series_uid: str, layer_uid: str, index: int) -> npt.NDArray[np.float32]:
        """Return a layer's values over one slice of a series, NaN outside the layer.

        Parameters
        ----------
        index
            Slice, from 0.

        Returns
        -------
        numpy.ndarray
            (row, column): samples in the middle of equal cells that fill the slice edge to edge, about as fine as
            the layer's own voxels and never finer than the slice's.

        Raises
        ------
        SeriesNotFound
            If the layer does not belong over the series, or the slice is not there.
        """
        if layer_uid not in {layer.series_uid for layer in self.over(series_uid)}:
            raise SeriesNotFound("There is no such layer over this series.")
        frames = self._archive.arrange(series_uid).frames
        if not 0 <= index < len(frames):
            raise SeriesNotFound("There is no such slice in this series.")
        frame, image = frames[index], self.volume(layer_uid)
        finest = min(spacing_of(image.affine)[1:])
        size = (frame.rows, frame.columns)
        cells = [
            max(1, min(count, round(count * step / finest)))
            for count, step in zip(size, frame.pixel_spacing_mm, strict=True)
        ]
        row, column = (
            (np.arange(cell) + 0.5) * count / cell - 0.5 for count, cell in zip(size, cells, strict=True)
        )
        along_row, along_column = np.asarray(frame.orientation[:3]), np.asarray(frame.orientation[3:])
        points = (
            np.asarray(frame.position_mm)
            + (row * frame.pixel_spacing_mm[0])[:, None, None] * along_column
            + (column * frame.pixel_spacing_mm[1])[None, :, None] * along_row
        )
        return sample_at(image, points)

    def box(self, series_uid: str, layer_uid: str) -> Image:
        """Return the part of a layer that lies over a series, for planes that a browser cuts through it.

        Returns
        -------
        Image
            All voxels whose values reach into the box of the series, in what people read.

        Raises
        ------
        SeriesNotFound
            If the layer does not belong over the series.
        UnsuitableObject
            If the pictures of the series form no grid.
        """
        if layer_uid not in {layer.series_uid for layer in self.over(series_uid)}:
            raise SeriesNotFound("There is no such layer over this series.")
        arrangement = self._archive.arrange(series_uid)
        if arrangement.affine is None:
            raise UnsuitableObject("These pictures are no volume, so there are no other planes.")
        image, frame = self.volume(layer_uid), arrangement.frames[0]
        size = (len(arrangement.frames), frame.rows, frame.columns)
        corners = np.array(list(itertools.product(*((-0.5, count - 0.5) for count in size))))
        places = corners @ arrangement.affine[:3, :3].T + arrangement.affine[:3, 3]
        inverse = np.linalg.inv(image.affine)
        index = places @ inverse[:3, :3].T + inverse[:3, 3]
        # One voxel more on each side: the outermost values are interpolated with their neighbours.
        low = np.clip(np.floor(index.min(axis=0)).astype(int) - 1, 0, None)
        high = np.minimum(np.ceil(index.max(axis=0)).astype(int) + 2, image.shape)
        part = tuple(slice(int(a), int(max(a, b))) for a, b in zip(low, high, strict=True))
        affine = image.affine.copy()
        affine[:3, 3] += affine[:3, :3] @ low
        return Image(image.voxels[part], affine)

    def _neighbours(self, series_uid: str) -> list[SeriesFacts]:
        """List the other series of the imaging study with the same frame of reference, the largest first."""
        own = self._archive.series_row(series_uid).facts
        frame = self._frame_of_reference(series_uid)
        rows = self._archive.series(SeriesFilter(imaging_study_uid=own.imaging_study_uid))
        others = [row.facts for row in rows if row.facts.series_uid != series_uid and row.facts.rows]
        same = [facts for facts in others if frame and self._frame_of_reference(facts.series_uid) == frame]
        return sorted(same, key=lambda facts: (-facts.instance_count, facts.series_uid))

    def _frame_of_reference(self, series_uid: str) -> str:
        header = next((document for _, document, _ in self._archive.metadata(series_uid)), {})
        return str(first(header, "FrameOfReferenceUID") or "")

    def _is_map(self, series_uid: str) -> bool:
        rows: list[InstanceRow] = self._archive.instances(series_uid)
        return bool(rows) and rows[0].sop_class_uid == PARAMETRIC_MAP

    def _describe(self, facts: SeriesFacts, scale: Scale) -> Layer:
        name = facts.description or facts.body_part or facts.modality
        if scale.is_suv:
            return Layer(facts.series_uid, name, 0.0, 10.0, scale.unit)
        quantity, unit = self._mapping(facts.series_uid)
        name = facts.description or quantity or name
        try:
            values = self.volume(facts.series_uid).voxels
        except (IrregularSeries, UnsuitableObject):
            return Layer(facts.series_uid, name, 0.0, 1.0, unit)
        low, high = (float(value) for value in np.nanpercentile(values.astype(np.float64), (1, 99.5)))
        return Layer(facts.series_uid, name, low, high if high > low else low + 1.0, unit)

    def _mapping(self, series_uid: str) -> tuple[str, str]:
        """Return what a map's values are and their UCUM unit, as its real world values say (PS3.3 C.7.6.16.2.11)."""
        header = next((document for _, document, _ in self._archive.metadata(series_uid)), {})
        for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
            found = first(first(header, groups) or {}, "RealWorldValueMappingSequence")
            if found:
                units = first(found, "MeasurementUnitsCodeSequence") or {}
                return str(first(found, "LUTExplanation") or ""), str(first(units, "CodeValue") or "")
        return "", ""

    def volume(self, series_uid: str) -> Image:
        """Return a series as one volume in what people read: SUV for uptake; the last ones stay at hand."""
        facts = self._archive.series_row(series_uid).facts
        key = (series_uid, facts.instance_count)
        with self._lock:
            found = self._volumes.get(key)
            if found is None:
                volume = self._archive.load_volume(series_uid).image
                factor = scale_of(self._archive, series_uid, facts.modality).factor
                voxels = volume.voxels.astype(np.float32) * np.float32(factor)
                found = self._volumes[key] = Image(voxels, volume.affine)
                while len(self._volumes) > REMEMBERED_VOLUMES:
                    self._volumes.popitem(last=False)
        return found

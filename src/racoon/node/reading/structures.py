"""Contours of radiotherapy (RTSTRUCT) as masks on the images they were drawn on, beside segmentations."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import pydicom
from pydicom.dataset import Dataset

from racoon.domain.coding import Code
from racoon.node.archive.model import InstanceRow, SeriesFilter
from racoon.node.archive.service import Archive, SegmentationMask
from racoon.science.image import Mask
from racoon.standards.dicom.volume import Arrangement
from racoon.standards.files.contours import read_contours

STRUCTURE_SET = "RTSTRUCT"

TISSUE = Code("85756007", "SCT", "Tissue")
"""A region of interest has a name and no code."""


def structure_sets(archive: Archive, series_uid: str) -> list[tuple[InstanceRow, Dataset]]:
    """Return the structure sets that were drawn on a series (PS3.3 C.8.8.5)."""
    study = archive.series_row(series_uid).facts.imaging_study_uid
    found = archive.series(SeriesFilter(imaging_study_uid=study, modality=STRUCTURE_SET))
    rows = [row for item in found for row in archive.instances(item.facts.series_uid)]
    read = [(row, pydicom.dcmread(io.BytesIO(archive.read_object(row)))) for row in rows]
    return [(row, dataset) for row, dataset in read if series_uid in _drawn_on(dataset)]


def count_structure_sets(archive: Archive, series_uid: str) -> int:
    """Count the structure sets of the imaging study: when one comes, what is shown changes."""
    study = archive.series_row(series_uid).facts.imaging_study_uid
    found = archive.series(SeriesFilter(imaging_study_uid=study, modality=STRUCTURE_SET))
    return sum(item.facts.instance_count for item in found)


def regions_of(dataset: Dataset) -> list[tuple[int, str, str]]:
    """Return number, name and colour of each region that has contours."""
    names = {
        int(item.ROINumber): str(item.get("ROIName") or "")
        for item in dataset.get("StructureSetROISequence") or ()
    }
    return [
        (number, names.get(number, ""), _colour(item.get("ROIDisplayColor")))
        for item in dataset.get("ROIContourSequence") or ()
        if item.get("ContourSequence")
        for number in (int(item.ReferencedROINumber),)
    ]


def iterate_structures(
    archive: Archive, series_uid: str, arrangement: Arrangement
) -> Iterator[SegmentationMask]:
    """Yield the regions of a series' structure sets as masks, one at a time.

    Raises
    ------
    ContourMismatch
        If a contour does not lie in a slice.
    """
    if arrangement.affine is None or not arrangement.is_regular:
        return
    first = arrangement.frames[0]
    shape = (len(arrangement.frames), first.rows, first.columns)
    for row, dataset in structure_sets(archive, series_uid):
        for number, name, voxels in read_contours(dataset, arrangement.affine, shape):
            label = Code(TISSUE.value, TISSUE.scheme, name or TISSUE.meaning)
            mask = Mask(voxels, arrangement.affine, label)
            yield SegmentationMask(mask, row.sop_instance_uid, number, "MANUAL", "", name)


def _drawn_on(dataset: Dataset) -> set[str]:
    return {
        str(series.get("SeriesInstanceUID") or "")
        for frame in dataset.get("ReferencedFrameOfReferenceSequence") or ()
        for study in frame.get("RTReferencedStudySequence") or ()
        for series in study.get("RTReferencedSeriesSequence") or ()
    }


def _colour(value: Sequence[object] | None) -> str:
    if value is None or len(value) != 3:
        return ""
    return "#" + "".join(f"{min(255, max(0, int(str(part)))):02x}" for part in value)

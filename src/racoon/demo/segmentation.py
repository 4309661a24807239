"""Writes a hospital annotator's outlines as DICOM segmentation objects that refer to their images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import highdicom as hd
import numpy as np
import numpy.typing as npt
from highdicom.sr.coding import CodedConcept
from pydicom.dataset import Dataset

from racoon.demo.labels import LABELS, Label
from racoon.demo.series import make_uid
from racoon.domain.coding import Code


def build_segmentation(
    sources: Sequence[Dataset],
    masks: Mapping[str, npt.NDArray[np.bool_]],
    *,
    identity: tuple[str, ...],
    description: str,
    creator: str,
    labels: Mapping[str, Label] = LABELS,
    series_number: int = 300,
) -> Dataset | None:
    """Build one binary segmentation with a segment per non-empty mask.

    Parameters
    ----------
    sources
        One dataset per slice, in the order of the masks' slices.
    masks
        By label key: (slice, row, column).
    identity
        Words that make the UIDs.
    description
        Series description.
    creator
        Person name of the annotator.
    labels
        Coded names of the keys.
    series_number
        Number of the segmentation's series.

    Returns
    -------
    pydicom.dataset.Dataset or None
        None when all masks are empty: an object without segments is not allowed (DICOM PS3.3 C.8.20.2).
    """
    keys = [key for key, mask in masks.items() if mask.any()]
    if not keys:
        return None
    pixels = np.stack([masks[key] for key in keys], axis=-1).astype(np.uint8)
    first = sources[0]
    segmentation = hd.seg.Segmentation(
        source_images=list(sources),
        pixel_array=pixels,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[_describe(number, labels[key]) for number, key in enumerate(keys, start=1)],
        series_instance_uid=make_uid(*identity, "series"),
        series_number=series_number,
        sop_instance_uid=make_uid(*identity, "instance"),
        instance_number=1,
        manufacturer=str(first.get("Manufacturer") or "unbekannt"),
        manufacturer_model_name="Befundarbeitsplatz",
        software_versions="1.0",
        device_serial_number=str(first.get("DeviceSerialNumber") or "0"),
        series_description=description,
        content_creator_name=creator,
        content_label="ANNOTATION",
        content_description=description[:64],
    )
    organisation = make_uid(*identity, "dimensions")
    segmentation.DimensionOrganizationSequence[0].DimensionOrganizationUID = organisation
    for item in segmentation.DimensionIndexSequence:
        item.DimensionOrganizationUID = organisation
    for keyword, value in (("Date", first.StudyDate), ("Time", first.StudyTime)):
        # Same seed, same bytes: the object is dated like its images, not like this run.
        for prefix in ("InstanceCreation", "Content", "Series"):
            if f"{prefix}{keyword}" in segmentation or prefix != "InstanceCreation":
                setattr(segmentation, f"{prefix}{keyword}", value)
    for item in segmentation.get("ContributingEquipmentSequence", []):
        if "ContributionDateTime" in item:
            item.ContributionDateTime = f"{first.StudyDate}{first.StudyTime}"
    for keyword in ("InstitutionName", "InstitutionAddress", "PatientAddress"):
        if keyword in first:
            setattr(segmentation, keyword, first.get(keyword))
    return segmentation


def _describe(number: int, label: Label) -> hd.seg.SegmentDescription:
    description = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=label.title[:64],
        segmented_property_category=_concept(label.category),
        segmented_property_type=_concept(label.code),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
        tracking_uid=None,
        tracking_id=None,
    )
    if label.laterality is not None:
        item = _concept(label.laterality)
        description.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [item]
    return description


def _concept(code: Code) -> CodedConcept:
    return CodedConcept(code.value, code.scheme, code.meaning[:64])

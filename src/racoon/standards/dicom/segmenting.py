"""Write what a network or a reader drew as DICOM SEG (PS3.3 A.51) that says how it was made and refers to its
images.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from racoon.domain.coding import Code
from racoon.standards.dicom.colour import lab_of
from racoon.standards.dicom.names import pseudonyms_as_names
from racoon.standards.dicom.uids import uid_from_digest

TISSUE = Code("85756007", "SCT", "Tissue")
"""Segmented property category where nothing narrower is known (CID 7150)."""

SERIES_NUMBER = 900

DRAWN_SERIES_NUMBER = 901


@dataclass(frozen=True)
class Algorithm:
    """Who drew a segmentation (PS3.3 C.8.20.2, Segmentation Algorithm Identification).

    Parameters
    ----------
    name, version
        Of the model.
    identity
        Hash that names exactly this model; goes into the algorithm's parameters and the object's UIDs.
    use
        Statement of research use.
    """

    name: str
    version: str
    identity: str
    use: str


def build_automatic_segmentation(
    sources: Sequence[Dataset],
    classes: npt.NDArray[np.uint8],
    labels: Sequence[Code],
    algorithm: Algorithm,
) -> Dataset | None:
    """Build one binary segmentation with a segment per class that occurs.

    Parameters
    ----------
    sources
        One data set per slice, in the order of the slices.
    classes
        ``(slice, row, column)``; 0 is background, k is ``labels[k - 1]``.
    labels
        Codes of the classes.
    algorithm
        Who drew it.

    Returns
    -------
    pydicom.dataset.Dataset or None
        None when there is no foreground: an object without segments is not allowed (PS3.3 C.8.20.2).

    Notes
    -----
    UIDs follow from the model and the source series, and the object is dated like its images: the same model on the
    same series gives the same bytes.
    """
    import highdicom as hd  # noqa: PLC0415 - a second that only writing needs
    from highdicom.sr.coding import CodedConcept  # noqa: PLC0415 - as above

    present = [number for number in range(1, len(labels) + 1) if (classes == number).any()]
    if not present:
        return None
    first = sources[0]
    identity = (algorithm.identity, str(first.SeriesInstanceUID))
    made_by = hd.AlgorithmIdentificationSequence(
        name=algorithm.name,
        family=CodedConcept("123109", "DCM", "Artificial Intelligence"),
        version=algorithm.version,
        parameters={"package": algorithm.identity, "use": algorithm.use},
    )
    descriptions = []
    for place, number in enumerate(present, start=1):
        label = labels[number - 1]
        descriptions.append(
            hd.seg.SegmentDescription(
                segment_number=place,
                segment_label=(label.meaning or label.value)[:64],
                segmented_property_category=CodedConcept(TISSUE.value, TISSUE.scheme, TISSUE.meaning),
                segmented_property_type=CodedConcept(
                    label.value, label.scheme, (label.meaning or label.value)[:64]
                ),
                algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
                algorithm_identification=made_by,
            )
        )
    with pseudonyms_as_names():
        segmentation: Dataset = hd.seg.Segmentation(
            source_images=list(sources),
            pixel_array=np.stack([classes == number for number in present], axis=-1).astype(np.uint8),
            segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=descriptions,
            series_instance_uid=_uid(*identity, "series"),
            series_number=SERIES_NUMBER,
            sop_instance_uid=_uid(*identity, "instance"),
            instance_number=1,
            manufacturer="RACOON",
            manufacturer_model_name=algorithm.name[:64],
            software_versions=algorithm.version,
            device_serial_number=algorithm.identity[:16],
            series_description=f"{algorithm.name} (research use only)"[:64],
            content_label="AUTOMATIC",
            content_description=algorithm.use[:64],
        )
    _settle(segmentation, first, identity)
    return segmentation


@dataclass(frozen=True, eq=False)
class DrawnSegment:
    """One segment of a reader.

    Parameters
    ----------
    label
        What it is.
    voxels
        Boolean array (slice, row, column) on the grid of the sources; not empty.
    corrected
        Name of the algorithm whose mask the reader started from, empty where there was none.
    colour
        ``#rrggbb`` to show it in, or empty.
    also
        The same concept in other terminologies (Equivalent Code Sequence, PS3.3 8.9).
    is_changed
        Whether the reader changed the mask that it began as.
    """

    label: Code
    voxels: npt.NDArray[np.bool_]
    corrected: str = ""
    colour: str = ""
    also: tuple[Code, ...] = ()
    is_changed: bool = True


def build_drawn_segmentation(
    sources: Sequence[Dataset],
    segments: Sequence[DrawnSegment],
    *,
    drawing: str,
    revision: int,
    number: int,
    software: str,
) -> Dataset:
    """Build one binary segmentation of what a reader drew; segments may overlap.

    Parameters
    ----------
    sources
        One data set per slice in the order of the slices, or one multi-frame object whose frames are the slices.
    segments
        At least one; each with voxels.
    drawing, revision
        What was drawn, and its state: the same state gives the same object, all states of a drawing one series.
    number
        Instance number within the drawing's series.
    software
        Version of the product.

    Notes
    -----
    A segment that began as the mask of an algorithm names it and is SEMIAUTOMATIC where a person changed it, else
    AUTOMATIC (PS3.3 C.8.20.2); any other is MANUAL.  The reader's name is not in the object: it is not the patient's,
    but it is a person's; the node's audit holds it beside the object's UID.
    """
    import highdicom as hd  # noqa: PLC0415 - a second that only writing needs
    from highdicom.sr.coding import CodedConcept  # noqa: PLC0415 - as above

    first = sources[0]
    identity = (drawing, str(revision))
    descriptions = [
        hd.seg.SegmentDescription(
            segment_number=place,
            segment_label=(segment.label.meaning or segment.label.value)[:64],
            segmented_property_category=CodedConcept(TISSUE.value, TISSUE.scheme, TISSUE.meaning),
            segmented_property_type=_concept(segment.label, segment.also),
            display_color=_display(segment.colour),
            algorithm_type=_algorithm_type(segment),
            algorithm_identification=hd.AlgorithmIdentificationSequence(
                name=segment.corrected[:64],
                family=CodedConcept("123109", "DCM", "Artificial Intelligence"),
                version="corrected by a reader" if segment.is_changed else "accepted by a reader",
            )
            if segment.corrected
            else None,
            tracking_uid=_uid(drawing, "segment", str(place), segment.label.key),
            tracking_id=f"{segment.label.meaning or segment.label.value} {place}"[:64],
        )
        for place, segment in enumerate(segments, start=1)
    ]
    voxels = np.stack([segment.voxels for segment in segments], axis=-1).astype(np.uint8)
    with pseudonyms_as_names():
        segmentation: Dataset = hd.seg.Segmentation(
            source_images=list(sources),
            pixel_array=voxels,
            segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=descriptions,
            series_instance_uid=_uid(drawing, "series"),
            series_number=DRAWN_SERIES_NUMBER,
            sop_instance_uid=_uid(*identity, "instance"),
            instance_number=number,
            manufacturer="RACOON",
            manufacturer_model_name="Reading room",
            software_versions=software,
            device_serial_number="1",
            series_description="Drawn by a reader (research use only)",
            content_label="DRAWN",
            content_description="Research use only",
        )
    _settle(segmentation, first, identity)
    return segmentation


def _algorithm_type(segment: DrawnSegment) -> str:
    if not segment.corrected:
        return "MANUAL"
    return "SEMIAUTOMATIC" if segment.is_changed else "AUTOMATIC"


def _display(colour: str) -> Any:
    from highdicom.color import CIELabColor  # noqa: PLC0415 - as above

    return CIELabColor.from_dicom_value(lab_of(colour)) if colour else None


def _concept(label: Code, also: Sequence[Code] = ()) -> Any:
    from highdicom.sr.coding import CodedConcept  # noqa: PLC0415 - as above

    if not label.value:
        # A mask from elsewhere without a code keeps its name as a private concept.
        return CodedConcept("SEGMENT", "99RACOON", label.meaning[:64] or "Segment")
    concept = CodedConcept(label.value, label.scheme, (label.meaning or label.value)[:64])
    if also:
        concept.EquivalentCodeSequence = [
            CodedConcept(code.value, code.scheme, (code.meaning or code.value)[:64]) for code in also
        ]
    return concept


def _settle(segmentation: Dataset, first: Dataset, identity: tuple[str, ...]) -> None:
    """Make the object depend on what it was made of alone: no random UID, and dated like its images."""
    organisation = _uid(*identity, "dimensions")
    segmentation.DimensionOrganizationSequence[0].DimensionOrganizationUID = organisation
    for item in segmentation.DimensionIndexSequence:
        item.DimensionOrganizationUID = organisation
    date, time = str(first.get("StudyDate") or "19700101"), str(first.get("StudyTime") or "000000")
    for name in ("Content", "InstanceCreation", "Series"):
        for suffix, value in (("Date", date), ("Time", time)):
            keyword = f"{name}{suffix}"
            if keyword in segmentation:
                setattr(segmentation, keyword, value)
    for item in segmentation.get("ContributingEquipmentSequence") or ():
        if "ContributionDateTime" in item:
            item.ContributionDateTime = f"{date}{time}"


def _uid(*words: str) -> str:
    return uid_from_digest(hashlib.sha256("/".join(words).encode()).digest())

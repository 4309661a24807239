"""Write a signed report as DICOM SR, TID 1500 Measurement Report (PS3.16), with highdicom.

Marks become measurement groups whose numbers point at coordinates on the image; coded and numeric answers become one
group of their own.  The template is extensible: the whole form with its texts and dates stands below in containers,
see ``structured_form``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from racoon.domain.coding import Code
from racoon.standards.dicom.names import pseudonyms_as_names
from racoon.standards.dicom.structured_form import UNITS, FormEntry, form_container, short
from racoon.standards.dicom.uids import uid_from_digest

SERIES_NUMBER = 902

Point = tuple[float, float]
"""Column and row; the outer corner of the first pixel is 0, 0 and its centre 0.5, 0.5 (PS3.3 C.18.6.1.2)."""


@dataclass(frozen=True)
class Line:
    """What a number was measured on.

    Parameters
    ----------
    points_mm
        LPS, for what does not lie on the slice; then there are no other points.
    """

    graphic_type: str
    points: tuple[Point, ...] = ()
    points_mm: tuple[tuple[float, float, float], ...] = ()


@dataclass(frozen=True)
class Number:
    """One measured number; UCUM unit.

    Parameters
    ----------
    line
        Its own coordinates, where the mark is no region.
    """

    name: Code
    value: float
    unit: str
    line: Line | None = None


@dataclass(frozen=True)
class Mark:
    """One finding with its place.

    Parameters
    ----------
    region
        Outline of a region of interest, or None for lines and points, whose numbers carry their coordinates.
    segment
        SOP Instance UID of a segmentation and segment number, for what was measured in a mask.
    """

    tracking_uid: str
    name: str
    meaning: Code
    instance: str
    frame: int
    numbers: tuple[Number, ...]
    region: Line | None = None
    segment: tuple[str, int] | None = None


@dataclass(frozen=True)
class CodedAnswer:
    """An answer of the report: a code, or a number with its unit."""

    question: Code
    value: Code | tuple[float, str]


def build_report(
    sources: Mapping[str, Dataset],
    marks: Sequence[Mark],
    answers: Sequence[CodedAnswer],
    *,
    report: str,
    version: int,
    software: str,
    form: Sequence[FormEntry] = (),
    masks: Sequence[Dataset] = (),
) -> Dataset:
    """Build the SR of a signed version of a report.

    Parameters
    ----------
    sources
        Headers of the images that marks lie on, by SOP Instance UID; at least one image that was read.
    report, version
        Decide the UIDs: the same version gives the same object, all versions of a report one series.
    software
        Version of the product.
    form
        Every answer at its place in the form.
    masks
        Headers of the segmentations that marks were measured in.

    Notes
    -----
    The object is dated like its images, as everything in the archive, and names no person: who signed stands in the
    node's audit beside the object's UID.
    """
    from highdicom import sr  # noqa: PLC0415 - a second that only writing needs

    first = next(iter(sources.values()))
    groups: list[Any] = [_group(sr, sources[mark.instance], mark, masks) for mark in marks]
    if answers or not groups:
        # TID 1500 holds at least one group.
        groups.append(_answers(sr, first, answers, _uid(report, "answers")))
    observer = sr.ObserverContext(
        observer_type=sr.CodedConcept("121006", "DCM", "Person"),
        observer_identifying_attributes=sr.PersonObserverIdentifyingAttributes(name=f"Reader^{report[:8]}"),
    )
    device = sr.ObserverContext(
        observer_type=sr.CodedConcept("121007", "DCM", "Device"),
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=_uid("reading-room"), name="RACOON reading room", manufacturer_name="RACOON"
        ),
    )
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(
            observer_person_context=observer, observer_device_context=device
        ),
        procedure_reported=sr.CodedConcept("363679005", "SCT", "Imaging procedure"),
        imaging_measurements=groups,
        title=sr.CodedConcept("126000", "DCM", "Imaging Measurement Report"),
        referenced_images=list(sources.values()),
    )
    if form:
        content[0].ContentSequence.append(form_container(form))
    # Only this class holds coordinates that lie on no image (PS3.3 A.35.13).
    is_spatial = any(number.line and number.line.points_mm for mark in marks for number in mark.numbers)
    document_class = sr.Comprehensive3DSR if is_spatial else sr.ComprehensiveSR
    with pseudonyms_as_names():
        dataset: Dataset = document_class(
            evidence=[*sources.values(), *masks],
            content=content[0],
            series_instance_uid=_uid(report, "series"),
            series_number=SERIES_NUMBER,
            sop_instance_uid=_uid(report, str(version), "instance"),
            instance_number=version,
            manufacturer="RACOON",
            is_complete=True,
            is_final=True,
            is_verified=True,
            verifying_observer_name=f"Reader^{report[:8]}",
            verifying_organization="RACOON node",
        )
    # Questions and texts are written in any language.
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SoftwareVersions = software
    dataset.SeriesDescription = "Structured report (research use only)"
    date, time = str(first.get("StudyDate") or "19700101"), str(first.get("StudyTime") or "000000")
    for name in ("Content", "InstanceCreation", "Series"):
        for suffix, value in (("Date", date), ("Time", time)):
            if f"{name}{suffix}" in dataset:
                setattr(dataset, f"{name}{suffix}", value)
    for item in dataset.VerifyingObserverSequence:
        item.VerificationDateTime = f"{date}{time}"
    return dataset


def _group(sr: Any, source: Dataset, mark: Mark, masks: Sequence[Dataset]) -> Any:
    frames = [mark.frame] if int(source.get("NumberOfFrames", 1)) > 1 else None
    image = (str(source.SOPClassUID), str(source.SOPInstanceUID), frames)
    tracking = sr.TrackingIdentifier(uid=mark.tracking_uid, identifier=mark.name)
    numbers = [
        sr.Measurement(
            name=_concept(sr, number.name),
            value=number.value,
            unit=_unit(sr, number.unit),
            referenced_coordinates=[_coordinates(sr, number.line, source, image)] if number.line else None,
        )
        for number in mark.numbers
    ]
    if mark.segment is not None:
        uid, number = mark.segment
        segmentation = next(item for item in masks if item.SOPInstanceUID == uid)
        return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=tracking,
            finding_type=_concept(sr, mark.meaning),
            referenced_segment=sr.ReferencedSegment(
                sop_class_uid=str(segmentation.SOPClassUID),
                sop_instance_uid=uid,
                segment_number=number,
                source_series=sr.SourceSeriesForSegmentation(str(source.SeriesInstanceUID)),
            ),
            measurements=numbers,
        )
    if mark.region is None:
        return sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=tracking,
            finding_type=_concept(sr, mark.meaning),
            measurements=numbers,
            source_images=[sr.SourceImageForMeasurementGroup(*image)],
        )
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracking,
        finding_type=_concept(sr, mark.meaning),
        referenced_region=sr.ImageRegion(
            mark.region.graphic_type,
            np.asarray(mark.region.points, dtype=np.float64),
            sr.SourceImageForRegion(*image),
        ),
        measurements=numbers,
    )


def _coordinates(sr: Any, line: Line, source: Dataset, image: tuple[Any, ...]) -> Any:
    if line.points_mm:
        places = np.asarray(line.points_mm, dtype=np.float64)
        return sr.CoordinatesForMeasurement3D(line.graphic_type, places, str(source.FrameOfReferenceUID))
    return sr.CoordinatesForMeasurement(
        line.graphic_type, np.asarray(line.points, dtype=np.float64), sr.SourceImageForRegion(*image)
    )


def _answers(sr: Any, first: Dataset, answers: Sequence[CodedAnswer], tracking_uid: str) -> Any:
    coded = [
        sr.QualitativeEvaluation(_concept(sr, answer.question), _concept(sr, answer.value))
        for answer in answers
        if isinstance(answer.value, Code)
    ]
    numbers = [
        sr.Measurement(_concept(sr, answer.question), answer.value[0], _unit(sr, answer.value[1]))
        for answer in answers
        if not isinstance(answer.value, Code)
    ]
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=tracking_uid, identifier="Report"),
        measurements=numbers or None,
        qualitative_evaluations=coded or None,
        source_images=[
            sr.SourceImageForMeasurementGroup(str(first.SOPClassUID), str(first.SOPInstanceUID), None)
        ],
    )


def _concept(sr: Any, code: Code) -> Any:
    return sr.CodedConcept(code.value, code.scheme, short(code.meaning or code.value))


def _unit(sr: Any, unit: str) -> Any:
    return sr.CodedConcept(unit, "UCUM", UNITS.get(unit, unit))


def _uid(*words: str) -> str:
    return uid_from_digest(hashlib.sha256("/".join(words).encode()).digest())

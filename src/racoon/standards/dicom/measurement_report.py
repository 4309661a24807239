"""Write measured values as a DICOM structured report, TID 1500 (PS3.16), that refers to images and segments."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset

from racoon.domain.coding import Code
from racoon.standards.dicom.names import pseudonyms_as_names
from racoon.standards.dicom.uids import SEGMENTATION, uid_from_digest

if TYPE_CHECKING:
    from highdicom.sr.coding import CodedConcept

SERIES_NUMBER = 910

HOUSE = "99RACOON"
"""Coding scheme of definitions, ``id@version``, and of reasons (PS3.16 section 8: private schemes begin with 99)."""

RESEARCH_USE = "Research use only: not a medical device, not for diagnosis or treatment."

NAMES: Mapping[str, Code] = {
    "volume": Code("YEKZ", "IBSI", "Volume (voxel counting)"),
    "surface_area": Code("C0JK", "IBSI", "Surface area (mesh)"),
    "sphericity": Code("QCFX", "IBSI", "Sphericity"),
    "max_diameter": Code("L0JK", "IBSI", "Maximum 3D diameter"),
    "mean_density": Code("Q4LE", "IBSI", "Mean intensity"),
    "mean_intensity": Code("Q4LE", "IBSI", "Mean intensity"),
    "lesion_long_axis": Code("103339001", "SCT", "Long axis"),
    "lesion_short_axis": Code("103340004", "SCT", "Short axis"),
    "agatston": Code("112058", "DCM", "Calcium score"),
}
"""Concepts that say exactly what a definition says; all others go by the name of their definition."""

_WHOLE_IMAGE = Code("38266002", "SCT", "Entire body")


@dataclass(frozen=True)
class ReportedMask:
    """A segment that values were measured on."""

    instance_uid: str
    number: int


@dataclass(frozen=True)
class ReportedValue:
    """One value as a report writes it.

    Parameters
    ----------
    definition, title
        ``id@version`` of the definition, and its name for people.
    biomarker
        Its id.
    structure
        What was measured; ``None`` for the whole image.
    value
        ``None`` when there is none.
    unit
        UCUM.
    reason
        Why it is not valid; empty when it is.
    reason_code
        Its code.
    masks
        Segments it rests on, the measured one first.
    image_uid, frame
        The slice to show for it; empty when there is none.
    parameters
        Every parameter and fact it depends on, in words.
    """

    definition: str
    title: str
    biomarker: str
    structure: Code | None
    value: float | None
    unit: str
    reason: str
    reason_code: str
    masks: tuple[ReportedMask, ...]
    image_uid: str
    frame: int
    parameters: tuple[str, ...]


def build_measurement_report(
    values: Sequence[ReportedValue],
    images: Sequence[Dataset],
    masks: Sequence[Dataset],
    software: tuple[str, str],
    identity: str,
) -> Dataset:
    """Build one report of the values of a series.

    Parameters
    ----------
    values
        At least one.
    images
        Headers of the slices that the values name, at least one image of the series.
    masks
        Headers of the segmentations.
    software
        Name and version of the program that measured.
    identity
        Names exactly these values; the object's UIDs follow from it.

    Returns
    -------
    pydicom.dataset.Dataset
        Comprehensive 3D SR, not final and not verified; dated like its images, so that the same values give the same
        bytes.

    Notes
    -----
    Values on one segment stand in a volumetric group that refers to it (TID 1411); values on several segments, or on
    the whole image, in a group that refers to the slices (TID 1501), with the segments among the parameters.  A value
    that is not valid is no number but an evaluation whose answer is the reason.
    """
    import highdicom as hd  # noqa: PLC0415 - a second that only writing needs
    from highdicom.sr.coding import CodedConcept  # noqa: PLC0415 - as above
    from pydicom.sr.codedict import codes  # noqa: PLC0415 - as above

    first = images[0]
    device = hd.sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=hd.sr.DeviceObserverIdentifyingAttributes(
            uid=_uid(*software, "device"), manufacturer_name="RACOON", model_name=" ".join(software)
        ),
    )
    groups: dict[tuple[Any, ...], list[ReportedValue]] = {}
    for value in values:
        groups.setdefault((value.structure, value.masks), []).append(value)
    content = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_device_context=device),
        procedure_reported=CodedConcept("363679005", "SCT", "Imaging procedure"),
        imaging_measurements=[
            _group(members, first, software, f"{identity} {number}")
            for number, members in enumerate(groups.values(), start=1)
        ],
        title=codes.DCM.ImagingMeasurementReport,
        referenced_images=list(images),
    )
    with pseudonyms_as_names():
        report: Dataset = hd.sr.Comprehensive3DSR(
            evidence=[*images, *masks],
            content=content[0],
            series_instance_uid=_uid(identity, "series"),
            series_number=SERIES_NUMBER,
            sop_instance_uid=_uid(identity, "instance"),
            instance_number=1,
            manufacturer="RACOON",
            is_complete=True,
            is_final=False,
            is_verified=False,
            series_description="Measurements (research use only)",
        )
    report.ManufacturerModelName, report.SoftwareVersions = software[0], software[1]
    # Names of definitions hold minus signs and German letters.
    report.SpecificCharacterSet = "ISO_IR 192"
    report.ContentQualification = "RESEARCH"
    date_like(report, first)
    return report


def _group(members: Sequence[ReportedValue], image: Dataset, software: tuple[str, str], tracking: str) -> Any:
    import highdicom as hd  # noqa: PLC0415 - a second that only writing needs

    head = members[0]
    shared: dict[str, Any] = {
        "tracking_identifier": hd.sr.TrackingIdentifier(uid=_uid(tracking), identifier=tracking[:64]),
        "finding_type": concept(head.structure or _WHOLE_IMAGE),
        "measurements": [_number(item, software) for item in members if not item.reason],
        "qualitative_evaluations": [_not_valid(item) for item in members if item.reason],
    }
    if len(head.masks) == 1:
        mask = head.masks[0]
        return hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
            referenced_segment=hd.sr.ReferencedSegment(
                sop_class_uid=SEGMENTATION,
                sop_instance_uid=mask.instance_uid,
                segment_number=mask.number,
                source_series=hd.sr.SourceSeriesForSegmentation(str(image.SeriesInstanceUID)),
            ),
            **shared,
        )
    slices = {item.image_uid: item.frame for item in members if item.image_uid}
    return hd.sr.MeasurementsAndQualitativeEvaluations(
        source_images=[
            hd.sr.SourceImageForMeasurementGroup(
                str(image.SOPClassUID), uid, [frame] if "NumberOfFrames" in image else None
            )
            for uid, frame in (slices or {str(image.SOPInstanceUID): 1}).items()
        ],
        **shared,
    )


def _number(value: ReportedValue, software: tuple[str, str]) -> Any:
    import highdicom as hd  # noqa: PLC0415 - a second that only writing needs
    from highdicom.sr.coding import CodedConcept  # noqa: PLC0415 - as above

    if value.value is None:  # pragma: no cover - a value without a reason is a number
        raise ValueError("a valid value is a number")
    segments = [f"segment={mask.instance_uid}#{mask.number}" for mask in value.masks]
    return hd.sr.Measurement(
        name=_name(value),
        value=value.value,
        unit=CodedConcept(value.unit, "UCUM", value.unit),
        algorithm_id=hd.sr.AlgorithmIdentification(
            name=f"{software[0]} {value.definition}",
            version=software[1],
            parameters=[
                f"definition={value.definition}",
                *value.parameters,
                *segments,
                f"use={RESEARCH_USE}",
            ],
        ),
    )


def _not_valid(value: ReportedValue) -> Any:
    import highdicom as hd  # noqa: PLC0415 - a second that only writing needs
    from highdicom.sr.coding import CodedConcept  # noqa: PLC0415 - as above

    return hd.sr.QualitativeEvaluation(
        name=_name(value), value=CodedConcept(value.reason_code, HOUSE, f"not valid: {value.reason}"[:64])
    )


def _name(value: ReportedValue) -> CodedConcept:
    return concept(NAMES.get(value.biomarker) or Code(value.definition, HOUSE, value.title))


def concept(code: Code) -> CodedConcept:
    """Return a code as highdicom writes it."""
    from highdicom.sr.coding import CodedConcept  # noqa: PLC0415 - a second that only writing needs

    return CodedConcept(code.value, code.scheme, (code.meaning or code.value)[:64])


def date_like(report: Dataset, image: Dataset) -> None:
    """Date a report like its images, so that the same content gives the same bytes."""
    date, time = str(image.get("StudyDate") or "19700101"), str(image.get("StudyTime") or "000000")
    for name in ("Content", "InstanceCreation", "Series"):
        for suffix, value in (("Date", date), ("Time", time)):
            if f"{name}{suffix}" in report:
                setattr(report, f"{name}{suffix}", value)
    for item in report.get("ContributingEquipmentSequence") or ():
        if "ContributionDateTime" in item:
            item.ContributionDateTime = f"{date}{time}"
    for element in report.iterall():
        # The template dates the observation itself by the clock of this run.
        if element.keyword == "DateTime":
            element.value = f"{date}{time}"


def _uid(*words: str) -> str:
    return uid_from_digest(hashlib.sha256("/".join(words).encode()).digest())

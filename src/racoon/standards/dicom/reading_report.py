"""Write what a network read off a whole image as a DICOM structured report, TID 1500 (PS3.16)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset

from racoon.domain.coding import Code
from racoon.standards.dicom.measurement_report import concept, date_like
from racoon.standards.dicom.uids import uid_from_digest

if TYPE_CHECKING:
    from racoon.standards.dicom.segmenting import Algorithm

SERIES_NUMBER = 911

WHOLE_IMAGE = Code("38266002", "SCT", "Entire body")


@dataclass(frozen=True)
class ReadNumber:
    """One number of a reading.

    Parameters
    ----------
    name
        What it is: the quantity, or the class whose probability it is.
    value
        In ``unit``.
    unit
        UCUM; ``1`` for a probability.
    """

    name: Code
    value: float
    unit: str


def build_reading_report(
    images: Sequence[Dataset], numbers: Sequence[ReadNumber], most_probable: Code | None, algorithm: Algorithm
) -> Dataset:
    """Build the report of one image.

    Parameters
    ----------
    images
        Headers of its slices, at least one.
    numbers
        The value, or the probability of each class.
    most_probable
        The class that was told; ``None`` for a value.
    algorithm
        Who read it.

    Returns
    -------
    pydicom.dataset.Dataset
        Comprehensive 3D SR, not final and not verified; dated like its images: the same model on the same series gives
        the same bytes.
    """
    import highdicom as hd  # noqa: PLC0415 - a second that only writing needs
    from highdicom.sr.coding import CodedConcept  # noqa: PLC0415 - as above
    from pydicom.sr.codedict import codes  # noqa: PLC0415 - as above

    first = images[0]
    identity = (algorithm.identity, str(first.SeriesInstanceUID), "reading")
    device = hd.sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=hd.sr.DeviceObserverIdentifyingAttributes(
            uid=_uid(algorithm.identity, "device"),
            manufacturer_name="RACOON",
            model_name=f"{algorithm.name} {algorithm.version}"[:64],
        ),
    )
    made_by = hd.sr.AlgorithmIdentification(
        name=algorithm.name,
        version=algorithm.version,
        parameters=[f"package={algorithm.identity}", f"use={algorithm.use}"],
    )
    group: Any = hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(uid=_uid(*identity, "group"), identifier="reading"),
        finding_type=concept(WHOLE_IMAGE),
        source_images=[
            hd.sr.SourceImageForMeasurementGroup(str(image.SOPClassUID), str(image.SOPInstanceUID))
            for image in images
        ],
        measurements=[
            hd.sr.Measurement(
                name=concept(number.name),
                value=round(number.value, 6),
                unit=CodedConcept(number.unit, "UCUM", "no units" if number.unit == "1" else number.unit),
                algorithm_id=made_by,
            )
            for number in numbers
        ],
        qualitative_evaluations=[
            hd.sr.QualitativeEvaluation(name=codes.DCM.Finding, value=concept(most_probable))
        ]
        if most_probable
        else [],
    )
    content = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_device_context=device),
        procedure_reported=CodedConcept("363679005", "SCT", "Imaging procedure"),
        imaging_measurements=[group],
        title=codes.DCM.ImagingMeasurementReport,
        referenced_images=list(images),
    )
    report: Dataset = hd.sr.Comprehensive3DSR(
        evidence=list(images),
        content=content[0],
        series_instance_uid=_uid(*identity, "series"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=_uid(*identity, "instance"),
        instance_number=1,
        manufacturer="RACOON",
        is_complete=True,
        is_final=False,
        is_verified=False,
        series_description=f"{algorithm.name} (research use only)"[:64],
    )
    report.ManufacturerModelName, report.SoftwareVersions = algorithm.name[:64], algorithm.version
    report.SpecificCharacterSet = "ISO_IR 192"
    report.ContentQualification = "RESEARCH"
    date_like(report, first)
    return report


def _uid(*words: str) -> str:
    return uid_from_digest(hashlib.sha256("/".join(words).encode()).digest())

"""Reads what the index needs from one de-identified object; nothing here touches pixels or the database."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
from dataclasses import dataclass
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from racoon.domain.coding import Code
from racoon.domain.identity import Pseudonym
from racoon.errors import Defect
from racoon.node.archive.model import DeidentifiedInstance, check_uid
from racoon.standards.dicomweb import dicom_json

LARGE_SEQUENCES = ("PerFrameFunctionalGroupsSequence",)
"""Left out of the stored metadata of many-frame objects: 30 000 items would take longer to encode than to
read again."""

MANY_FRAMES = 200

_AGE = re.compile(r"(\d{1,3})([DWMY])")
_DAYS = {"D": 1.0, "W": 7.0, "M": 30.4375, "Y": 365.25}


class NotTheSameObject(Defect):
    """The label on the box and the content differ: UIDs or pseudonym inside the file are others."""

    code = "archive.mismatch"


class UnreadableObject(Defect):
    """Bytes that are no DICOM file."""

    code = "archive.unreadable"


@dataclass(frozen=True)
class Header:
    """Everything the index keeps of one instance."""

    sop_instance_uid: str
    sop_class_uid: str
    series_uid: str
    imaging_study_uid: str
    pseudonym: Pseudonym
    transfer_syntax_uid: str
    sha256: str
    size_bytes: int
    instance: dict[str, Any]
    series: dict[str, Any]
    study: dict[str, Any]
    segment_labels: tuple[Code, ...]
    referenced_series_uid: str
    metadata_line: bytes


def read_header(instance: DeidentifiedInstance) -> Header:
    """Parse an instance and check that it is what it is declared to be.

    Raises
    ------
    UnreadableObject
        If the bytes are no DICOM file.
    NotTheSameObject
        If a UID or the pseudonym in the file differs from the declared one.
    """
    dataset = read_dataset(instance.bytes)
    declared = {
        "SOPInstanceUID": instance.sop_instance_uid,
        "SOPClassUID": instance.sop_class_uid,
        "SeriesInstanceUID": instance.series_uid,
        "StudyInstanceUID": instance.imaging_study_uid,
        "PatientID": instance.pseudonym,
    }
    for keyword, value in declared.items():
        if _text(dataset, keyword) != value:
            raise NotTheSameObject(
                f"The object's {keyword} is not the one it was handed over with.",
                details={"keyword": keyword},
            )
    return _header_of(dataset, instance.bytes)


def read_header_of_object(data: bytes) -> Header:
    """Parse an object that comes from the store itself, for the rebuild of the index."""
    return _header_of(read_dataset(data), data)


def read_dataset(data: bytes) -> Dataset:
    """Read a PS3.10 file without its pixel data.

    Raises
    ------
    UnreadableObject
        If it is none.
    """
    try:
        return pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)
    except (InvalidDicomError, OSError, ValueError, KeyError, AttributeError, NotImplementedError) as error:
        raise UnreadableObject("The object is no readable DICOM file.") from error


def _header_of(dataset: Dataset, data: bytes) -> Header:
    frames = _integer(dataset, "NumberOfFrames") or 1
    return Header(
        sop_instance_uid=check_uid(_text(dataset, "SOPInstanceUID")),
        sop_class_uid=check_uid(_text(dataset, "SOPClassUID")),
        series_uid=check_uid(_text(dataset, "SeriesInstanceUID")),
        imaging_study_uid=check_uid(_text(dataset, "StudyInstanceUID")),
        pseudonym=Pseudonym(_text(dataset, "PatientID")),
        transfer_syntax_uid=str(dataset.file_meta.get("TransferSyntaxUID", "")),
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        instance={
            "instance_number": _integer(dataset, "InstanceNumber"),
            "rows": _integer(dataset, "Rows"),
            "columns": _integer(dataset, "Columns"),
            "frame_count": frames,
        },
        series=_series(dataset),
        study=_study(dataset),
        segment_labels=_segment_labels(dataset),
        referenced_series_uid=_referenced_series(dataset),
        metadata_line=_metadata_line(dataset, frames),
    )


def _study(dataset: Dataset) -> dict[str, Any]:
    return {
        "study_date": _text(dataset, "StudyDate")[:8],
        "study_time": _text(dataset, "StudyTime")[:16],
        "accession_number": _text(dataset, "AccessionNumber")[:64],
        "study_identifier": _text(dataset, "StudyID")[:64],
        "description": _text(dataset, "StudyDescription")[:256],
        "patient_name": _text(dataset, "PatientName")[:256],
        "patient_birth_date": _text(dataset, "PatientBirthDate")[:8],
        "sex": _text(dataset, "PatientSex")[:1],
    }


def _series(dataset: Dataset) -> dict[str, Any]:
    shared = _shared_groups(dataset)
    return {
        "modality": _text(dataset, "Modality")[:16],
        "series_number": _integer(dataset, "SeriesNumber"),
        "description": _text(dataset, "SeriesDescription")[:256],
        "body_part": _text(dataset, "BodyPartExamined").upper()[:64],
        "laterality": _text(dataset, "Laterality")[:16],
        "series_date": _text(dataset, "SeriesDate")[:8],
        "series_time": _text(dataset, "SeriesTime")[:16],
        "protocol_name": _text(dataset, "ProtocolName")[:256],
        "manufacturer": _text(dataset, "Manufacturer")[:128],
        "model": _text(dataset, "ManufacturerModelName")[:128],
        "kernel": _kernel(dataset),
        "kvp": _number(dataset, "KVP"),
        "slice_thickness_mm": _number(dataset, "SliceThickness") or _number(shared, "SliceThickness"),
        "rows": _integer(dataset, "Rows"),
        "columns": _integer(dataset, "Columns"),
        "age_years": _age_years(_text(dataset, "PatientAge")),
        "has_contrast": _has_contrast(dataset),
    }


def _shared_groups(dataset: Dataset) -> Dataset:
    """Pixel measures of an enhanced object (PS3.3 C.7.6.16.2.1), where the slice thickness lives."""
    with contextlib.suppress(AttributeError, IndexError, TypeError):
        found: Dataset = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        return found
    return Dataset()


def _kernel(dataset: Dataset) -> str:
    value = dataset.get("ConvolutionKernel")
    if value is None:
        return ""
    return ("\\".join(value) if not isinstance(value, str) else value)[:64]


def _has_contrast(dataset: Dataset) -> bool | None:
    if "ContrastBolusAgent" in dataset:
        return bool(_text(dataset, "ContrastBolusAgent"))
    if "ContrastBolusAgentSequence" in dataset:
        return bool(dataset.ContrastBolusAgentSequence)
    return None


def _segment_labels(dataset: Dataset) -> tuple[Code, ...]:
    labels = []
    for segment in dataset.get("SegmentSequence") or ():
        codes = segment.get("SegmentedPropertyTypeCodeSequence") or ()
        if codes:
            labels.append(code_of(codes[0]))
        else:
            labels.append(Code("", "", _text(segment, "SegmentLabel")))
    return tuple(labels)


def code_of(item: Dataset) -> Code:
    """Read a code sequence item (PS3.3 section 8)."""
    value = _text(item, "CodeValue") or _text(item, "LongCodeValue") or _text(item, "URNCodeValue")
    return Code(value, _text(item, "CodingSchemeDesignator"), _text(item, "CodeMeaning"))


def _referenced_series(dataset: Dataset) -> str:
    if "SegmentSequence" not in dataset:
        return ""
    for item in dataset.get("ReferencedSeriesSequence") or ():
        uid = _text(item, "SeriesInstanceUID")
        if uid:
            return uid
    return ""


def _metadata_line(dataset: Dataset, frames: int) -> bytes:
    """One line of the series' metadata blob: DICOM JSON, and whether something was left out."""
    omitted = [name for name in LARGE_SEQUENCES if frames > MANY_FRAMES and name in dataset]
    for name in omitted:
        del dataset[name]
    document = dicom_json.to_json(dataset)
    line = {"uid": _text(dataset, "SOPInstanceUID"), "omitted": omitted, "metadata": document}
    return json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def _text(dataset: Dataset, keyword: str) -> str:
    value = dataset.get(keyword)
    return "" if value is None else str(value).strip()


def _number(dataset: Dataset, keyword: str) -> float | None:
    value = dataset.get(keyword)
    try:
        return None if value in (None, "") else float(value)
    except (TypeError, ValueError):
        return None


def _integer(dataset: Dataset, keyword: str) -> int | None:
    number = _number(dataset, keyword)
    return None if number is None else int(number)


def _age_years(text: str) -> float | None:
    match = _AGE.fullmatch(text)
    if match is None:
        return None
    amount, unit = int(match[1]), match[2]
    return float(amount) if unit == "Y" else round(amount * _DAYS[unit] / 365.25, 3)

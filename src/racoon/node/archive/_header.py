"""Reads what the index needs from one de-identified object; nothing here touches pixels or the database."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pydicom

from racoon.domain.coding import Code
from racoon.domain.identity import Pseudonym
from racoon.errors import Defect
from racoon.node.archive.model import DeidentifiedInstance, check_uid
from racoon.standards.dicom.elements import Dataset, MalformedDicom
from racoon.standards.dicom.reading import read_file
from racoon.standards.dicom.text import text_of
from racoon.standards.dicomweb import dicom_json
from racoon.standards.dicomweb.dicom_json import JsonDataset, first, tag_key, values, without
from racoon.standards.dicomweb.encoding import encode

LARGE_SEQUENCES = {0x52009230: "PerFrameFunctionalGroupsSequence"}
"""Left out of the stored metadata of many-frame objects: 30 000 items would take longer to encode than to
read again."""

MANY_FRAMES = 200

NUMBER_OF_FRAMES = 0x00280008

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
    document, header = _parse(instance.bytes)
    declared = {
        "SOPInstanceUID": instance.sop_instance_uid,
        "SOPClassUID": instance.sop_class_uid,
        "SeriesInstanceUID": instance.series_uid,
        "StudyInstanceUID": instance.imaging_study_uid,
        "PatientID": instance.pseudonym,
    }
    for keyword, value in declared.items():
        if _text(document, keyword) != value:
            raise NotTheSameObject(
                f"The object's {keyword} is not the one it was handed over with.",
                details={"keyword": keyword},
            )
    return header


def read_header_of_object(data: bytes) -> Header:
    """Parse an object that comes from the store itself, for the rebuild of the index."""
    return _parse(data)[1]


def _parse(data: bytes) -> tuple[JsonDataset, Header]:
    try:
        file = read_file(data)
    except MalformedDicom as error:
        raise UnreadableObject("The object is no readable DICOM file.") from error
    frames = _frame_count(file.dataset)
    omitted = LARGE_SEQUENCES if frames > MANY_FRAMES else {}
    if file.is_big_endian:
        header = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)
        document = without(dicom_json.to_json(header), [f"{tag:08X}" for tag in omitted])
    else:
        document = encode(file.dataset, leave_out=frozenset(omitted))
    names = [name for tag, name in omitted.items() if tag in file.dataset]
    return document, _header_of(document, data, file.transfer_syntax_uid, frames, names)


def _frame_count(dataset: Dataset) -> int:
    text = text_of(dataset.get(NUMBER_OF_FRAMES))
    return max(1, int(text)) if text.isdigit() else 1


def _header_of(
    document: JsonDataset, data: bytes, transfer_syntax_uid: str, frames: int, omitted: Sequence[str]
) -> Header:
    return Header(
        sop_instance_uid=check_uid(_text(document, "SOPInstanceUID")),
        sop_class_uid=check_uid(_text(document, "SOPClassUID")),
        series_uid=check_uid(_text(document, "SeriesInstanceUID")),
        imaging_study_uid=check_uid(_text(document, "StudyInstanceUID")),
        pseudonym=Pseudonym(_text(document, "PatientID")),
        transfer_syntax_uid=transfer_syntax_uid,
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        instance={
            "instance_number": _integer(document, "InstanceNumber"),
            "rows": _integer(document, "Rows"),
            "columns": _integer(document, "Columns"),
            "frame_count": frames,
        },
        series=_series(document),
        study=_study(document),
        segment_labels=_segment_labels(document),
        referenced_series_uid=_referenced_series(document),
        metadata_line=_metadata_line(document, omitted),
    )


def _study(document: JsonDataset) -> dict[str, Any]:
    return {
        "study_date": _text(document, "StudyDate")[:8],
        "study_time": _text(document, "StudyTime")[:16],
        "accession_number": _text(document, "AccessionNumber")[:64],
        "study_identifier": _text(document, "StudyID")[:64],
        "description": _text(document, "StudyDescription")[:256],
        "patient_name": _text(document, "PatientName")[:256],
        "patient_birth_date": _text(document, "PatientBirthDate")[:8],
        "sex": _text(document, "PatientSex")[:1],
    }


def _series(document: JsonDataset) -> dict[str, Any]:
    shared = _shared_measures(document)
    return {
        "modality": _text(document, "Modality")[:16],
        "series_number": _integer(document, "SeriesNumber"),
        "description": _text(document, "SeriesDescription")[:256],
        "body_part": _text(document, "BodyPartExamined").upper()[:64],
        "laterality": _text(document, "Laterality")[:16],
        "series_date": _text(document, "SeriesDate")[:8],
        "series_time": _text(document, "SeriesTime")[:16],
        "protocol_name": _text(document, "ProtocolName")[:256],
        "performed_date": _text(document, "PerformedProcedureStepStartDate")[:8],
        "performed_time": _text(document, "PerformedProcedureStepStartTime")[:16],
        "manufacturer": _text(document, "Manufacturer")[:128],
        "model": _text(document, "ManufacturerModelName")[:128],
        "kernel": _text(document, "ConvolutionKernel")[:64],
        "kvp": _number(document, "KVP"),
        "slice_thickness_mm": _number(document, "SliceThickness") or _number(shared, "SliceThickness"),
        "rows": _integer(document, "Rows"),
        "columns": _integer(document, "Columns"),
        "age_years": _age_years(_text(document, "PatientAge")),
        "has_contrast": _has_contrast(document),
    }


def _shared_measures(document: JsonDataset) -> JsonDataset:
    """Pixel measures of an enhanced object (PS3.3 C.7.6.16.2.1), where the slice thickness lives."""
    for group in values(document, "SharedFunctionalGroupsSequence"):
        for measures in values(group, "PixelMeasuresSequence"):
            found: JsonDataset = measures
            return found
    return {}


def _has_contrast(document: JsonDataset) -> bool | None:
    for keyword in ("ContrastBolusAgent", "ContrastBolusAgentSequence"):
        if tag_key(keyword) in document:
            return bool(values(document, keyword))
    return None


def labels_of_metadata(document: JsonDataset) -> tuple[Code, ...]:
    """Segment labels of an instance's stored metadata."""
    return _segment_labels(document)


def _segment_labels(document: JsonDataset) -> tuple[Code, ...]:
    labels = []
    for segment in values(document, "SegmentSequence"):
        codes = values(segment, "SegmentedPropertyTypeCodeSequence")
        labels.append(_code(codes[0]) if codes else Code("", "", _text(segment, "SegmentLabel")))
    return tuple(labels)


def _code(item: JsonDataset) -> Code:
    """Read a code sequence item (PS3.3 section 8)."""
    value = _text(item, "CodeValue") or _text(item, "LongCodeValue") or _text(item, "URNCodeValue")
    return Code(value, _text(item, "CodingSchemeDesignator"), _text(item, "CodeMeaning"))


def _referenced_series(document: JsonDataset) -> str:
    if tag_key("SegmentSequence") not in document:
        return ""
    found = (_text(item, "SeriesInstanceUID") for item in values(document, "ReferencedSeriesSequence"))
    return next((uid for uid in found if uid), "")


def _metadata_line(document: JsonDataset, omitted: Sequence[str]) -> bytes:
    """One line of the series' metadata blob: DICOM JSON, and what was left out."""
    line = {"uid": _text(document, "SOPInstanceUID"), "omitted": list(omitted), "metadata": document}
    return json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def _text(document: JsonDataset, keyword: str) -> str:
    """All values as DICOM writes them, separated by backslashes; of a name its alphabetic form."""
    texts = [
        item.get("Alphabetic", "") if isinstance(item, dict) else item for item in values(document, keyword)
    ]
    return "\\".join("" if item is None else str(item) for item in texts)


def _number(document: JsonDataset, keyword: str) -> float | None:
    found = first(document, keyword)
    return float(found) if isinstance(found, (int, float)) else None


def _integer(document: JsonDataset, keyword: str) -> int | None:
    number = _number(document, keyword)
    return None if number is None else int(number)


def _age_years(text: str) -> float | None:
    match = _AGE.fullmatch(text)
    if match is None:
        return None
    amount, unit = int(match[1]), match[2]
    return float(amount) if unit == "Y" else round(amount * _DAYS[unit] / 365.25, 3)

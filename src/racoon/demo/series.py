"""Writes truthful DICOM series of CT and MR images, one file per slice, from voxels and a geometry."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from struct import Struct, pack
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydicom.charset import convert_encodings
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import (
    correct_ambiguous_vr_element,
    write_data_element,
    write_file_meta_info,
)
from pydicom.multival import MultiValue
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, MRImageStorage
from pydicom.valuerep import DSfloat

from racoon.demo.patients import Patient
from racoon.errors import Defect

IMPLEMENTATION_UID = UID("2.25.216812937711209847126504215063415312877")
"""Of the demonstration's writer, from a random UUID (PS3.5 B.2)."""

_NUMBERS = {"US": Struct("<H"), "UL": Struct("<L")}
_PLAIN_TEXT = frozenset({"CS", "DS", "SH", "UI"})

Affine = npt.NDArray[np.float64]


class GeometryDefect(Defect):
    """A volume whose axes DICOM cannot describe as a stack of parallel slices."""

    code = "demo.geometry"


@dataclass(frozen=True)
class Equipment:
    """The scanner named in a series' header."""

    manufacturer: str
    model: str
    station: str
    serial_number: str
    software: str


@dataclass(frozen=True)
class SeriesPlan:
    """Everything a series' headers say beside pixels and geometry.

    Parameters
    ----------
    identity
        Words that make the UIDs: same words, same UIDs.
    modality
        ``CT`` or ``MR``.
    patient
        The invented patient and visit.
    equipment
        The scanner.
    description, protocol
        Series description and protocol name.
    kernel
        Convolution kernel (CT).
    slice_thickness_mm
        Nominal thickness.
    intercept
        Rescale intercept: stored value = HU - intercept (CT).
    contrast
        Contrast agent, empty for an unenhanced scan.
    extra
        Further elements by keyword, set last.
    """

    identity: tuple[str, ...]
    modality: Literal["CT", "MR"]
    patient: Patient
    equipment: Equipment
    description: str
    protocol: str
    kernel: str = ""
    slice_thickness_mm: float = 0.0
    intercept: int = 0
    contrast: str = ""
    extra: Mapping[str, object] = field(default_factory=dict)

    def make_uid(self, *parts: str) -> str:
        """Make the UID that belongs to this series' words and some more."""
        return make_uid(*self.identity, *parts)


def make_uid(*parts: str) -> str:
    """Make a UID under 2.25 from words: same words, same UID (DICOM PS3.5 B.2)."""
    digest = hashlib.sha256("\x1f".join(parts).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def as_decimal(value: float) -> DSfloat:
    """Write a number as a decimal string of at most 16 characters, as precisely as that allows."""
    return DSfloat(float(value), auto_format=True)


def build_series(plan: SeriesPlan, voxels: npt.NDArray[np.integer], affine: Affine) -> list[Dataset]:
    """Build one dataset per slice, in the order of the slices in the array.

    Parameters
    ----------
    plan
        What the headers say.
    voxels
        (slice, row, column); HU for CT, non-negative stored values for MR.
    affine
        4x4 from (slice, row, column, 1) to LPS mm.
    """
    step, down, right = (affine[:3, axis] for axis in range(3))
    spacing = [float(np.linalg.norm(part)) for part in (step, down, right)]
    row_direction, column_direction = right / spacing[2], down / spacing[1]
    normal = np.cross(row_direction, column_direction)
    if abs(row_direction @ column_direction) > 1e-4 or abs(abs(normal @ step) / spacing[0] - 1) > 1e-4:
        raise GeometryDefect(
            "The image's axes are not at right angles, so it cannot become a DICOM series. "
            "Resample it to a grid with right angles first.",
            details={"affine": affine.tolist()},
        )
    shared = _build_shared(plan, voxels.shape, spacing, row_direction, column_direction)
    # A patient is scanned and numbered from head to foot in most departments.
    is_upward = step[2] > 0
    count = voxels.shape[0]
    datasets = []
    for index in range(count):
        dataset = Dataset()
        dataset.update(shared)
        number = count - index if is_upward else index + 1
        origin = affine[:3, 3] + index * step
        dataset.SOPInstanceUID = plan.make_uid("instance", str(number))
        dataset.InstanceNumber = number
        dataset.ImagePositionPatient = [as_decimal(value) for value in origin]
        dataset.SliceLocation = as_decimal(float(origin @ normal))
        _set_pixels(dataset, plan, voxels[index])
        for keyword, value in plan.extra.items():
            setattr(dataset, keyword, value)
        datasets.append(dataset)
    return datasets


def _set_pixels(dataset: Dataset, plan: SeriesPlan, plane: npt.NDArray[np.integer]) -> None:
    is_ct = plan.modality == "CT"
    stored = (plane.astype(np.int32) - plan.intercept).astype("<i2") if is_ct else plane.astype("<u2")
    dataset.PixelData = stored.tobytes()
    dataset["PixelData"].VR = "OW"


def _build_shared(
    plan: SeriesPlan,
    shape: Sequence[int],
    spacing: Sequence[float],
    row_direction: npt.NDArray[np.float64],
    column_direction: npt.NDArray[np.float64],
) -> Dataset:
    patient, equipment = plan.patient, plan.equipment
    shared = Dataset()
    shared.SOPClassUID = CTImageStorage if plan.modality == "CT" else MRImageStorage
    patient.describe(shared)
    shared.Modality = plan.modality
    shared.StudyInstanceUID = make_uid(
        *plan.identity[:2], patient.patient_id, patient.accession_number, "visit"
    )
    shared.SeriesInstanceUID = plan.make_uid("series")
    shared.FrameOfReferenceUID = plan.make_uid("frame of reference")
    shared.PositionReferenceIndicator = ""
    shared.SeriesNumber = 3
    shared.AcquisitionNumber = 1
    shared.SeriesDescription = plan.description
    shared.ProtocolName = plan.protocol
    shared.BodyPartExamined = "CHEST" if plan.modality == "CT" else "BRAIN"
    shared.PatientPosition = "HFS"
    shared.SeriesDate = shared.AcquisitionDate = shared.ContentDate = patient.study_date
    shared.SeriesTime = shared.AcquisitionTime = shared.ContentTime = patient.study_time
    shared.Manufacturer = equipment.manufacturer
    shared.ManufacturerModelName = equipment.model
    shared.StationName = equipment.station
    shared.DeviceSerialNumber = equipment.serial_number
    shared.SoftwareVersions = equipment.software
    shared.ImageOrientationPatient = [as_decimal(value) for value in (*row_direction, *column_direction)]
    shared.PixelSpacing = [as_decimal(spacing[1]), as_decimal(spacing[2])]
    shared.SliceThickness = as_decimal(plan.slice_thickness_mm or spacing[0])
    shared.SpacingBetweenSlices = as_decimal(spacing[0])
    shared.Rows, shared.Columns = int(shape[1]), int(shape[2])
    shared.SamplesPerPixel = 1
    shared.PhotometricInterpretation = "MONOCHROME2"
    shared.BitsAllocated = shared.BitsStored = 16
    shared.HighBit = 15
    if plan.modality == "CT":
        _describe_ct(shared, plan)
    else:
        _describe_mr(shared)
    return shared


def _describe_ct(shared: Dataset, plan: SeriesPlan) -> None:
    del shared.SpacingBetweenSlices
    shared.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    shared.PixelRepresentation = 1
    shared.RescaleIntercept = as_decimal(plan.intercept)
    shared.RescaleSlope = as_decimal(1)
    shared.RescaleType = "HU"
    shared.KVP = as_decimal(120)
    shared.ConvolutionKernel = plan.kernel
    shared.WindowCenter, shared.WindowWidth = as_decimal(40), as_decimal(400)
    if plan.contrast:
        shared.ContrastBolusAgent = plan.contrast


def _describe_mr(shared: Dataset) -> None:
    shared.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
    shared.PixelRepresentation = 0
    shared.ScanningSequence = "GR"
    shared.SequenceVariant = "MP"
    shared.ScanOptions = ""
    shared.MRAcquisitionType = "3D"
    shared.EchoTime = None
    shared.RepetitionTime = None
    shared.EchoTrainLength = None


def write_datasets(folder: Path, datasets: Sequence[Dataset], stem: str) -> list[Path]:
    """Write datasets as DICOM files in explicit VR little endian, named stem-0001.dcm and so on.

    Elements that several datasets share are encoded once: the slices of a series differ in six of fifty.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    encoded: dict[int, bytes] = {}
    for dataset in datasets:
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.ImplementationClassUID = IMPLEMENTATION_UID
        meta.ImplementationVersionName = "RACOON_DEMO"
        dataset.file_meta = meta
        head = DicomBytesIO(bytes(128) + b"DICM")
        head.seek(0, 2)
        write_file_meta_info(head, meta)
        path = folder / f"{stem}-{int(dataset.get('InstanceNumber', 1)):04d}.dcm"
        path.write_bytes(head.getvalue() + b"".join(_encode(dataset, encoded)))
        paths.append(path)
    return paths


def _encode(dataset: Dataset, encoded: dict[int, bytes]) -> Iterator[bytes]:
    """Encode a dataset's elements in the order of their tags; known element objects come from the store."""
    character_sets = convert_encodings(dataset.get("SpecificCharacterSet", "ISO_IR 192"))
    for tag in sorted(dataset.keys()):
        element = dataset[tag]
        data = encoded.get(id(element))
        if data is None:
            data = encoded[id(element)] = _encode_element(element, dataset, character_sets)
        yield data


def _encode_element(element: DataElement, dataset: Dataset, character_sets: list[str]) -> bytes:
    """Encode an element; what fills a segmentation's thousand frames (codes, UIDs, numbers) the short way."""
    vr, value = str(element.VR), element.value
    content: bytes | None = None
    if vr == "SQ":
        content = b"".join(_encode_item(item, character_sets) for item in value)
    elif vr in _NUMBERS:
        numbers = value if isinstance(value, MultiValue) else [value]
        content = b"".join(_NUMBERS[vr].pack(number) for number in numbers if number is not None)
    elif vr in _PLAIN_TEXT and isinstance(value, str | float | MultiValue):
        text = "\\".join(map(str, value)) if isinstance(value, MultiValue) else str(value)
        if text.isascii():
            content = text.encode() + (b"\0" if vr == "UI" else b" ") * (len(text) % 2)
    if content is None:
        buffer = DicomBytesIO()
        buffer.is_little_endian = True
        buffer.is_implicit_VR = False
        write_data_element(buffer, correct_ambiguous_vr_element(element, dataset, True), character_sets)
        return buffer.getvalue()
    tag = element.tag
    if vr == "SQ":
        return pack("<HH4sL", tag.group, tag.element, b"SQ\0\0", len(content)) + content
    return pack("<HH2sH", tag.group, tag.element, vr.encode(), len(content)) + content


def _encode_item(item: Dataset, character_sets: list[str]) -> bytes:
    content = b"".join(_encode_element(item[tag], item, character_sets) for tag in sorted(item.keys()))
    return pack("<HHL", 0xFFFE, 0xE000, len(content)) + content

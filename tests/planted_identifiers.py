"""DICOM objects with an identifier planted wherever one can stand: the input that must come out empty-handed.

Every element of the standard's confidentiality table and one element of every VR gets a marker of its own, at
the top,
inside sequences, in private blocks, in overlays, curves, the file meta information, the preamble and behind
the pixels.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from importlib.resources import files

import numpy as np
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian

CT = UID("1.2.840.10008.5.1.4.1.1.2")
MR = UID("1.2.840.10008.5.1.4.1.1.4")
SEG = UID("1.2.840.10008.5.1.4.1.1.66.4")

ROOT = "1.2.826.0.1.3680043.9.7777"
STUDY, SERIES, FRAME = f"{ROOT}.1", f"{ROOT}.2", f"{ROOT}.3"

PATIENT_ID = "PLANTED4711"
ISSUER = "STADTKLINIKUM"


@dataclass
class Planted:
    """A file and everything that must not be in what comes out."""

    data: bytes
    markers: list[bytes] = field(default_factory=list)


class _Planter:
    def __init__(self) -> None:
        self.number = 0
        self.markers: set[bytes] = set()

    def _text(self) -> str:
        self.number += 1
        return f"LEAK{self.number:05d}"

    def value(self, vr: str) -> object:
        """Make a marker that is legal in a VR and unique."""
        text = self._text()
        # Dates lie further apart than any shift, so that none is another one shifted.
        if vr == "PN":
            value: object = f"{text}^Zacharias"
        elif vr == "DA":
            value = (date(1830, 3, 5) + timedelta(days=31 * self.number)).strftime("%Y%m%d")
        elif vr == "DT":
            value = (date(1700, 3, 5) + timedelta(days=31 * self.number)).strftime("%Y%m%d") + "101112"
        elif vr == "UI":
            value = f"{ROOT}.99.{self.number}"
        elif vr in ("OB", "UN", "OW"):
            value = text.encode() + b"\0"
        elif vr in ("OD", "OF", "OL", "OV"):
            value = (text + "XXXXXXX").encode()
        elif vr in ("TM", "AS", "DS", "IS", "FD", "FL", "SL", "SS", "UL", "US", "AT", "SV", "UV"):
            return None
        elif vr == "UR":
            value = f"https://{text}.example"
        else:
            value = text
        self.markers.add(str(value).encode() if not isinstance(value, bytes) else text.encode())
        if vr in ("PN", "UR", "DT"):
            self.markers.add(text.encode() if vr != "DT" else str(value)[:8].encode())
        return value


def _table() -> list[tuple[int, str]]:
    text = files("racoon.node.deid").joinpath("tables", "confidentiality.csv").read_text()
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return [(int(row["tag"], 16), row["vr"]) for row in rows]


def plant_everywhere(dataset: Dataset, planter: _Planter) -> None:
    """Put a marker into each element of the table that the data set does not have yet, and one level down."""
    for tag, vr in _table():
        if tag >> 16 in (0x0000, 0x0002, 0x0004) or tag in dataset or not keyword_for_tag(tag):
            continue
        if vr == "SQ":
            item = Dataset()
            item.PatientName = planter.value("PN")
            item.TextValue = planter.value("UT")
            item.CodeMeaning = planter.value("LO")
            item.CodeValue = planter.value("SH")
            item.CodingSchemeDesignator = "99HOSPITAL"
            item.add_new(0x00091001, "LO", planter.value("LO"))
            inner = Dataset()
            inner.PatientID = planter.value("LO")
            item.add_new(0x00081115, "SQ", Sequence([inner]))
            dataset.add_new(tag, "SQ", Sequence([item]))
            continue
        value = planter.value(vr)
        if value is not None:
            dataset.add_new(tag, vr, value)


def _plant_odd_places(dataset: Dataset, planter: _Planter) -> None:
    for group in (0x0009, 0x0019, 0x0029, 0x0099, 0x7FE1):
        dataset.add_new(group << 16 | 0x10, "LO", "ACME 1.0")
        for offset, vr in enumerate(("LO", "PN", "OB", "UN", "UT", "DA"), start=0x01):
            dataset.add_new(group << 16 | 0x1000 | offset, vr, planter.value(vr))
    dataset.add_new(0x60000010, "US", 8)
    dataset.add_new(0x60000011, "US", 8)
    dataset.add_new(0x60000022, "LO", planter.value("LO"))
    dataset.add_new(0x60001500, "LO", planter.value("LO"))
    dataset.add_new(0x60003000, "OW", planter.value("OW"))
    dataset.add_new(0x60004000, "LT", planter.value("LT"))
    dataset.add_new(0x50003000, "OW", planter.value("OW"))
    dataset.add_new(0xFFFCFFFC, "OB", planter.value("OB"))


def _finish(dataset: Dataset, planter: _Planter, *, syntax: str) -> Planted:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = UID(syntax)
    meta.ImplementationClassUID = UID(f"{ROOT}.50")
    meta.SourceApplicationEntityTitle = planter.value("AE")
    meta.PrivateInformationCreatorUID = UID(f"{ROOT}.51")
    meta.PrivateInformation = planter.value("OB")
    dataset.file_meta = meta
    preamble = planter.value("LO")
    dataset.preamble = str(preamble).encode().ljust(128, b"\0")
    stream = io.BytesIO()
    dcmwrite(stream, dataset, enforce_file_format=True)
    original = {STUDY, SERIES, FRAME, ROOT, PATIENT_ID, ISSUER, "MÜLLER", "Müller", "19510829", "20230504"}
    planter.markers |= {text.encode(code) for text in original for code in ("utf-8", "latin-1", "utf-16-le")}
    return Planted(stream.getvalue(), sorted(planter.markers))


def _identity(dataset: Dataset) -> None:
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = "MÜLLER^Zacharias Homer"
    dataset.PatientID = PATIENT_ID
    dataset.IssuerOfPatientID = ISSUER
    dataset.PatientBirthDate = "19510829"
    dataset.PatientSex = "F"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = STUDY, SERIES, FRAME
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = "20230504"
    dataset.StudyTime = dataset.ContentTime = "101112"
    dataset.ReferringPhysicianName = "MÜLLER^Doktor"
    dataset.StudyID = "S471100"
    dataset.AccessionNumber = "ACC471100"


def make_ct(number: int = 1, *, syntax: str = ExplicitVRLittleEndian, planted: bool = True) -> Planted:
    """Make a CT slice; what has to stay is plain and known."""
    planter = _Planter()
    dataset = Dataset()
    _identity(dataset)
    dataset.SOPClassUID, dataset.SOPInstanceUID = CT, f"{ROOT}.4.{number}"
    dataset.Modality, dataset.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.Manufacturer, dataset.ManufacturerModelName = "SIEMENS", "SOMATOM Definition AS+"
    dataset.SeriesDescription = "Thorax 1.0 B31f Müller LEAK99998"
    dataset.StudyDescription = "CT Thorax nativ für Zacharias Müller, geb. 29.08.1951"
    dataset.ProtocolName = "Thorax routine"
    dataset.BodyPartExamined = "CHEST"
    dataset.ContrastBolusAgent = "LEAK99997 Spezial"
    dataset.KVP, dataset.ConvolutionKernel, dataset.SliceThickness = "120", "B31f", "1.0"
    dataset.XRayTubeCurrent, dataset.ExposureTime = "200", "500"
    dataset.SeriesNumber, dataset.AcquisitionNumber, dataset.InstanceNumber = "2", "1", str(number)
    dataset.PatientPosition = "HFS"
    dataset.PatientOrientation = ["L", "P"]
    dataset.PositionReferenceIndicator = ""
    dataset.Laterality = ""
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [0, 0, number], [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing = [0.7, 0.7]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = 16, 16
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "-1024", "1", "HU"
    dataset.WindowCenter, dataset.WindowWidth = "40", "400"
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = CT, f"{ROOT}.4.99"
    reference.PatientName = planter.value("PN")
    dataset.ReferencedImageSequence = Sequence([reference])
    region = Dataset()
    region.CodeValue, region.CodingSchemeDesignator = "51185008", "SCT"
    region.CodeMeaning = f"Thorax of {planter.value('LO')}"
    dataset.AnatomicRegionSequence = Sequence([region])
    if planted:
        plant_everywhere(dataset, planter)
        _plant_odd_places(dataset, planter)
    planter.markers |= {b"LEAK99998", b"LEAK99997", b"Spezial", b"29.08.1951"}
    pixels = np.arange(256, dtype="<u2").reshape(16, 16) + number
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW"
    return _finish(dataset, planter, syntax=syntax)


def make_seg(numbers: tuple[int, ...] = (1, 2), *, planted: bool = True) -> Planted:
    """Make a binary segmentation of the CT slices."""
    planter = _Planter()
    dataset = Dataset()
    _identity(dataset)
    dataset.SOPClassUID, dataset.SOPInstanceUID = SEG, f"{ROOT}.5.1"
    dataset.SeriesInstanceUID = f"{ROOT}.6"
    dataset.Modality, dataset.ImageType = "SEG", ["DERIVED", "PRIMARY"]
    dataset.Manufacturer, dataset.ManufacturerModelName = "RACOON", "model"
    dataset.SoftwareVersions, dataset.DeviceSerialNumber = "1.0", str(planter.value("LO"))
    dataset.SeriesNumber, dataset.InstanceNumber = "3", "1"
    dataset.ContentLabel, dataset.ContentDescription = "SEGMENTATION", "Lung of Müller"
    dataset.ContentCreatorName = "MÜLLER^Doktor"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames = 16, 16, str(len(numbers))
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 1, 1, 0, 0
    dataset.LossyImageCompression, dataset.SegmentationType = "00", "BINARY"
    segment = Dataset()
    segment.SegmentNumber, segment.SegmentLabel = 1, f"Lung {planter.value('LO')}"
    segment.SegmentDescription = planter.value("ST")
    segment.SegmentAlgorithmType, segment.SegmentAlgorithmName = "AUTOMATIC", str(planter.value("LO"))
    segment.SegmentedPropertyCategoryCodeSequence = Sequence(
        [_code("123037004", "SCT", "Anatomical Structure")]
    )
    segment.SegmentedPropertyTypeCodeSequence = Sequence([_code("39607008", "SCT", "Lung")])
    local = _code(str(planter.value("SH")), "99HOSPITAL", str(planter.value("LO")))
    segment.SegmentedPropertyTypeModifierCodeSequence = Sequence([local])
    segment.TrackingID, segment.TrackingUID = str(planter.value("UT")), f"{ROOT}.77"
    dataset.SegmentSequence = Sequence([segment])
    referenced = Dataset()
    referenced.SeriesInstanceUID = SERIES
    referenced.ReferencedInstanceSequence = Sequence([_reference(number) for number in numbers])
    dataset.ReferencedSeriesSequence = Sequence([referenced])
    dimension = Dataset()
    dimension.DimensionOrganizationUID = f"{ROOT}.8"
    dataset.DimensionOrganizationSequence = Sequence([dimension])
    index = Dataset()
    index.DimensionOrganizationUID = f"{ROOT}.8"
    index.DimensionIndexPointer, index.FunctionalGroupPointer = 0x00200032, 0x00209113
    index.DimensionDescriptionLabel = planter.value("LO")
    dataset.DimensionIndexSequence = Sequence([index])
    shared = Dataset()
    measures = Dataset()
    measures.SliceThickness, measures.PixelSpacing = "1.0", [0.7, 0.7]
    shared.PixelMeasuresSequence = Sequence([measures])
    orientation = Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PlaneOrientationSequence = Sequence([orientation])
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    dataset.PerFrameFunctionalGroupsSequence = Sequence(
        [_frame(number, index + 1) for index, number in enumerate(numbers)]
    )
    if planted:
        plant_everywhere(dataset, planter)
        _plant_odd_places(dataset, planter)
    dataset.PixelData = bytes(range(32)) * len(numbers)
    dataset["PixelData"].VR = "OB"
    return _finish(dataset, planter, syntax=ExplicitVRLittleEndian)


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _reference(number: int) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CT, f"{ROOT}.4.{number}"
    return item


def _frame(number: int, position: int) -> Dataset:
    frame = Dataset()
    source = _reference(number)
    source.PurposeOfReferenceCodeSequence = Sequence([_code("121322", "DCM", "Source image")])
    derivation = Dataset()
    derivation.SourceImageSequence = Sequence([source])
    derivation.DerivationCodeSequence = Sequence([_code("113076", "DCM", "Segmentation")])
    frame.DerivationImageSequence = Sequence([derivation])
    content = Dataset()
    content.DimensionIndexValues = [position]
    frame.FrameContentSequence = Sequence([content])
    plane = Dataset()
    plane.ImagePositionPatient = [0, 0, number]
    frame.PlanePositionSequence = Sequence([plane])
    segment = Dataset()
    segment.ReferencedSegmentNumber = 1
    frame.SegmentIdentificationSequence = Sequence([segment])
    return frame


def leaked(markers: Iterable[bytes], output: bytes) -> list[bytes]:
    """Return the markers in an output; the digits of a hashed UID, which hold any date by chance, are not looked at."""
    told = re.sub(rb"2\.25\.\d{30,39}", b"2.25", output)
    return [marker for marker in markers if marker in told]

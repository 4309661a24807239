"""One object of every supported SOP class, with an identifier in every element that its allow-list lets through.

The list is asked, not the standard: what the engine might keep is exactly where a leak would be.
"""

from __future__ import annotations

import io

import numpy as np
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import UID, JPEG2000Lossless

from racoon.node.deid.profiles import profile_named
from racoon.node.deid.rules import Action, RuleSet, Step, rules_for
from racoon.standards.dicom.elements import vr_of
from tests.planted_identifiers import (
    ROOT,
    Planted,
    _finish,
    _identity,
    _plant_odd_places,
    _Planter,
    _reference,
    make_ct,
    plant_everywhere,
)

TEXT_VR = ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT", "OB", "UN")
RTSTRUCT = UID("1.2.840.10008.5.1.4.1.1.481.3")
COMPREHENSIVE_SR = UID("1.2.840.10008.5.1.4.1.1.88.33")


def _value(planter: _Planter, tag: int, step: Step) -> object:
    vr = vr_of(tag)
    if vr not in TEXT_VR or step.kind in ("uid", "pixels", "pseudonym"):
        return None
    if step.kind == "technical":
        return "Zacharias"  # machines' words stay, but never the patient's
    return planter.value(vr)


def _plant_allowed(dataset: Dataset, planter: _Planter, rules: RuleSet, *, depth: int = 0) -> None:
    """Plant at one level, and one item of everything below the first sequence of that level."""
    steps = rules.top if depth == 0 else rules.nested
    has_gone_down = depth == 2
    for tag, step in steps.items():
        if tag in dataset or not keyword_for_tag(tag):
            continue
        if step.kind == "sequence":
            if not has_gone_down and step.action >= Action.CLEAN:
                has_gone_down = True
                item = Dataset()
                _plant_allowed(item, planter, rules, depth=depth + 1)
                dataset.add_new(tag, "SQ", Sequence([item]))
        elif (value := _value(planter, tag, step)) is not None:
            dataset.add_new(tag, vr_of(tag), value)


def make_planted(sop_class: str) -> Planted:
    """Make an object of a class with a marker wherever its list lets something through."""
    planter = _Planter()
    rules = rules_for(sop_class, profile_named("device"))
    assert rules is not None
    dataset = Dataset()
    _identity(dataset)
    dataset.PatientName = "MÜLLER^Zacharias Homer"
    dataset.SOPClassUID, dataset.SOPInstanceUID = UID(sop_class), f"{ROOT}.4.77"
    dataset.Modality = rules.modality
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    _plant_allowed(dataset, planter, rules)
    plant_everywhere(dataset, planter)
    _plant_odd_places(dataset, planter)
    if rules.kind in ("image", "segmentation"):
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.Rows, dataset.Columns, dataset.NumberOfFrames = 16, 16, "1"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = (
            16,
            12,
            11,
            0,
        )
        dataset.PixelData = np.arange(256, dtype="<u2").tobytes()
        dataset["PixelData"].VR = "OW"
    return _finish(dataset, planter, syntax="1.2.840.10008.1.2.1")


def _concept(value: str, scheme: str, meaning: str) -> Sequence:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return Sequence([code])


def _item(value_type: str, concept: Sequence, relationship: str = "CONTAINS", **values: object) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType, item.ConceptNameCodeSequence = relationship, value_type, concept
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def make_report(*, numbers: tuple[int, ...] = (1, 2)) -> Planted:
    """Make a comprehensive SR that measures two CT slices and names everybody it can."""
    planter = _Planter()
    dataset = Dataset()
    _identity(dataset)
    dataset.SOPClassUID, dataset.SOPInstanceUID = COMPREHENSIVE_SR, f"{ROOT}.7.1"
    dataset.SeriesInstanceUID, dataset.Modality = f"{ROOT}.7", "SR"
    dataset.SeriesNumber, dataset.InstanceNumber = "7", "1"
    dataset.CompletionFlag, dataset.VerificationFlag = "COMPLETE", "VERIFIED"
    observer = Dataset()
    observer.VerifyingObserverName, observer.VerifyingOrganization = planter.value("PN"), planter.value("LO")
    observer.VerificationDateTime = "20230504101112"
    dataset.VerifyingObserverSequence = Sequence([observer])
    dataset.ValueType, dataset.ContinuityOfContent = "CONTAINER", "SEPARATE"
    dataset.ConceptNameCodeSequence = _concept("126000", "DCM", "Imaging Measurement Report")
    measured = Dataset()
    measured.NumericValue = "12.5"
    measured.MeasurementUnitsCodeSequence = _concept("mm", "UCUM", "millimeter")
    age = Dataset()
    age.NumericValue, age.MeasurementUnitsCodeSequence = "97", _concept("a", "UCUM", "year")
    images = [
        _item(
            "IMAGE",
            _concept("260753009", "SCT", "Source"),
            ReferencedSOPSequence=Sequence([_reference(number)]),
        )
        for number in numbers
    ]
    group = _item("CONTAINER", _concept("125007", "DCM", "Measurement Group"), ContinuityOfContent="SEPARATE")
    deep = _item("TEXT", _concept("121106", "DCM", "Comment"), TextValue=f"seen by {planter.value('UT')}")
    group.ContentSequence = Sequence(
        [
            _item("NUM", _concept("410668003", "SCT", "Length"), MeasuredValueSequence=Sequence([measured])),
            deep,
            *images,
        ]
    )
    dataset.ContentSequence = Sequence(
        [
            _item("TEXT", _concept("121071", "DCM", "Finding"), TextValue=f"Herr Müller {planter.value('UT')}"),
            _item("TEXT", _concept("X1", "99HOSPITAL", planter.value("LO")), TextValue=planter.value("UT")),  # type: ignore[arg-type]  # pydicom's own value
            _item("PNAME", _concept("121008", "DCM", "Person Observer Name"), PersonName=planter.value("PN")),
            _item("PNAME", _concept("121029", "DCM", "Subject Name"), PersonName="MÜLLER^Zacharias Homer"),
            _item("DATE", _concept("121031", "DCM", "Subject Birth Date"), Date="19510829"),
            _item("NUM", _concept("121033", "DCM", "Subject Age"), MeasuredValueSequence=Sequence([age])),
            _item("TEXT", _concept("121030", "DCM", "Subject ID"), TextValue=planter.value("UT")),
            _item("TEXT", _concept("121022", "DCM", "Accession Number"), TextValue=planter.value("UT")),
            _item("TEXT", _concept("121013", "DCM", "Device Observer Name"), TextValue=planter.value("UT")),
            _item("TEXT", _concept("121014", "DCM", "Device Observer Manufacturer"), TextValue="SIEMENS"),
            _item("UIDREF", _concept("112040", "DCM", "Tracking Unique Identifier"), UID=f"{ROOT}.77"),
            _item("CODE", _concept("121058", "DCM", "Procedure reported"),
                  ConceptCodeSequence=_concept(str(planter.value("SH")), "99HOSPITAL", str(planter.value("LO")))),
            _item("DATETIME", _concept("111526", "DCM", "DateTime Started"), DateTime="20230504101112"),
            group,
        ]
    )  # fmt: skip
    plant_everywhere(dataset, planter)
    _plant_odd_places(dataset, planter)
    return _finish(dataset, planter, syntax="1.2.840.10008.1.2.1")


def make_structure_set(*, numbers: tuple[int, ...] = (1, 2)) -> Planted:
    """Make an RT structure set with one region on each of two CT slices."""
    planter = _Planter()
    dataset = Dataset()
    _identity(dataset)
    dataset.SOPClassUID, dataset.SOPInstanceUID = RTSTRUCT, f"{ROOT}.8.1"
    dataset.SeriesInstanceUID, dataset.Modality = f"{ROOT}.8", "RTSTRUCT"
    dataset.StructureSetLabel, dataset.StructureSetName = str(planter.value("SH")), planter.value("LO")
    dataset.StructureSetDate, dataset.StructureSetTime = "20230504", "101112"
    region = Dataset()
    region.ROINumber, region.ReferencedFrameOfReferenceUID = "1", dataset.FrameOfReferenceUID
    region.ROIName, region.ROIGenerationAlgorithm = f"Lung {planter.value('LO')}", "MANUAL"
    region.ROIDescription = planter.value("ST")
    dataset.StructureSetROISequence = Sequence([region])
    contours = []
    for number in numbers:
        contour = Dataset()
        contour.ContourImageSequence = Sequence([_reference(number)])
        contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", "9000"
        contour.ContourData = [round(0.25 * index, 2) for index in range(27000)]  # longer than DS may be
        contours.append(contour)
    drawn = Dataset()
    drawn.ReferencedROINumber, drawn.ContourSequence = "1", Sequence(contours)
    dataset.ROIContourSequence = Sequence([drawn])
    observation = Dataset()
    observation.ObservationNumber, observation.ReferencedROINumber = "1", "1"
    observation.RTROIInterpretedType, observation.ROIInterpreter = "ORGAN", planter.value("PN")
    observation.ROIObservationLabel = planter.value("SH")
    dataset.RTROIObservationsSequence = Sequence([observation])
    plant_everywhere(dataset, planter)
    _plant_odd_places(dataset, planter)
    return _finish(dataset, planter, syntax="1.2.840.10008.1.2")


def make_commented_jpeg2000() -> bytes:
    """Make a CT whose compressed frame carries the patient's name in a comment of the codestream."""
    import imagecodecs
    from pydicom import dcmread

    dataset = dcmread(io.BytesIO(make_ct(planted=False).data))
    pixels = np.frombuffer(dataset.PixelData, "<u2").reshape(16, 16)
    stream = imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", reversible=True)
    at = stream.index(b"\xff\x52")  # the coding style comes right behind the image's size
    text = b"seen by Zacharias Homer LEAKCOMMENT"
    comment = b"\xff\x64" + (len(text) + 4).to_bytes(2, "big") + b"\0\1" + text
    dataset.PixelData = encapsulate([stream[:at] + comment + stream[at:]])
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    out = io.BytesIO()
    dcmwrite(out, dataset)
    return out.getvalue()

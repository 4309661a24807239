"""Small DICOM objects for tests, made with pydicom and highdicom so that our own readers are not their own
judge."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import highdicom as hd
import numpy as np
import numpy.typing as npt
from highdicom.sr.coding import CodedConcept
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
)

from racoon.domain.identity import Pseudonym
from racoon.node.archive.model import DeidentifiedInstance

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def uid(*parts: int) -> str:
    """Make a UID below the root for UUID-derived UIDs."""
    return ".".join(["2.25.977", *map(str, parts)])


def ct_slice(
    voxels: npt.NDArray[np.int16],
    position_mm: Sequence[float],
    *,
    number: int,
    series: int = 1,
    study: int = 1,
    subject: str = "SUBJ-1",
    spacing_mm: tuple[float, float] = (0.8, 0.7),
    orientation: Sequence[float] = AXIAL,
    thickness_mm: float = 2.5,
    **attributes: Any,
) -> Dataset:
    """Make one CT slice; the voxels are HU, stored with intercept -1024 in 12 bits."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = MRImageStorage if attributes.get("Modality") == "MR" else CTImageStorage
    dataset.SOPInstanceUID = uid(study, series, number)
    dataset.SeriesInstanceUID = uid(study, series)
    dataset.StudyInstanceUID = uid(study)
    dataset.FrameOfReferenceUID = uid(study, 9999)
    dataset.PatientID = subject
    dataset.PatientName = f"{subject}^"
    dataset.PatientSex = "F"
    dataset.PatientAge = "061Y"
    dataset.PatientBirthDate = ""
    dataset.StudyDate, dataset.StudyTime = "20240131", "101500"
    dataset.AccessionNumber = ""
    dataset.StudyID = "1"
    dataset.ReferringPhysicianName = ""
    dataset.Modality = "CT"
    dataset.Manufacturer, dataset.ManufacturerModelName = "Phantom Works", "Model 7"
    dataset.BodyPartExamined = "CHEST"
    dataset.SeriesDescription = "Thorax 2.5 mm"
    dataset.SeriesNumber = series
    dataset.InstanceNumber = number
    dataset.KVP = 120
    dataset.ConvolutionKernel = "B30f"
    dataset.SliceThickness = thickness_mm
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.PositionReferenceIndicator = ""
    dataset.ImagePositionPatient = [f"{value:.6f}"[:16] for value in position_mm]
    dataset.ImageOrientationPatient = [f"{value:.9f}"[:16] for value in orientation]
    dataset.PixelSpacing = list(spacing_mm)
    dataset.Rows, dataset.Columns = voxels.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = -1024, 1, "HU"
    dataset.WindowCenter, dataset.WindowWidth = 40, 400
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    stored = np.clip(voxels.astype(np.int32) + 1024, 0, 4095).astype("<u2")
    dataset.PixelData = stored.tobytes()
    return dataset


def ct_series(
    voxels: npt.NDArray[np.int16],
    *,
    origin_mm: Sequence[float] = (-20.0, -30.0, 100.0),
    step_mm: Sequence[float] | None = None,
    orientation: Sequence[float] = AXIAL,
    slice_spacing_mm: float = 2.5,
    **options: Any,
) -> list[Dataset]:
    """Make a CT series (slice, row, column) with even steps along the normal, or along ``step_mm``."""
    normal = np.cross(orientation[:3], orientation[3:])
    step = np.asarray(step_mm) if step_mm is not None else normal * slice_spacing_mm
    return [
        ct_slice(
            plane, np.asarray(origin_mm) + index * step, number=index + 1, orientation=orientation, **options
        )
        for index, plane in enumerate(voxels)
    ]


def segmentation(
    sources: Sequence[Dataset],
    masks: npt.NDArray[np.bool_] | npt.NDArray[np.uint8],
    codes: Sequence[tuple[str, str, str]],
    *,
    kind: str = "BINARY",
    series: int = 50,
    omit_empty_frames: bool = True,
    **options: Any,
) -> Dataset:
    """Write a SEG with highdicom; masks are (slice, row, column, segment) for BINARY, labels for LABELMAP."""
    study = int(str(sources[0].StudyInstanceUID).rsplit(".", 1)[1])
    descriptions = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=meaning,
            segmented_property_category=CodedConcept("123037004", "SCT", "Anatomical Structure"),
            segmented_property_type=CodedConcept(value, scheme, meaning),
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number, (value, scheme, meaning) in enumerate(codes, start=1)
    ]
    return hd.seg.Segmentation(
        source_images=list(sources),
        pixel_array=masks,
        segmentation_type=hd.seg.SegmentationTypeValues(kind),
        segment_descriptions=descriptions,
        series_instance_uid=uid(study, series),
        series_number=series,
        sop_instance_uid=uid(study, series, 1),
        instance_number=1,
        manufacturer="Phantom Works",
        manufacturer_model_name="Painter",
        software_versions="1",
        device_serial_number="1",
        omit_empty_frames=omit_empty_frames,
        **options,
    )


def to_bytes(dataset: Dataset) -> bytes:
    """Write a PS3.10 file."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def deidentified(dataset: Dataset, evidence: dict[str, Any] | None = None) -> DeidentifiedInstance:
    """Wrap a data set as the archive gets it."""
    return DeidentifiedInstance(
        bytes=to_bytes(dataset),
        sop_class_uid=str(dataset.SOPClassUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        series_uid=str(dataset.SeriesInstanceUID),
        imaging_study_uid=str(dataset.StudyInstanceUID),
        pseudonym=Pseudonym(str(dataset.PatientID)),
        evidence=evidence or {},
    )


def pet_series(
    becquerel_ml: npt.NDArray[np.int16], *, slope: float = 2.0, weight_kg: float = 70.0, **options: Any
) -> list[Dataset]:
    """Make a PET series; an hour after 350 MBq of fluorine-18 the decay is corrected to the start of the scan."""
    drug = Dataset()
    drug.RadionuclideTotalDose, drug.RadionuclideHalfLife = 350e6, 6586.2
    drug.RadiopharmaceuticalStartTime = "091500"
    facts: dict[str, Any] = {
        "series": 7,
        "SeriesDescription": "PET AC",
        "Modality": "PT",
        "Units": "BQML",
        "DecayCorrection": "START",
        "SeriesTime": "101500",
        "AcquisitionTime": "101500",
        "PatientWeight": weight_kg,
        "RadiopharmaceuticalInformationSequence": [drug],
    }
    made = ct_series(np.zeros_like(becquerel_ml), **(facts | options))
    for dataset, plane in zip(made, becquerel_ml, strict=True):
        dataset.SOPClassUID = PositronEmissionTomographyImageStorage
        dataset.RescaleIntercept, dataset.RescaleSlope = 0, slope
        dataset.BitsStored, dataset.HighBit = 16, 15
        dataset.PixelData = np.round(plane / slope).astype("<u2").tobytes()
        for keyword in ("WindowCenter", "WindowWidth", "RescaleType", "KVP", "ConvolutionKernel"):
            delattr(dataset, keyword)
    return made

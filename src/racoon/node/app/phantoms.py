"""Invented examinations for the readiness test: a ball in a box, of a size that is known."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

SPACING_MM = 4.0
ROWS, SLICES = 24, 8
LIVER = ("10200004", "SCT", "Liver")
_ROOT = "2.25.911"


def ball(number: int) -> npt.NDArray[np.bool_]:
    """Return the ball of an examination as (slice, row, column); later ones are larger."""
    radius = 8.0 + number % 5
    axes = [(np.arange(count) - (count - 1) / 2) * SPACING_MM for count in (SLICES, ROWS, ROWS)]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return np.asarray(z**2 + y**2 + x**2 <= radius**2)


def volume_ml(number: int) -> float:
    """Return the volume of the ball as drawn, in mL."""
    return float(ball(number).sum()) * SPACING_MM**3 / 1000


def examination(number: int) -> Iterator[bytes]:
    """Yield the files of one invented patient's CT and of the mask drawn on it.

    Parameters
    ----------
    number
        Which one; the same number gives the same patient.
    """
    import highdicom as hd  # noqa: PLC0415 - slow to load, and only this test writes images
    from highdicom.sr.coding import CodedConcept  # noqa: PLC0415 - as above

    mask = ball(number)
    slices = [_slice(number, place, plane) for place, plane in enumerate(np.where(mask, 60, -80))]
    described = hd.seg.SegmentDescription(
        segment_number=1,
        segment_label=LIVER[2],
        segmented_property_category=CodedConcept("123037004", "SCT", "Anatomical Structure"),
        segmented_property_type=CodedConcept(*LIVER),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
    )
    drawn = hd.seg.Segmentation(
        source_images=slices,
        pixel_array=mask[..., np.newaxis],
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[described],
        series_instance_uid=f"{_ROOT}.{number}.2",
        series_number=2,
        sop_instance_uid=f"{_ROOT}.{number}.2.1",
        instance_number=1,
        manufacturer="RACOON",
        manufacturer_model_name="Readiness test",
        software_versions="1",
        device_serial_number="1",
    )
    for dataset in (*slices, drawn):
        sink = io.BytesIO()
        dataset.save_as(sink, enforce_file_format=True)
        yield sink.getvalue()


def _slice(number: int, place: int, plane: npt.NDArray[np.int64]) -> Any:
    from pydicom.dataset import Dataset, FileMetaDataset  # noqa: PLC0415 - as above
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian  # noqa: PLC0415 - as above

    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID = CTImageStorage
    image.SOPInstanceUID = f"{_ROOT}.{number}.1.{place + 1}"
    image.SeriesInstanceUID, image.StudyInstanceUID = f"{_ROOT}.{number}.1", f"{_ROOT}.{number}"
    image.FrameOfReferenceUID = f"{_ROOT}.{number}.9"
    image.PatientID, image.PatientName = f"READINESS-{number:03d}", f"Readiness^{number:03d}"
    image.PatientSex, image.PatientAge, image.PatientBirthDate = "O", "050Y", "19700101"
    image.StudyDate, image.StudyTime = "20200101", "120000"
    image.AccessionNumber, image.StudyID, image.ReferringPhysicianName = "", "1", ""
    image.Modality, image.Manufacturer, image.ManufacturerModelName = "CT", "RACOON", "Readiness test"
    image.BodyPartExamined, image.SeriesDescription = "ABDOMEN", "Readiness test"
    image.SeriesNumber, image.InstanceNumber = 1, place + 1
    image.KVP, image.ConvolutionKernel = 120, "B30f"
    image.SliceThickness = SPACING_MM
    image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    image.PositionReferenceIndicator = ""
    image.ImagePositionPatient = [0, 0, place * SPACING_MM]
    image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    image.PixelSpacing = [SPACING_MM, SPACING_MM]
    image.Rows, image.Columns = plane.shape
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 12, 11
    image.PixelRepresentation = 0
    image.RescaleIntercept, image.RescaleSlope, image.RescaleType = -1024, 1, "HU"
    image.WindowCenter, image.WindowWidth = 40, 400
    image.PixelData = (plane + 1024).astype("<u2").tobytes()
    return image

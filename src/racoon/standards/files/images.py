"""An image from disk, with what its header says about how it was taken."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from racoon.science.image import Image
from racoon.standards.dicom.pixels import decode_frame
from racoon.standards.dicom.volume import (
    Arrangement,
    Frame,
    UnsuitableObject,
    Volume,
    arrange,
    build_volume,
    frames_of,
    stored_range_of,
)
from racoon.standards.files.nifti import load_nifti
from racoon.standards.files.nrrd import load_nrrd
from racoon.standards.files.opening import UnreadableImage, dicom_files, kind_of, stream_of

_IMAGES = frozenset({"CT", "MR", "PT", "NM", "US", "CR", "DX"})


@dataclass(frozen=True, eq=False)
class LoadedImage:
    """An image and where it came from.

    Parameters
    ----------
    image
        Voxels in output units (HU for CT) and affine.
    modality
        DICOM modality; empty when the format does not carry one.
    has_header
        True for DICOM: a fact that is missing there is missing in the acquisition too.
    kvp, has_contrast, slice_thickness_mm, kernel, is_gated
        Facts of the acquisition; None when not said.
    patient
        ``height_m``, ``weight_kg``, ``age_years``, ``sex`` where the header has them.
    source
        What to name as provenance: file, format, series UID, instances.
    volume
        The DICOM volume; needed to place a SEG or RTSTRUCT.
    """

    image: Image
    modality: str = ""
    has_header: bool = False
    kvp: float | None = None
    has_contrast: bool | None = None
    slice_thickness_mm: float | None = None
    kernel: str = ""
    is_gated: bool | None = None
    patient: dict[str, float | str] = field(default_factory=dict)
    source: dict[str, Any] = field(default_factory=dict)
    volume: Volume | None = None


def load_image(path: Path) -> LoadedImage:
    """Read an image.

    Parameters
    ----------
    path
        NIfTI, NRRD, a DICOM file, or a folder, ZIP or TAR archive that holds one DICOM series.

    Raises
    ------
    UnreadableImage
        If there is no readable image, or more than one series.
    """
    kind = kind_of(path)
    if kind == "nifti":
        voxels, affine = load_nifti(path)
        return LoadedImage(Image(voxels, affine), source={"file": path.name, "format": "NIfTI"})
    if kind == "nrrd":
        found = load_nrrd(path)
        if len(found.layers) != 1:
            raise UnreadableImage(f"{path.name} holds {len(found.layers)} layers; an image has one.")
        return LoadedImage(Image(found.layers[0], found.affine), source={"file": path.name, "format": "NRRD"})
    return _load_dicom(path)


def _load_dicom(path: Path) -> LoadedImage:
    import pydicom  # noqa: PLC0415 - a third of a second that only DICOM needs

    series: dict[str, list[Dataset]] = defaultdict(list)
    for _, content in dicom_files(path):
        try:
            dataset = pydicom.dcmread(stream_of(content))
        except pydicom.errors.InvalidDicomError:
            continue
        if str(dataset.get("Modality") or "") in _IMAGES and "PixelData" in dataset:
            series[str(dataset.get("SeriesInstanceUID") or "")].append(dataset)
    if not series:
        raise UnreadableImage(f"{path.name} holds no DICOM image; give a folder with one series.")
    if len(series) > 1:
        raise UnreadableImage(f"{path.name} holds {len(series)} series; give a folder with one of them.")
    (uid, datasets), *_ = series.items()
    volume = volume_of(datasets)
    first = datasets[0]
    return LoadedImage(
        image=volume.image,
        modality=str(first.get("Modality") or ""),
        has_header=True,
        kvp=_number(first, "KVP"),
        has_contrast=has_contrast(first),
        slice_thickness_mm=_number(first, "SliceThickness"),
        kernel=_text(first, "ConvolutionKernel"),
        is_gated=_is_gated(first),
        patient=_patient(first),
        source={
            "file": path.name,
            "format": "DICOM",
            "series_instance_uid": uid,
            "instances": len(volume.instance_uids),
            "findings": [finding.code.value for finding in volume.findings],
        },
        volume=volume,
    )


def volume_of(datasets: list[Dataset]) -> Volume:
    """Stack the planes of one series.

    Raises
    ------
    IrregularSeries
        If they are not one regular grid.
    """
    by_uid = {str(dataset.SOPInstanceUID): dataset for dataset in datasets}
    frames: list[Frame] = []
    for dataset in by_uid.values():
        try:
            frames += frames_of(dataset)
        except UnsuitableObject:
            # A scout or a screen picture among the slices; when nothing else is there it is the answer.
            if len(by_uid) == 1:
                raise
    arrangement: Arrangement = arrange(frames)
    ranges = [stored_range_of(dataset) for dataset in by_uid.values()]
    known = [item for item in ranges if item is not None]
    stored = (
        (min(low for low, _ in known), max(high for _, high in known)) if len(known) == len(ranges) else None
    )

    def load_pixels(frame: Frame) -> NDArray[np.generic]:
        return decode_frame(by_uid[frame.sop_instance_uid], frame.number - 1)

    return build_volume(arrangement, stored, load_pixels)


def has_contrast(dataset: Dataset) -> bool | None:
    """Tell whether contrast medium is recorded (PS3.3 C.7.6.4); None when nothing is said."""
    agent = _text(dataset, "ContrastBolusAgent")
    if agent:
        return agent.strip().lower() not in {"no", "none", "n", "ohne", "native", "nativ"}
    for keyword in ("ContrastBolusRoute", "ContrastBolusVolume", "ContrastBolusTotalDose"):
        if _text(dataset, keyword) not in {"", "0", "0.0", "NONE"}:
            return True
    return bool(dataset.ContrastBolusAgentSequence) if "ContrastBolusAgentSequence" in dataset else None


def _is_gated(dataset: Dataset) -> bool | None:
    technique = _text(dataset, "CardiacSynchronizationTechnique").upper()
    if technique:
        return technique in {"PROSPECTIVE", "RETROSPECTIVE", "REALTIME", "PACED"}
    return True if "HeartRate" in dataset or "TriggerTime" in dataset else None


def _patient(dataset: Dataset) -> dict[str, float | str]:
    facts: dict[str, float | str] = {}
    for name, keyword in (("height_m", "PatientSize"), ("weight_kg", "PatientWeight")):
        value = _number(dataset, keyword)
        if value:
            facts[name] = value
    age = _text(dataset, "PatientAge")
    if age.endswith("Y") and age[:-1].isdigit():
        facts["age_years"] = float(age[:-1])
    sex = _text(dataset, "PatientSex").upper()
    if sex in {"M", "F"}:
        facts["sex"] = sex
    return facts


def _text(dataset: Dataset, keyword: str) -> str:
    value = dataset.get(keyword)
    if value is None:
        return ""
    return (
        "\\".join(str(item) for item in value)
        if isinstance(value, (list, tuple)) or hasattr(value, "append")
        else str(value).strip()
    )


def _number(dataset: Dataset, keyword: str) -> float | None:
    try:
        value = float(dataset.get(keyword))
    except (TypeError, ValueError):
        return None
    return value if np.isfinite(value) and value > 0 else None

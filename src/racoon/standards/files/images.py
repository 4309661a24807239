"""An image from disk, with what its header says about how it was taken."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from racoon.science.image import Image
from racoon.standards.acquisition import Acquisition, read_acquisition
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
    suv_factor, suv_gap
        For PET: by what stored values were multiplied to give SUV by body weight, or what the header lacks for it.
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
    suv_factor: float | None = None
    suv_gap: str = ""
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
    taken = _acquisition(datasets[0])
    image = volume.image
    if taken.suv_factor not in (None, 1.0):
        image = Image(image.voxels.astype(np.float32) * np.float32(taken.suv_factor), image.affine)
        volume = replace(volume, image=image)
    return LoadedImage(
        image=image,
        modality=taken.modality,
        has_header=True,
        kvp=taken.kvp,
        has_contrast=taken.has_contrast,
        slice_thickness_mm=taken.slice_thickness_mm,
        kernel=taken.kernel,
        is_gated=taken.is_gated,
        suv_factor=taken.suv_factor,
        suv_gap=taken.suv_gap,
        patient=dict(taken.subject),
        source={
            "file": path.name,
            "format": "DICOM",
            "series_instance_uid": uid,
            "instances": len(volume.instance_uids),
            "findings": [finding.code.value for finding in volume.findings],
        },
        volume=volume,
    )


def _acquisition(dataset: Dataset) -> Acquisition:
    """Facts of one object's header; all images of a series share them (PS3.3 A.1.4)."""
    header = Dataset()
    for element in dataset:
        # Pixels and other bulk say nothing about how the image was taken.
        if element.VR not in {"OB", "OW", "OD", "OF", "OL", "OV", "UN"}:
            header.add(element)
    return read_acquisition(header.to_json_dict(suppress_invalid_tags=True))


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

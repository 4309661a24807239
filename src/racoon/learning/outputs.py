"""A segmentation as files: NIfTI for programs, DICOM SEG for archives; each says who made it and what it is for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from racoon.learning.packages.card import RESEARCH_USE
from racoon.learning.packages.container import ModelPackage
from racoon.science.image import Image
from racoon.standards.dicom.reading_report import ReadNumber, build_reading_report
from racoon.standards.dicom.segmenting import Algorithm, build_automatic_segmentation
from racoon.standards.files import LoadedImage
from racoon.standards.files.opening import dicom_files, stream_of
from racoon.standards.nifti import write_nifti


def algorithm_of(package: ModelPackage) -> Algorithm:
    """Return what a SEG says about the model that drew it."""
    return Algorithm(package.card.name, package.card.version, package.hash, RESEARCH_USE)


def write_outputs(
    package: ModelPackage,
    source: Path,
    loaded: LoadedImage,
    classes: npt.NDArray[np.uint8],
    folder: Path,
    name: str,
) -> list[str]:
    """Write ``NAME.nii.gz`` and, for a DICOM series with any foreground, ``NAME.seg.dcm``.

    Parameters
    ----------
    package
        Who drew it.
    source, loaded
        Where the image came from, and the image.
    classes
        Class indices on its grid.
    folder, name
        Where to write, and the name of the series.

    Returns
    -------
    list
        Names of the files written.
    """
    target = folder / f"{name}.nii.gz"
    temporary = folder / f".{name}.part.nii.gz"
    write_nifti(
        Image(classes, loaded.image.affine), temporary, description=f"{package.hash[:16]} research use only"
    )
    temporary.replace(target)
    files = [target.name]
    if loaded.volume is not None:
        segmentation = build_automatic_segmentation(
            _source_slices(source, loaded), classes, package.plan.labels, algorithm_of(package)
        )
        if segmentation is not None:
            written = folder / f"{name}.seg.dcm"
            segmentation.save_as(written, enforce_file_format=True)
            files.append(written.name)
    return files


def write_reading(
    package: ModelPackage, source: Path, loaded: LoadedImage, read: Sequence[float], folder: Path, name: str
) -> list[str]:
    """Write ``NAME.sr.dcm`` for a DICOM series; other formats have no place for a reading but the table.

    Parameters
    ----------
    package, source, loaded, folder, name
        As :func:`write_outputs`.
    read
        Probabilities, or the number.

    Returns
    -------
    list
        Names of the files written.
    """
    if loaded.volume is None:
        return []
    report = reading_report(package, _source_slices(source, loaded), read)
    written = folder / f"{name}.sr.dcm"
    report.save_as(written, enforce_file_format=True)
    return [written.name]


def reading_report(package: ModelPackage, images: Sequence[Dataset], read: Sequence[float]) -> Dataset:
    """Build the DICOM SR of a reading.

    Parameters
    ----------
    package
        Who read it.
    images
        The slices, with their headers.
    read
        Probabilities, or the number.
    """
    plan = package.plan
    if len(plan.labels) > 1:
        numbers = [ReadNumber(label, share, "1") for label, share in zip(plan.labels, read, strict=True)]
        told = plan.labels[max(range(len(read)), key=lambda index: read[index])]
        return build_reading_report(images, numbers, told, algorithm_of(package))
    unit = plan.target.unit if plan.target else ""
    return build_reading_report(
        images, [ReadNumber(plan.labels[0], read[0], unit or "1")], None, algorithm_of(package)
    )


def _source_slices(source: Path, loaded: LoadedImage) -> list[Dataset]:
    import pydicom

    wanted = loaded.volume.instance_uids if loaded.volume else ()
    found = {}
    for _, content in dicom_files(source):
        try:
            dataset = pydicom.dcmread(stream_of(content))
        except pydicom.errors.InvalidDicomError:
            continue
        found[str(dataset.get("SOPInstanceUID") or "")] = dataset
    return [found[uid] for uid in dict.fromkeys(wanted)]

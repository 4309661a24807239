"""Images and their labels in a folder of a data scientist: NIfTI, NRRD or DICOM, paired by name.

Three layouts: ``images/`` and ``labels/`` with the same names; ``NAME_image.*`` beside ``NAME_mask.*``; one folder of
DICOM files per subject, series and SEG or RTSTRUCT together.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from racoon.domain.plan import TrainingPlan
from racoon.errors import Defect
from racoon.learning.cases import Case, prepare_case, prepare_image
from racoon.learning.contract import broken_rules
from racoon.learning.fingerprint import FingerprintSums
from racoon.learning.orientation import Axes
from racoon.standards.files import LabelledMask, LoadedImage, load_image, load_masks

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr")
_IMAGE_END = re.compile(r"[_-](image|img|t1|ct|mr|pet)$", re.IGNORECASE)
_MASK_END = re.compile(r"[_-](mask|label|labels|seg)$", re.IGNORECASE)
_BIDS_SUBJECT = re.compile(r"(sub-[A-Za-z0-9]+)")


class BadFolder(Defect):
    """A folder in which no image with its labels can be found."""

    code = "learning.bad_folder"


@dataclass(frozen=True)
class Pair:
    """One image and, where there are any, its labels.

    Parameters
    ----------
    name
        Name of the image without ending; names results too.
    subject
        Who it is of: the BIDS subject in the name, else the name itself.
    image, mask
        Paths.
    """

    name: str
    subject: str
    image: Path
    mask: Path | None


def find_pairs(folder: Path) -> tuple[Pair, ...]:
    """Find the images of a folder that have labels, sorted by name.

    Raises
    ------
    BadFolder
        If there is none, saying which layouts are understood.
    """
    pairs = [pair for pair in find_images(folder) if pair.mask is not None]
    if not pairs:
        raise BadFolder(
            f"{folder.name} holds no image with labels: give images/ and labels/ with the same names, NAME_image and "
            "NAME_mask files, or one DICOM folder per subject with its SEG or RTSTRUCT.",
            details={"folder": str(folder)},
        )
    return tuple(pairs)


def find_images(path: Path) -> tuple[Pair, ...]:
    """Find the images of a file or folder, with their labels where there are any.

    Raises
    ------
    BadFolder
        If nothing is there.
    """
    if not path.exists():
        raise BadFolder(f"{path.name} does not exist; give a file or a folder.", details={"path": str(path)})
    if path.is_file():
        return (_pair(_stem(path), path, None),)
    source = path / "images" if (path / "images").is_dir() else path
    files = [
        item for item in sorted(source.iterdir()) if item.is_file() and item.name.lower().endswith(SUFFIXES)
    ]
    masks = {_stem(item): item for item in _label_files(path)}
    if files:
        return tuple(_file_pairs(files, masks))
    folders = [item for item in sorted(source.iterdir()) if item.is_dir()]
    if folders:
        return tuple(_pair(item.name, item, item if _holds_masks(item) else None) for item in folders)
    if any(item.is_file() for item in path.iterdir()):
        return (_pair(path.name, path, path if _holds_masks(path) else None),)
    raise BadFolder(f"{path.name} is empty.", details={"path": str(path)})


def load_whole(plan: TrainingPlan, pair: Pair, target: float) -> tuple[Case, FingerprintSums]:
    """Prepare one image that is judged as a whole.

    Parameters
    ----------
    plan, pair
        What for, and where it is.
    target
        What the plan learns of it.

    Returns
    -------
    tuple
        As :func:`load_pair`; the whole image counts as foreground.

    Raises
    ------
    BadFolder
        If the series does not keep the plan's contract.
    """
    image = _load_within(plan, pair).image
    axes = Axes.of(image.affine)
    voxels, spacing = axes.apply(image.voxels), axes.spacing_mm(image.affine)
    case = prepare_image(plan, pair.name, voxels, target, spacing)
    return case, FingerprintSums.of(voxels, np.ones(voxels.shape, bool), spacing)


def _load_within(plan: TrainingPlan, pair: Pair) -> LoadedImage:
    loaded = load_image(pair.image)
    reasons = broken_rules(plan, loaded.image.voxels, loaded.image.affine, loaded.modality)
    if reasons:
        raise BadFolder(
            f"{pair.name} does not fit the plan: {'; '.join(reasons)}.", code="learning.not_in_contract"
        )
    return loaded


def load_pair(plan: TrainingPlan, pair: Pair) -> tuple[Case, FingerprintSums]:
    """Prepare one image and its labels for training or evaluation.

    Returns
    -------
    tuple
        The case, and the image's share of the training set's fingerprint.

    Raises
    ------
    BadFolder
        If the series does not keep the plan's contract.
    """
    loaded = _load_within(plan, pair)
    image = loaded.image
    masks: list[npt.NDArray[np.bool_] | None] = [None] * len(plan.labels)
    axes = Axes.of(image.affine)
    for found in load_masks(pair.mask, loaded, {}) if pair.mask else ():
        index = class_of(plan, found)
        if index is None or found.box is None:
            continue
        full = np.zeros(image.shape, bool)
        full[found.box.slices] = found.crop
        turned = axes.apply(full)
        earlier = masks[index]
        masks[index] = turned if earlier is None else earlier | turned
    voxels = axes.apply(image.voxels)
    spacing = axes.spacing_mm(image.affine)
    case = prepare_case(plan, pair.name, voxels, masks, spacing)
    foreground = np.zeros(voxels.shape, bool)
    for mask in masks:
        if mask is not None:
            foreground |= mask
    return case, FingerprintSums.of(voxels, foreground, spacing)


def class_of(plan: TrainingPlan, mask: LabelledMask) -> int | None:
    """Return the position of a mask among the plan's labels: by code, else by name, else by number."""
    if mask.code is not None and mask.code.value:
        return next((i for i, label in enumerate(plan.labels) if label.key == mask.code.key), None)
    if mask.name:
        wanted = mask.name.casefold()
        return next((i for i, label in enumerate(plan.labels) if label.meaning.casefold() == wanted), None)
    return mask.number - 1 if 1 <= mask.number <= len(plan.labels) else None


def split_subjects(
    pairs: Sequence[Pair], share: float, seed: int
) -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    """Split images into training and unseen ones, whole subjects at a time.

    Parameters
    ----------
    pairs
        Images of one site.
    share
        Share of subjects no training sees; at least one subject when it is above 0 and there are two.
    seed
        Same seed, same split, whatever the order of the files.

    Returns
    -------
    tuple
        Training pairs and unseen pairs.
    """
    subjects = sorted({pair.subject for pair in pairs})
    count = round(share * len(subjects))
    if share > 0 and len(subjects) > 1:
        count = min(max(count, 1), len(subjects) - 1)
    chosen = np.random.Generator(np.random.PCG64(seed)).permutation(len(subjects))[:count]
    unseen = {subjects[index] for index in chosen.tolist()}
    return (
        tuple(pair for pair in pairs if pair.subject not in unseen),
        tuple(pair for pair in pairs if pair.subject in unseen),
    )


def _file_pairs(files: Sequence[Path], masks: dict[str, Path]) -> list[Pair]:
    beside = {_MASK_END.sub("", _stem(item)): item for item in files if _MASK_END.search(_stem(item))}
    pairs = []
    for item in files:
        stem = _stem(item)
        if _MASK_END.search(stem):
            continue
        short = _IMAGE_END.sub("", stem)
        pairs.append(_pair(stem, item, masks.get(stem) or masks.get(short) or beside.get(short)))
    return pairs


def _label_files(path: Path) -> list[Path]:
    for name in ("labels", "masks"):
        if (path / name).is_dir():
            return [item for item in sorted((path / name).iterdir()) if item.is_file()]
    return []


def _holds_masks(folder: Path) -> bool:
    import pydicom

    for item in sorted(folder.rglob("*")):
        if item.is_file():
            try:
                header = pydicom.dcmread(item, specific_tags=["Modality"], stop_before_pixels=True)
            except (pydicom.errors.InvalidDicomError, OSError):
                continue
            if str(header.get("Modality") or "") in {"SEG", "RTSTRUCT"}:
                return True
    return False


def _pair(name: str, image: Path, mask: Path | None) -> Pair:
    found = _BIDS_SUBJECT.search(name)
    subject = found.group(1) if found else _IMAGE_END.sub("", name)
    return Pair(name, subject, image, mask)


def _stem(path: Path) -> str:
    name = path.name
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return path.stem

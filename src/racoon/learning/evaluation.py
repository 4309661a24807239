"""Predictions against references: overlap and surface distances per subject and label, with intervals and a baseline
that looks at no image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon.learning.folders import BadFolder, find_images
from racoon.science.geometry import dice, surface_distances
from racoon.science.statistics.bootstrap import bootstrap_mean
from racoon.standards.files import load_masks
from racoon.standards.files.masks import load_mask_grid, on_grid

DEFINITIONS = {
    "dice": "2|A∩B| / (|A|+|B|) of the voxels; undefined when both are empty, 0 when one is",
    "nsd": (
        "share of both masks' surface voxels within the tolerance of the other surface; surface voxels are mask voxels "
        "with a face neighbour outside, each counted once; 0 when one mask is empty"
    ),
    "hd95_mm": (
        "larger of the two directed 95th percentiles (linear interpolation) of the distances between surface voxel "
        "centres; undefined when a mask is empty, such subjects are counted in `missed`"
    ),
    "interval": "95 % percentile bootstrap over subjects, 2000 resamples, seed 1",
    "baseline": (
        "mean mask of the other references, laid over the grid by relative position: what is scored without "
        "looking at the image"
    ),
}

METRICS = ("dice", "nsd", "hd95_mm")
GRID = (24, 48, 48)
"""Relative positions at which the baseline keeps the mean mask."""


@dataclass(frozen=True, eq=False)
class LabelMap:
    """Class numbers of one subject on their grid.

    Parameters
    ----------
    name
        Name of the file without ending.
    classes
        ``(slice, row, column)``; 0 is background.
    affine
        4x4 to LPS in mm.
    """

    name: str
    classes: npt.NDArray[np.uint8]
    affine: npt.NDArray[np.float64]


def evaluate_folders(predictions: Path, references: Path, *, tolerance_mm: float = 1.0) -> dict[str, Any]:
    """Compare label maps that have the same names in two folders (or two files).

    Parameters
    ----------
    predictions, references
        NIfTI or NRRD label maps on the same grid; a reference without a prediction counts as an empty prediction.
    tolerance_mm
        Tolerance of the normalised surface Dice.

    Returns
    -------
    dict
        ``labels`` (number → metric → n, mean, lower, upper), ``subjects`` (per subject and label), ``baseline``,
        ``missing``, ``definitions``.

    Raises
    ------
    BadFolder
        If no name occurs in both.
    """
    truths = {_name(pair.image): pair.image for pair in find_images(_labels_of(references))}
    found = {_name(pair.image): pair.image for pair in find_images(_labels_of(predictions))}
    if predictions.is_file() and references.is_file():
        found = {next(iter(truths)): predictions}
    shared = sorted(set(truths) & set(found))
    if not shared:
        raise BadFolder("No prediction has the name of a reference; give both the same names.")
    missing = sorted(set(truths) - set(found))
    return compare_maps(
        [*shared, *missing],
        lambda name: load_label_map(truths[name], name),
        lambda name, truth: load_label_map(found[name], name, truth) if name in found else None,
        tolerance_mm=tolerance_mm,
    ) | {"missing": missing, "without_reference": sorted(set(found) - set(truths))}


def compare_maps(
    names: Sequence[str],
    load_truth: Callable[[str], LabelMap],
    load_prediction: Callable[[str, LabelMap], LabelMap | None],
    *,
    tolerance_mm: float,
) -> dict[str, Any]:
    """Compare label maps one subject at a time; only the baseline's coarse grids are kept."""
    grids: dict[str, npt.NDArray[np.uint8]] = {}
    labels: set[int] = set()
    for name in names:
        truth = load_truth(name)
        grids[name] = _to_grid(truth.classes)
        labels |= set(np.unique(truth.classes).tolist()) - {0}
    subjects: dict[str, dict[str, Any]] = {}
    trivial: dict[str, dict[str, float | None]] = {}
    for name in names:
        truth = load_truth(name)
        predicted = load_prediction(name, truth)
        guess = predicted.classes if predicted is not None else np.zeros_like(truth.classes)
        prior = _prior(grids, name, truth.classes.shape)
        subjects[name] = {}
        trivial[name] = {}
        for label in sorted(labels):
            wanted = truth.classes == label
            subjects[name][str(label)] = score_masks(guess == label, wanted, truth.affine, tolerance_mm)
            trivial[name][str(label)] = _number(dice(prior == label, wanted))
    table = {str(label): _summary(subjects, str(label)) for label in sorted(labels)}
    baseline = {
        str(label): bootstrap_mean([row[str(label)] for row in trivial.values()]).to_dict()
        for label in sorted(labels)
    }
    means = {
        metric: bootstrap_mean([_subject_mean(row, metric) for row in subjects.values()]).to_dict()
        for metric in METRICS
    }
    return {
        "subjects_compared": len(names),
        "labels": table,
        "mean": means,
        "baseline": {
            "name": "prior",
            "dice": baseline,
            "mean_dice": bootstrap_mean(
                [_mean([value for value in row.values() if value is not None]) for row in trivial.values()]
            ).to_dict(),
        },
        "tolerance_mm": tolerance_mm,
        "subjects": subjects,
        "definitions": DEFINITIONS,
    }


def score_masks(
    predicted: npt.NDArray[np.bool_],
    wanted: npt.NDArray[np.bool_],
    affine: npt.NDArray[np.float64],
    tolerance_mm: float,
) -> dict[str, float | None]:
    """Score one structure of one subject by :data:`DEFINITIONS`."""
    overlap = _number(dice(predicted, wanted))
    if not predicted.any() or not wanted.any():
        both = not predicted.any() and not wanted.any()
        return {"dice": overlap, "nsd": None if both else 0.0, "hd95_mm": None}
    far = surface_distances(predicted, wanted, affine, tolerances_mm=(tolerance_mm,))
    return {"dice": overlap, "nsd": _number(far.nsd[float(tolerance_mm)]), "hd95_mm": _number(far.hd95_mm)}


def load_label_map(path: Path, name: str, like: LabelMap | None = None) -> LabelMap:
    """Read a label map, on the grid of another where one is given.

    Raises
    ------
    OtherGrid
        If it lies on another grid; nothing is resampled.
    """
    grid = load_mask_grid(path)
    classes = np.zeros(grid.image.shape, np.uint8)
    for mask in load_masks(path, grid, {}):
        if mask.box is not None and 0 < mask.number < 256:
            classes[mask.box.slices][mask.crop] = mask.number
    affine = grid.image.affine
    if like is not None:
        from racoon.science.image import Image

        classes = on_grid(classes, affine, Image(like.classes, like.affine))
        affine = like.affine
    return LabelMap(name, classes, affine)


def _labels_of(path: Path) -> Path:
    for name in ("labels", "masks"):
        if path.is_dir() and (path / name).is_dir():
            return path / name
    return path


def _name(path: Path) -> str:
    name = path.name
    for suffix in (".nii.gz", ".nii", ".nrrd"):
        name = name.removesuffix(suffix)
    for suffix in ("_mask", "_label", "_labels", "_image", "_seg"):
        name = name.removesuffix(suffix)
    return name


def _to_grid(classes: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    places = [
        np.linspace(0, side - 1, count).round().astype(int)
        for side, count in zip(classes.shape, GRID, strict=True)
    ]
    coarse: npt.NDArray[np.uint8] = classes[np.ix_(*places)]
    return coarse


def _prior(
    grids: Mapping[str, npt.NDArray[np.uint8]], name: str, shape: tuple[int, ...]
) -> npt.NDArray[np.uint8]:
    others = [grid for key, grid in grids.items() if key != name]
    chosen = np.zeros(GRID, np.uint8)
    if others:
        stack = np.stack(others)
        best = np.full(GRID, 0.5)
        for label in sorted(set(np.unique(stack).tolist()) - {0}):
            share = (stack == label).mean(axis=0)
            chosen[share >= best] = label
            best = np.maximum(best, share)
    places = [
        np.linspace(0, count - 1, side).round().astype(int) for side, count in zip(shape, GRID, strict=True)
    ]
    laid: npt.NDArray[np.uint8] = chosen[np.ix_(*places)]
    return laid


def _summary(subjects: Mapping[str, Mapping[str, Any]], label: str) -> dict[str, Any]:
    rows = [row[label] for row in subjects.values()]
    summary: dict[str, Any] = {
        metric: bootstrap_mean([row[metric] for row in rows]).to_dict() for metric in METRICS
    }
    summary["missed"] = sum(row["hd95_mm"] is None and row["dice"] is not None for row in rows)
    return summary


def _subject_mean(row: Mapping[str, Any], metric: str) -> float | None:
    return _mean([value[metric] for value in row.values() if value[metric] is not None])


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None

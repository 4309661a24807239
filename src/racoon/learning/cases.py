"""Prepared cases: one series as normalised slices and class indices, in a file that training reads and
nothing else.

A case stays at its site.  Preparation is numpy only, deterministic, and keyed by plan and frozen dataset, so
it is done once and survives restarts.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from racoon.domain.plan import TrainingPlan
from racoon.errors import Defect

PERCENTILES = (1.0, 99.0)
"""Where no window is given (MR has no unit), each volume's own percentiles become -1 and 1."""

INTENSITY_LIMIT = 2.0
"""Normalised intensities are cut at ± this, so that one bright voxel does not rule a batch."""


class BadCase(Defect):
    """A series that cannot become a training case."""

    code = "learning.bad_case"


@dataclass(frozen=True)
class Case:
    """One prepared series.

    Parameters
    ----------
    name
        Hash of the pseudonymous series UID; names the file, says nothing about the subject.
    image
        float16, shape ``(slice, row, column)``, normalised to about [-1, 1].
    classes
        uint8, same shape; 0 is background, k is the plan's label k - 1.  Empty where the plan judges whole images.
    target
        What such a plan learns: class index, or number scaled to -1 … 1.
    """

    name: str
    image: npt.NDArray[np.float16]
    classes: npt.NDArray[np.uint8]
    target: float | None = None


NO_CLASSES: npt.NDArray[np.uint8] = np.zeros((0, 0, 0), np.uint8)


def case_name(series_uid: str) -> str:
    """Return the file name of a series' case, without ending."""
    return hashlib.sha256(series_uid.encode()).hexdigest()[:20]


def prepare_case(
    plan: TrainingPlan,
    series_uid: str,
    voxels: npt.NDArray[np.generic],
    masks: Sequence[npt.NDArray[np.bool_] | None],
    spacing_mm: tuple[float, float, float] | None = None,
) -> Case:
    """Normalise intensities and bring every slice to the plan's in-plane size.

    Parameters
    ----------
    plan
        Says window, size and labels.
    series_uid
        Pseudonymous Series Instance UID.
    voxels
        HU (CT) or stored signal (MR), ``(slice, row, column)``.
    masks
        One boolean array per plan label in the plan's order, or ``None`` where the label is absent.
    spacing_mm
        Along the same axes; needed where the plan has a working spacing.

    Raises
    ------
    BadCase
        For shapes that do not match or voxels that are not finite.

    Notes
    -----
    A plan with a working spacing resamples first (linear for the image, nearest for classes).  A slice larger than the
    plan's size is shrunk isotropically in plane until it fits, unless the plan tiles it; a smaller one keeps its
    pixels.  The rest is padded with the darkest value.  Scores are therefore at this working resolution.
    """
    volume = _finite_volume(voxels, series_uid)
    if len(masks) != len(plan.labels):
        raise BadCase(
            "A series does not bring one mask per label of the plan.", details={"series_uid": series_uid}
        )
    classes: npt.NDArray[np.generic] = np.zeros(volume.shape, dtype=np.uint8)
    for index, mask in enumerate(masks, start=1):
        if mask is not None:
            if mask.shape != volume.shape:
                raise BadCase("A mask has another shape than its image.", details={"series_uid": series_uid})
            classes[mask] = index
    normalised = _normalise(plan, volume)
    factors = working_factors(plan, volume.shape, spacing_mm)
    if factors != (1.0, 1.0, 1.0):
        sides = _working_sides(plan, volume.shape, factors)
        normalised = _resample(normalised, factors, sides, order=1)
        classes = _resample(classes, factors, sides, order=0)
    return Case(
        case_name(series_uid),
        _pad(normalised, plan.size[-2:], float(normalised.min())).astype(np.float16),
        _pad(classes, plan.size[-2:], 0).astype(np.uint8),
    )


def prepare_image(
    plan: TrainingPlan,
    series_uid: str,
    voxels: npt.NDArray[np.generic],
    target: float | None,
    spacing_mm: tuple[float, float, float] | None = None,
) -> Case:
    """Normalise intensities and bring a whole image into the plan's window, for a network that judges it as a whole.

    Parameters
    ----------
    plan, series_uid, voxels, spacing_mm
        As :func:`prepare_case`.
    target
        What the plan's target made of the truth; ``None`` where it is not known.

    Raises
    ------
    BadCase
        As :func:`prepare_case`, and for several slices where the network sees one plane.

    Notes
    -----
    Resampled to the working spacing if there is one, then shrunk until it fits, rows and columns alike and slices by
    themselves; a smaller image keeps its voxels.  It stands in the middle, the rest has the darkest value.
    """
    volume = _finite_volume(voxels, series_uid)
    if len(plan.size) == 2 and len(volume) != 1:
        raise BadCase(
            "The plan's network judges single planes; the series has several.",
            details={"series_uid": series_uid},
        )
    normalised = _normalise(plan, volume)
    slices, rows, columns = working_factors(plan, volume.shape, spacing_mm)
    if len(plan.size) == 3:
        slices = min(slices, plan.size[0] / volume.shape[0])
    if (slices, rows, columns) != (1.0, 1.0, 1.0):
        sides = _working_sides(plan, volume.shape, (slices, rows, columns))
        normalised = _resample(normalised, (slices, rows, columns), sides, order=1)
    window = (1, *plan.size)[-3:]
    gaps = [max(0, limit - side) for side, limit in zip(normalised.shape, window, strict=True)]
    widths = [(gap // 2, gap - gap // 2) for gap in gaps]
    padded = np.pad(normalised, widths, constant_values=float(normalised.min()))
    return Case(case_name(series_uid), padded.astype(np.float16), NO_CLASSES, target)


def _finite_volume(voxels: npt.NDArray[np.generic], series_uid: str) -> npt.NDArray[np.float32]:
    volume = np.asarray(voxels, dtype=np.float32)
    if volume.ndim != 3 or not np.isfinite(volume).all():
        raise BadCase("A series is not a finite three-dimensional image.", details={"series_uid": series_uid})
    return volume


def _normalise(plan: TrainingPlan, volume: npt.NDArray[np.float32]) -> npt.NDArray[np.generic]:
    low, high = plan.window_hu or np.percentile(volume, PERCENTILES).tolist()
    normalised: npt.NDArray[np.generic] = (volume - low) * (2.0 / max(high - low, 1e-6)) - 1.0
    if plan.window_hu:
        normalised = np.clip(normalised, -1.0, 1.0)
    cut: npt.NDArray[np.generic] = np.clip(normalised, -INTENSITY_LIMIT, INTENSITY_LIMIT)
    return cut


def save_case(folder: Path, case: Case) -> Path:
    """Write a case durably and atomically; an existing file of the same name is replaced."""
    path = folder / f"{case.name}.npz"
    temporary = folder / f".{case.name}.{os.getpid()}.part"
    with temporary.open("wb") as file:
        if case.target is None:
            np.savez(file, image=case.image, classes=case.classes)
        else:
            np.savez(file, image=case.image, target=np.float64(case.target))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    return path


def load_case(path: Path) -> Case:
    """Read one case; the file holds arrays only and is opened without pickle."""
    with np.load(path, allow_pickle=False) as content:
        if "target" in content:
            return Case(path.stem, content["image"], NO_CLASSES, float(content["target"]))
        return Case(path.stem, content["image"], content["classes"])


def load_cases(folder: Path) -> tuple[Case, ...]:
    """Read all cases of a folder, sorted by name so that sampling does not depend on the file system."""
    return tuple(load_case(path) for path in sorted(folder.glob("*.npz")))


def write_manifest(folder: Path, facts: dict[str, object]) -> None:
    """Say what a case folder was made from; written last, so that its presence means complete."""
    temporary = folder / f".manifest.{os.getpid()}.part"
    temporary.write_text(json.dumps(facts, sort_keys=True), encoding="utf-8")
    temporary.replace(folder / "manifest.json")


def working_factors(
    plan: TrainingPlan, shape: Sequence[int], spacing_mm: tuple[float, float, float] | None
) -> tuple[float, float, float]:
    """Return what each side of a volume ``(slice, row, column)`` is multiplied with to reach working resolution.

    Raises
    ------
    BadCase
        If the plan has a working spacing and the volume's is not given.
    """
    slices, rows, columns = 1.0, 1.0, 1.0
    if plan.spacing_mm is not None:
        if spacing_mm is None:
            raise BadCase("The plan has a working spacing; the volume's own is not known.")
        slices, rows, columns = (
            own / wanted for own, wanted in zip(spacing_mm, plan.spacing_mm, strict=True)
        )
    if plan.larger != "tile":
        height, width = plan.size[-2:]
        factor = min(1.0, height / (shape[1] * rows), width / (shape[2] * columns))
        rows, columns = rows * factor, columns * factor
    return slices, rows, columns


def _working_sides(
    plan: TrainingPlan, shape: Sequence[int], factors: tuple[float, float, float]
) -> tuple[int, int, int]:
    slices, rows, columns = (max(1, round(side * f)) for side, f in zip(shape, factors, strict=True))
    if plan.larger != "tile":
        rows, columns = min(rows, plan.size[-2]), min(columns, plan.size[-1])
    return slices, rows, columns


def classes_on_grid(
    classes: npt.NDArray[np.uint8],
    plan: TrainingPlan,
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, float, float] | None = None,
) -> npt.NDArray[np.uint8]:
    """Bring class indices at working resolution back to the voxels of the volume they were prepared from.

    Parameters
    ----------
    classes
        ``(slice, row, column)`` as a prepared case.
    plan
        As the case was prepared with.
    shape, spacing_mm
        Of the volume.
    """
    factors = working_factors(plan, shape, spacing_mm)
    inner = _working_sides(plan, shape, factors)
    starts = [max(0, limit - side) // 2 for side, limit in zip(inner[1:], plan.size[-2:], strict=True)]
    cut = classes[:, starts[0] : starts[0] + inner[1], starts[1] : starts[1] + inner[2]]
    if factors == (1.0, 1.0, 1.0):
        return np.ascontiguousarray(cut)
    # Nearest voxel centre: class indices have no value between them.
    places = [
        np.clip(((np.arange(side) + 0.5) * small / side).astype(int), 0, small - 1)
        for side, small in zip(shape, inner, strict=True)
    ]
    return np.ascontiguousarray(cut[np.ix_(*places)])


def _resample(
    array: npt.NDArray[np.generic], factors: Sequence[float], sides: Sequence[int], order: int
) -> npt.NDArray[np.generic]:
    from scipy import ndimage

    if order:
        # Averaging over the footprint of a target pixel first, so that thin structures do not alias away.
        sigmas = [0.5 * max(0.0, 1.0 / factor - 1.0) for factor in factors]
        array = ndimage.gaussian_filter(np.asarray(array, dtype=np.float32), sigmas)
    zoom = [side / before for side, before in zip(sides, array.shape, strict=True)]
    resampled: npt.NDArray[np.generic] = ndimage.zoom(
        array, zoom, order=order, grid_mode=True, mode="nearest"
    )
    return resampled


def _pad(array: npt.NDArray[np.generic], size: Sequence[int], value: float) -> npt.NDArray[np.generic]:
    gaps = [max(0, limit - side) for side, limit in zip(array.shape[1:], size, strict=True)]
    widths = [(0, 0), *((gap // 2, gap - gap // 2) for gap in gaps)]
    return np.pad(array, widths, constant_values=value)

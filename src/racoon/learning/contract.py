"""Whether a series is what a model takes: each rule with its own reason, nothing guessed, nothing bent."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from racoon.domain.plan import TrainingPlan
from racoon.learning.orientation import Axes

TOLERANCE_MM = 1e-3
"""Spacings are written with few digits."""


def broken_rules(
    plan: TrainingPlan,
    voxels: npt.NDArray[np.generic],
    affine: npt.NDArray[np.float64],
    modality: str,
) -> tuple[str, ...]:
    """Return what a series breaks, in public words; empty when it may be used.

    Parameters
    ----------
    plan
        Its modality and contract.
    voxels, affine
        The volume and its place in LPS.
    modality
        As its header says; empty where the format has none, which is no reason to refuse.
    """
    reasons = []
    if modality and modality != plan.modality:
        reasons.append(f"modality {modality} is not {plan.modality}")
    axes = Axes.of(affine)
    slices = axes.apply(voxels).shape[0]
    slice_mm, row_mm, column_mm = axes.spacing_mm(affine)
    contract = plan.contract
    if slices < contract.minimum_slices:
        reasons.append(f"{slices} slices are fewer than {contract.minimum_slices}")
    if contract.slice_mm and not _within(slice_mm, contract.slice_mm):
        reasons.append(
            f"{slice_mm:.3g} mm between slices is outside {contract.slice_mm[0]:g} to {contract.slice_mm[1]:g} mm"
        )
    if contract.plane_mm and not all(_within(step, contract.plane_mm) for step in (row_mm, column_mm)):
        reasons.append(
            f"pixels of {row_mm:.3g} × {column_mm:.3g} mm are outside {contract.plane_mm[0]:g} to "
            f"{contract.plane_mm[1]:g} mm"
        )
    finite = np.isfinite(voxels).all() if voxels.dtype.kind == "f" else True
    if not finite:
        reasons.append("a voxel is not a number")
    elif voxels.size == 0 or voxels.min() == voxels.max():
        reasons.append("every voxel has the same value")
    elif plan.window_hu and not _reaches(voxels, plan.window_hu):
        reasons.append("no voxel lies inside the model's intensity window; are these Hounsfield units?")
    return tuple(reasons)


def _within(value: float, limits: tuple[float, float]) -> bool:
    return limits[0] - TOLERANCE_MM <= value <= limits[1] + TOLERANCE_MM


def _reaches(voxels: npt.NDArray[np.generic], window: tuple[float, float]) -> bool:
    values = np.asarray(voxels)
    return bool(((values > window[0]) & (values < window[1])).any())

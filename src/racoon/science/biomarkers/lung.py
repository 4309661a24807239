"""Densitometry of the lungs and the share of opacities."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from racoon.science.biomarkers.acquisition import Context, Validity, is_sharp
from racoon.science.biomarkers.definition import Measured, Parameters, Quality, Region, whole_structure

UNENHANCED_120 = Validity(frozenset({"CT"}), kvp=(120.0, 120.0), unenhanced=True)
"""The thresholds of lung densitometry were calibrated on unenhanced CT at 120 kV."""

SOFT_UNENHANCED_120 = replace(UNENHANCED_120, soft_kernel=True)
"""And on smooth kernels: an edge-enhancing one alone can double a share below a threshold (Boedeker 2004,
doi:10.1148/radiol.2321030383)."""


def soft_kernel(_region: Region, context: Context) -> str:
    """Warn when the kernel is sharp: noise then moves voxels across fixed thresholds."""
    return "sharp_kernel" if is_sharp(context.kernel) else ""


def thin_slices(_region: Region, context: Context) -> str:
    """Warn above 3 mm: emphysema and small opacities are averaged away."""
    thickness = context.slice_thickness_mm
    return "thick_slices" if thickness is not None and thickness > 3.0 else ""


DENSITOMETRY: tuple[Quality, ...] = (whole_structure, thin_slices)
"""Rules for every share below a threshold in the lungs."""


def mean_hu(region: Region, _context: Context, _parameters: Parameters) -> Measured:
    """Mean HU of the lungs."""
    return Measured(region.mean)


def low_attenuation(region: Region, _context: Context, parameters: Parameters) -> Measured:
    """Share of voxels strictly below a threshold, in per cent."""
    below = int(np.count_nonzero(region.values < float(parameters["threshold_hu"])))
    return Measured(100.0 * below / region.voxel_count)


def percentile(region: Region, _context: Context, parameters: Parameters) -> Measured:
    """HU at or below which a given share of the voxels lies."""
    share = float(parameters["percent"]) / 100.0
    return Measured(float(np.quantile(region.values, share, method="inverted_cdf")))


def high_attenuation(region: Region, _context: Context, parameters: Parameters) -> Measured:
    """Share of voxels between two thresholds, both included, in per cent."""
    inside = region.within(float(parameters["lower_hu"]), float(parameters["upper_hu"]))
    return Measured(100.0 * inside.size / region.voxel_count)


def tissue_mass(region: Region, _context: Context, _parameters: Parameters) -> Measured:
    # Air weighs nothing and water 1 g/ml; what is denser than water in a lung mask is no lung.
    """Mass in g, from the HU scale."""
    clipped = np.clip(region.values, -1000, 0)
    if clipped.dtype.kind in "iu":
        grams_per_voxel = (int(clipped.sum(dtype=np.int64)) + 1000 * clipped.size) / 1000.0
    else:
        grams_per_voxel = float((clipped.astype(np.float64) + 1000.0).sum()) / 1000.0
    return Measured(grams_per_voxel * region.voxel_ml)


def involvement(region: Region, context: Context, _parameters: Parameters) -> Measured:
    # Many lung masks leave consolidations out; the union makes the share right for both habits.
    """Share of the reference taken by the region, in per cent."""
    whole = region.join(context.reference) if context.reference else region.voxel_count
    return Measured(100.0 * region.voxel_count / whole)


def reticular_share(region: Region, context: Context, _parameters: Parameters) -> Measured:
    """Share of the lungs taken by reticulation, in per cent."""
    return Measured(100.0 * region.voxel_count / region.join(context.structures["lung"]))

"""Lungs beyond the classic thresholds: aeration bands, air trapping, opacities by threshold, severity scores."""

from __future__ import annotations

import math

import numpy as np

from racoon.science.biomarkers.acquisition import Context
from racoon.science.biomarkers.definition import Measured, Parameters, Region
from racoon.science.biomarkers.structures import LOBES


def band_share(region: Region, _context: Context, parameters: Parameters) -> Measured:
    """Share of voxels between two thresholds, both included, in per cent."""
    inside = region.within(float(parameters["lower_hu"]), float(parameters["upper_hu"]))
    return Measured(100.0 * inside.size / region.voxel_count)


def share_below(region: Region, _context: Context, parameters: Parameters) -> Measured:
    """Share of voxels strictly below a threshold, in per cent."""
    below = int(np.count_nonzero(region.values < float(parameters["threshold_hu"])))
    return Measured(100.0 * below / region.voxel_count)


def perc15_density(region: Region, _context: Context, _parameters: Parameters) -> Measured:
    """15th percentile as density in g/L."""
    return Measured(float(np.quantile(region.values, 0.15, method="inverted_cdf")) + 1000.0)


def perc15_adjusted(region: Region, context: Context, parameters: Parameters) -> Measured:
    """15th percentile as density, times measured over predicted lung volume."""
    density = perc15_density(region, context, parameters).value
    volume_ml = region.voxel_count * region.voxel_ml
    return Measured(density * volume_ml / float(parameters["predicted_tlv_ml"]))


def severity_points(percent: float) -> int:
    """Points 0 to 5 of one lobe: 0; under 5; 5 to 25; over 25 to under 50; 50 to 75; over 75 per cent.

    The published tables leave gaps (25 to 26 %); this closed form is ours.
    """
    if not percent > 0.0:
        return 0
    for points, is_reached in ((5, percent > 75), (4, percent >= 50), (3, percent > 25), (2, percent >= 5)):
        if is_reached:
            return points
    return 1


def total_severity_points(percent: float) -> int:
    """Points 0 to 4 of one lobe: 0; up to 25; up to 50; up to 75; above."""
    if not percent > 0.0:
        return 0
    return 1 + sum(percent > limit for limit in (25.0, 50.0, 75.0))


def _share_of_lobe(lobe: Region, opacity: Region) -> float:
    shared = opacity.voxel_count + lobe.voxel_count - opacity.join(lobe)
    return 100.0 * shared / lobe.voxel_count


def lobe_share(region: Region, context: Context, _parameters: Parameters) -> Measured:
    """Share of the lobe that is opacity, in per cent."""
    return Measured(_share_of_lobe(region, context.structures["lung_opacity"]))


def _lobe_shares(region: Region, context: Context) -> list[float]:
    return [_share_of_lobe(context.structures[lobe], region) for lobe in LOBES]


def severity(region: Region, context: Context, _parameters: Parameters) -> Measured:
    """Points of all five lobes, 0 to 25."""
    return Measured(float(sum(severity_points(share) for share in _lobe_shares(region, context))))


def total_severity(region: Region, context: Context, _parameters: Parameters) -> Measured:
    """Points of all five lobes, 0 to 20."""
    return Measured(float(sum(total_severity_points(share) for share in _lobe_shares(region, context))))


def doubling_time(region: Region, _context: Context, parameters: Parameters) -> Measured:
    """Days in which the volume doubles, from an earlier volume."""
    volume = region.voxel_count * region.voxel_ml
    growth = math.log(volume / float(parameters["previous_volume_ml"]))
    if growth == 0.0:
        return Measured(math.nan, "nothing_in_range")
    return Measured(math.log(2.0) * float(parameters["interval_days"]) / growth)

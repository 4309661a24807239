"""Tissue by its HU interval, inside the body or inside a labelled compartment.

Intervals are closed at both ends.  Voxels at the border of lung and tissue average into the fat interval;
inside the whole body this adds a thin shell of false fat, inside a labelled compartment it does not matter.
"""

from __future__ import annotations

from racoon.science.biomarkers.acquisition import Context
from racoon.science.biomarkers.definition import Measured, Parameters, Region
from racoon.science.biomarkers.region import mean_of


def interval_volume(region: Region, _context: Context, parameters: Parameters) -> Measured:
    # "No voxel of this tissue" is an answer, not a missing one; an empty region never gets here.
    """Volume in mL of the voxels in an interval."""
    inside = region.within(float(parameters["lower_hu"]), float(parameters["upper_hu"]))
    return (
        Measured(inside.size * region.voxel_ml) if region.is_finite else Measured(float("nan"), "not_finite")
    )


def interval_mean(region: Region, _context: Context, parameters: Parameters) -> Measured:
    """Mean HU of the voxels in an interval."""
    inside = region.within(float(parameters["lower_hu"]), float(parameters["upper_hu"]))
    return Measured(mean_of(inside)) if inside.size else Measured(float("nan"), "nothing_in_range")

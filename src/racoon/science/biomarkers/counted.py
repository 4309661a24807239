"""Which voxels of a mask a value counts: what a reader has to see to believe it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from racoon.science.biomarkers.body import without_rim
from racoon.science.biomarkers.bone import trabecular_core
from racoon.science.biomarkers.calcium import grown_vessel, lesion_pixels
from racoon.science.biomarkers.definition import Parameters, Region
from racoon.science.biomarkers.vessels import pericoronary_region


def counted_voxels(
    biomarker: str,
    voxels: NDArray[Any],
    mask: NDArray[np.bool_],
    pixel_mm2: float,
    parameters: Parameters,
) -> NDArray[np.bool_] | None:
    """Mark the voxels that a value rests on.

    Parameters
    ----------
    biomarker
        Id of its definition.
    voxels, mask
        Image values and the mask, arrays (slice, row, column).
    pixel_mm2
        Area of a pixel of a slice.
    parameters
        As stored with the value.

    Returns
    -------
    ndarray or None
        ``None`` when the value rests on the whole mask.
    """
    if "smallest_mm2" in parameters:
        return lesion_pixels(voxels, mask, pixel_mm2, parameters)
    if "lower_hu" in parameters and "upper_hu" in parameters:
        lower, upper = float(parameters["lower_hu"]), float(parameters["upper_hu"])
        inside: NDArray[np.bool_] = mask & (voxels >= lower) & (voxels <= upper)
        return inside
    if biomarker.startswith("laa_"):
        below: NDArray[np.bool_] = mask & (voxels < float(parameters["threshold_hu"]))
        return below
    return None


def is_counted_in_space(biomarker: str, parameters: Parameters) -> bool:
    """Tell whether a value rests on voxels that only the whole mask can name: a core, or what lies around it."""
    return biomarker == "pcat_attenuation" or bool({"margin_mm", "erosion_mm"} & set(parameters))


def counted_region(
    biomarker: str, region: Region, structures: Mapping[str, Region], parameters: Parameters
) -> Region | None:
    """Find the voxels that a value rests on, in space.

    Parameters
    ----------
    biomarker
        Id of a definition for which ``is_counted_in_space`` holds.
    region
        The measured structure.
    structures
        Further structures the value was compared with.
    parameters
        As stored with the value.

    Returns
    -------
    Region or None
        ``None`` when nothing counts.
    """
    if "erosion_mm" in parameters:
        margin_mm = float(parameters["erosion_mm"])
        if "height_share" in parameters:
            return trabecular_core(region, margin_mm, float(parameters["height_share"]))
        return without_rim(region, margin_mm)
    if biomarker == "pcat_attenuation":
        around = pericoronary_region(region)
    else:
        around = grown_vessel(region, structures, float(parameters["margin_mm"]))
    if around is None or around.box is None:
        return None
    counted = counted_voxels(biomarker, around.crop, around.mask, region.pixel_mm2, parameters)
    return around if counted is None else around.part(around.box, counted)

"""Which voxels of a mask a value counts: what a reader has to see to believe it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from racoon.science.biomarkers.calcium import lesion_pixels
from racoon.science.biomarkers.definition import Parameters


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
    if biomarker == "pcat_attenuation":
        # The fat lies around the artery, outside its mask.
        return None
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

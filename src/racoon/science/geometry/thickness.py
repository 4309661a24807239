"""Thickness of a layer between two surfaces: cortex, wall, skin."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from racoon.science.geometry.surface import mesh_vertices


@dataclass(frozen=True)
class Thickness:
    """Thickness in mm between an inner and an outer surface; all NaN when either is empty.

    Parameters
    ----------
    mean_mm
        Mean of both directions.
    inward_mm, outward_mm
        Mean closest distance from the outer surface to the inner one, and back.
    sd_mm
        Standard deviation over the vertices of both surfaces.
    """

    mean_mm: float
    inward_mm: float
    outward_mm: float
    sd_mm: float


def thickness_between(
    inner: NDArray[np.bool_], outer: NDArray[np.bool_], affine: NDArray[Any], *, largest_mm: float = math.inf
) -> Thickness:
    """Measure the layer between the surface of one mask and that of another that holds it.

    Parameters
    ----------
    inner, outer
        Boolean arrays (slice, row, column) of one shape, e.g. white matter and white plus grey matter.
    affine
        4x4, maps (slice, row, column, 1) to mm.
    largest_mm
        Longer distances are cut to this (FreeSurfer cuts cortical thickness at 5 mm).

    Returns
    -------
    Thickness

    Notes
    -----
    Mean of the two closest-point distances, Fischl and Dale 2000, doi:10.1073/pnas.200033797, between the
    vertices of the two marching-cubes surfaces.
    """
    from scipy.spatial import cKDTree  # noqa: PLC0415 - only measuring needs it

    if inner.shape != outer.shape:
        raise ValueError(f"masks differ in shape: {inner.shape} and {outer.shape}")
    points = [mesh_vertices(mask, affine) for mask in (inner, outer)]
    if not all(len(item) for item in points):
        return Thickness(math.nan, math.nan, math.nan, math.nan)
    outward, _ = cKDTree(points[1]).query(points[0])
    inward, _ = cKDTree(points[0]).query(points[1])
    outward, inward = np.minimum(outward, largest_mm), np.minimum(inward, largest_mm)
    return Thickness(
        mean_mm=float((outward.mean() + inward.mean()) / 2.0),
        inward_mm=float(inward.mean()),
        outward_mm=float(outward.mean()),
        sd_mm=float(np.concatenate([outward, inward]).std()),
    )

"""Calcium on chest CT that is not triggered by the heart beat: points for each artery instead of an Agatston score."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from racoon.science.biomarkers.acquisition import Context
from racoon.science.biomarkers.calcium import lesion_pixels, lesions_of
from racoon.science.biomarkers.definition import Formula, Measured, Parameters, Region

ARTERIES = ("left_main", "lad", "lcx", "rca")

BIN_MM = 3.0
"""Length of the pieces an artery is cut into: about the thickness of a chest CT's slices."""


def weston_points(foci_pixels: list[int], maximum_hu: float, blooming_hu: float) -> int:
    """Points of one artery: nothing 0; a single dense pixel 1; dense enough to bloom 3; everything between 2.

    Parameters
    ----------
    foci_pixels
        Pixels of each focus.
    maximum_hu
        Densest pixel.
    blooming_hu
        From here calcium counts as blooming; the paper judges it by eye.
    """
    if not foci_pixels:
        return 0
    if maximum_hu >= blooming_hu:
        return 3
    return 1 if foci_pixels == [1] else 2


def ordinal_points(share: float) -> int:
    """Points of one artery by the share of its length with calcium: none 0; < 1/3 1; to 2/3 2; above 3."""
    if share <= 0.0:
        return 0
    if share < 1.0 / 3.0:
        return 1
    return 2 if share <= 2.0 / 3.0 else 3


def calcified_share(
    mask: NDArray[np.bool_], calcium: NDArray[np.bool_], spacing_mm: tuple[float, ...]
) -> float:
    """Share of an artery's length that holds calcium, in pieces of 3 mm along its main direction.

    Parameters
    ----------
    mask, calcium
        The artery, and the voxels of its calcium; arrays (slice, row, column).
    spacing_mm
        Distance between voxel centres along them.
    """
    points = np.argwhere(mask) * np.asarray(spacing_mm)
    if len(points) < 2:
        return float(bool(calcium.any()))
    centre = points.mean(axis=0)
    direction = np.linalg.svd(points - centre, full_matrices=False)[2][0]
    pieces = np.rint((points - centre) @ direction / BIN_MM).astype(int)
    hit = calcium[mask]
    return len(set(pieces[hit].tolist())) / len(set(pieces.tolist()))


def weston_artery(artery: Region, parameters: Parameters) -> int:
    """Weston points of one artery."""
    lesions = list(lesions_of(artery.crop, artery.mask, artery.pixel_mm2, parameters))
    densest = max((lesion.maximum_hu for lesion in lesions), default=0.0)
    return weston_points([lesion.voxels for lesion in lesions], densest, float(parameters["blooming_hu"]))


def ordinal_artery(artery: Region, parameters: Parameters) -> int:
    """Ordinal points of one artery."""
    calcium = lesion_pixels(artery.crop, artery.mask, artery.pixel_mm2, parameters)
    return ordinal_points(calcified_share(artery.mask, calcium, artery.spacing_mm))


def sum_over_arteries(points: Callable[[Region, Parameters], int]) -> Formula:
    """Add the points of the four arteries."""

    def compute(_region: Region, context: Context, parameters: Parameters) -> Measured:
        present = [context.structures[name] for name in ARTERIES if name in context.structures]
        scored = [(points(artery, parameters), artery.key_slice) for artery in present if artery.voxel_count]
        worst = max(scored, key=lambda pair: pair[0])
        return Measured(float(sum(number for number, _ in scored)), "", worst[1])

    return compute

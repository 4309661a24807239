"""Calcium in coronary arteries, aorta and valves: Agatston, volume and mass.

A lesion is a connected group of pixels of one slice at or above the threshold inside the mask.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from racoon.science.biomarkers.acquisition import Context
from racoon.science.biomarkers.definition import Formula, Measured, Parameters, Region
from racoon.science.biomarkers.structures import VERTEBRAE


@dataclass(frozen=True)
class Lesion:
    """One calcified lesion in one slice."""

    slice_index: int
    area_mm2: float
    voxels: int
    maximum_hu: float
    sum_hu: float

    @property
    def weight(self) -> int:
        """Density factor: 1 from 130, 2 from 200, 3 from 300, 4 from 400 HU."""
        return 1 + sum(self.maximum_hu >= limit for limit in (200.0, 300.0, 400.0))


def lesions_of(
    voxels: NDArray[Any], mask: NDArray[np.bool_], pixel_mm2: float, parameters: Parameters
) -> Iterator[Lesion]:
    """Find the calcified lesions of each slice.

    Parameters
    ----------
    voxels, mask
        HU and the vessel mask, arrays (slice, row, column).
    pixel_mm2
        Area of a pixel.
    parameters
        ``threshold_hu``, ``smallest_mm2``, ``connectivity`` (4 or 8).
    """
    from scipy import ndimage  # noqa: PLC0415 - only measuring needs it

    for index, labels, numbers, sizes in _labelled(voxels, mask, pixel_mm2, parameters):
        peaks = ndimage.maximum(voxels[index], labels, numbers)
        sums = ndimage.sum_labels(voxels[index], labels, numbers)
        for size, peak, total in zip(sizes, peaks, sums, strict=True):
            yield Lesion(index, float(size) * pixel_mm2, int(size), float(peak), float(total))


def lesion_pixels(
    voxels: NDArray[Any], mask: NDArray[np.bool_], pixel_mm2: float, parameters: Parameters
) -> NDArray[np.bool_]:
    """Mark the pixels of the lesions that :func:`lesions_of` counts; same arguments."""
    marked = np.zeros(mask.shape, bool)
    for index, labels, numbers, _ in _labelled(voxels, mask, pixel_mm2, parameters):
        marked[index] = np.isin(labels, numbers)
    return marked


def _labelled(
    voxels: NDArray[Any], mask: NDArray[np.bool_], pixel_mm2: float, parameters: Parameters
) -> Iterator[tuple[int, NDArray[Any], NDArray[Any], NDArray[Any]]]:
    """Lesions of each slice that are large enough: slice, labels, their numbers and sizes in pixels."""
    from scipy import ndimage  # noqa: PLC0415 - only measuring needs it

    dense: NDArray[np.bool_] = np.greater_equal(voxels, float(parameters["threshold_hu"])) & mask
    neighbours = ndimage.generate_binary_structure(2, 2 if int(parameters["connectivity"]) == 8 else 1)
    for index in np.flatnonzero(dense.any(axis=(1, 2))):
        labels, count = ndimage.label(dense[index], neighbours)
        sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
        numbers = np.flatnonzero(sizes * pixel_mm2 >= float(parameters["smallest_mm2"]) - 1e-9) + 1
        if numbers.size:
            yield int(index), labels, numbers, sizes[numbers - 1]


def _found(region: Region, parameters: Parameters) -> list[Lesion]:
    return list(lesions_of(region.crop, region.mask, region.pixel_mm2, parameters))


def _key_slice(region: Region, lesions: list[Lesion]) -> int | None:
    if not lesions or region.box is None:
        return None
    areas: dict[int, float] = {}
    for lesion in lesions:
        areas[lesion.slice_index] = areas.get(lesion.slice_index, 0.0) + lesion.area_mm2
    return max(areas, key=lambda index: areas[index]) + region.box.start[0]


def agatston(region: Region, _context: Context, parameters: Parameters) -> Measured:
    """Sum over the lesions of area times density weight."""
    lesions = _found(region, parameters)
    scale = region.spacing_mm[0] / float(parameters["reference_slice_mm"])
    score = scale * sum(lesion.area_mm2 * lesion.weight for lesion in lesions)
    return Measured(score, "", _key_slice(region, lesions))


def calcium_volume(region: Region, _context: Context, parameters: Parameters) -> Measured:
    """Volume of the lesions in mm³."""
    lesions = _found(region, parameters)
    voxels = sum(lesion.voxels for lesion in lesions)
    return Measured(voxels * region.voxel_ml * 1000.0, "", _key_slice(region, lesions))


def calcium_mass(region: Region, _context: Context, parameters: Parameters) -> Measured:
    """Mass of the lesions in mg of hydroxyapatite by a given calibration."""
    lesions = _found(region, parameters)
    total = sum(lesion.sum_hu for lesion in lesions) * region.voxel_ml
    return Measured(total * float(parameters["mg_per_cm3_per_hu"]), "", _key_slice(region, lesions))


def category(region: Region, context: Context, parameters: Parameters) -> Measured:
    """CAC-DRS category of the Agatston score."""
    found = agatston(region, context, parameters)
    return Measured(float(cac_drs_category(found.value)), "", found.key_slice)


NEIGHBOURS = ("coronary_artery", "aortic_valve", *VERTEBRAE)
"""Structures with calcium of their own beside the aorta."""


def grown_vessel(region: Region, structures: Mapping[str, Region], margin_mm: float) -> Region | None:
    """The vessel with a margin for the calcium of its wall, without its calcified neighbours.

    Parameters
    ----------
    structures
        Further regions of the image; those of ``NEIGHBOURS`` are taken out.
    margin_mm
        How far to grow, in mm.

    Returns
    -------
    Region or None
        ``None`` for an empty vessel.
    """
    wider = region.grown(margin_mm)
    if wider is None:
        return None
    box, mask = wider
    for name, other in structures.items():
        # Their calcium is not the aorta's, and vertebrae lie next to it.
        if name in NEIGHBOURS:
            mask &= ~_inside(other, box.start, mask.shape)
    return region.part(box, mask)


def around(formula: Formula) -> Formula:
    """Measure in the mask grown by ``margin_mm``, without its calcified neighbours."""

    def grown(region: Region, context: Context, parameters: Parameters) -> Measured:
        wider = grown_vessel(region, context.structures, float(parameters["margin_mm"]))
        if wider is None:
            return Measured(math.nan, "empty_mask")
        return formula(wider, context, parameters)

    return grown


def _inside(other: Region, start: tuple[int, int, int], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    found = np.zeros(shape, bool)
    if other.box is None:
        return found
    low = np.maximum(np.array(other.box.start) - start, 0)
    high = np.minimum(np.array(other.box.stop) - start, shape)
    if (low < high).all():
        own = low + start - np.array(other.box.start)
        size = high - low
        found[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = other.mask[
            tuple(slice(a, a + n) for a, n in zip(own, size, strict=True))
        ]
    return found


def cac_drs_category(agatston: float) -> int:
    """CAC-DRS category A0 to A3: 0; 1–99; 100–299; from 300."""
    return 0 if agatston <= 0 else 1 + (agatston >= 100) + (agatston >= 300)


def calibration_factor(rod_mg_per_cm3: float, rod_hu: float, water_hu: float = 0.0) -> float:
    """Mass calibration in mg/cm³ per HU from an insert of known density and water."""
    return rod_mg_per_cm3 / (rod_hu - water_hu)

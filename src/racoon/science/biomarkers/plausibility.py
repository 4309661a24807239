"""Does a mask look like what its name says?  Limits so wide that outside them the mask is the likelier fault.

They are no reference ranges: a sick organ stays inside.  A doubt asks a person to look; it changes no value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from racoon.science.biomarkers.region import Region
from racoon.science.geometry import find_parts

Limits = tuple[float, float]


@dataclass(frozen=True)
class Expected:
    """What a whole adult structure looks like.

    Parameters
    ----------
    volume_ml, mean_hu
        Closed ranges; ``None`` where none can be told.
    largest_share
        Least share of the largest connected part, 0 to 1; 0 for structures that may be scattered.
    """

    volume_ml: Limits | None = None
    mean_hu: Limits | None = None
    largest_share: float = 0.0


_LUNG = (-980.0, -200.0)
_SOFT = (-50.0, 350.0)

EXPECTED: Mapping[str, Expected] = {
    "lung": Expected((800.0, 10_000.0), _LUNG),
    "lung_left": Expected((300.0, 5_500.0), _LUNG, 0.9),
    "lung_right": Expected((300.0, 6_000.0), _LUNG, 0.9),
    "liver": Expected((400.0, 5_000.0), _SOFT, 0.9),
    "spleen": Expected((20.0, 3_000.0), _SOFT, 0.9),
    "kidney_left": Expected((30.0, 600.0), _SOFT, 0.8),
    "kidney_right": Expected((30.0, 600.0), _SOFT, 0.8),
    "pancreas": Expected((10.0, 300.0), _SOFT, 0.6),
    "heart": Expected((200.0, 2_500.0), (-50.0, 500.0), 0.95),
    "aorta": Expected((30.0, 800.0), (-20.0, 900.0), 0.9),
    "pulmonary_trunk": Expected((10.0, 300.0), (-20.0, 900.0), 0.9),
    "brain": Expected((700.0, 2_000.0), (0.0, 120.0), 0.9),
    "skeletal_muscle": Expected(None, (-60.0, 150.0)),
    "subcutaneous_fat": Expected(None, (-150.0, -30.0)),
    "pleural_effusion": Expected(None, (-50.0, 100.0)),
    "pericardial_effusion": Expected(None, (-50.0, 100.0)),
}
"""Canonical name to what is expected; wide limits of adults, with and without contrast medium."""

OUTLIER_SCORE = 5.0
"""Robust standard deviations from the median: of normal values one in 1.7 million lies beyond."""

OUTLIER_FROM = 20
"""Values from which a median and its spread say something about a single one."""


@dataclass(frozen=True)
class Doubt:
    """One reason to look at a mask.

    Parameters
    ----------
    code
        ``volume``, ``density``, ``scattered``, ``empty`` or ``sides``.
    numbers
        What was found and what was expected.
    """

    code: str
    numbers: Mapping[str, float] = field(default_factory=dict)


def doubts_about(name: str, region: Region, modality: str) -> tuple[Doubt, ...]:
    """Compare one mask with what its name lets expect.

    Parameters
    ----------
    name
        Canonical name of the structure.
    region
        The mask on its image.
    modality
        Densities are compared for ``CT`` only.
    """
    if region.voxel_count == 0:
        return (Doubt("empty"),)
    expected = EXPECTED.get(name)
    if expected is None:
        return ()
    found: list[Doubt] = []
    volume = region.voxel_count * region.voxel_ml
    if expected.volume_ml:
        lowest, highest = expected.volume_ml
        # A structure that the scan cuts off may be smaller than any whole one.
        is_small = volume < lowest and not region.touches_end
        if is_small or volume > highest:
            found.append(Doubt("volume", _numbers(volume, expected.volume_ml)))
    is_density = modality == "CT" and expected.mean_hu is not None and region.is_finite
    if is_density and expected.mean_hu and not expected.mean_hu[0] <= region.mean <= expected.mean_hu[1]:
        found.append(Doubt("density", _numbers(region.mean, expected.mean_hu)))
    if expected.largest_share:
        parts = find_parts(region.mask)
        share = parts.voxel_counts[0] / region.voxel_count
        if share < expected.largest_share:
            found.append(Doubt("scattered", {"parts": float(parts.count), "share": 100.0 * share}))
    return tuple(found)


def swapped_sides(regions: Mapping[str, Region]) -> tuple[str, ...]:
    """Name the pairs whose left one lies on the right of the patient.

    Parameters
    ----------
    regions
        Canonical name to region of one image.

    Returns
    -------
    tuple of str
        Names without their side, e.g. ``kidney``.

    Notes
    -----
    LPS: x grows towards the patient's left (DICOM PS3.3 C.7.6.2.1.1).
    """
    wrong = []
    for name, left in regions.items():
        if not name.endswith("_left"):
            continue
        right = regions.get(f"{name.removesuffix('_left')}_right")
        if right is None or not (left.voxel_count and right.voxel_count):
            continue
        if _centre_x(left) < _centre_x(right):
            wrong.append(name.removesuffix("_left"))
    return tuple(sorted(wrong))


def outlier_scores(values: Sequence[float]) -> list[float]:
    """Distance of each value from the median in robust standard deviations (1.4826 × MAD).

    Returns
    -------
    list of float
        0 for all where there are too few values or more than half of them are equal.

    Notes
    -----
    Iglewicz, Hoaglin 1993, How to detect and handle outliers.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.size < OUTLIER_FROM:
        return [0.0] * numbers.size
    distance = np.abs(numbers - np.median(numbers))
    spread = 1.4826 * float(np.median(distance))
    if spread == 0.0:
        return [0.0] * numbers.size
    return [float(value) for value in distance / spread]


def _centre_x(region: Region) -> float:
    centre = np.argwhere(region.mask).mean(axis=0)
    return float((region.affine @ np.array([*centre, 1.0]))[0])


def _numbers(value: float, limits: Limits) -> dict[str, float]:
    return {"value": value, "low": limits[0], "high": limits[1]}

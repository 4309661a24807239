"""Lungs, airways, bone and fat on CT by thresholds and connected parts; each says where it fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from racoon.science.geometry import find_parts
from racoon.science.image import Image

Mask = NDArray[np.bool_]

LUNGS_VERSION = "lungs@1"
AIRWAYS_VERSION = "airways@1"
BONE_VERSION = "bone@1"
FAT_VERSION = "fat@1"

AIR_BELOW_HU = -400
"""Halfway between lung and soft tissue."""

_SMALLEST_LUNG_ML = 100.0
"""Smaller pockets of air inside the body are bowel, oesophagus or noise."""

_CLOSING_MM = 6.0
"""Vessels and small nodules inside the lungs are closed over; larger consolidations are not."""

BONE_FROM_HU = 200
FAT_HU = (-190, -30)


@dataclass(frozen=True, eq=False)
class Found:
    """A mask and what a person should know about it.

    Parameters
    ----------
    mask
        Boolean, shape of the image.
    doubts
        Reasons to look before the mask is used; empty when there are none.
    """

    mask: Mask
    doubts: tuple[str, ...] = ()


def segment_lungs(image: Image, body: Mask) -> Found:
    """Find the lungs without trachea and main bronchi.

    Parameters
    ----------
    image
        HU.
    body
        The body, ``segment_body``; air outside it is not lung.

    Returns
    -------
    Found
        Doubts: ``lungs_small`` below 2 L, ``closing_large`` when closing added more than a tenth.

    Notes
    -----
    Air inside the body in parts of at least 100 mL, without the airways, closed by 6 mm.  Fails with consolidation
    and effusion, which are as dense as the wall: the very cases of severe pneumonia.
    """
    air: Mask = np.less(image.voxels, AIR_BELOW_HU) & body
    air &= ~segment_airways(image, body).mask
    parts = find_parts(
        air, connectivity=6, smallest_voxels=max(1, round(_SMALLEST_LUNG_ML / image.voxel_volume_ml))
    )
    lungs = np.zeros_like(air)
    if parts.box is None or parts.count == 0:
        return Found(lungs, ("nothing_found",))
    # Two lungs at most, or both as one part where they touch; a third large pocket is bowel.
    lungs[parts.box.slices] = (parts.labels > 0) & (parts.labels <= 2)
    closed = _closed(lungs, image.spacing_mm) & body
    before, after = int(np.count_nonzero(lungs)), int(np.count_nonzero(closed))
    doubts = []
    if after * image.voxel_volume_ml < 2000.0:
        doubts.append("lungs_small")
    if after > 1.1 * before:
        doubts.append("closing_large")
    return Found(closed, tuple(doubts))


def segment_airways(image: Image, body: Mask) -> Found:
    """Find trachea and first bronchi by growing from the highest round pocket of air.

    Returns
    -------
    Found
        Empty with the doubt ``no_seed`` when no such pocket is there; ``leak`` when every threshold leaked.

    Notes
    -----
    The threshold rises from −950 HU in steps of 25; growth stops before the volume more than doubles in one step
    ("explosion control", Mori 1996).  Fails when the scan starts below the upper chest.
    """
    from scipy import ndimage  # noqa: PLC0415 - only measuring needs it

    seed = _trachea_seed(image, body)
    empty = np.zeros(image.voxels.shape, bool)
    if seed is None:
        return Found(empty, ("no_seed",))
    last: Mask | None = None
    for threshold in range(-950, -849, 25):
        air: Mask = np.less(image.voxels, threshold) & body
        air[seed] = True
        labels = find_parts(air, connectivity=6)
        if labels.box is None:
            continue
        place = tuple(int(at - low) for at, low in zip(seed, labels.box.start, strict=True))
        grown = np.zeros_like(empty)
        grown[labels.box.slices] = labels.labels == labels.labels[place]
        volume_ml = np.count_nonzero(grown) * image.voxel_volume_ml
        before_ml = np.count_nonzero(last) * image.voxel_volume_ml if last is not None else 0.0
        if volume_ml > 200.0 or (last is not None and volume_ml > 2.0 * before_ml + 5.0):
            break
        last = grown
    if last is None:
        return Found(empty, ("leak",))
    wall = ndimage.binary_dilation(last, ndimage.generate_binary_structure(3, 1)) & body
    return Found(wall & np.less(image.voxels, AIR_BELOW_HU))


def segment_bone(image: Image, body: Mask) -> Found:
    """Find bone: dense parts of at least 1 mL inside the body, filled slice by slice.

    Notes
    -----
    From 200 HU.  After contrast medium, vessels and kidneys are as dense and leak in: unenhanced scans only.
    """
    from scipy import ndimage  # noqa: PLC0415 - only measuring needs it

    dense: Mask = np.greater_equal(image.voxels, BONE_FROM_HU) & body
    parts = find_parts(dense, connectivity=26, smallest_voxels=max(1, round(1.0 / image.voxel_volume_ml)))
    bone = np.zeros_like(dense)
    if parts.box is None or parts.count == 0:
        return Found(bone, ("nothing_found",))
    bone[parts.box.slices] = parts.labels > 0
    for index in np.flatnonzero(bone.any(axis=(1, 2))):
        bone[index] = ndimage.binary_fill_holes(bone[index])
    return Found(bone)


def segment_fat(image: Image, body: Mask) -> Found:
    """Find fat by its interval inside the body; borders of lung and tissue add a thin false rim."""
    low, high = FAT_HU
    fat: Mask = np.greater_equal(image.voxels, low) & np.less_equal(image.voxels, high) & body
    return Found(fat)


def _trachea_seed(image: Image, body: Mask) -> tuple[int, int, int] | None:
    """A voxel of the highest slice that has one round pocket of air of the trachea's size near the midline."""
    from scipy import ndimage  # noqa: PLC0415 - only measuring needs it

    pixel_mm2 = image.spacing_mm[1] * image.spacing_mm[2]
    upwards = image.affine[2, 0] >= 0
    filled = np.flatnonzero(body.any(axis=(1, 2)))
    order = filled[::-1] if upwards else filled
    for index in order[: max(1, len(order) // 2)]:
        air = np.less(image.voxels[index], -900) & body[index]
        labels, count = ndimage.label(air)
        if count == 0:
            continue
        areas = ndimage.sum_labels(air, labels, np.arange(1, count + 1)) * pixel_mm2
        columns = np.flatnonzero(body[index].any(axis=0))
        middle, width = (columns[0] + columns[-1]) / 2.0, columns[-1] - columns[0] + 1
        for number in np.flatnonzero((areas > 50.0) & (areas < 900.0)) + 1:
            rows, across = np.nonzero(labels == number)
            # A circle fills π/4 of its square box; the trachea is rounder than that of bowel or oesophagus.
            fill = rows.size / ((np.ptp(rows) + 1) * (np.ptp(across) + 1))
            if fill > 0.5 and abs(across.mean() - middle) < 0.15 * width:
                nearest = int(((rows - rows.mean()) ** 2 + (across - across.mean()) ** 2).argmin())
                return int(index), int(rows[nearest]), int(across[nearest])
    return None


def _closed(mask: Mask, spacing_mm: tuple[float, float, float]) -> Mask:
    """Close by a ball, through distances: cost does not grow with its radius."""
    from scipy import ndimage  # noqa: PLC0415 - only measuring needs it

    parts = find_parts(mask, connectivity=26)
    if parts.box is None:
        return mask
    box = parts.box
    margin = max(int(np.ceil(_CLOSING_MM / step)) for step in spacing_mm) + 1
    crop: NDArray[Any] = np.pad(mask[box.slices], margin)
    near = ndimage.distance_transform_edt(~crop, sampling=spacing_mm) <= _CLOSING_MM
    kept = ndimage.distance_transform_edt(near, sampling=spacing_mm) > _CLOSING_MM
    inner = tuple(slice(margin, -margin) for _ in range(3))
    closed = mask.copy()
    closed[box.slices] |= kept[inner]
    return closed

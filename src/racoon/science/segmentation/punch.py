"""The virtual punch: a sphere, cylinder or cube of given size in millimetres around a marked point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from racoon.science.geometry import Box
from racoon.science.image import Image

Shape = Literal["sphere", "cylinder", "cube"]


@dataclass(frozen=True, eq=False)
class Punch:
    """What was punched out.

    Parameters
    ----------
    box
        Where the patch lies in the image.
    mask
        Voxels of the shape inside the box.
    patch
        Image voxels of the box.
    is_cut_off
        True when the shape reaches beyond the image: the patch is smaller than asked for.
    """

    box: Box
    mask: NDArray[np.bool_]
    patch: NDArray[Any]
    is_cut_off: bool


def punch(
    image: Image,
    point_mm: Sequence[float],
    size_mm: float,
    *,
    shape: Shape = "sphere",
    length_mm: float | None = None,
    axis: Sequence[float] = (0.0, 0.0, 1.0),
) -> Punch | None:
    """Punch a shape out of an image.

    Parameters
    ----------
    image
        Volume.
    point_mm
        Centre, LPS.
    size_mm
        Diameter of the sphere or cylinder, side of the cube.
    shape
        ``sphere``, ``cylinder`` or ``cube``; the cube lies parallel to the patient's axes.
    length_mm
        Length of the cylinder; its diameter when omitted.
    axis
        Direction of the cylinder, LPS.

    Returns
    -------
    Punch or None
        ``None`` when no voxel centre lies in the shape.
    """
    if size_mm <= 0.0 or (length_mm is not None and length_mm <= 0.0):
        raise ValueError("a punch needs a positive size")
    centre = np.asarray(point_mm, dtype=np.float64)
    direction = np.asarray(axis, dtype=np.float64)
    direction = direction / np.linalg.norm(direction)
    length = size_mm if length_mm is None else length_mm
    reach = {
        "sphere": size_mm / 2.0,
        "cube": size_mm / 2.0 * np.sqrt(3.0),
        "cylinder": float(np.hypot(size_mm, length)) / 2.0,
    }[shape]
    inverse = np.linalg.inv(image.affine)
    middle = inverse[:3, :3] @ centre + inverse[:3, 3]
    # Farthest index along an axis inside a ball: the length of that row of the inverse.
    extent = np.linalg.norm(inverse[:3, :3], axis=1) * reach
    wanted_low, wanted_high = np.ceil(middle - extent).astype(int), np.floor(middle + extent).astype(int) + 1
    low, high = np.maximum(wanted_low, 0), np.minimum(wanted_high, image.shape)
    if (low >= high).any():
        return None
    grid = np.stack(
        np.meshgrid(*[np.arange(a, b) for a, b in zip(low, high, strict=True)], indexing="ij"), axis=-1
    )
    away = grid @ image.affine[:3, :3].T + image.affine[:3, 3] - centre
    if shape == "sphere":
        mask = np.linalg.norm(away, axis=-1) <= size_mm / 2.0
    elif shape == "cube":
        mask = np.abs(away).max(axis=-1) <= size_mm / 2.0
    else:
        along = away @ direction
        across = np.linalg.norm(away - along[..., None] * direction, axis=-1)
        mask = (np.abs(along) <= length / 2.0) & (across <= size_mm / 2.0)
    if not mask.any():
        return None
    box = Box((int(low[0]), int(low[1]), int(low[2])), (int(high[0]), int(high[1]), int(high[2])))
    is_cut_off = bool((low != wanted_low).any() or (high != wanted_high).any())
    return Punch(box, mask, image.voxels[box.slices], is_cut_off)

"""A mask on an image, cropped once: what every definition looks at."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from racoon.science.geometry import Box, bounding_box, voxel_volume_ml
from racoon.science.geometry.box import shifted_affine
from racoon.science.image import Image


class Region:
    """A mask on an image, cropped once; everything the definitions share is computed at most once.

    Parameters
    ----------
    image
        The volume; HU for CT.
    mask
        Boolean array (slice, row, column) of the same shape, or of the shape of ``within``.
    within
        Where the mask lies when it is only a part; the rest of the image is then never touched.
    """

    def __init__(self, image: Image, mask: NDArray[np.bool_], within: Box | None = None) -> None:
        wanted = within.shape if within else image.voxels.shape
        if mask.shape != wanted:
            raise ValueError(f"the mask has the shape {mask.shape}, the image {wanted}")
        self._image = image
        self.memo: dict[str, Any] = {}
        """What several definitions need and one of them has computed, by their own key."""
        inner = bounding_box(mask)
        self.mask: NDArray[np.bool_] = mask[inner.slices] if inner else np.zeros((0, 0, 0), bool)
        self.box: Box | None = _moved(inner, within.start) if inner and within else inner

    @property
    def full_shape(self) -> tuple[int, int, int]:
        """Shape of the whole image."""
        return self._image.shape

    @property
    def crop(self) -> NDArray[Any]:
        """Image voxels inside the box, mask or not."""
        if self.box is None:
            return self._image.voxels[:0, :0, :0]
        voxels: NDArray[Any] = self._image.voxels[self.box.slices]
        return voxels

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between voxel centres along (slice, row, column)."""
        return self._image.spacing_mm

    @property
    def pixel_mm2(self) -> float:
        """Area of one pixel of a slice in mm²."""
        matrix = np.asarray(self._image.affine, dtype=np.float64)
        return float(np.linalg.norm(np.cross(matrix[:3, 1], matrix[:3, 2])))

    @property
    def touches_end(self) -> bool:
        """True when the mask reaches the first or last slice: part of the structure may be missing."""
        return self.box is not None and (self.box.start[0] == 0 or self.box.stop[0] == self.full_shape[0])

    def forget(self) -> None:
        """Let go of what was kept for further definitions; it is found again when one needs it."""
        self.__dict__.pop("values", None)
        self.memo.clear()

    def with_rim(self) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """The mask with two voxels of rim where the image goes on, and the affine of that array.

        Without it a structure that fills its box cannot be told from one that the image cuts off.
        """
        if self.box is None:
            return self.mask, self.affine
        box = self.box.grown(2, self.full_shape)
        mask = np.zeros(box.shape, bool)
        pairs = zip(self.box.start, self.box.stop, box.start, strict=True)
        mask[tuple(slice(low - start, high - start) for low, high, start in pairs)] = self.mask
        return mask, shifted_affine(np.asarray(self._image.affine, dtype=np.float64), box)

    def grown(self, margin_mm: float) -> tuple[Box, NDArray[np.bool_]] | None:
        """Dilate the mask by a distance in mm, inside the image; ``None`` when it is empty.

        Returns
        -------
        tuple
            The larger box and the mask in it.
        """
        from scipy import ndimage  # noqa: PLC0415 - only measuring needs it

        if self.box is None:
            return None
        steps = self.spacing_mm
        box = self.box.grown(max(1, math.ceil(margin_mm / min(steps))), self.full_shape)
        mask = np.zeros(box.shape, bool)
        inside = tuple(
            slice(low - start, high - start)
            for low, high, start in zip(self.box.start, self.box.stop, box.start, strict=True)
        )
        mask[inside] = self.mask
        near = ndimage.distance_transform_edt(~mask, sampling=steps) <= margin_mm + 1e-9
        return box, near

    def part(self, box: Box, crop: NDArray[np.bool_]) -> Region:
        """Another region of the same image."""
        return Region(self._image, crop, box)

    @cached_property
    def affine(self) -> NDArray[np.float64]:
        """Affine of the cropped arrays."""
        affine = np.asarray(self._image.affine, dtype=np.float64)
        return shifted_affine(affine, self.box) if self.box else affine

    @cached_property
    def voxel_count(self) -> int:
        """Number of voxels in the mask."""
        return int(np.count_nonzero(self.mask))

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in ml."""
        return voxel_volume_ml(self._image.affine)

    @cached_property
    def values(self) -> NDArray[Any]:
        """Image values inside the mask, one-dimensional, in the image's own type."""
        if self.box is None:
            return self._image.voxels[:0].ravel()
        values: NDArray[Any] = self._image.voxels[self.box.slices][self.mask]
        return values

    @cached_property
    def is_finite(self) -> bool:
        """True when every value inside the mask is a number."""
        return self.values.dtype.kind in "iu" or bool(np.isfinite(self.values).all())

    @cached_property
    def mean(self) -> float:
        """Mean of the values; exact sums for integer images, NaN when empty."""
        return mean_of(self.values)

    @cached_property
    def key_slice(self) -> int | None:
        """Index of the slice with the largest area, in the full image."""
        if self.box is None:
            return None
        return int(np.count_nonzero(self.mask, axis=(1, 2)).argmax()) + self.box.start[0]

    def within(self, lower: float, upper: float) -> NDArray[Any]:
        """Values in a closed interval ``lower <= value <= upper``."""
        values: NDArray[Any] = self.values[(self.values >= lower) & (self.values <= upper)]
        return values

    def join(self, other: Region) -> int:
        """Count the voxels that lie in either region."""
        shared = 0
        if self.box is not None and other.box is not None:
            low = np.maximum(self.box.start, other.box.start)
            high = np.minimum(self.box.stop, other.box.stop)
            if (low < high).all():
                mine, theirs = (
                    region.mask[tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))]
                    for region, start in ((self, self.box.start), (other, other.box.start))
                )
                shared = int(np.count_nonzero(mine & theirs))
        return self.voxel_count + other.voxel_count - shared


def _moved(box: Box, by: tuple[int, int, int]) -> Box:
    low = [value + step for value, step in zip(box.start, by, strict=True)]
    high = [value + step for value, step in zip(box.stop, by, strict=True)]
    return Box((low[0], low[1], low[2]), (high[0], high[1], high[2]))


def mean_of(values: NDArray[Any]) -> float:
    """Mean of values, exact sums for integers; NaN without any."""
    if values.size == 0:
        return math.nan
    if values.dtype.kind in "iu":
        # The sum of integers is exact, so flips and splits change nothing.
        return int(values.sum(dtype=np.int64)) / values.size
    return float(values.mean(dtype=np.float64))

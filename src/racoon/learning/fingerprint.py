"""What a training set is like, from sums that sites can add: spacing, shape and intensity, equal to the pooled ones.

Every sum is exact, so neither the order of the images, nor their split into sites, nor who answers first changes a
bit.  No voxel, no extreme value and no single image's number is in it; a site with too few images gives nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon.errors import Refused
from racoon.science.statistics.moments import Moments

AXES = ("slice", "row", "column")

LEVELS = 4
"""A planned U-Net halves its input at most this often; below eight pixels nothing is left to see."""

MAXIMUM_SIDE = 256
"""Largest planned in-plane input: what a small machine trains in reasonable time; larger slices are tiled."""


SMALLEST_SIDE = 4
"""Voxels a side keeps at the deepest level, as in nnU-Net."""

MAXIMUM_HALVINGS = 5

MAXIMUM_VOXELS = 48 * 96 * 96
"""Voxels of a planned window: a step of batch 2 stays below 4 GB without a GPU."""


class TooFewImages(Refused):
    """A site has fewer images than it gives sums of."""

    code = "learning.too_few_images"


@dataclass(frozen=True)
class Fingerprint:
    """Means and standard deviations of a training set.

    Parameters
    ----------
    images
        How many.
    spacing_mm, spacing_sd_mm
        Mean and standard deviation over images along (slice, row, column).
    shape, shape_sd
        The same of the number of voxels.
    intensity_mean, intensity_sd
        Over all voxels of all images.
    foreground_mean, foreground_sd
        Over the voxels of the wanted structures.
    """

    images: int
    spacing_mm: tuple[float, float, float]
    spacing_sd_mm: tuple[float, float, float]
    shape: tuple[float, float, float]
    shape_sd: tuple[float, float, float]
    intensity_mean: float
    intensity_sd: float
    foreground_mean: float
    foreground_sd: float

    def planned_size(self, stride: int = 2**LEVELS) -> tuple[int, int]:
        """Plan an in-plane input: mean plus two standard deviations of the shape, up to the next multiple of a stride.

        Notes
        -----
        The idea of nnU-Net (doi:10.1038/s41592-020-01008-z), from means where nnU-Net takes medians: a median is no
        sum.
        """
        sides = []
        for axis in (1, 2):
            wanted = self.shape[axis] + 2.0 * (self.shape_sd[axis] if self.images > 1 else 0.0)
            sides.append(min(MAXIMUM_SIDE, max(stride, int(np.ceil(wanted / stride)) * stride)))
        return sides[0], sides[1]

    def planned_configuration(self) -> PlannedConfiguration:
        """Plan spacing, window and halvings of a volumetric network, as nnU-Net does.

        Notes
        -----
        doi:10.1038/s41592-020-01008-z, with means where nnU-Net takes medians (a median is no sum).  A side is halved
        while it keeps at least :data:`SMALLEST_SIDE` voxels and its spacing stays below twice the smallest of the
        others; the window is the mean shape, shortened along its longest side in mm until it holds no more than
        :data:`MAXIMUM_VOXELS`.
        """
        spacing = self.spacing_mm
        window = [max(1, round(side)) for side in self.shape]
        strides = _halvings(window, spacing)
        sides = _rounded(window, strides)
        while math.prod(sides) > MAXIMUM_VOXELS:
            longest = max(range(3), key=lambda axis: (sides[axis] * spacing[axis], axis))
            window[longest] = max(1, sides[longest] - math.prod(step[longest] for step in strides))
            strides = _halvings(window, spacing)
            sides = _rounded(window, strides)
        return PlannedConfiguration("dynunet3d", spacing, sides, strides)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form; what one image alone can't have is ``None``."""
        return {name: _plain(getattr(self, name)) for name in type(self).__dataclass_fields__}


@dataclass(frozen=True)
class PlannedConfiguration:
    """What a training plan may take from a fingerprint.

    Parameters
    ----------
    architecture
        Name in the registry.
    spacing_mm, size
        Working spacing and window along (slice, row, column).
    strides
        Halvings per level.
    """

    architecture: str
    spacing_mm: tuple[float, float, float]
    size: tuple[int, int, int]
    strides: tuple[tuple[int, int, int], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the words of a training plan."""
        return {
            "architecture": self.architecture,
            "spacing_mm": [round(value, 3) for value in self.spacing_mm],
            "size": list(self.size),
            "strides": [list(step) for step in self.strides],
            "larger": "tile",
        }


def _halvings(window: Sequence[int], spacing_mm: Sequence[float]) -> tuple[tuple[int, int, int], ...]:
    sides, spacings = [float(side) for side in window], list(spacing_mm)
    strides: list[tuple[int, int, int]] = []
    while len(strides) < MAXIMUM_HALVINGS:
        step = [1, 1, 1]
        possible = [axis for axis in range(3) if sides[axis] >= 2 * SMALLEST_SIDE]
        if possible:
            finest = min(spacings[axis] for axis in possible)
            for axis in possible:
                step[axis] = 2 if spacings[axis] < 2.0 * finest else 1
        elif len(strides) < 2:
            # Two levels are the least of the network; the largest side is halved even though little is left of it.
            step[max(range(3), key=lambda axis: (sides[axis], axis))] = 2
        else:
            break
        strides.append((step[0], step[1], step[2]))
        sides = [side / factor for side, factor in zip(sides, step, strict=True)]
        spacings = [value * factor for value, factor in zip(spacings, step, strict=True)]
    return tuple(strides)


def _rounded(window: Sequence[int], strides: Sequence[Sequence[int]]) -> tuple[int, int, int]:
    factors = [math.prod(step[axis] for step in strides) for axis in range(3)]
    slices, rows, columns = (math.ceil(side / f) * f for side, f in zip(window, factors, strict=True))
    return slices, rows, columns


@dataclass(frozen=True)
class FingerprintSums:
    """Exact sums that become a fingerprint when all sites' are added.

    Parameters
    ----------
    spacing, shape
        Per axis, over images.
    intensity, foreground
        Over voxels.
    """

    spacing: tuple[Moments, Moments, Moments]
    shape: tuple[Moments, Moments, Moments]
    intensity: Moments
    foreground: Moments

    @classmethod
    def empty(cls) -> FingerprintSums:
        """Sums over nothing."""
        none = Moments.of([])
        return cls((none, none, none), (none, none, none), none, none)

    @classmethod
    def of(
        cls,
        voxels: npt.NDArray[np.generic],
        foreground: npt.NDArray[np.bool_],
        spacing_mm: tuple[float, float, float],
    ) -> FingerprintSums:
        """Sum up one image.

        Parameters
        ----------
        voxels, foreground
            ``(slice, row, column)``: intensities, and where a wanted structure is.
        spacing_mm
            Along the same axes.
        """
        first, second, third = (Moments.of([value]) for value in spacing_mm)
        slices, rows, columns = (Moments.of([float(side)]) for side in voxels.shape)
        return cls(
            (first, second, third),
            (slices, rows, columns),
            Moments.of(voxels),
            Moments.of(np.asarray(voxels)[foreground]),
        )

    def __add__(self, other: FingerprintSums) -> FingerprintSums:
        return FingerprintSums(
            _add(self.spacing, other.spacing),
            _add(self.shape, other.shape),
            self.intensity + other.intensity,
            self.foreground + other.foreground,
        )

    @classmethod
    def merge(cls, parts: Iterable[FingerprintSums]) -> FingerprintSums:
        """Add any number of parts in any order."""
        total = cls.empty()
        for part in parts:
            total = total + part
        return total

    @property
    def images(self) -> int:
        """Number of images summed up."""
        return self.spacing[0].n

    def require(self, minimum: int) -> FingerprintSums:
        """Return the sums if they are over enough images to leave a site.

        Raises
        ------
        TooFewImages
        """
        if self.images < minimum:
            raise TooFewImages(f"Sums of fewer than {minimum} images do not leave a site.")
        return self

    def fingerprint(self) -> Fingerprint:
        """Compute means and standard deviations."""
        return Fingerprint(
            self.images,
            _each(self.spacing, "mean"),
            _each(self.spacing, "sd"),
            _each(self.shape, "mean"),
            _each(self.shape, "sd"),
            self.intensity.mean,
            self.intensity.sd,
            self.foreground.mean,
            self.foreground.sd,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form; numbers are exact."""
        return {
            "spacing": [moments.to_dict() for moments in self.spacing],
            "shape": [moments.to_dict() for moments in self.shape],
            "intensity": self.intensity.to_dict(),
            "foreground": self.foreground.to_dict(),
        }

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> FingerprintSums:
        """Read the JSON form."""
        first, second, third = (Moments.from_dict(item) for item in document["spacing"])
        slices, rows, columns = (Moments.from_dict(item) for item in document["shape"])
        return cls(
            (first, second, third),
            (slices, rows, columns),
            Moments.from_dict(document["intensity"]),
            Moments.from_dict(document["foreground"]),
        )


def _add(
    first: tuple[Moments, Moments, Moments], second: tuple[Moments, Moments, Moments]
) -> tuple[Moments, Moments, Moments]:
    a, b, c = (one + other for one, other in zip(first, second, strict=True))
    return a, b, c


def _each(moments: tuple[Moments, Moments, Moments], name: str) -> tuple[float, float, float]:
    a, b, c = (float(getattr(item, name)) for item in moments)
    return a, b, c


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, int) or np.isfinite(value) else None

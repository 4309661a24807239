"""The voxel grid of a case, and smooth fields on it by separable interpolation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Grid:
    """A regular axial grid in the anatomy's own frame.

    Parameters
    ----------
    shape
        Number of (slices, rows, columns).
    spacing_mm
        Distance of voxel centres along (slice, row, column), mm.
    top_mm
        z of the most cranial slice's centre in the anatomy's frame, mm.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    top_mm: float = 160.0

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel in ml."""
        return float(np.prod(self.spacing_mm)) / 1000.0

    def axes(self) -> tuple[Float, Float, Float]:
        """Coordinates of voxel centres along z, y, x in mm; slice 0 is the most caudal."""
        slices, rows, columns = self.shape
        dz, dy, dx = self.spacing_mm
        z = self.top_mm - dz * np.arange(slices - 1, -1, -1, dtype=np.float32)
        y = dy * (np.arange(rows, dtype=np.float32) - (rows - 1) / 2)
        x = dx * (np.arange(columns, dtype=np.float32) - (columns - 1) / 2)
        return z.astype(np.float32), y.astype(np.float32), x.astype(np.float32)

    def get_slab(self, start: int, stop: int) -> Grid:
        """Take the slices from ``start`` up to ``stop`` as a grid in the same frame."""
        slices, rows, columns = self.shape
        top_mm = self.top_mm - self.spacing_mm[0] * (slices - stop)
        return Grid((stop - start, rows, columns), self.spacing_mm, top_mm)


@dataclass(frozen=True)
class Taps:
    """Interpolation along one axis: four knots and their weights for every position."""

    index: npt.NDArray[np.intp]
    weight: Float
    count: int

    def apply(self, values: Float, axis: int) -> Float:
        """Interpolate an array along one axis.

        Four multiply-adds instead of a matrix product: a linear-algebra library would start threads here that
        stand in each other's way when several patients are made at once.
        """
        shape = [1, 1, 1]
        shape[axis] = len(self.weight)
        total = np.take(values, self.index[:, 0], axis=axis) * self.weight[:, 0].reshape(shape)
        for tap in range(1, 4):
            part = np.take(values, self.index[:, tap], axis=axis)
            part *= self.weight[:, tap].reshape(shape)
            total += part
        return total


def catmull_rom(at: npt.NDArray[np.floating], start: float, step: float, count: int) -> Taps:
    """Taps of Catmull-Rom interpolation from ``count`` knots to positions, clamped at the border."""
    position = np.clip((np.asarray(at, dtype=np.float64) - start) / step, 0, count - 1)
    base = np.minimum(position.astype(np.intp), max(count - 2, 0))
    t = position - base
    weight = np.stack(
        [
            ((-t + 2) * t - 1) * t / 2,
            ((3 * t - 5) * t * t + 2) / 2,
            ((-3 * t + 4) * t + 1) * t / 2,
            (t - 1) * t * t / 2,
        ],
        axis=1,
    )
    index = np.clip(base[:, None] + np.arange(-1, 3), 0, count - 1)
    return Taps(index, weight.astype(np.float32), count)


@dataclass(frozen=True)
class KnotField:
    """A smooth field given by values on coarse knots, evaluated slab by slab."""

    knots: Float
    taps: tuple[Taps, Taps, Taps]

    def evaluate(self, start: int, stop: int) -> Float:
        """Values on the slices from ``start`` up to ``stop``."""
        along_z, along_y, along_x = self.taps
        index = along_z.index[start:stop]
        low = int(index.min())
        part = Taps(index - low, along_z.weight[start:stop], along_z.count)
        used = self.knots[low : int(index.max()) + 1]
        return part.apply(along_y.apply(along_x.apply(used, 2), 1), 0)


def place_knots(grid: Grid, step: float, margin: int = 1) -> tuple[Taps, Taps, Taps]:
    """Interpolation per axis from knots ``step`` mm apart that surround the grid by a margin of knots."""
    taps = []
    for axis in grid.axes():
        start = float(axis[0]) - margin * step
        count = max(4, int(np.ceil((float(axis[-1]) - start) / step)) + margin + 1)
        taps.append(catmull_rom(axis, start, step, count))
    return taps[0], taps[1], taps[2]


def draw_field(rng: np.random.Generator, grid: Grid, length_mm: float) -> KnotField:
    """Draw a smooth random field of zero mean and about unit variance with a correlation length in mm."""
    taps = place_knots(grid, length_mm)
    noise = rng.standard_normal([part.count for part in taps], dtype=np.float32)
    # Interpolation between independent knots loses variance; 1.45 restores about one.
    return KnotField(np.float32(1.45) * noise, taps)

"""The two words every computation speaks: an image and a mask on a grid in space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from racoon.domain.coding import Code


def _check_grid(voxels: npt.NDArray[np.generic], affine: npt.NDArray[np.float64]) -> None:
    if voxels.ndim != 3:
        raise ValueError(f"voxels must have three axes (slice, row, column), not {voxels.ndim}")
    if affine.shape != (4, 4) or not np.isfinite(affine).all():
        raise ValueError("the affine must be a finite 4x4 matrix")
    if abs(float(np.linalg.det(affine[:3, :3]))) < 1e-9:
        raise ValueError("the affine must have a volume: its three axes lie in one plane")


def spacing_of(affine: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """Distance in mm between neighbouring voxel centres along (slice, row, column).

    Along the slice axis this is the length of the step from one slice to the next, also when the stack is
    sheared.
    """
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    return float(steps[0]), float(steps[1]), float(steps[2])


@dataclass(frozen=True, eq=False)
class Image:
    """A scalar volume with its place in the patient.

    Parameters
    ----------
    voxels
        Array (slice, row, column); CT in HU, MR in arbitrary units, after rescale.
    affine
        4x4 matrix, float64: maps (slice, row, column, 1) index to LPS in mm (DICOM PS3.3 C.7.6.2.1.1).
    """

    voxels: npt.NDArray[np.generic]
    affine: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        _check_grid(self.voxels, self.affine)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along (slice, row, column)."""
        slices, rows, columns = self.voxels.shape
        return slices, rows, columns

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance in mm between neighbouring voxel centres along (slice, row, column)."""
        return spacing_of(self.affine)

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel in ml: ``|det affine| / 1000``; right for sheared stacks too."""
        return abs(float(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    def is_on_grid_of(self, other: Image | Mask, tolerance_mm: float = 1e-3) -> bool:
        """Tell whether both have the same shape and every voxel centre in the same place."""
        return _same_grid(self.voxels.shape, self.affine, other.voxels.shape, other.affine, tolerance_mm)


@dataclass(frozen=True, eq=False)
class Mask:
    """The voxels that belong to one labelled thing, on the grid of its image.

    Parameters
    ----------
    voxels
        Boolean array (slice, row, column).
    affine
        4x4 matrix: maps (slice, row, column, 1) index to LPS in mm.
    label
        What the thing is (organ, lesion, tissue) as a coded concept.
    """

    voxels: npt.NDArray[np.bool_]
    affine: npt.NDArray[np.float64]
    label: Code

    def __post_init__(self) -> None:
        _check_grid(self.voxels, self.affine)
        if self.voxels.dtype != np.bool_:
            raise ValueError(f"a mask is boolean, not {self.voxels.dtype}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along (slice, row, column)."""
        slices, rows, columns = self.voxels.shape
        return slices, rows, columns

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance in mm between neighbouring voxel centres along (slice, row, column)."""
        return spacing_of(self.affine)

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel in ml."""
        return abs(float(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    @property
    def voxel_count(self) -> int:
        """Number of voxels inside."""
        return int(np.count_nonzero(self.voxels))

    def is_on_grid_of(self, other: Image | Mask, tolerance_mm: float = 1e-3) -> bool:
        """Tell whether both have the same shape and every voxel centre in the same place."""
        return _same_grid(self.voxels.shape, self.affine, other.voxels.shape, other.affine, tolerance_mm)


def _same_grid(
    shape: tuple[int, ...],
    affine: npt.NDArray[np.float64],
    other_shape: tuple[int, ...],
    other_affine: npt.NDArray[np.float64],
    tolerance_mm: float,
) -> bool:
    if shape != other_shape:
        return False
    # The map is affine, so the corner voxels move most: when they agree, all do.
    corners = np.array(
        [[s, r, c, 1.0] for s in (0, shape[0] - 1) for r in (0, shape[1] - 1) for c in (0, shape[2] - 1)]
    )
    return bool(np.abs(corners @ (affine - other_affine).T).max() <= tolerance_mm)

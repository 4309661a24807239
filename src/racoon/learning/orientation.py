"""Bring a volume's axes into the one order networks are trained with: slices to the head, rows to the back."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Number = TypeVar("Number", bound=np.generic)

AXES_LPS = (2, 1, 0)
"""World axis (L, P, S) that slice, row and column run along."""


@dataclass(frozen=True)
class Axes:
    """How a volume's axes are reordered and turned.

    Parameters
    ----------
    order
        Axis of the volume that becomes slice, row, column.
    is_turned
        Which of the new axes run backwards in the volume.
    """

    order: tuple[int, int, int]
    is_turned: tuple[bool, bool, bool]

    @classmethod
    def of(cls, affine: npt.NDArray[np.float64]) -> Axes:
        """Find the order in which every axis runs most nearly along its world axis.

        Parameters
        ----------
        affine
            4x4, maps the volume's indices to LPS in mm.
        """
        directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
        best = max(
            itertools.permutations(range(3)),
            key=lambda order: sum(
                abs(directions[world, axis]) for world, axis in zip(AXES_LPS, order, strict=True)
            ),
        )
        turned = [bool(directions[world, axis] < 0) for world, axis in zip(AXES_LPS, best, strict=True)]
        return cls((best[0], best[1], best[2]), (turned[0], turned[1], turned[2]))

    def apply(self, array: npt.NDArray[Number]) -> npt.NDArray[Number]:
        """Return the volume in axial order; a view."""
        return array.transpose(self.order)[self._turns]

    def undo(self, array: npt.NDArray[Number]) -> npt.NDArray[Number]:
        """Return an array in axial order as the volume had it; a view."""
        return array[self._turns].transpose(np.argsort(self.order))

    def spacing_mm(self, affine: npt.NDArray[np.float64]) -> tuple[float, float, float]:
        """Distance between voxels along slice, row and column after reordering."""
        steps = np.linalg.norm(affine[:3, :3], axis=0)[list(self.order)]
        return float(steps[0]), float(steps[1]), float(steps[2])

    @property
    def _turns(self) -> tuple[slice, slice, slice]:
        first, second, third = (slice(None, None, -1 if turned else 1) for turned in self.is_turned)
        return first, second, third

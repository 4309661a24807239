"""Values of a volume at any places, and planes cut through it at right angles to a direction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from racoon.science.geometry.tube import plane_axes
from racoon.science.image import Image

Floats = NDArray[np.float64]


def sample_at(image: Image, points_mm: Floats) -> NDArray[np.float32]:
    """Interpolate linearly at places.

    Parameters
    ----------
    image
        Where to look.
    points_mm
        LPS, shape (..., 3).

    Returns
    -------
    numpy.ndarray
        Shape of the places; NaN outside the outer edges of the voxels.
    """
    from scipy import ndimage  # noqa: PLC0415 - a tenth of a second that only planes need

    inverse = np.linalg.inv(image.affine)
    index = np.moveaxis(points_mm @ inverse[:3, :3].T + inverse[:3, 3], -1, 0)
    sizes = np.array(image.voxels.shape, dtype=np.float64).reshape(3, *[1] * (index.ndim - 1))
    # A rounded place on the outermost edge belongs to the image.
    is_inside = ((index >= -0.5 - 1e-6) & (index <= sizes - 0.5 + 1e-6)).all(axis=0)
    found = ndimage.map_coordinates(image.voxels, index, output=np.float32, order=1, mode="nearest")
    sampled: NDArray[np.float32] = np.where(is_inside, found, np.float32(np.nan))
    return sampled


@dataclass(frozen=True, eq=False)
class Cut:
    """A square cut through a volume.

    Parameters
    ----------
    centre_mm
        Its middle, LPS.
    across, down
        Unit vectors to the right and downwards in the picture.
    step_mm
        Between samples, the same both ways.
    values
        (row, column), NaN outside the volume.
    """

    centre_mm: Floats
    across: Floats
    down: Floats
    step_mm: float
    values: NDArray[np.float32]


def cut_across(
    image: Image, centre_mm: Floats, normal: Floats, reach_mm: float, *, samples: int = 320
) -> Cut:
    """Cut at right angles to a direction.

    Parameters
    ----------
    centre_mm
        Middle of the square, LPS.
    normal
        Direction, of any length but zero.
    reach_mm
        Half the side of the square.
    samples
        Along its side.
    """
    across, up = plane_axes(normal)
    step = 2.0 * reach_mm / samples
    steps = (np.arange(samples) + 0.5) * step - reach_mm
    # Rows run downwards on a screen.
    world = centre_mm + steps[None, :, None] * across - steps[:, None, None] * up
    return Cut(np.asarray(centre_mm, dtype=np.float64), across, -up, step, sample_at(image, world))

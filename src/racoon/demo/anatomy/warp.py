"""Smooth invertible deformations: the exponential of a stationary velocity field."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from racoon.demo.anatomy.grid import Float, Grid, KnotField, place_knots

KNOT_MM = 16.0
"""Distance of the velocity field's knots: finer than its smoothing, coarse enough to be cheap."""

SMOOTHING_MM = 30.0
"""Gaussian width of the velocity field; larger organs move as a whole, small ones keep their shape."""

MARGIN_KNOTS = 3
"""Knots outside the grid, so that the field has died down at the border of the knots, not of the image."""


def compute_velocity(rng: np.random.Generator, counts: tuple[int, int, int], rms_mm: float) -> Float:
    """Draw a smooth velocity field on the knots.

    Returns
    -------
    numpy.ndarray
        (3, slices, rows, columns): components z, y, x in mm.
    """
    noise = rng.standard_normal((3, *counts))
    sigma = SMOOTHING_MM / KNOT_MM
    # mode='constant': with 'nearest' the border explodes and the Jacobian turns negative.
    field = np.stack([ndimage.gaussian_filter(part, sigma, mode="constant") for part in noise])
    field *= rms_mm / np.sqrt(np.mean(field**2))
    return field.astype(np.float32)


def exponentiate(velocity: Float, steps: int = 6) -> Float:
    """Integrate a stationary velocity field by scaling and squaring.

    Parameters
    ----------
    velocity
        (3, slices, rows, columns) in mm on knots ``KNOT_MM`` apart.
    steps
        Number of squarings.

    Returns
    -------
    numpy.ndarray
        Displacement in mm, same shape.

    Notes
    -----
    Arsigny et al., MICCAI 2006, doi:10.1007/11866565_113.
    """
    displacement = velocity.astype(np.float64) / (KNOT_MM * 2**steps)
    index = np.indices(velocity.shape[1:]).astype(np.float64)
    for _ in range(steps):
        target = index + displacement
        displacement = displacement + np.stack(
            [ndimage.map_coordinates(part, target, order=1, mode="constant") for part in displacement]
        )
    found: Float = (displacement * KNOT_MM).astype(np.float32)
    return found


def draw_displacement(
    rng: np.random.Generator, grid: Grid, rms_mm: float
) -> tuple[KnotField, KnotField, KnotField]:
    """Draw a diffeomorphic displacement (z, y, x) in mm."""
    taps = place_knots(grid, KNOT_MM, MARGIN_KNOTS)
    counts = (taps[0].count, taps[1].count, taps[2].count)
    displacement = exponentiate(compute_velocity(rng, counts, rms_mm))
    return (
        KnotField(displacement[0], taps),
        KnotField(displacement[1], taps),
        KnotField(displacement[2], taps),
    )


def compute_jacobian(displacement: tuple[Float, Float, Float], grid: Grid) -> Float:
    """Determinant of the Jacobian of ``p + u(p)`` at every voxel; positive means invertible."""
    rows = [list(np.gradient(part.astype(np.float64), *grid.spacing_mm)) for part in displacement]
    matrix = np.stack([np.stack(row, axis=-1) for row in rows], axis=-2) + np.eye(3)
    determinant: Float = np.linalg.det(matrix).astype(np.float32)
    return determinant

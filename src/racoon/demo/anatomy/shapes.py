"""Signed distances (mm, negative inside) of the shapes that the anatomy is made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from racoon.demo.anatomy.canvas import FAR_MM, Box, Canvas, Point
from racoon.demo.anatomy.grid import Float


def ellipsoid(
    x: Float, y: Float, z: Float, centre: Point, radii: Point, axes: Sequence[Sequence[float]] | None = None
) -> Float:
    """Distance to an ellipsoid, first order exact at the surface.

    Parameters
    ----------
    x, y, z
        Coordinates, mm.
    centre, radii
        (x, y, z), mm.
    axes
        Three orthonormal directions for the radii; the coordinate axes when None.
    """
    px, py, pz = x - np.float32(centre[0]), y - np.float32(centre[1]), z - np.float32(centre[2])
    if axes is not None:
        px, py, pz = (np.float32(a[0]) * px + np.float32(a[1]) * py + np.float32(a[2]) * pz for a in axes)
    qx, qy, qz = px / np.float32(radii[0]), py / np.float32(radii[1]), pz / np.float32(radii[2])
    k0 = np.sqrt(qx * qx + qy * qy + qz * qz)
    gx, gy, gz = qx / np.float32(radii[0]), qy / np.float32(radii[1]), qz / np.float32(radii[2])
    k1 = np.sqrt(gx * gx + gy * gy + gz * gz) + np.float32(1e-6)
    distance: Float = k0 * (k0 - 1) / k1
    return distance


def squircle(x: Float, y: Float, half_x: Float, half_y: Float, squareness: float) -> Float:
    """Distance along the ray from the centre to a rounded rectangle (0 an ellipse, 1 a rectangle)."""
    ex, ey = (x / half_x) ** 2, (y / half_y) ** 2
    total = ex + ey
    rho = np.sqrt(
        0.5 * (total + np.sqrt(np.maximum(total * total - np.float32(4 * squareness) * ex * ey, 0)))
    )
    distance: Float = np.sqrt(x * x + y * y) * (1 - 1 / np.maximum(rho, np.float32(0.05)))
    return distance


def tube(
    canvas: Canvas, points: Sequence[Point], radii: Sequence[float], margin_mm: float = 6.0
) -> tuple[Float, Box]:
    """Distance to a chain of round cones through the points, with the box where it was evaluated."""
    widest = max(radii) + margin_mm
    low = [min(p[k] for p in points) - widest for k in range(3)]
    high = [max(p[k] for p in points) + widest for k in range(3)]
    whole = canvas.get_box((low[0], low[1], low[2]), (high[0], high[1], high[2]))
    distance = np.full(canvas.hu[whole].shape, FAR_MM, dtype=np.float32)
    for start, stop, r0, r1 in zip(points[:-1], points[1:], radii[:-1], radii[1:], strict=True):
        reach = max(r0, r1) + margin_mm
        low = [min(start[k], stop[k]) - reach for k in range(3)]
        high = [max(start[k], stop[k]) + reach for k in range(3)]
        box = canvas.get_box((low[0], low[1], low[2]), (high[0], high[1], high[2]))
        if any(part.stop <= part.start for part in box):
            continue
        axis = np.subtract(stop, start).astype(np.float32)
        px = canvas.x[box] - np.float32(start[0])
        py = canvas.y[box] - np.float32(start[1])
        pz = canvas.z[box] - np.float32(start[2])
        h = np.clip((px * axis[0] + py * axis[1] + pz * axis[2]) / np.float32(axis @ axis), 0, 1)
        dx, dy, dz = px - h * axis[0], py - h * axis[1], pz - h * axis[2]
        cone = np.sqrt(dx * dx + dy * dy + dz * dz) - (np.float32(r0) + h * np.float32(r1 - r0))
        local = tuple(slice(b.start - w.start, b.stop - w.start) for b, w in zip(box, whole, strict=True))
        np.minimum(distance[local], cone, out=distance[local])
    return distance, whole


def blend(a: Float, b: Float, width_mm: float) -> Float:
    """Union of two shapes with a fillet of the given width (polynomial smooth minimum)."""
    h = np.clip(np.float32(0.5) + np.float32(0.5 / width_mm) * (b - a), 0, 1)
    distance: Float = b + h * (a - b) - np.float32(width_mm) * h * (1 - h)
    return distance

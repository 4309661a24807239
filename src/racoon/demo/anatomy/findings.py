"""Findings in closed form, painted after the labels: their volume and density are known exactly.

Every finding is a set of points given by a formula.  The fraction of each voxel inside it comes from 4x4x4
points per voxel, which gives its true volume and its partial volume in the image.  The mask is the same
volume in whole voxels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from racoon.demo.anatomy.body import Body, Place
from racoon.demo.anatomy.canvas import Box, Tissue
from racoon.demo.anatomy.grid import Bool, Float, Grid

Kind = Literal["opacity", "nodule", "effusion", "calcification", "emphysema"]
Shape = Callable[[Float, Float, Float], Float]
"""Signed distance (mm, about first order) of points x, y, z (mm, the patient's frame)."""

RIM_MM = 2.5
"""Width of the painted edge between lung and wall."""

Density = Callable[[Float, Box], Float]
"""Density in HU of a finding's material in a box, from the present density and the box."""

SUPERSAMPLING = 4
"""Points per voxel edge; volumes are then right to about 0.1 %."""


@dataclass(frozen=True)
class Finding:
    """One finding with its exact truth.

    Parameters
    ----------
    kind, pattern
        What it is; the pattern is ``ground-glass`` or ``consolidation`` for opacities.
    volume_ml
        Volume of the formula inside the organ it lies in, before any voxel was chosen.
    painted_hu
        Mean density of its own material over that volume, before the scanner.
    centre_mm
        (x, y, z) in the patient's frame.
    is_left
        Whether it lies in the patient's left half.
    """

    kind: Kind
    pattern: str
    volume_ml: float
    painted_hu: float
    centre_mm: Place
    is_left: bool


@dataclass
class Painter:
    """Paints findings into a body and keeps masks and truth per kind."""

    body: Body
    fractions: dict[Kind, Float] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def add(
        self,
        kind: Kind,
        pattern: str,
        shape: Shape,
        centre: Place,
        reach_mm: tuple[float, float, float],
        allowed: Bool,
        paint: Density,
        *,
        only_denser: bool = False,
        in_lung: bool = False,
    ) -> float:
        """Paint one finding.

        Parameters
        ----------
        kind, pattern
            What it is.
        shape
            Its formula.
        centre, reach_mm
            Box around it: centre and half sizes along x, y, z, mm.
        allowed
            Voxels it may occupy (whole grid).
        paint
            Gives the density in HU of a box, from the present density and the box.
        only_denser
            Keep what is denser already, such as a vessel inside ground glass.
        in_lung
            It replaces air, so that partial volume at the pleura is filled as well.

        Returns
        -------
        float
            Volume in ml that this finding added to its kind.
        """
        body = self.body
        box = get_box(body.grid, centre, reach_mm)
        if any(part.stop <= part.start for part in box):
            return 0.0
        raw = compute_fraction(shape, body.grid, box)
        fraction = raw * allowed[box]
        total = self.fractions.setdefault(kind, np.zeros(body.grid.shape, dtype=np.float32))
        fresh = np.clip(fraction - total[box], 0, 1)
        volume_ml = float(fresh.sum(dtype=np.float64)) * body.grid.voxel_volume_ml
        if volume_ml <= 0:
            return 0.0
        density = body.hu[box]
        target = paint(density, box)
        if only_denser:
            target = np.maximum(target, density)
        density += fresh * (target - density)
        if in_lung:
            # Voxels of the wall hold a little lung: fill their air too, or a dark rim would remain.
            lung = body.lung[box]
            rim = (
                raw
                * np.clip(np.float32(0.5) - lung / RIM_MM, 0, 1)
                * ((lung > 0) & ~get_lungs_of(body.tissue[box]))
            )
            density += rim * np.maximum(target + 850, 0)
        np.maximum(total[box], fraction, out=total[box])
        mean_hu = float((fresh * target).sum(dtype=np.float64) / fresh.sum(dtype=np.float64))
        self.findings.append(Finding(kind, pattern, volume_ml, mean_hu, centre, bool(centre[0] > 0)))
        return volume_ml

    def compute_mask(self, kind: Kind) -> Bool:
        """Whole voxels of a kind: those with the largest fraction, as many as its volume holds."""
        fraction = self.fractions.get(kind)
        if fraction is None:
            return np.zeros(self.body.grid.shape, dtype=bool)
        return discretise(fraction)


def discretise(fraction: Float) -> Bool:
    """Choose whole voxels whose number equals the sum of fractions, the fullest ones first.

    A plain threshold at one half loses up to a third of a small sphere's volume on thick slices; this keeps
    every volume to half a voxel.
    """
    flat = fraction.ravel()
    count = round(float(flat.sum(dtype=np.float64)))
    mask = np.zeros(flat.shape, dtype=bool)
    if count > 0:
        touched = np.flatnonzero(flat)
        order = np.argsort(-flat[touched], kind="stable")
        mask[touched[order[:count]]] = True
    return mask.reshape(fraction.shape)


def get_box(grid: Grid, centre: Place, reach_mm: tuple[float, float, float]) -> Box:
    """Index box around a place, one voxel of margin, clipped to the grid."""
    slices = []
    for axis, step, where, reach in zip(
        grid.axes(), grid.spacing_mm, centre[::-1], reach_mm[::-1], strict=True
    ):
        start = int(np.floor((where - reach - axis[0]) / step)) - 1
        stop = int(np.ceil((where + reach - axis[0]) / step)) + 2
        slices.append(slice(max(start, 0), max(min(stop, len(axis)), 0)))
    return (slices[0], slices[1], slices[2])


def compute_fraction(shape: Shape, grid: Grid, box: Box) -> Float:
    """Fraction of every voxel of a box inside a shape, from 4x4x4 points where the edge may pass."""
    axes = grid.axes()
    z, y, x = (axis[part] for axis, part in zip(axes, box, strict=True))
    middle = shape(x[None, None, :], y[None, :, None], z[:, None, None])
    middle = np.broadcast_to(middle, (len(z), len(y), len(x)))
    half_diagonal = 0.5 * float(np.linalg.norm(grid.spacing_mm))
    fraction = (middle < 0).astype(np.float32)
    edge = np.nonzero(np.abs(middle) < 1.6 * half_diagonal)
    offsets = (np.arange(SUPERSAMPLING, dtype=np.float32) + np.float32(0.5)) / SUPERSAMPLING - np.float32(0.5)
    hits = np.zeros(len(edge[0]), dtype=np.float32)
    dz, dy, dx = (np.float32(step) for step in grid.spacing_mm)
    ez, ey, ex = z[edge[0]], y[edge[1]], x[edge[2]]
    px: Float = np.asarray(ex[None, :] + dx * offsets[:, None], dtype=np.float32)
    for oz in offsets:
        for oy in offsets:
            points = shape(px, (ey + dy * oy)[None, :], (ez + dz * oz)[None, :])
            hits += (points < 0).sum(axis=0, dtype=np.float32)
    fraction[edge] = hits / SUPERSAMPLING**3
    return fraction


def lump(
    rng: np.random.Generator, centre: Place, radii: tuple[float, float, float], lobes: int, roughness: float
) -> tuple[Shape, tuple[float, float, float]]:
    """Overlapping ellipsoids with a wavy surface, as a formula, and their reach along x, y, z (mm)."""
    centres = np.array(centre) + rng.normal(0, 0.42, (lobes, 3)) * np.array(radii) * (lobes > 1)
    sizes = np.array(radii) * rng.uniform(0.6 if lobes > 1 else 1.0, 1.0, (lobes, 1))
    mean = float(np.mean(radii))
    wave = rng.normal(0, 1, (4, 3)) * (2.2 / mean)
    phase = rng.uniform(0, 2 * np.pi, 4)

    def shape(x: Float, y: Float, z: Float) -> Float:
        ripple: Float = np.float32(0.0) * x
        for k, p in zip(wave, phase, strict=True):
            ripple = ripple + np.sin(
                np.float32(k[0]) * x + np.float32(k[1]) * y + np.float32(k[2]) * z + np.float32(p)
            )
        nearest: Float | None = None
        for c, r in zip(centres, sizes, strict=True):
            a, b, d = ((v - np.float32(o)) / np.float32(s) for v, o, s in zip((x, y, z), c, r, strict=True))
            level = (np.sqrt(a * a + b * b + d * d) - 1) * np.float32(min(r))
            nearest = level if nearest is None else np.minimum(nearest, level)
        assert nearest is not None
        return nearest + np.float32(roughness * mean * 0.25) * ripple

    reach = np.max(np.abs(centres - np.array(centre)) + sizes, axis=0) * (1 + 1.1 * roughness) + 1
    return shape, (float(reach[0]), float(reach[1]), float(reach[2]))


def pick_places(rng: np.random.Generator, body: Body, weight: Float, region: Bool, count: int) -> list[Place]:
    """Draw voxels of a region by weight and return their centres (x, y, z) in mm; none if it is empty."""
    at = np.flatnonzero(region)
    share = np.cumsum(np.broadcast_to(weight, region.shape).ravel()[at], dtype=np.float64)
    if len(at) == 0 or not share[-1] > 0:
        return []
    chosen = at[np.searchsorted(share, rng.random(count) * share[-1])]
    z, y, x = body.grid.axes()
    iz, iy, ix = np.unravel_index(chosen, body.grid.shape)
    return [(float(x[c]), float(y[b]), float(z[a])) for a, b, c in zip(iz, iy, ix, strict=True)]


def get_lungs(body: Body) -> Bool:
    """Voxels of both lungs."""
    return get_lungs_of(body.tissue)


def get_lungs_of(tissue: npt.NDArray[np.uint8]) -> Bool:
    """Voxels of both lungs in a label array."""
    lungs: Bool = (tissue == Tissue.LUNG_LEFT) | (tissue == Tissue.LUNG_RIGHT)
    return lungs

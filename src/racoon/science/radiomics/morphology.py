"""Morphological features on mesh, hull and principal axes (IBSI HCUG)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from racoon.science.geometry import mesh_vertices, surface_of
from racoon.science.radiomics.preparation import Prepared

Floats = NDArray[np.float64]

_LEGENDRE_TERMS = 20
"""Terms of the series for the area of an ellipsoid, as the reference manual asks."""

_LARGEST_BOX = 6_000_000
"""Voxels of the box up to which the spatial correlations are computed: its transforms take eight times as many."""


def morphology(region: Prepared, *, with_correlation: bool = True) -> dict[str, float]:
    """Morphological features of the region.

    Parameters
    ----------
    region
        Prepared region.
    with_correlation
        Compute Moran's I and Geary's C too.
    """
    mask = region.morphological
    affine = np.diag([*region.spacing_mm, 1.0])
    surface = surface_of(mask, affine)
    volume, area = surface.volume_mm3, surface.area_mm2
    voxel_mm3 = float(np.prod(region.spacing_mm))
    count = int(np.count_nonzero(mask))
    points = np.argwhere(mask) * np.array(region.spacing_mm)
    vertices = mesh_vertices(mask, affine)
    base = (36.0 * math.pi * volume**2) ** (1.0 / 3.0)
    found = {
        "volume": volume,
        "vol_approx": count * voxel_mm3,
        "area_mesh": area,
        "av": area / volume,
        "comp_1": volume / (math.sqrt(math.pi) * area**1.5),
        "comp_2": 36.0 * math.pi * volume**2 / area**3,
        "sph_dispr": area / base,
        "sphericity": base / area,
        "asphericity": area / base - 1.0,
        "com": _centre_shift(region, points),
        **_axes(points, volume, area),
        **_hull(vertices, volume, area),
        "integ_int": float(region.voxels[region.intensity].mean()) * volume,
    }
    if with_correlation:
        found |= _spatial_correlation(region)
    return {f"morph_{name}": value for name, value in found.items()}


def _centre_shift(region: Prepared, points: Floats) -> float:
    where = np.argwhere(region.intensity) * np.array(region.spacing_mm)
    weights = region.voxels[region.intensity]
    if weights.sum() == 0.0:
        return math.nan
    weighted = (where * weights[:, None]).sum(axis=0) / weights.sum()
    return float(np.linalg.norm(points.mean(axis=0) - weighted))


def _axes(points: Floats, volume: float, area: float) -> dict[str, float]:
    covariance = np.cov(points.T) if len(points) > 1 else np.zeros((3, 3))
    values = np.sort(np.maximum(np.linalg.eigvalsh(covariance), 0.0))[::-1]
    major, minor, least = (4.0 * math.sqrt(float(value)) for value in values)
    half = (major / 2.0, minor / 2.0, least / 2.0)
    ellipsoid = 4.0 / 3.0 * math.pi * half[0] * half[1] * half[2]
    return {
        "pca_maj_axis": major,
        "pca_min_axis": minor,
        "pca_least_axis": least,
        "pca_elongation": minor / major if major else math.nan,
        "pca_flatness": least / major if major else math.nan,
        "vol_dens_aee": volume / ellipsoid if ellipsoid else math.nan,
        "area_dens_aee": area / ellipsoid_area(*half) if least else math.nan,
    }


def ellipsoid_area(major: float, minor: float, least: float) -> float:
    """Surface of an ellipsoid from its half axes, largest first, by a series of Legendre polynomials."""
    # The series divides by the product of both eccentricities; a millionth stands for a body of revolution.
    alpha = max(math.sqrt(1.0 - (minor / major) ** 2), 1e-3)
    beta = max(math.sqrt(1.0 - (least / major) ** 2), 1e-3)
    argument = (alpha**2 + beta**2) / (2.0 * alpha * beta)
    total = 0.0
    for n in range(_LEGENDRE_TERMS + 1):
        polynomial = np.polynomial.legendre.Legendre.basis(n)(argument)
        total += (alpha * beta) ** n / (1.0 - 4.0 * n**2) * float(polynomial)
    return 4.0 * math.pi * major * minor * total


def _hull(vertices: Floats, volume: float, area: float) -> dict[str, float]:
    from scipy.spatial import ConvexHull  # noqa: PLC0415 - only shapes need it
    from scipy.spatial.distance import pdist  # noqa: PLC0415 - only shapes need it

    hull = ConvexHull(vertices)
    corners = vertices[hull.vertices]
    sides = np.ptp(vertices, axis=0)
    box_area = 2.0 * float(sides[0] * sides[1] + sides[1] * sides[2] + sides[0] * sides[2])
    return {
        "diam": float(pdist(corners).max()),
        "vol_dens_aabb": volume / float(np.prod(sides)),
        "area_dens_aabb": area / box_area,
        "vol_dens_conv_hull": volume / float(hull.volume),
        "area_dens_conv_hull": area / float(hull.area),
    }


def _spatial_correlation(region: Prepared) -> dict[str, float]:
    """Moran's I and Geary's C with inverse distances as weights (IBSI N365, NPT7)."""
    values = region.voxels[region.intensity]
    if values.size < 2 or region.intensity.size > _LARGEST_BOX or np.ptp(values) == 0.0:
        return {"moran_i": math.nan, "geary_c": math.nan}
    # The weights depend on the distance only, so both double sums are convolutions with 1/distance.
    where = np.argwhere(region.intensity)
    low = where.min(axis=0)
    shape = where.max(axis=0) - low + 1
    inside = np.zeros(shape)
    field = np.zeros(shape)
    place = tuple((where - low).T)
    centred = values - values.mean()
    inside[place], field[place] = 1.0, centred
    grid = np.meshgrid(
        *[np.arange(1 - size, size) * step for size, step in zip(shape, region.spacing_mm, strict=True)],
        indexing="ij",
    )
    distance = np.sqrt(sum(axis**2 for axis in grid))
    with np.errstate(divide="ignore"):
        weights = np.where(distance > 0.0, 1.0 / distance, 0.0)
    near, pull = _full(inside, weights), _full(field, weights)
    total = float((inside * near).sum())
    spread = float((centred**2).sum())
    products = float((field * pull).sum())
    # Σ w (a − b)² = 2 Σ a² w − 2 Σ w a b
    differences = 2.0 * float((field**2 * near).sum()) - 2.0 * products
    n = values.size
    return {
        "moran_i": n / total * products / spread,
        "geary_c": (n - 1) / (2.0 * total) * differences / spread,
    }


def _full(field: Floats, weights: Floats) -> Floats:
    from scipy import signal  # noqa: PLC0415 - only these two features need it

    whole = signal.fftconvolve(field, weights, mode="full")
    start = [(side - 1) // 2 for side in weights.shape]
    found: Floats = whole[
        tuple(slice(first, first + size) for first, size in zip(start, field.shape, strict=True))
    ]
    return found

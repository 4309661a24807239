"""A scanner: blur, kernel, noise, calibration and field of view turn painted density into stored values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from racoon.demo.anatomy.grid import Float, Grid

LOWEST_HU = -1024
HIGHEST_HU = 3071


@dataclass(frozen=True)
class Scanner:
    """How one site's scanner renders the same body.

    Parameters
    ----------
    manufacturer, model, kernel
        Invented names, written to the DICOM header.
    psf_mm
        Gaussian width of the in-plane point spread, mm.
    psf_slices
        Gaussian width across slices, in slices.
    sharpening
        Strength of the kernel's edge enhancement, 0 to 1.
    noise_hu
        Standard deviation of the noise in the middle of the body.
    grain_px
        Correlation of the noise in pixels.
    slope, offset_hu
        Miscalibration: stored = (true + 1000) * slope - 1000 + offset.
    slice_mm
        Slice thickness and distance.
    is_round
        Whether voxels outside the round field of view are set to the lowest value.
    """

    manufacturer: str
    model: str
    kernel: str
    psf_mm: float
    psf_slices: float
    sharpening: float
    noise_hu: float
    grain_px: float
    slope: float
    offset_hu: float
    slice_mm: float
    is_round: bool


def scan(
    hu: Float, depth: Float, grid: Grid, scanner: Scanner, rng: np.random.Generator
) -> npt.NDArray[np.int16]:
    """Render painted density as the scanner would store it.

    Parameters
    ----------
    hu
        Painted density, HU.
    depth
        How much body the beam has crossed, 0 outside to 1 in the middle: scales the noise.
    grid
        The voxel grid.
    scanner
        The scanner.
    rng
        Source of the noise.
    """
    pixel = grid.spacing_mm[2]
    sigma = scanner.psf_mm / pixel
    image = ndimage.gaussian_filter(hu, (scanner.psf_slices, sigma, sigma), mode="nearest", truncate=2.5)
    if scanner.sharpening > 0:
        wide = ndimage.gaussian_filter(image, (0, 1.0, 1.0), mode="nearest", truncate=2)
        image += np.float32(scanner.sharpening) * (image - wide)
    noise = rng.standard_normal(hu.shape, dtype=np.float32)
    grain = scanner.grain_px
    noise = ndimage.gaussian_filter(noise, (0, grain, grain), mode="wrap", truncate=2)
    noise *= np.float32(scanner.noise_hu / max(float(noise.std()), 1e-6))
    image += noise * (np.float32(0.35) + np.float32(0.75) * depth)
    image = (image + 1000) * np.float32(scanner.slope) + np.float32(scanner.offset_hu - 1000)
    if scanner.is_round:
        _, y, x = grid.axes()
        radius = max(float(x[-1]), float(y[-1])) + pixel / 2
        image[:, (y[:, None] ** 2 + x[None, :] ** 2) > radius**2] = LOWEST_HU
    stored: npt.NDArray[np.int16] = np.clip(np.rint(image), LOWEST_HU, HIGHEST_HU).astype(np.int16)
    return stored


def paint_table(hu: Float, grid: Grid, top_mm: float) -> None:
    """Add the patient table below the body: a curved shell with a light core.

    Parameters
    ----------
    hu
        Painted density, changed in place.
    grid
        The voxel grid.
    top_mm
        y where the table's surface lies in its middle, mm.
    """
    _, y, x = grid.axes()
    depth = y[:, None] - (top_mm - 16 * (x[None, :] / 210) ** 2)
    soft = grid.spacing_mm[2]
    shell = np.clip(1 - np.abs(depth - 1.5) / max(1.6, soft), 0, 1)
    lower = np.clip(1 - np.abs(depth - 26 + 12 * (x[None, :] / 210) ** 2) / max(1.6, soft), 0, 1)
    core = ((depth > 1.5) & (depth < 26 - 12 * (x[None, :] / 210) ** 2)) * 70.0
    density = (AIR + core + 620 * np.maximum(shell, 0.8 * lower)) * (np.abs(x[None, :]) < 205)
    density = np.where(np.abs(x[None, :]) < 205, density, AIR).astype(np.float32)
    np.maximum(hu, density[None], out=hu)


AIR = -1000.0

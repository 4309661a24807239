"""Intensity features: statistics, histogram, intensity-volume histogram, local peaks."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from racoon.science.radiomics.configuration import Configuration
from racoon.science.radiomics.preparation import Prepared

Floats = NDArray[np.float64]

_PEAK_ML = 1.0
"""Local peaks are means over a sphere of 1 cm³ (IBSI VJGA)."""


def _describe(values: Floats) -> dict[str, float]:
    """What statistics and histogram have in common."""
    mean = float(values.mean())
    centred = values - mean
    # Products: general powers take ten times as long.
    squared = centred * centred
    variance = float(squared.mean())
    p10, p25, median, p75, p90 = (float(value) for value in np.percentile(values, (10, 25, 50, 75, 90)))
    middle = values[(values >= p10) & (values <= p90)]
    quartiles = p75 + p25
    return {
        "mean": mean,
        "var": variance,
        "skew": float((squared * centred).mean()) / variance**1.5 if variance else 0.0,
        "kurt": float((squared * squared).mean()) / variance**2 - 3.0 if variance else 0.0,
        "median": median,
        "min": float(values.min()),
        "p10": p10,
        "p90": p90,
        "max": float(values.max()),
        "iqr": p75 - p25,
        "range": float(np.ptp(values)),
        "mad": float(np.abs(centred).mean()),
        "rmad": float(np.abs(middle - middle.mean()).mean()),
        "medad": float(np.abs(values - median).mean()),
        "cov": math.sqrt(variance) / mean if mean else math.nan,
        "qcod": (p75 - p25) / quartiles if quartiles else math.nan,
    }


def statistics(region: Prepared) -> dict[str, float]:
    """Intensity-based statistics (IBSI UHIW)."""
    values = region.voxels[region.intensity]
    squares = float((values**2).sum())
    found = _describe(values) | {"energy": squares, "rms": math.sqrt(squares / values.size)}
    return {f"stat_{name}": value for name, value in found.items()}


def histogram(region: Prepared) -> dict[str, float]:
    """Intensity histogram features (IBSI ZVCW)."""
    levels = region.levels[region.intensity].astype(np.float64)
    counts = np.bincount(region.levels[region.intensity], minlength=region.level_count + 1)[1:].astype(
        np.float64
    )
    shares = counts / counts.sum()
    present = shares[shares > 0]
    mean = float(levels.mean())
    tallest = np.flatnonzero(counts == counts.max()) + 1
    mode = float(tallest[np.abs(tallest - mean).argmin()])
    gradient = np.gradient(counts) if counts.size > 1 else np.zeros(1)
    found = _describe(levels) | {
        "mode": mode,
        "entropy": float(-(present * np.log2(present)).sum()),
        "uniformity": float((shares**2).sum()),
        "max_grad": float(gradient.max()),
        "max_grad_g": float(gradient.argmax() + 1),
        "min_grad": float(gradient.min()),
        "min_grad_g": float(gradient.argmin() + 1),
    }
    return {f"ih_{name}": value for name, value in found.items()}


def volume_histogram(region: Prepared, settings: Configuration) -> dict[str, float]:
    """Intensity-volume histogram features (IBSI P88C)."""
    values = region.voxels[region.intensity]
    levels, start, step, count = _ivh_levels(values, settings)
    counts = np.bincount(np.rint((levels - start) / step).astype(np.int64), minlength=count)[:count]
    # Share of the volume at or above each level.
    fraction = 1.0 - np.concatenate([[0], np.cumsum(counts)[:-1]]) / values.size
    intensities = start + step * np.arange(count)
    share = (intensities - intensities[0]) / (intensities[-1] - intensities[0]) if count > 1 else np.zeros(1)

    def volume_at(part: float) -> float:
        reached = fraction[share >= part - 1e-12]
        return float(reached[0]) if reached.size else 0.0

    def intensity_at(part: float) -> float:
        below = np.flatnonzero(fraction <= part + 1e-12)
        return float(intensities[below[0]]) if below.size else float(intensities[-1] + step)

    found = {"v10": volume_at(0.1), "v90": volume_at(0.9), "i10": intensity_at(0.1), "i90": intensity_at(0.9)}
    found["diff_v10_v90"] = found["v10"] - found["v90"]
    found["diff_i10_i90"] = found["i10"] - found["i90"]
    return {f"ivh_{name}": value for name, value in found.items()}


def _ivh_levels(values: Floats, settings: Configuration) -> tuple[Floats, float, float, int]:
    """Discretised values, and first level, step and number of the levels."""
    if settings.ivh_discretisation == "fixed_bin_size":
        width = settings.ivh_bin_width
        low = settings.range_min if settings.range_min is not None else float(values.min())
        high = settings.range_max if settings.range_max is not None else float(values.max())
        count = max(1, math.ceil((high - low) / width))
        bins = np.clip(np.floor((values - low) / width), 0, count - 1)
        # A bin stands for its middle.
        return low + (bins + 0.5) * width, low + 0.5 * width, width, count
    if settings.ivh_discretisation == "fixed_bin_number":
        count = settings.ivh_bin_number
        low, high = float(values.min()), float(values.max())
        width = (high - low) / count if high > low else 1.0
        bins = np.minimum(np.floor((values - low) / width), count - 1)
        return bins + 1.0, 1.0, 1.0, count
    low = settings.range_min if settings.range_min is not None else float(values.min())
    high = settings.range_max if settings.range_max is not None else float(values.max())
    low, high = math.floor(low), math.ceil(high)
    return np.rint(values), float(low), 1.0, int(high - low) + 1


def local_peaks(region: Prepared) -> dict[str, float]:
    """Local and global intensity peak (IBSI VJGA, 0F91)."""
    radius = (3.0 / (4.0 * math.pi) * _PEAK_ML * 1000.0) ** (1.0 / 3.0)
    steps = np.array(region.spacing_mm)
    reach = np.floor(radius / steps).astype(int)
    grid = np.meshgrid(
        *[np.arange(-size, size + 1) * step for size, step in zip(reach, steps, strict=True)], indexing="ij"
    )
    ball = (sum(axis**2 for axis in grid) <= radius**2 + 1e-9).astype(np.float64)
    voxels = np.where(np.isfinite(region.voxels), region.voxels, 0.0)
    inside = region.intensity
    highest = inside & (region.voxels == region.voxels[inside].max())
    offsets = np.argwhere(ball) - reach
    # Transforms find where the mean is highest up to their rounding; those places are then added up exactly.
    means = _sphere_means(voxels, ball, inside)
    limit = float(means[inside].max()) - _ROUNDING * max(1.0, float(np.abs(voxels).max()))
    near = np.argwhere(inside & (means >= limit))
    near = near[np.argsort(-means[tuple(near.T)], kind="stable")]
    best = _exact_mean(voxels, near, offsets)
    return {
        "loc_peak_loc": _exact_mean(voxels, np.argwhere(highest), offsets),
        "loc_peak_glob": best,
    }


_ROUNDING = 3e-6
"""Largest error of a mean by transforms in single precision, as a share of the largest value.

Six times what was seen on noise of three million voxels; in double precision the transforms take twice as long."""

_PLACES = 512
"""Places that are added up; more of them only occur where a wide plateau has equal means."""


def _sphere_means(voxels: Floats, ball: Floats, inside: NDArray[np.bool_]) -> Floats:
    from scipy import fft  # noqa: PLC0415 - only peaks need it

    shape = [
        fft.next_fast_len(size + side - 1, real=True)
        for size, side in zip(voxels.shape, ball.shape, strict=True)
    ]
    kernel = fft.rfftn(ball.astype(np.float32), shape)
    start = [side // 2 for side in ball.shape]
    place = tuple(slice(first, first + size) for first, size in zip(start, voxels.shape, strict=True))
    sums = fft.irfftn(fft.rfftn(voxels.astype(np.float32), shape) * kernel, shape)[place]
    core = tuple(slice(first, -first or None) for first in start)
    if np.count_nonzero(inside[core]) == np.count_nonzero(inside):
        # No sphere around the region leaves the image, so all of them hold the same number of voxels.
        whole: Floats = sums / ball.sum()
        return whole
    counts = np.rint(fft.irfftn(fft.rfftn(np.ones(voxels.shape, np.float32), shape) * kernel, shape)[place])
    found: Floats = sums / counts
    return found


def _exact_mean(voxels: Floats, places: NDArray[np.intp], offsets: NDArray[np.intp]) -> float:
    """Largest mean over the sphere around any of some places."""
    best = -math.inf
    for place in places[:_PLACES]:
        around = place + offsets
        around = around[((around >= 0) & (around < voxels.shape)).all(axis=1)]
        best = max(best, float(voxels[tuple(around.T)].mean()))
    return best

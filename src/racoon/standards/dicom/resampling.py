"""Irregular series made regular where a protocol asks for it: stacks told apart, gaps and tilt interpolated.

Nothing here happens by itself: ``volume.build_volume`` refuses an irregular series, and what was interpolated is
said by a finding of the result.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from racoon.science.geometry.regrid import regrid_planes
from racoon.science.image import Image
from racoon.standards.dicom.plane import Frame
from racoon.standards.dicom.stack import Arrangement, Finding, FindingCode, IrregularSeries, arrange
from racoon.standards.dicom.volume import Volume

LoadPixels = Callable[[Frame], npt.NDArray[np.generic]]

INTERPOLABLE = frozenset({FindingCode.MISSING, FindingCode.NONUNIFORM, FindingCode.TILT})
"""Irregularities that interpolation can even out; the others mean that planes do not belong together."""

MOST_SLICES_FACTOR = 4
"""The result has at most so many times the slices that were there: one tiny gap must not make thousands."""

STACK_GAP_FACTOR = 3.0
"""A gap this many times wider than the usual one separates stacks."""


def stacks_of(frames: Sequence[Frame]) -> list[Arrangement]:
    """Tell the stacks of a series apart.

    Parameters
    ----------
    frames
        All planes of a series, in any order.

    Returns
    -------
    list of Arrangement
        One for a regular series.  Otherwise one for each combination of orientation, size, spacing and
        acquisition, and one for each side of a wide gap; each with its own findings.
    """
    whole = arrange(frames)
    if whole.is_regular or not frames:
        return [whole]
    groups: dict[tuple[object, ...], list[Frame]] = defaultdict(list)
    for frame in frames:
        groups[_grid_key(frame)].append(frame)
    stacks: list[Arrangement] = []
    for group in groups.values():
        alone = arrange(group)
        if any(
            finding.code in (FindingCode.DUPLICATE, FindingCode.MULTI_STACK) for finding in alone.findings
        ):
            stacks += _split(group)
        else:
            stacks.append(alone)
    return stacks


def _grid_key(frame: Frame) -> tuple[object, ...]:
    orientation = tuple(round(value, 2) for value in frame.orientation)
    spacing = tuple(round(value, 3) for value in frame.pixel_spacing_mm)
    return orientation, frame.rows, frame.columns, spacing


def _split(frames: Sequence[Frame]) -> list[Arrangement]:
    """Split planes on one grid by what the acquisition calls them, then by wide gaps."""
    named: dict[tuple[str, ...], list[Frame]] = defaultdict(list)
    for frame in frames:
        named[frame.dimensions].append(frame)
    found = []
    for group in named.values():
        alone = arrange(group)
        if any(finding.code is FindingCode.MULTI_STACK for finding in alone.findings):
            found += [arrange(part) for part in _parts_between_gaps(alone.frames)]
        else:
            found.append(alone)
    # Splitting that leaves single planes is no reading of the series: it stays one irregular whole.
    if any(len(part.frames) == 1 for part in found) and len(found) > len(frames) // 2:
        return [arrange(frames)]
    return found


def _parts_between_gaps(frames: Sequence[Frame]) -> list[list[Frame]]:
    gaps = np.diff(_heights(frames))
    wide = gaps > STACK_GAP_FACTOR * float(np.median(gaps))
    edges = [0, *(np.flatnonzero(wide) + 1).tolist(), len(frames)]
    return [list(frames[low:high]) for low, high in pairwise(edges)]


def _heights(frames: Sequence[Frame]) -> npt.NDArray[np.float64]:
    normal = np.cross(frames[0].orientation[:3], frames[0].orientation[3:])
    return np.array([frame.position_mm for frame in frames], dtype=np.float64) @ normal


def without_copies(frames: Sequence[Frame], load_pixels: LoadPixels) -> tuple[list[Frame], int]:
    """Leave out slices that are there twice, pixel for pixel.

    Parameters
    ----------
    frames
        Planes of one stack.
    load_pixels
        Returns the stored values of a frame.

    Returns
    -------
    list of Frame, int
        The distinct ones, and how many were left out.

    Raises
    ------
    IrregularSeries
        If two different pictures lie at the same place: nobody can tell which one is meant.
    """
    first_at: dict[tuple[object, ...], Frame] = {}
    kept = []
    for frame in frames:
        key = (_grid_key(frame), tuple(round(value, 2) for value in frame.position_mm))
        other = first_at.setdefault(key, frame)
        if other is frame:
            kept.append(frame)
        elif (other.slope, other.intercept) != (frame.slope, frame.intercept) or not np.array_equal(
            load_pixels(other), load_pixels(frame)
        ):
            raise IrregularSeries(arrange(frames).findings)
    return kept, len(frames) - len(kept)


@dataclass(frozen=True, eq=False)
class Resampling:
    """How an irregular stack becomes an even one; the same for its image and for every mask drawn on it.

    Parameters
    ----------
    frames
        Distinct planes, sorted along the normal.
    heights_mm
        Height of each plane, shape (n,).
    offsets_px
        Sideways place of each plane in (rows, columns), shape (n, 2).
    step_mm
        Slice spacing of the result.
    copies
        Repeated planes that were left out.
    """

    frames: tuple[Frame, ...]
    heights_mm: npt.NDArray[np.float64]
    offsets_px: npt.NDArray[np.float64]
    step_mm: float
    copies: int


def plan_resampling(arrangement: Arrangement, load_pixels: LoadPixels) -> Resampling:
    """Decide how an irregular stack is interpolated.

    Parameters
    ----------
    arrangement
        Made by :func:`arrange`; missing, uneven, tilted or repeated slices.
    load_pixels
        Returns the stored values (row, column) of a frame; asked for repeated slices only.

    Raises
    ------
    IrregularSeries
        If interpolation would invent an image: planes of several stacks, sizes or directions, or two different
        pictures at one place.
    """
    frames, copies = without_copies(arrangement.frames, load_pixels)
    stack = arrange(frames) if copies else arrangement
    forbidding = [finding for finding in stack.findings if finding.forbids_stack]
    if stack.affine is None or any(finding.code not in INTERPOLABLE for finding in forbidding):
        raise IrregularSeries(stack.findings)
    ordered = stack.frames
    first = ordered[0]
    heights = _heights(ordered)
    row_axis, column_axis = np.asarray(first.orientation[3:]), np.asarray(first.orientation[:3])
    moved = np.array([frame.position_mm for frame in ordered]) - np.asarray(first.position_mm)
    offsets = np.stack(
        [moved @ row_axis / first.pixel_spacing_mm[0], moved @ column_axis / first.pixel_spacing_mm[1]],
        axis=1,
    )
    step = _step_mm(heights, {finding.code for finding in forbidding})
    return Resampling(ordered, heights, offsets, step, copies)


def resample_volume(arrangement: Arrangement, load_pixels: LoadPixels) -> Volume:
    """Interpolate an irregular stack onto an even, upright grid.

    Parameters
    ----------
    arrangement
        Made by :func:`arrange`; missing, uneven, tilted or repeated slices.
    load_pixels
        Returns the stored values (row, column) of a frame.

    Returns
    -------
    Volume
        float32, with the findings of the series and one of code ``resampled``; ``instance_uids`` and
        ``frame_numbers`` are empty, because no slice is that of an instance any more.

    Raises
    ------
    IrregularSeries
        If interpolation would invent an image: planes of several stacks, sizes or directions, or two different
        pictures at one place.
    """
    plan = plan_resampling(arrangement, load_pixels)
    ordered, first = plan.frames, plan.frames[0]
    row_axis, column_axis = np.asarray(first.orientation[3:]), np.asarray(first.orientation[:3])
    fill = min(float(_scaled(frame, load_pixels).min()) for frame in ordered)
    grid = regrid_planes(
        lambda index: _scaled(ordered[index], load_pixels),
        plan.heights_mm,
        plan.offsets_px,
        step_mm=plan.step_mm,
        fill=fill,
    )
    affine = np.eye(4)
    affine[:3, 0] = np.cross(column_axis, row_axis) * plan.step_mm
    affine[:3, 1] = row_axis * first.pixel_spacing_mm[0]
    affine[:3, 2] = column_axis * first.pixel_spacing_mm[1]
    affine[:3, 3] = (
        np.asarray(first.position_mm) + grid.first_row * affine[:3, 1] + grid.first_column * affine[:3, 2]
    )
    values = {
        "slices_before": len(arrangement.frames),
        "slices_after": int(grid.voxels.shape[0]),
        "spacing_mm": round(plan.step_mm, 4),
        "copies_left_out": plan.copies,
        "fill_value": fill,
        "outside_fraction": round(grid.outside, 4),
    }
    note = Finding(
        FindingCode.RESAMPLED,
        f"{len(arrangement.frames)} slices were interpolated to {grid.voxels.shape[0]}, {plan.step_mm:.3f} mm "
        "apart.",
        values,
    )
    return Volume(Image(grid.voxels, affine), (), (), (*arrangement.findings, note))


def resample_mask(plan: Resampling, planes: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Bring a mask to the grid to which its image was interpolated.

    Parameters
    ----------
    plan
        From :func:`plan_resampling` of the image.
    planes
        Mask on each plane, array (plane, row, column) in the order of ``plan.frames``.

    Returns
    -------
    numpy.ndarray
        Array (slice, row, column) of the resampled image's shape: set where the interpolated mask is a half or
        more.
    """
    grid = regrid_planes(
        lambda index: planes[index].astype(np.float32),
        plan.heights_mm,
        plan.offsets_px,
        step_mm=plan.step_mm,
        fill=0.0,
    )
    found: npt.NDArray[np.bool_] = grid.voxels >= 0.5
    return found


def is_resampled(volume: Volume) -> bool:
    """Tell whether a volume was interpolated, so that its slices are no instance's."""
    return any(finding.code is FindingCode.RESAMPLED for finding in volume.findings)


def _step_mm(heights: npt.NDArray[np.float64], codes: set[FindingCode]) -> float:
    """Spacing of the result: the usual one where slices are missing, the finest one where it varies."""
    gaps = np.diff(heights)
    if FindingCode.NONUNIFORM not in codes:
        return float(np.median(gaps))
    extent = float(heights[-1] - heights[0])
    return max(float(gaps.min()), extent / (MOST_SLICES_FACTOR * len(heights)))


def _scaled(frame: Frame, load_pixels: LoadPixels) -> npt.NDArray[np.float32]:
    return (load_pixels(frame).astype(np.float64) * frame.slope + frame.intercept).astype(np.float32)

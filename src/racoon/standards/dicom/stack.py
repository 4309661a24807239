"""Planes sorted into a stack, and everything irregular about them as data.

Libraries tried on seven irregular series stacked most of them silently: a missing slice became a wrong
spacing. Here every irregularity is a :class:`Finding`; whether it forbids the stack is said by its code,
not by luck.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon.errors import Defect
from racoon.standards.dicom.plane import Frame

ORIENTATION_TOLERANCE = 1e-3
"""Largest difference of a direction cosine inside one stack: 0.06 degrees, above the rounding of 6-digit
cosines."""

POSITION_TOLERANCE_MM = 0.01
"""Scanners write positions with two or three decimals; half of the last is rounding, not jitter."""

JITTER_FRACTION = 0.05
"""Slices off the even grid by up to 5 % of the spacing are stacked and reported; beyond, the series is
non-uniform."""

TILT_TOLERANCE_DEG = 0.1
"""A stack that leans less than this moves by half a millimetre over 30 cm: within the rounding of
positions."""


class FindingCode(StrEnum):
    """What can be irregular about a series."""

    NO_GEOMETRY = "no_geometry"
    MIXED_ORIENTATION = "mixed_orientation"
    MIXED_SIZE = "mixed_size"
    MIXED_SPACING = "mixed_spacing"
    DUPLICATE = "duplicate"
    MULTI_STACK = "multi_stack"
    MISSING = "missing"
    NONUNIFORM = "nonuniform"
    TILT = "tilt"
    JITTER = "jitter"
    SINGLE_SLICE = "single_slice"
    RESAMPLED = "resampled"


HARMLESS = frozenset({FindingCode.JITTER, FindingCode.SINGLE_SLICE, FindingCode.RESAMPLED})
"""Reported, and the stack is built all the same."""


@dataclass(frozen=True)
class Finding:
    """One irregularity.

    Parameters
    ----------
    code
        What it is.
    message
        One plain sentence with its numbers; no identifiers.
    values
        The numbers, for machines: positions in mm along the normal, counts, degrees.
    """

    code: FindingCode
    message: str
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def forbids_stack(self) -> bool:
        """Whether the series must not be treated as one regular grid."""
        return self.code not in HARMLESS


class IrregularSeries(Defect):
    """A series that is not one regular grid; ``findings`` say why."""

    code = "volume.irregular"

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        reasons = " ".join(finding.message for finding in findings if finding.forbids_stack)
        super().__init__(
            f"The series is not one regular volume. {reasons}",
            details={"findings": [finding.code.value for finding in findings]},
        )

    def __reduce__(self) -> tuple[object, ...]:
        return (IrregularSeries, (self.findings,))


@dataclass(frozen=True)
class Arrangement:
    """Frames in the order of the stack, the affine of the grid, and what is irregular.

    Parameters
    ----------
    affine
        4x4, (slice, row, column, 1) to LPS mm; None when there is no regular grid.
    """

    frames: tuple[Frame, ...]
    affine: npt.NDArray[np.float64] | None
    findings: tuple[Finding, ...]

    @property
    def is_regular(self) -> bool:
        """Whether the frames form one grid."""
        return self.affine is not None and not any(finding.forbids_stack for finding in self.findings)


def arrange(frames: Iterable[Frame]) -> Arrangement:
    """Sort frames into a stack and report everything irregular about them.

    Parameters
    ----------
    frames
        All planes of a series, in any order.

    Returns
    -------
    Arrangement
        Frames sorted along the normal of the first frame; the affine is None when they form no grid at all.
    """
    unordered = list(frames)
    if not unordered:
        return Arrangement((), None, (Finding(FindingCode.NO_GEOMETRY, "The series has no image planes."),))
    mixed = _mixtures(unordered)
    normal = _normal(unordered[0])
    ordered = sorted(
        unordered,
        key=lambda frame: (float(np.dot(frame.position_mm, normal)), frame.dimensions, frame.number),
    )
    if mixed:
        return Arrangement(tuple(ordered), None, tuple(mixed))
    if len(ordered) == 1:
        return _single(ordered[0])
    positions = np.array([frame.position_mm for frame in ordered], dtype=np.float64)
    heights = positions @ normal
    repeated = _duplicates(ordered, heights)
    if repeated is not None:
        return Arrangement(tuple(ordered), None, (repeated,))
    findings = _gaps(heights)
    step = (positions[-1] - positions[0]) / (len(ordered) - 1)
    findings += _lean(positions, step, normal)
    return Arrangement(tuple(ordered), _affine(ordered[0], step), tuple(findings))


def _normal(frame: Frame) -> npt.NDArray[np.float64]:
    return np.cross(frame.orientation[:3], frame.orientation[3:])


def _affine(first: Frame, step: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    affine = np.eye(4)
    affine[:3, 0] = step
    affine[:3, 1] = np.asarray(first.orientation[3:]) * first.pixel_spacing_mm[0]
    affine[:3, 2] = np.asarray(first.orientation[:3]) * first.pixel_spacing_mm[1]
    affine[:3, 3] = first.position_mm
    return affine


def _single(frame: Frame) -> Arrangement:
    thickness = frame.thickness_mm or 1.0
    known = "its slice thickness" if frame.thickness_mm else "1 mm, because it names no slice thickness"
    finding = Finding(
        FindingCode.SINGLE_SLICE,
        f"The series has one slice; its extent is {known}.",
        {"thickness_mm": thickness},
    )
    return Arrangement((frame,), _affine(frame, _normal(frame) * thickness), (finding,))


def _mixtures(frames: Sequence[Frame]) -> list[Finding]:
    first = frames[0]
    findings = []
    orientation = np.array([frame.orientation for frame in frames])
    other = int((np.abs(orientation - first.orientation).max(axis=1) > ORIENTATION_TOLERANCE).sum())
    if other:
        findings.append(
            Finding(
                FindingCode.MIXED_ORIENTATION,
                f"{other} of {len(frames)} slices are oriented differently.",
                {"count": other},
            )
        )
    sizes = Counter((frame.rows, frame.columns) for frame in frames)
    if len(sizes) > 1:
        text = ", ".join(f"{rows}x{columns}" for rows, columns in sorted(sizes))
        findings.append(
            Finding(
                FindingCode.MIXED_SIZE,
                f"Slices have different matrix sizes: {text}.",
                {"sizes": sorted(sizes)},
            )
        )
    spacing = np.array([frame.pixel_spacing_mm for frame in frames])
    if float(np.ptp(spacing, axis=0).max()) > 1e-3 * float(spacing.min()):
        findings.append(
            Finding(
                FindingCode.MIXED_SPACING,
                "Slices have different pixel spacings.",
                {"minimum_mm": float(spacing.min()), "maximum_mm": float(spacing.max())},
            )
        )
    return findings


def _duplicates(frames: Sequence[Frame], heights: npt.NDArray[np.float64]) -> Finding | None:
    """Tell several complete stacks at the same places from a slice that is there twice."""
    new_place = np.diff(heights) > POSITION_TOLERANCE_MM
    if new_place.all():
        return None
    place = np.concatenate([[0], np.cumsum(new_place)])
    places = int(place[-1]) + 1
    stacks: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, frame in zip(place, frames, strict=True):
        stacks[frame.dimensions].append(int(index))
    complete = [key for key, found in stacks.items() if len(found) == places == len(set(found))]
    if len(stacks) > 1 and len(complete) == len(stacks):
        return Finding(
            FindingCode.MULTI_STACK,
            f"The series holds {len(stacks)} stacks at the same positions.",
            {"stacks": len(stacks), "positions": places},
        )
    repeated = len(frames) - places
    first = int(np.argmin(new_place))
    return Finding(
        FindingCode.DUPLICATE,
        f"{repeated} of {len(frames)} slices lie where another slice lies already.",
        {"count": repeated, "first_position_mm": round(float(heights[first]), 3)},
    )


def _gaps(heights: npt.NDArray[np.float64]) -> list[Finding]:
    """Judge the distances between neighbouring slices along the normal."""
    gaps = np.diff(heights)
    spacing = float(np.median(gaps))
    even = np.linspace(heights[0], heights[-1], len(heights))
    off_mm = float(np.abs(heights - even).max())
    if off_mm <= POSITION_TOLERANCE_MM:
        return []
    values = {
        "minimum_mm": round(float(gaps.min()), 4),
        "median_mm": round(spacing, 4),
        "maximum_mm": round(float(gaps.max()), 4),
    }
    tolerance = max(POSITION_TOLERANCE_MM, JITTER_FRACTION * spacing)
    outliers = gaps[np.abs(gaps - spacing) > tolerance]
    if outliers.size == 0 and off_mm <= tolerance:
        return [
            Finding(
                FindingCode.JITTER,
                f"Slice positions deviate by up to {off_mm:.3f} mm from an even grid.",
                values | {"deviation_mm": round(off_mm, 4)},
            )
        ]
    multiples = np.rint(outliers / spacing)
    whole = (multiples >= 2) & (np.abs(outliers - multiples * spacing) <= tolerance)
    if outliers.size and whole.all():
        missing = int((multiples - 1).sum())
        if missing <= len(heights):
            return [
                Finding(
                    FindingCode.MISSING,
                    f"{missing} slice(s) are missing at {outliers.size} place(s) (spacing {spacing:.3f} mm).",
                    values | {"count": missing},
                )
            ]
    if 0 < outliers.size <= 2 and outliers.min() > 3 * spacing:
        return [
            Finding(
                FindingCode.MULTI_STACK,
                f"The series holds {outliers.size + 1} stacks that lie {outliers.max():.1f} mm apart.",
                values | {"stacks": int(outliers.size) + 1},
            )
        ]
    return [
        Finding(
            FindingCode.NONUNIFORM,
            f"The distance between slices varies from {gaps.min():.2f} to {gaps.max():.2f} mm.",
            values,
        )
    ]


def _lean(
    positions: npt.NDArray[np.float64], step: npt.NDArray[np.float64], normal: npt.NDArray[np.float64]
) -> list[Finding]:
    """Find a stack whose slices slide sideways (gantry tilt), or single slices that do."""
    height = float(step @ normal)
    sideways = step - height * normal
    angle = float(np.degrees(np.arctan2(np.linalg.norm(sideways), height)))
    if angle > TILT_TOLERANCE_DEG:
        return [
            Finding(
                FindingCode.TILT,
                f"The stack leans by {angle:.1f} degrees (gantry tilt).",
                {"angle_deg": round(angle, 3)},
            )
        ]
    residual = positions - positions[0]
    residual = residual - np.outer(residual @ normal, normal)
    off_mm = float(np.linalg.norm(residual, axis=1).max())
    total = float(np.linalg.norm(sideways)) * (len(positions) - 1)
    if off_mm > max(0.5, total + POSITION_TOLERANCE_MM):
        return [
            Finding(
                FindingCode.NONUNIFORM,
                f"Slices are shifted sideways by up to {off_mm:.2f} mm against each other.",
                {"shift_mm": round(off_mm, 3)},
            )
        ]
    return []

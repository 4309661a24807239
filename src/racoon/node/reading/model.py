"""Words of the viewer: planes to show, windows to choose, runs of a mask, letters at the edges.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon.errors import Defect
from racoon.node.reading.hanging import hanging_for
from racoon.node.reading.scaling import AS_STORED, Scale

AXES = (("L", "R"), ("P", "A"), ("H", "F"))
"""Letters for the positive and negative direction of each LPS axis (PS3.3 C.7.6.1.1.1)."""

LEANING = 0.25
"""A second letter is written when the edge leans by more than about 15 degrees towards it."""


class BadRuns(Defect):
    """Runs of a mask that are not well formed."""

    code = "reading.bad_runs"


@dataclass(frozen=True)
class WindowPreset:
    """A window under a number key: name in English, centre and width in output units."""

    name: str
    centre: float
    width: float


CT_PRESETS = (
    WindowPreset("Soft tissue", 40.0, 400.0),
    WindowPreset("Lung", -600.0, 1500.0),
    WindowPreset("Bone", 450.0, 1800.0),
    WindowPreset("Brain", 40.0, 80.0),
    WindowPreset("Liver", 80.0, 150.0),
)

SUV_PRESETS = (
    WindowPreset("SUV 0–5", 2.5, 5.0),
    WindowPreset("SUV 0–10", 5.0, 10.0),
    WindowPreset("SUV 0–20", 10.0, 20.0),
)


@dataclass(frozen=True)
class Plane:
    """One picture of the series, in the order of the stack.

    Parameters
    ----------
    sop_instance_uid, frame
        Object and frame number from 1.
    position_mm
        Position along the stack's normal relative to LPS, or None without geometry.
    """

    sop_instance_uid: str
    frame: int
    position_mm: float | None = None


@dataclass(frozen=True)
class SegmentEntry:
    """One line of the legend.

    Parameters
    ----------
    key
        ``<SOP Instance UID of the SEG>:<segment number>``; part of stable addresses.
    name
        As the mask's author called it.
    meaning
        Of its code, in English.
    is_automatic
        Whether a machine drew it and no person changed it.
    """

    key: str
    name: str
    code: str
    algorithm: str
    colour: str
    meaning: str = ""
    is_automatic: bool = False

    def said(self, words: Callable[[str | None], str]) -> str:
        """Name it in the reader's language where the code has a word there, else as its author called it."""
        translated = words(self.meaning)
        return translated if translated not in ("", self.meaning) else self.name


FINDING_LABELS = {
    "no_geometry": "No place in space",
    "mixed_orientation": "Mixed orientations",
    "mixed_size": "Mixed matrix sizes",
    "mixed_spacing": "Mixed pixel spacings",
    "duplicate": "Duplicate slices",
    "multi_stack": "Several stacks",
    "missing": "Missing slices",
    "nonuniform": "Uneven slice distances",
    "tilt": "Gantry tilt",
    "jitter": "Small deviations of position",
    "resampled": "Resampled",
    "single_slice": "Single slice",
}
"""Short names of geometry findings, translated on the page; the sentence with the numbers follows them."""


ROOM_WORDS = (
    "Accept",
    "Answer",
    "Query",
    "Addendum",
    "Proposal accepted",
    "Proposal rejected",
    "Proposed",
    "Reject",
    "Before",
    "Being amended",
    "Why is the report amended?",
    *(preset.name for preset in CT_PRESETS),
    *(preset.name for preset in SUV_PRESETS),
    "As a finding",
    "As stored",
    "Volume as a finding",
    "Automatic",
    *FINDING_LABELS.values(),
    "Address",
    "Choose a finding that has such a number first.",
    "Answers of",
    "Code taken",
    "Codes",
    "Codes to take",
    "Complete: it can be signed.",
    "Differing answers",
    "ICC(2,1)",
    "kappa",
    "no answer",
    "No code is offered for the words before the hand.",
    "weighted kappa",
    "What both say",
    "Correct",
    "from the image",
    "Foreign report",
    "It names no place in an image.",
    "It lies across the slices, so it is on none of them.",
    "Its coordinates lie outside the image it names.",
    "Its coordinates lie outside the images.",
    "{mm} mm beside this slice",
    "Its shape is not one that is drawn here.",
    "The image it lies on is not in this archive.",
    "The segmentation it was measured in is not in this archive.",
    "The report is malformed and could not be read.",
    "Loading …",
    "Lock",
    "Mask",
    "Meaning",
    "Click at least two places that the line goes through, on any slices.",
    "Places marked: {count}. The same key shows the sections.",
    "Sections",
    "no",
    "No image of this examination has the frame of reference of its coordinates.",
    "Nothing changed.",
    "Nothing lies in the frame of reference of this image.",
    "Nothing more to undo or redo.",
    "Open questions",
    "Report on the examination before",
    "Remove",
    "Saved",
    "Saving …",
    "Signed",
    "Take from the chosen finding",
    "Template",
    "Stored in the archive.",
    "The report is not complete.",
    "The segment is locked. Unlock it to change it.",
    "There is no earlier examination of this subject here.",
    "These pictures are no volume, so there are no other planes.",
    "The header lacks what SUV needs; values are shown as stored.",
    "This series cannot carry a mask.",
    "Unlock",
    "Value",
    "automatic",
    "assisted",
    "yes",
    "Your roles do not allow this.",
)
"""English words that the reading room's script says; it gets them translated."""


@dataclass(frozen=True)
class SeriesView:
    """Everything the viewer page shows besides pixels."""

    series_uid: str
    imaging_study_uid: str
    pseudonym: str
    modality: str
    description: str
    body_part: str
    rows: int
    columns: int
    pixel_spacing_mm: tuple[float, float] | None
    slice_spacing_mm: float | None
    plane_name: str
    edges: tuple[str, str, str, str] | None
    planes: tuple[Plane, ...]
    presets: tuple[WindowPreset, ...]
    findings: tuple[tuple[str, str], ...]
    segments: tuple[SegmentEntry, ...]
    has_overlays: bool
    scale: Scale = AS_STORED

    def index_of(self, sop_instance_uid: str, frame: int) -> int | None:
        """Return the index of a picture, or None; without an instance there is none."""
        for index, plane in enumerate(self.planes):
            if plane.sop_instance_uid == sop_instance_uid and plane.frame == frame:
                return index
        return None

    def to_dict(self, words: Callable[[str | None], str]) -> dict[str, Any]:
        """Return what the script on the page needs, in the reader's language."""
        return {
            "series": self.series_uid,
            "study": self.imaging_study_uid,
            "rows": self.rows,
            "columns": self.columns,
            "pixelSpacing": self.pixel_spacing_mm,
            "planes": [[plane.sop_instance_uid, plane.frame, plane.position_mm] for plane in self.planes],
            "presets": [[preset.name, preset.centre, preset.width] for preset in self.presets],
            "segments": [
                [entry.key, entry.colour, entry.said(words), entry.code, entry.is_automatic]
                for entry in self.segments
            ],
            "hasOverlays": self.has_overlays,
            "edges": self.edges,
            "pseudonym": self.pseudonym,
            "modality": self.modality,
            "description": self.description,
            "bodyPart": self.body_part,
            "findings": self.findings,
            "scale": [self.scale.factor, "SUV" if self.scale.is_suv else "", self.scale.gap],
            "hanging": hanging_for(self.modality, self.body_part, self.description).to_dict(),
        }


def edge_letters(orientation: Sequence[float]) -> tuple[str, str, str, str]:
    """Return what lies at the (left, right, top, bottom) edge of an image.

    Parameters
    ----------
    orientation
        Image Orientation (Patient): direction of rows, then of columns.
    """
    right, bottom = letters(orientation[:3]), letters(orientation[3:])
    left, top = letters([-value for value in orientation[:3]]), letters([-value for value in orientation[3:]])
    return left, right, top, bottom


def letters(direction: Sequence[float]) -> str:
    """Return the letters of a direction in LPS, the strongest first, e.g. ``"PH"``."""
    order = sorted(range(3), key=lambda axis: -abs(direction[axis]))
    found = [
        AXES[axis][0 if direction[axis] > 0 else 1]
        for place, axis in enumerate(order)
        if place == 0 or abs(direction[axis]) > LEANING
    ]
    return "".join(found)


def plane_name(orientation: Sequence[float]) -> str:
    """Return ``"axial"``, ``"sagittal"``, ``"coronal"`` or ``"oblique"``."""
    normal = np.abs(np.cross(orientation[:3], orientation[3:]))
    axis = int(np.argmax(normal))
    if normal[axis] < 0.9:
        return "oblique"
    return ("sagittal", "coronal", "axial")[axis]


def runs_of(mask: npt.NDArray[np.bool_]) -> list[int]:
    """Encode a mask (row, column) as start, length, start, length … over its pixels in reading order."""
    flat = np.concatenate([[False], mask.ravel(), [False]])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    starts, ends = edges[::2], edges[1::2]
    runs: list[int] = np.column_stack([starts, ends - starts]).ravel().tolist()
    return runs


def mask_of_runs(runs: Sequence[int], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Decode what :func:`runs_of` wrote into a mask (row, column).

    Raises
    ------
    BadRuns
        If they are not pairs in order, without overlap and inside the picture.
    """
    pixels = shape[0] * shape[1]
    pairs = np.asarray(runs, dtype=np.int64).reshape(-1, 2) if len(runs) % 2 == 0 else None
    if pairs is None:
        raise BadRuns("The runs of a mask are pairs of start and length.")
    starts, ends = pairs[:, 0], pairs.sum(axis=1)
    if len(pairs) and (starts[0] < 0 or ends[-1] > pixels or (ends <= starts).any()):
        raise BadRuns("The runs of a mask lie inside its picture.")
    if (starts[1:] < ends[:-1]).any():
        raise BadRuns("The runs of a mask are in order and do not overlap.")
    flat = np.zeros(pixels + 1, np.int8)
    np.add.at(flat, starts, 1)
    np.add.at(flat, ends, -1)
    found: npt.NDArray[np.bool_] = np.cumsum(flat[:-1]).astype(np.bool_).reshape(shape)
    return found


def presets_for(
    modality: str,
    proposed: tuple[float, float] | None,
    automatic: tuple[float, float],
    scale: Scale = AS_STORED,
) -> tuple[WindowPreset, ...]:
    """Return the windows to offer; the first is shown first.

    Parameters
    ----------
    modality
        ``CT`` has fixed windows in HU; other values have no unit, so they get what the object proposes.
    proposed
        Centre and width from the object, or None.
    automatic
        Centre and width from the values of the middle picture.
    scale
        Uptake has fixed windows in SUV; what the object proposes is in its stored unit and says less.
    """
    if scale.is_suv:
        return SUV_PRESETS
    own = [WindowPreset("As stored", *proposed)] if proposed else []
    if modality == "CT":
        return (*own, *CT_PRESETS)
    return (*own, WindowPreset("Automatic", *automatic))

"""Words of drawings, and what can be wrong with them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from racoon.domain.coding import Code
from racoon.domain.identity import Pseudonym
from racoon.domain.labels import Label
from racoon.errors import Defect, Refused

MOST_SEGMENTS = 255


class DrawingChanged(Refused):
    """The drawing was changed elsewhere since this window read it."""

    code = "reading.drawing_changed"
    status = 409


class SegmentLocked(Refused):
    """A locked segment is not changed."""

    code = "reading.segment_locked"
    status = 409


class BadDrawing(Defect):
    """A change that does not fit the drawing or its series."""

    code = "reading.bad_drawing"


class NoGrid(Defect):
    """A series whose pictures form no regular grid cannot carry a mask."""

    code = "reading.no_grid"


@dataclass(frozen=True)
class DrawnSegment:
    """One segment of a drawing.

    Parameters
    ----------
    number
        From 1; never used twice in a drawing.
    label
        What it means; without a colour where it came from a stored mask.
    is_locked
        Whether it is protected from being changed.
    origin
        ``<SOP Instance UID>:<segment number>`` of the mask it began as, or empty.
    algorithm
        Name of the algorithm that made that mask, empty for masks of people.
    is_changed
        Whether a person changed it since.
    """

    number: int
    label: Label
    is_locked: bool = False
    origin: str = ""
    algorithm: str = ""
    is_changed: bool = False

    @property
    def level(self) -> str:
        """How automatic it is: a machine's mask as it was is automatic, a changed one assisted, any other manual."""
        if not self.algorithm:
            return "manual"
        return "assisted" if self.is_changed else "automatic"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "number": self.number,
            "label": self.label.to_dict(),
            "locked": self.is_locked,
            "origin": self.origin,
            "algorithm": self.algorithm,
            "changed": self.is_changed,
        }

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> DrawnSegment:
        """Read the JSON form."""
        return cls(
            document["number"],
            _label(document["label"]),
            document["locked"],
            document["origin"],
            document["algorithm"],
            # Earlier versions did not note it.
            document.get("changed", True),
        )


def _label(document: dict[str, Any]) -> Label:
    """Read a label; drawings of earlier versions hold its code alone."""
    return Label.from_dict(document) if "code" in document else Label(Code.from_dict(document), colour="")


@dataclass(frozen=True)
class Drawing:
    """What one reader drew on one series.

    Parameters
    ----------
    revision
        0 before the first save; every change makes the next.
    finished
        SOP Instance UIDs of the segmentations it was stored as, the newest last.
    finished_revision
        Revision that the newest of them holds.
    """

    drawing_id: str
    series_uid: str
    imaging_study_uid: str
    pseudonym: Pseudonym
    author: str
    revision: int
    changed_at: datetime
    segments: tuple[DrawnSegment, ...] = ()
    finished: tuple[str, ...] = ()
    finished_revision: int = 0

    def changed(self, numbers: Collection[int]) -> Drawing:
        """Note that a person changed some segments."""
        return replace(
            self,
            segments=tuple(
                replace(segment, is_changed=True) if segment.number in numbers else segment
                for segment in self.segments
            ),
        )

    def segment(self, number: int) -> DrawnSegment:
        """Return a segment that may be changed.

        Raises
        ------
        BadDrawing, SegmentLocked
        """
        found = next((segment for segment in self.segments if segment.number == number), None)
        if found is None:
            raise BadDrawing("The drawing has no such segment. Load the page again.")
        if found.is_locked:
            raise SegmentLocked("The segment is locked. Unlock it to change it.")
        return found


@dataclass(frozen=True)
class SliceChange:
    """New runs of one segment on one slice; no runs empty it."""

    segment: int
    index: int
    runs: tuple[int, ...]


Operation = Literal[
    "grow", "fill-between", "smooth", "margin", "islands", "add", "subtract", "intersect", "clear"
]


@dataclass(frozen=True)
class Wish:
    """What the node shall do to a segment.

    Parameters
    ----------
    amount
        Width in mm to smooth by, margin in mm, smallest island in ml, or reach in mm of growing.
    other
        Number of the second segment of add, subtract and intersect.
    seed
        Index (slice, row, column) to grow from.
    range
        Lowest and highest value to grow through, in output units.
    """

    operation: Operation
    segment: int
    amount: float = 0.0
    other: int = 0
    seed: tuple[int, int, int] = (0, 0, 0)
    range: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class DrawingState:
    """A drawing with its pixels.

    Parameters
    ----------
    slices
        What is drawn, or what an operation changed.
    volumes_ml
        By segment number.
    """

    drawing: Drawing
    slices: tuple[SliceChange, ...] = ()
    volumes_ml: dict[int, float] = field(default_factory=dict)

"""A finding: what a person marked on an image, where exactly, and what it means.

Its address is complete: object, frame, frame of reference and points in patient coordinates, so that any other
image of the same frame of reference can show it too.  Numbers are never part of what is drawn; they are computed
from it by ``science``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from racoon.domain.coding import Code
from racoon.errors import Defect

Point = tuple[float, float, float]

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")

LONGEST_NOTE = 500


class BadFinding(Defect):
    """A finding that is not complete or not well formed."""

    code = "reading.bad_finding"


class FindingKind(StrEnum):
    """How something was marked."""

    LENGTH = "length"
    BIDIRECTIONAL = "bidirectional"
    ELLIPSE = "ellipse"
    PROBE = "probe"
    ANGLE = "angle"
    RECTANGLE = "rectangle"
    FREEHAND = "freehand"
    SPHERE = "sphere"
    CYLINDER = "cylinder"
    CUBE = "cube"
    SECTION = "section"
    SEGMENT = "segment"


POINT_COUNT: Mapping[FindingKind, tuple[int, int]] = {
    FindingKind.LENGTH: (2, 2),
    FindingKind.BIDIRECTIONAL: (4, 4),
    FindingKind.ELLIPSE: (4, 4),
    FindingKind.PROBE: (1, 1),
    FindingKind.ANGLE: (3, 3),
    FindingKind.RECTANGLE: (4, 4),
    FindingKind.FREEHAND: (3, 1000),
    FindingKind.SPHERE: (2, 2),
    FindingKind.CYLINDER: (2, 2),
    FindingKind.CUBE: (2, 2),
    FindingKind.SECTION: (6, 6),
    FindingKind.SEGMENT: (0, 0),
}
"""Fewest and most points of a kind.  Two axes are written as the ends of the first, then the ends of the second; the
corner of an angle is its second point; corners of a rectangle and points of a freehand outline follow each other along
the outline; what is punched out is its centre and a point whose distance is half its size: the diameter of a sphere,
the diameter and length of a cylinder upright on its slice, the side of a cube along the patient's axes; a section
across a line is its middle, a point straight above its plane, and the ends of two diameters in that plane; what was
measured in a mask has no points of its own."""

MEANINGS: tuple[Code, ...] = (
    Code("52988006", "SCT", "Lesion"),
    Code("27925004", "SCT", "Nodule"),
    Code("4147007", "SCT", "Mass"),
    Code("59441001", "SCT", "Lymph node"),
    Code("367643001", "SCT", "Cyst"),
    Code("60046008", "SCT", "Pleural effusion"),
    Code("128462008", "SCT", "Metastasis"),
)
"""What a mark may mean; the first is what a new mark means until its author says otherwise (CID 6102, 7159)."""


@dataclass(frozen=True)
class Place:
    """Where something was marked.

    Parameters
    ----------
    frame
        Frame number from 1.
    points_mm
        LPS in mm, in the order of the kind.
    """

    imaging_study_uid: str
    series_uid: str
    sop_instance_uid: str
    frame: int
    frame_of_reference_uid: str
    points_mm: tuple[Point, ...]


@dataclass(frozen=True)
class Finding:
    """One mark of one author.

    Parameters
    ----------
    finding_id
        UUID made where the mark is drawn, so that saving twice saves once.
    note
        Free text of the author.
    """

    finding_id: str
    kind: FindingKind
    meaning: Code
    place: Place
    note: str = ""

    @property
    def tracking_uid(self) -> str:
        """UID below the root for UUIDs (PS3.5 B.2): the same thing in a DICOM SR, and over time."""
        return f"2.25.{int(self.finding_id.replace('-', ''), 16)}"


@dataclass(frozen=True)
class Quantity:
    """One number of a finding.

    Parameters
    ----------
    name
        Stable name, e.g. ``"length"``; :data:`NAMES` has its code.
    unit
        UCUM.
    own_code
        Code of a foreign number that has no name here.
    """

    name: str
    value: float
    unit: str
    own_code: Code | None = None

    @property
    def code(self) -> Code:
        """What the number is."""
        return self.own_code or NAMES[self.name]


NAMES: Mapping[str, Code] = {
    "length": Code("410668003", "SCT", "Length"),
    "long_axis": Code("103339001", "SCT", "Long axis"),
    "short_axis": Code("103340004", "SCT", "Short axis"),
    "area": Code("42798000", "SCT", "Area"),
    "mean": Code("373098007", "SCT", "Mean"),
    "sd": Code("386136009", "SCT", "Standard Deviation"),
    "minimum": Code("255605001", "SCT", "Minimum"),
    "maximum": Code("56851009", "SCT", "Maximum"),
    "angle": Code("1483009", "SCT", "Angle"),
    "diameter": Code("81827009", "SCT", "Diameter"),
    "volume": Code("118565006", "SCT", "Volume"),
    "value": Code("373098007", "SCT", "Mean"),
}
"""Codes of the numbers, as measurements in a DICOM SR carry them; the value of a point is the mean of one pixel."""


def finding_of(finding_id: str, document: Mapping[str, Any]) -> Finding:
    """Read a finding from what a browser sends.

    Parameters
    ----------
    finding_id
        From the address.
    document
        ``kind``, ``meaning`` (key of one of :data:`MEANINGS`), ``instance``, ``series``, ``imaging_study``,
        ``frame``, ``frame_of_reference``, ``points_mm`` and ``note``.

    Raises
    ------
    BadFinding
        If something is missing, of the wrong shape or not finite; the message says what.
    """
    if not _ID.fullmatch(finding_id):
        raise BadFinding("The identifier of a finding is a UUID in small letters.")
    try:
        kind = FindingKind(str(document.get("kind")))
        if kind is FindingKind.SEGMENT:
            raise ValueError("masks are drawn, not marked")
    except ValueError:
        raise BadFinding(
            "A finding is a line, two axes, an angle, an outline, a punched piece, a section or a point."
        ) from None
    meaning = next((code for code in MEANINGS if code.key == document.get("meaning")), None)
    if meaning is None:
        raise BadFinding("A finding needs a meaning from the list.")
    frame = document.get("frame")
    if not isinstance(frame, int) or isinstance(frame, bool) or frame < 1:
        raise BadFinding("A finding needs a frame number from 1.")
    note = document.get("note", "")
    if not isinstance(note, str) or len(note) > LONGEST_NOTE:
        raise BadFinding("A note is a text of at most 500 characters.")
    place = Place(
        imaging_study_uid=_uid(document, "imaging_study"),
        series_uid=_uid(document, "series"),
        sop_instance_uid=_uid(document, "instance"),
        frame=frame,
        frame_of_reference_uid=_uid(document, "frame_of_reference"),
        points_mm=_points(document.get("points_mm"), POINT_COUNT[kind]),
    )
    return Finding(finding_id, kind, meaning, place, note.strip())


def _uid(document: Mapping[str, Any], name: str) -> str:
    text = document.get(name)
    if not isinstance(text, str) or len(text) > 64 or not _UID.fullmatch(text):
        raise BadFinding("A finding names its image by valid DICOM UIDs.", details={"name": name})
    return text


def _points(value: object, count: tuple[int, int]) -> tuple[Point, ...]:
    points = []
    for item in value if isinstance(value, Sequence) and not isinstance(value, str) else ():
        if not isinstance(item, Sequence) or len(item) != 3:
            break
        if not all(isinstance(part, int | float) and not isinstance(part, bool) for part in item):
            break
        if not all(math.isfinite(part) and abs(part) < 1e5 for part in item):
            break
        points.append((float(item[0]), float(item[1]), float(item[2])))
    fewest, most = count
    if not isinstance(value, Sequence) or len(value) != len(points) or not fewest <= len(points) <= most:
        raise BadFinding(
            "The points of a finding are triples of finite millimetres, as many as its kind has."
        )
    return tuple(points)

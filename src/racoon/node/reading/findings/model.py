"""Words of stored findings, and what can be wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from racoon.domain.finding import Finding, Quantity
from racoon.domain.identity import Pseudonym
from racoon.errors import Defect, Refused

ATTEMPT_WRITER = "practice:"
"""Begins the name under which an attempt's drafts, drawings and marks are kept; no account has a colon in its name."""


class FindingNotFound(Refused):
    """No such finding, or its subject's data may not be read; both answer the same."""

    code = "reading.finding_not_found"
    status = 404


class NotYourFinding(Refused):
    """Only its author changes a finding."""

    code = "reading.not_your_finding"


class FindingChanged(Refused):
    """The finding was changed elsewhere since this window read it."""

    code = "reading.finding_changed"
    status = 409


class OutsideImage(Defect):
    """A finding whose place is not on the image it names."""

    code = "reading.outside_image"


@dataclass(frozen=True)
class StoredFinding:
    """A finding as the node keeps it.

    Parameters
    ----------
    revision
        From 1; every save, removal and undo makes a new one.
    numbers
        Computed by the node when this revision was saved.
    software
        Version of the product that computed them.
    origin
        For what a foreign report brought: its SOP Instance UID, observer, device, site and further statements.
    """

    finding: Finding
    revision: int
    pseudonym: Pseudonym
    author: str
    written_at: datetime
    numbers: tuple[Quantity, ...]
    software: str
    is_removed: bool = False
    origin: Mapping[str, Any] | None = None

    @property
    def link(self) -> str:
        """Stable address: opens the image with this finding in view."""
        return f"/reading/findings/{self.finding.finding_id}"

    @property
    def page(self) -> str:
        """Address of the page the stable address leads to today."""
        place = self.finding.place
        return (
            f"/reading/series/{place.series_uid}?instance={place.sop_instance_uid}&frame={place.frame}"
            f"&finding={self.finding.finding_id}"
        ) + (f"&segment={self.origin['segment']}" if self.origin and self.origin["segment"] else "")

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form of the API."""
        place = self.finding.place
        return {
            "id": self.finding.finding_id,
            "revision": self.revision,
            "removed": self.is_removed,
            "kind": self.finding.kind.value,
            "meaning": self.finding.meaning.to_dict() | {"key": self.finding.meaning.key},
            "note": self.finding.note,
            "imaging_study": place.imaging_study_uid,
            "series": place.series_uid,
            "instance": place.sop_instance_uid,
            "frame": place.frame,
            "frame_of_reference": place.frame_of_reference_uid,
            "points_mm": [list(point) for point in place.points_mm],
            "tracking_uid": self.finding.tracking_uid,
            "numbers": [
                {
                    "name": number.name,
                    "code": number.code.to_dict(),
                    "value": number.value,
                    "unit": number.unit,
                }
                for number in self.numbers
            ],
            "author": self.author,
            "written_at": self.written_at.isoformat(),
            "software": self.software,
            "origin": dict(self.origin) if self.origin else None,
            "link": self.link,
        }

"""Volumes of drawn masks as findings: each follows its drawing, stroke by stroke, in the drawing's own transaction."""

from __future__ import annotations

import io
import uuid
from collections.abc import Collection, Mapping
from dataclasses import replace

import pydicom
import sqlalchemy as sa

from racoon import __version__
from racoon.domain.finding import Finding, FindingKind, Place, Quantity
from racoon.errors import Refused
from racoon.node.archive.service import Archive
from racoon.node.cohorts import service as cohorts
from racoon.node.reading.drawing.model import BadDrawing, Drawing, DrawingState
from racoon.node.reading.findings import _store
from racoon.node.reading.findings.model import ATTEMPT_WRITER, StoredFinding
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.auth import User
from racoon.platform.database import Database


class MaskNotStored(Refused):
    """A report that takes a volume from a mask which is not in the archive yet."""

    code = "reading.mask_not_stored"
    status = 409


def finding_id_of(drawing_id: str, number: int) -> str:
    """Return the identifier of the finding that a drawn segment has."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{drawing_id}/{number}"))


def require_stored(found: Collection[StoredFinding], used: Collection[str]) -> None:
    """Refuse to sign what was measured in a mask that the archive does not have as it is now.

    Parameters
    ----------
    used
        Identifiers of the findings that answers were taken from.

    Raises
    ------
    MaskNotStored
    """
    for item in found:
        origin = item.origin or {}
        if item.finding.finding_id in used and "drawing" in origin and not origin["segment"]:
            raise MaskNotStored(
                "A volume was taken from a mask that is not stored yet. Store the drawing first."
            )


class MaskFindings:
    """Findings of drawn segments.

    Parameters
    ----------
    database, audit
        Where they and their audit entries are kept.
    archive
        Whose images were drawn on.
    """

    def __init__(self, database: Database, audit: AuditLog, archive: Archive) -> None:
        self._database = database
        self._audit = audit
        self._archive = archive

    def take(self, user: User, state: DrawingState, number: int, client: str | None = None) -> StoredFinding:
        """Make a segment's volume a finding, or bring it back; asking again changes nothing.

        Parameters
        ----------
        state
            The author's drawing with its pixels.

        Raises
        ------
        BadDrawing
            If there is no such segment or nothing is drawn of it.
        """
        drawing = state.drawing
        slices = [item for item in state.slices if item.segment == number and item.runs]
        segment = next((item for item in drawing.segments if item.number == number), None)
        if segment is None or not slices:
            raise BadDrawing("Nothing is drawn yet.")
        largest = max(slices, key=lambda item: (sum(item.runs[1::2]), -item.index))
        frame = self._archive.arrange(drawing.series_uid).frames[largest.index]
        row = self._archive.instance(frame.sop_instance_uid)
        header = pydicom.dcmread(io.BytesIO(self._archive.read_object(row)), stop_before_pixels=True)
        place = Place(
            drawing.imaging_study_uid,
            drawing.series_uid,
            frame.sop_instance_uid,
            frame.number,
            str(header.get("FrameOfReferenceUID") or ""),
            (),
        )
        identifier = finding_id_of(drawing.drawing_id, number)
        finding = Finding(identifier, FindingKind.SEGMENT, segment.label.code, place)
        with self._database.begin() as connection:
            before = _store.load(connection, identifier)
            after = _measured(finding, drawing, state.volumes_ml, before)
            if before is not None and not before.is_removed and _says_the_same(before, after):
                return before
            self._write(connection, user, after, client)
            if not user.name.startswith(ATTEMPT_WRITER):
                cohorts.record_finding(connection, identifier, after.pseudonym, drawing.imaging_study_uid)
        return after

    def follow(
        self,
        connection: sa.Connection,
        user: User,
        state: DrawingState,
        largest: Mapping[int, tuple[str, int]],
    ) -> None:
        """Bring the findings of a drawing to what is drawn now; one whose segment is gone is removed.

        Parameters
        ----------
        largest
            Where each segment is largest: SOP Instance UID and frame.
        """
        drawing = state.drawing
        numbers = {segment.number for segment in drawing.segments}
        for before in _store.load_of_study(connection, drawing.imaging_study_uid):
            origin = before.origin or {}
            if origin.get("drawing") != drawing.drawing_id:
                continue
            number = int(origin["number"])
            if number not in numbers:
                gone = replace(before, revision=before.revision + 1, is_removed=True, written_at=clock.now())
                self._write(connection, user, gone)
                cohorts.forget_finding(connection, before.finding.finding_id)
                continue
            instance, frame = largest.get(
                number, (before.finding.place.sop_instance_uid, before.finding.place.frame)
            )
            place = replace(before.finding.place, sop_instance_uid=instance, frame=frame)
            after = _measured(replace(before.finding, place=place), drawing, state.volumes_ml, before)
            if not _says_the_same(before, after):
                self._write(connection, user, after)

    def _write(
        self, connection: sa.Connection, user: User, stored: StoredFinding, client: str | None = None
    ) -> None:
        _store.insert(connection, stored)
        self._audit.append(
            connection,
            actor=user.name,
            actor_role=user.main_role,
            action="finding.remove" if stored.is_removed else "finding.save",
            target=f"finding/{stored.finding.finding_id}",
            client=client,
            details={
                "revision": stored.revision,
                "series": stored.finding.place.series_uid,
                "pseudonym": str(stored.pseudonym),
            },
        )


def _measured(
    finding: Finding, drawing: Drawing, volumes_ml: Mapping[int, float], before: StoredFinding | None
) -> StoredFinding:
    """Return the next revision of a segment's finding."""
    number = next(
        item.number
        for item in drawing.segments
        if finding_id_of(drawing.drawing_id, item.number) == finding.finding_id
    )
    # The object numbers the segments that have pixels; it holds this state only until the next stroke.
    drawn = [item.number for item in drawing.segments if volumes_ml.get(item.number)]
    is_stored = drawing.finished and drawing.finished_revision == drawing.revision and number in drawn
    return StoredFinding(
        finding=finding,
        revision=(before.revision if before else 0) + 1,
        pseudonym=drawing.pseudonym,
        author=drawing.author,
        written_at=clock.now(),
        numbers=(Quantity("volume", volumes_ml.get(number, 0.0), "mL"),),
        software=f"racoon {__version__}",
        origin={
            "drawing": drawing.drawing_id,
            "drawing_revision": drawing.revision,
            "number": number,
            "segment": f"{drawing.finished[-1]}:{drawn.index(number) + 1}" if is_stored else "",
        },
    )


def _says_the_same(before: StoredFinding, after: StoredFinding) -> bool:
    return (before.numbers, before.finding.place, (before.origin or {}).get("segment")) == (
        after.numbers,
        after.finding.place,
        (after.origin or {}).get("segment"),
    )

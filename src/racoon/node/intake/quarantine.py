"""The quarantine: see what must not pass and why, and decide: try again, set right, or delete.

Every decision is written into the audit in its own transaction.  An object that is set right goes through all rules
again; its original stays here until the archive has it.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path

import pydicom
from pydicom.uid import UID

from racoon.errors import RacoonError, Refused
from racoon.node.deid.model import (
    CORRECTABLE_UIDS,
    RELEASABLE,
    Correction,
    QuarantineReason,
)
from racoon.node.intake import _store
from racoon.node.intake._corrections import Corrections, OpenCorrection
from racoon.node.intake._evidence import summarise
from racoon.node.intake.model import (
    DECIDED_STATE,
    OPEN_STATES,
    AlreadyDecided,
    Decision,
    DecisionOutcome,
    NoSuchQuarantinedObject,
    NotCorrectable,
    ObjectSummary,
    QuarantinedObject,
    QuarantinePage,
    QuarantineState,
    ReasonMissing,
)
from racoon.node.intake.spool import NAME, Spool
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database
from racoon.standards.dicom.elements import MalformedDicom
from racoon.standards.dicom.reading import read_file
from racoon.standards.dicom.text import text_of
from racoon.standards.dicom.uids import is_standard, is_uid, uid_from_digest

CORRECTABLE: dict[QuarantineReason, tuple[str, ...]] = {
    QuarantineReason.INCONSISTENT_PATIENT: ("patient", "StudyInstanceUID"),
    QuarantineReason.MISSING_UIDS: tuple(CORRECTABLE_UIDS),
    QuarantineReason.CONFLICT: ("SOPInstanceUID",),
}
"""What can be set right, by reason; everything else has to be sent again, released or deleted."""

PICTURE_SIZE = 1024

_UID_DETAILS = frozenset({"sop_class", "transfer_syntax"})


class NoPicture(Refused):
    """An object without pixels that can be shown."""

    code = "intake.no_picture"
    status = 404


class QuarantineDesk:
    """What people do with the quarantine.

    Parameters
    ----------
    database, spool, quarantine
        The same as those of the loop.
    audit
        Where decisions are written; in the transaction of the decision.
    """

    def __init__(self, database: Database, spool: Spool, quarantine: Path, audit: AuditLog) -> None:
        self._database = database
        self._spool = spool
        self._quarantine = quarantine
        self._corrections = Corrections(quarantine)
        self._audit = audit

    def quarantined(
        self, state: QuarantineState | None = QuarantineState.WAITING, limit: int = 200
    ) -> list[QuarantinedObject]:
        """List quarantined objects, newest first."""
        with self._database.connect() as connection:
            return _store.list_quarantined(connection, state=state, limit=limit)

    def quarantine_page(
        self, *, state: QuarantineState | None, code: str = "", before: str = "", limit: int = 100
    ) -> QuarantinePage:
        """Give one page of the quarantine, filtered by state and reason.

        Parameters
        ----------
        state
            None for all.
        code
            Reason code, or empty.
        before
            Id of the last object of the page before, or empty.
        limit
            Objects on the page.
        """
        with self._database.connect() as connection:
            found = _store.list_quarantined(
                connection, state=state, limit=limit + 1, code=code, before=before
            )
            reasons = _store.waiting_reasons(connection)
        following = found[limit - 1].quarantine_id if len(found) > limit else ""
        return QuarantinePage(tuple(found[:limit]), reasons, following)

    def quarantined_object(self, quarantine_id: str) -> tuple[QuarantinedObject, ObjectSummary | None]:
        """Give one quarantined object and, while it is there, what its header says about itself.

        Raises
        ------
        NoSuchQuarantinedObject
        """
        item = self._item(quarantine_id)
        path = self._original(item)
        is_there = item.state in OPEN_STATES and path.is_file()
        return item, summarise(path.read_bytes()) if is_there else None

    def evidence(self, quarantine_id: str) -> dict[str, str]:
        """Tell what the rules saw, by name; nothing that identifies a patient.

        Returns
        -------
        dict
            Such as ``suspicions``, ``missing``, ``belongs_to``; empty when there is nothing beyond the reason.
        """
        path = self._quarantine / self._item(quarantine_id).quarantine_id / "reason.json"
        try:
            details = json.loads(path.read_bytes()).get("details", {})
        except (FileNotFoundError, ValueError):
            return {}
        return {name: _shown(name, value) for name, value in details.items()}

    def correctable(self, item: QuarantinedObject) -> tuple[str, ...]:
        """Tell what of an object can be set right: ``patient`` and keywords of UIDs."""
        return CORRECTABLE.get(QuarantineReason(item.code), ())

    def decide(
        self, quarantine_id: str, decision: Decision, *, actor: str, actor_role: str, note: str = ""
    ) -> QuarantinedObject:
        """Release a quarantined object into the spool again, or delete it.

        Raises
        ------
        NoSuchQuarantinedObject, AlreadyDecided
        """
        entry = self._corrections.of(quarantine_id)
        state = DECIDED_STATE[decision]
        if entry is not None and decision is Decision.RELEASE:
            state = QuarantineState.CORRECTING
        with self._database.begin() as connection:
            item = _store.load_quarantined(connection, quarantine_id)
            if item is None:
                raise NoSuchQuarantinedObject("There is no such object in quarantine.")
            if not _store.decide(connection, quarantine_id, state, decided_by=actor, note=note[:512]):
                raise AlreadyDecided("This object has been decided already.")
            self._audit.append(
                connection,
                actor=actor,
                actor_role=actor_role,
                action=f"quarantine.{decision.value}",
                target=f"quarantine/{quarantine_id}",
                details={"code": item.code, "note": note[:512]},
            )
            # Inside the transaction: if the spool cannot take it, nothing is decided.
            if decision is Decision.RELEASE:
                self._release(item, entry)
            decided = _store.load_quarantined(connection, quarantine_id)
        assert decided is not None
        if state is not QuarantineState.CORRECTING:
            shutil.rmtree(self._quarantine / quarantine_id, ignore_errors=True)
            self._corrections.close(quarantine_id)
        return decided

    def decide_many(
        self, quarantine_ids: Sequence[str], decision: Decision, *, actor: str, actor_role: str, note: str
    ) -> list[DecisionOutcome]:
        """Decide a batch; one object that cannot be decided does not stop the others.

        Raises
        ------
        ReasonMissing
            If no reason is given.
        """
        if not note.strip():
            raise ReasonMissing("Say why, in a few words: the reason is kept with the decision.")
        outcomes = []
        for quarantine_id in dict.fromkeys(quarantine_ids):
            try:
                item = self.decide(quarantine_id, decision, actor=actor, actor_role=actor_role, note=note)
            except RacoonError as error:
                outcomes.append(DecisionOutcome(quarantine_id, None, error.public_message))
            else:
                outcomes.append(DecisionOutcome(quarantine_id, item))
        return outcomes

    def correct(
        self,
        quarantine_id: str,
        correction: Correction,
        *,
        actor: str,
        actor_role: str,
        note: str,
        make_uids: bool = False,
    ) -> QuarantinedObject:
        """Set an object right and send it through all rules again; the original stays until it has passed.

        Parameters
        ----------
        quarantine_id
            Which one.
        correction
            What it should have said.
        actor, actor_role, note
            Who and why; kept in the audit, together with the names of the elements, never with their values.
        make_uids
            Make every UID that is missing, or that is in conflict, from the object's own content: the same bytes get
            the same UIDs.

        Raises
        ------
        NoSuchQuarantinedObject, AlreadyDecided
        ReasonMissing
            If no reason is given.
        NotCorrectable
            If the object's reason is none that words can mend, or nothing was said.
        """
        if not note.strip():
            raise ReasonMissing("Say why, in a few words: the reason is kept with the decision.")
        item = self._item(quarantine_id)
        allowed = self.correctable(item)
        path = self._original(item)
        if not allowed:
            raise NotCorrectable(
                "This cannot be set right here: have it sent again, release it or delete it."
            )
        if not path.is_file():
            raise NoSuchQuarantinedObject("The object is no longer in the quarantine folder.")
        data = path.read_bytes()
        if make_uids:
            correction = Correction(subject="", uids=_made_uids(data, item)).merged(correction)
        earlier = self._corrections.of(quarantine_id)
        unknown = {"patient" if name == "PatientID" else name for name in correction.elements} - set(allowed)
        if unknown or not correction.elements:
            raise NotCorrectable(
                "Say what is right: the subject or patient number of an inconsistent examination, the missing UIDs, "
                "or a new instance UID for an object in conflict."
            )
        released = earlier.released if earlier else _released_before(quarantine_id)
        merged = correction if earlier is None else earlier.correction.merged(correction)
        with self._database.begin() as connection:
            if not _store.decide(
                connection, quarantine_id, QuarantineState.CORRECTING, decided_by=actor, note=note[:512]
            ):
                raise AlreadyDecided("This object has been decided already.")
            self._audit.append(
                connection,
                actor=actor,
                actor_role=actor_role,
                action="quarantine.correct",
                target=f"quarantine/{quarantine_id}",
                details={"code": item.code, "elements": list(correction.elements), "note": note[:512]},
            )
            mark = self._corrections.save(OpenCorrection(quarantine_id, merged, released))
            self._spool.put([data], released=mark)
        return self._item(quarantine_id)

    def picture(self, quarantine_id: str, *, actor: str, actor_role: str) -> bytes:
        """Render the object's first frame (PNG) for a person who has to decide; it may show who the patient is.

        Each look is audited.

        Raises
        ------
        NoSuchQuarantinedObject
        NoPicture
            If there are no pixels that can be shown.
        """
        from racoon.standards.dicom.rendering import (  # noqa: PLC0415 - codecs are needed by this look only
            encode_picture,
            render_frame,
        )

        item = self._item(quarantine_id)
        path = self._original(item)
        # What a withdrawal has closed is not shown, even while its file is still to be removed.
        if item.state not in OPEN_STATES or not path.is_file():
            raise NoPicture("The object is no longer in the quarantine folder.")
        with self._database.begin() as connection:
            self._audit.append(
                connection,
                actor=actor,
                actor_role=actor_role,
                action="quarantine.look",
                target=f"quarantine/{quarantine_id}",
                details={"code": item.code},
            )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                dataset = pydicom.dcmread(io.BytesIO(path.read_bytes()))
                return encode_picture(render_frame(dataset), "png", size=PICTURE_SIZE)
        except Exception as error:
            # What lies in quarantine may provoke anything in a decoder.
            raise NoPicture("This object has no pixels that can be shown.") from error

    def _item(self, quarantine_id: str) -> QuarantinedObject:
        with self._database.connect() as connection:
            item = _store.load_quarantined(connection, quarantine_id)
        if item is None:
            raise NoSuchQuarantinedObject("There is no such object in quarantine.")
        return item

    def _original(self, item: QuarantinedObject) -> Path:
        return self._quarantine / item.quarantine_id / "object.bin"

    def _release(self, item: QuarantinedObject, entry: OpenCorrection | None) -> None:
        path = self._original(item)
        if not path.is_file():
            raise NoSuchQuarantinedObject("The object is no longer in the quarantine folder.")
        reason = QuarantineReason(item.code)
        mark = reason.value if reason in RELEASABLE else ""
        if entry is not None:
            released = entry.released | ({reason} & RELEASABLE)
            mark = self._corrections.save(OpenCorrection(item.quarantine_id, entry.correction, released))
        self._spool.put([path.read_bytes()], released=mark)


def _made_uids(data: bytes, item: QuarantinedObject) -> dict[str, str]:
    """Make UIDs from the object's content, for those that are missing or in conflict."""
    try:
        file = read_file(data)
    except MalformedDicom as error:
        raise NotCorrectable("The header cannot be read: have the object sent again.") from error
    wanted = {
        keyword
        for keyword, tag in CORRECTABLE_UIDS.items()
        if keyword != "SOPClassUID" and not is_uid(text_of(file.dataset.get(tag)))
    }
    if item.code == QuarantineReason.CONFLICT.value:
        wanted.add("SOPInstanceUID")
    return {
        keyword: uid_from_digest(hashlib.sha256(keyword.encode() + b"\0" + data).digest())
        for keyword in sorted(wanted)
    }


def _released_before(quarantine_id: str) -> frozenset[QuarantineReason]:
    """Suspicions that were overruled when the object last went through: they stand in its name."""
    match = NAME.fullmatch(f"{quarantine_id}.dcm")
    code = match[4] if match else None
    return (
        frozenset({QuarantineReason(code)})
        if code in {reason.value for reason in RELEASABLE}
        else frozenset()
    )


def _shown(name: str, value: object) -> str:
    if isinstance(value, list):
        return ", ".join(str(part) for part in value)
    if name in _UID_DETAILS:
        # A UID of a manufacturer may hold a serial number; only registered ones are shown.
        return str(UID(str(value)).name) if is_standard(str(value)) else "unregistered"
    return str(value)

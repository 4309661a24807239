"""What one may ask of practice: make a reference set, invite readers, submit a case, score, show, let somebody off."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from racoon.domain.identity import Pseudonym
from racoon.domain.questionnaire import Answered, Template, items_of, items_to_fhir
from racoon.node.archive.service import Archive
from racoon.node.reading.drawing.service import Drawings
from racoon.node.reading.findings.model import ATTEMPT_WRITER
from racoon.node.reading.practice import _store
from racoon.node.reading.practice._reference import mask_scores, reference_answers, reference_set
from racoon.node.reading.practice.model import (
    CALIBRATION,
    TEACHING,
    Attempt,
    BadSet,
    NewSet,
    NoSuchSet,
    NotNow,
    ReferenceCase,
    ReferenceSet,
    Shown,
    TriedCase,
    Waiver,
)
from racoon.node.reading.practice.scoring import score_answers, score_attempt
from racoon.node.reading.reports.model import ReportState
from racoon.node.reading.reports.service import IncompleteReport
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.auth import User
from racoon.platform.database import Database

LONGEST_REASON = 500


def forget_subject(connection: sa.Connection, pseudonym: Pseudonym) -> int:
    """Remove what was tried on a subject; returns how many rows."""
    return _store.forget_subject(connection, pseudonym)


def hidden_studies(reader: str | sa.BindParameter[str]) -> sa.Select[Any]:
    """Select the imaging studies whose reference is kept from a reader."""
    return _store.hidden_studies(reader)


def is_practice(user: User) -> bool:
    """Tell whether somebody writes for an attempt."""
    return user.name.startswith(ATTEMPT_WRITER)


class Practice:
    """Reference sets and attempts.

    Parameters
    ----------
    database, audit
        Where they and their audit entries are kept.
    archive, drawings
        The images, and what is drawn on them.
    """

    def __init__(self, database: Database, audit: AuditLog, archive: Archive, drawings: Drawings) -> None:
        self._database = database
        self._audit = audit
        self._archive = archive
        self._drawings = drawings

    # -- sets, for those who run reading lists

    def make(self, user: User, wanted: NewSet) -> ReferenceSet:
        """Make a set of cases that one person signed with a template.

        Raises
        ------
        BadSet
            With what is missing.
        SetIsFixed
        """
        with self._database.begin() as connection:
            made = reference_set(connection, self._archive, user.name, wanted)
            _store.insert_set(connection, made)
            self._note(
                connection, user, "practice.set", made.name, {"cases": len(made.cases), "kind": made.kind}
            )
        return made

    def sets(self) -> list[ReferenceSet]:
        """List all sets."""
        with self._database.connect() as connection:
            return _store.load_sets(connection)

    def get(self, name: str) -> ReferenceSet:
        """Return a set.

        Raises
        ------
        NoSuchSet
        """
        with self._database.connect() as connection:
            found = _store.load_sets(connection, name)
        if not found:
            raise NoSuchSet("There is no such reference set.")
        return found[0]

    def invite(self, user: User, name: str, readers: Sequence[str]) -> int:
        """Let readers begin; from now on the reference is hidden from them. Returns how many attempts are new."""
        found = self.get(name)
        if found.reference in readers:
            raise BadSet("The reference person cannot read against the own reference.")
        with self._database.begin() as connection:
            new = [
                reader
                for reader in dict.fromkeys(readers)
                if not _store.load_attempts(connection, set_name=name, reader=reader)
            ]
            for reader in new:
                _store.insert_attempt(connection, self._begin(found, reader, 1))
            self._note(connection, user, "practice.invite", name, {"readers": new})
        return len(new)

    def again(self, user: User, name: str) -> Attempt:
        """Begin another attempt, when the last one is done and another makes sense.

        Raises
        ------
        NoSuchSet, NotNow
        """
        found = self.get(name)
        with self._database.begin() as connection:
            before = _store.load_attempts(connection, set_name=name, reader=user.name)
            if not before:
                raise NoSuchSet("There is no such reference set.")
            if before[-1].ended_at is None:
                raise NotNow("The attempt before is not finished yet.")
            if found.kind == CALIBRATION and before[-1].is_passed:
                raise NotNow("The calibration is passed already.")
            attempt = self._begin(found, user.name, before[-1].number + 1)
            _store.insert_attempt(connection, attempt)
            self._note(connection, user, "practice.begin", name, {"attempt": attempt.number})
        return attempt

    def attempts(self, *, name: str = "", reader: str = "") -> list[Attempt]:
        """List attempts at a set, or of a reader, the oldest first."""
        with self._database.connect() as connection:
            return _store.load_attempts(connection, set_name=name, reader=reader)

    def waivers(self, name: str) -> list[Waiver]:
        """List who was let off a calibration."""
        with self._database.connect() as connection:
            return _store.load_waivers(connection, name)

    def waive(self, user: User, name: str, reader: str, reason: str) -> Waiver:
        """Let a reader off a calibration, with a reason.

        Raises
        ------
        BadSet
            Without a reason, for oneself, or for a set that is no calibration.
        """
        reason = reason.strip()
        if self.get(name).kind != CALIBRATION:
            raise BadSet("Nobody needs to be let off a teaching set.")
        if not reason or len(reason) > LONGEST_REASON:
            raise BadSet("Say why or what in words, and not in too many.")
        if reader == user.name:
            raise BadSet("Nobody lets oneself off a calibration.")
        waiver = Waiver(name, reader, reason, user.name, clock.now())
        with self._database.begin() as connection:
            _store.insert_waiver(connection, waiver)
            self._reveal_all(connection, name, reader)
            self._note(connection, user, "practice.waive", name, {"reader": reader, "reason": reason})
        return waiver

    def may_read(self, name: str, reader: str) -> bool:
        """Tell whether a reader passed a calibration, signed its reference, or was let off."""
        found = self.get(name)
        with self._database.connect() as connection:
            passed = any(
                item.is_passed for item in _store.load_attempts(connection, set_name=name, reader=reader)
            )
            return passed or reader == found.reference or bool(_store.load_waivers(connection, name, reader))

    # -- attempts, for their readers

    def open_attempt(self, reader: str, imaging_study_uid: str) -> str:
        """Return the attempt to which what a reader writes on an imaging study belongs, or nothing."""
        with self._database.connect() as connection:
            return _store.open_attempt(connection, reader, imaging_study_uid)

    def writer(self, user: User, imaging_study_uid: str) -> User:
        """Return under which name a person writes on an imaging study: the own, or that of an open attempt."""
        attempt_id = self.open_attempt(user.name, imaging_study_uid)
        return replace(user, name=f"{ATTEMPT_WRITER}{attempt_id}") if attempt_id else user

    def submit(self, user: User, imaging_study_uid: str, state: ReportState) -> Attempt:
        """Close a case of an attempt with the answers of its draft and score it; nothing is signed.

        Parameters
        ----------
        state
            The attempt's draft.

        Raises
        ------
        NotNow
            If no attempt is open on the images.
        IncompleteReport
        """
        attempt_id = self.open_attempt(user.name, imaging_study_uid)
        if not attempt_id:
            raise NotNow("No attempt is open on these images.")
        if state.problems:
            raise IncompleteReport("The report is not complete: the form shows what is missing or wrong.")
        attempt = self._attempt(attempt_id)
        found = self.get(attempt.set_name)
        case = found.case(imaging_study_uid)
        writer = replace(user, name=attempt.writer)
        items = state.report.items
        template, reference = self._reference(case)
        if template.canonical != state.report.template.canonical:
            raise NotNow(
                "The template has a newer version than the reference. Somebody has to make a new set."
            )
        score = score_answers(template, items, reference)
        score |= {"masks": mask_scores(self._archive, self._drawings, writer, case)}
        tried = next(item for item in attempt.cases if item.imaging_study_uid == imaging_study_uid)
        done = replace(
            tried,
            submitted_at=clock.now(),
            response=items_to_fhir(template, items),
            score=score,
            is_hidden=found.kind == CALIBRATION,
        )
        cases = tuple(done if item == tried else item for item in attempt.cases)
        references = {item.imaging_study_uid: self._reference(item) for item in found.cases}
        with self._database.begin() as connection:
            _store.submit(connection, done)
            details = {"attempt": attempt.number, "imaging_study": imaging_study_uid}
            self._note(connection, user, "practice.submit", found.name, details)
            if all(item.submitted_at for item in cases):
                self._end(connection, user, found, replace(attempt, cases=cases), references)
        return self._attempt(attempt_id)

    def shown(self, user: User, attempt_id: str, imaging_study_uid: str, *, plans: bool = False) -> Shown:
        """Return a submitted case, with the reference as far as it may be seen.

        Parameters
        ----------
        plans
            Whether the person runs reading lists, and may see the attempts of others.

        Raises
        ------
        NoSuchSet, NotNow
        """
        attempt = self._attempt(attempt_id)
        if attempt.reader != user.name and not plans:
            raise NoSuchSet("There is no such reference set.")
        tried = next((item for item in attempt.cases if item.imaging_study_uid == imaging_study_uid), None)
        if tried is None or not self._archive.is_readable(Pseudonym(tried.pseudonym)):
            raise NoSuchSet("There is no such case in this set.")
        if tried.submitted_at is None:
            raise NotNow("This case is not submitted yet.")
        found = self.get(attempt.set_name)
        template, reference = self._reference(found.case(imaging_study_uid))
        is_seen = not tried.is_hidden or attempt.reader != user.name
        own = items_of(template, tried.response)
        return Shown(found, attempt, tried, template, own, reference if is_seen else None)

    # -- inside

    def _begin(self, found: ReferenceSet, reader: str, number: int) -> Attempt:
        attempt_id = str(uuid.uuid4())

        def place(case: ReferenceCase) -> bytes:
            return hashlib.sha256(f"{attempt_id}/{case.imaging_study_uid}".encode()).digest()

        cases = tuple(
            TriedCase(attempt_id, case.imaging_study_uid, case.series_uid, case.pseudonym, position)
            for position, case in enumerate(sorted(found.cases, key=place))
        )
        return Attempt(attempt_id, found.name, reader, number, clock.now(), cases=cases)

    def _attempt(self, attempt_id: str) -> Attempt:
        with self._database.connect() as connection:
            found = _store.load_attempts(connection, attempt_id=attempt_id)
        if not found:
            raise NoSuchSet("There is no such reference set.")
        return found[0]

    def _end(
        self,
        connection: sa.Connection,
        user: User,
        found: ReferenceSet,
        attempt: Attempt,
        references: Mapping[str, tuple[Template, tuple[Answered, ...]]],
    ) -> None:
        answered = {}
        for tried in attempt.cases:
            template, reference = references[tried.imaging_study_uid]
            answered[tried.imaging_study_uid] = (items_of(template, tried.response), reference)
        score, is_passed = score_attempt(
            template, answered, [tried.score for tried in attempt.cases if tried.score], found.marks
        )
        _store.end(connection, attempt.attempt_id, clock.now(), score, is_passed=is_passed)
        if is_passed or found.kind == TEACHING:
            self._reveal_all(connection, found.name, attempt.reader)
        details = {"attempt": attempt.number, "passed": is_passed, "share": score["share"]}
        self._note(connection, user, "practice.end", found.name, details)

    def _reveal_all(self, connection: sa.Connection, name: str, reader: str) -> None:
        found = _store.load_attempts(connection, set_name=name, reader=reader)
        _store.reveal(connection, [item.attempt_id for item in found])

    def _reference(self, case: ReferenceCase) -> tuple[Template, tuple[Answered, ...]]:
        with self._database.connect() as connection:
            return reference_answers(connection, case)

    def _note(
        self, connection: sa.Connection, user: User, action: str, name: str, details: Mapping[str, Any]
    ) -> None:
        self._audit.append(
            connection,
            actor=user.name,
            actor_role=user.main_role,
            action=action,
            target=f"reference-set/{name}",
            details=dict(details),
        )

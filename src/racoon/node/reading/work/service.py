"""What one may ask of reading lists: assign, one's own work, blinding, progress."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from racoon.domain.identity import Pseudonym
from racoon.node.archive.model import SeriesFacts
from racoon.node.archive.service import Archive, masks_and_reports_on
from racoon.node.reading.drawing.service import stored_by, stored_by_others
from racoon.node.reading.reports.catalogue import newest_template, templates
from racoon.node.reading.reports.published import filed_by, filed_by_others, signed_versions
from racoon.node.reading.reports.table import rows_of
from racoon.node.reading.work import _events, _store
from racoon.node.reading.work._handing_over import hand_over
from racoon.node.reading.work.model import (
    ADJUDICATE,
    READ,
    Assignment,
    BadAssignment,
    NoSuchList,
    ReadingTask,
)
from racoon.node.reading.work.timing import SIGN, ReaderTime, reader_times
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.auth import User
from racoon.platform.auth.people import is_same_person
from racoon.platform.database import Database


def forget_subject(connection: sa.Connection, pseudonym: Pseudonym) -> int:
    """Remove the tasks on a subject; returns how many rows."""
    return _store.forget_subject(connection, pseudonym) + _events.forget_subject(connection, pseudonym)


def hidden_from(connection: sa.Connection, user_name: str) -> sa.Select[Any] | None:
    """Select the SOP Instance UIDs of what other readers stored and this one must not see yet.

    The archive asks this by its port wherever it gives something to a person.

    Returns
    -------
    sqlalchemy.Select or None
        None where the reader is blinded on nothing, so that nobody else pays for the question.
    """
    parts: list[sa.Select[Any]] = []
    to_readers, to_machines = _store.blindness(connection, user_name)
    if to_readers:
        studies = _store.blinded_studies(user_name)
        parts += [stored_by_others(connection, user_name, studies), filed_by_others(user_name, studies)]
    if to_machines:
        studies = _store.blinded_studies(user_name, to_machines=True)
        own = [stored_by(connection, user_name, studies), filed_by(user_name, studies)]
        but = sa.select(*sa.union_all(*own).subquery().c)
        parts.append(masks_and_reports_on(studies, but=but))
    if not parts:
        return None
    # As one sub-query: a union may not stand in IN on its own with every database.
    return sa.select(*sa.union_all(*parts).subquery().c)


def values_hidden_from(connection: sa.Connection, user_name: str) -> sa.Select[Any] | None:
    """Select the imaging studies of which a reader must see no automatic value: a protocol that blinds to machines.

    The archive asks this by its port for everything that gives measured values to a person.
    """
    if not _store.is_blinded(connection, user_name, to_machines=True):
        return None
    return _store.blinded_studies(user_name, to_machines=True)


def tasks_on(connection: sa.Connection, imaging_study_uid: str) -> list[ReadingTask]:
    """Return the tasks of every list and reader on an imaging study."""
    return _store.load(connection, imaging_study_uid=imaging_study_uid)


class Work:
    """Reading lists.

    Parameters
    ----------
    database, audit
        Where they and their audit entries are kept.
    archive
        What is read.
    """

    def __init__(self, database: Database, audit: AuditLog, archive: Archive) -> None:
        self._database = database
        self._audit = audit
        self._archive = archive

    def _check_people(self, assignment: Assignment) -> None:
        """Refuse a double reading by accounts of which nobody can tell that they are two people."""
        people = [*dict.fromkeys(assignment.readers), assignment.adjudicator]
        with self._database.connect() as connection:
            for one, other in itertools.combinations(filter(None, people), 2):
                if is_same_person("node", connection, one, other):
                    raise BadAssignment(
                        "Two of these accounts may be one person: one has a password, the other comes from an "
                        "identity provider. Give the cases to accounts of one kind."
                    )

    def assign(self, user: User, assignment: Assignment) -> int:
        """Give series to readers; tasks that are there already stay as they are.

        Returns
        -------
        int
            New tasks.

        Raises
        ------
        BadAssignment
        SeriesNotFound
        """
        if not assignment.readers or not assignment.series_uids or not assignment.list_name.strip():
            raise BadAssignment("A reading list needs a name, series and readers.")
        per_case = assignment.readers_per_case or len(assignment.readers)
        if per_case > len(assignment.readers):
            raise BadAssignment("There are fewer readers than each case needs.")
        if assignment.adjudicator and (per_case != 2 or assignment.adjudicator in assignment.readers):
            raise BadAssignment("A third person decides between exactly two readers.")
        self._check_people(assignment)
        with self._database.connect() as connection:
            newest_template(assignment.template_url, connection)
        facts = [self._archive.series_row(uid).facts for uid in assignment.series_uids]
        with self._database.begin() as connection:
            before = _store.load(connection, list_name=assignment.list_name.strip())
            rows = [
                ReadingTask(
                    list_name=assignment.list_name.strip(),
                    imaging_study_uid=fact.imaging_study_uid,
                    series_uid=fact.series_uid,
                    pseudonym=fact.pseudonym,
                    reader=reader,
                    template_url=assignment.template_url,
                    is_blinded=assignment.is_blinded,
                    priority=assignment.priority,
                    due_on=assignment.due_on,
                    position=_position(assignment.list_name, reader, fact.imaging_study_uid)
                    if assignment.is_random
                    else place,
                    duty=duty,
                    hides_machines=assignment.hides_machines,
                    protocol=assignment.protocol,
                    hides_names=assignment.hides_names,
                )
                for place, (fact, people) in enumerate(_shared_out(assignment, facts, per_case, before))
                for reader, duty in people
            ]
            added = _store.insert_missing(connection, rows)
            self._audit.append(
                connection,
                actor=user.name,
                actor_role=user.main_role,
                action="reading.assign",
                target=f"reading-list/{assignment.list_name.strip()}",
                details={
                    "readers": list(assignment.readers),
                    "adjudicator": assignment.adjudicator,
                    "imaging_studies": len(facts),
                    "added": added,
                },
            )
        return added

    def mine(self, user: User) -> list[ReadingTask]:
        """List the reader's tasks in the order they are to be read."""
        with self._database.connect() as connection:
            found = _store.load(connection, reader=user.name)
            waiting = _store.waiting_cases(connection, user.name)
        return [
            replace(
                task,
                is_waiting=task.duty == ADJUDICATE and (task.list_name, task.imaging_study_uid) in waiting,
            )
            for task in found
            if self._archive.is_readable(task.pseudonym)
        ]

    def task_of(self, user: User, imaging_study_uid: str, list_name: str = "") -> ReadingTask | None:
        """Return what a reader is asked on an imaging study: in the list that is named, else what is open."""
        found = [task for task in self.mine(user) if task.imaging_study_uid == imaging_study_uid]
        named = [task for task in found if task.list_name == list_name]
        return next(iter(named), None) or next((task for task in found if task.done_at is None), None)

    def close(self, connection: sa.Connection, user: User, imaging_study_uid: str, template_url: str) -> None:
        """Mark the reader's tasks as done, in the transaction that signs the report."""
        for task in _store.load(connection, reader=user.name, imaging_study_uid=imaging_study_uid):
            if task.template_url == template_url and task.done_at is None:
                _events.note(connection, task, SIGN, clock.now())
        _store.close(connection, user.name, imaging_study_uid, template_url, clock.now())

    def note(self, user: User, imaging_study_uid: str, kind: str, list_name: str = "") -> None:
        """Note that a reader opened a case or works on it; nothing where none of the reader's tasks is open there."""
        task = self.task_of(user, imaging_study_uid, list_name)
        if task is None or task.done_at is not None or task.is_waiting:
            return
        with self._database.begin() as connection:
            _events.note(connection, task, kind, clock.now())

    def times(self, list_name: str) -> list[ReaderTime]:
        """Return how long the cases of a list took each reader who signed one.

        Raises
        ------
        NoSuchList
        """
        self.tasks(list_name)
        with self._database.connect() as connection:
            return reader_times(_events.load(connection, list_name))

    def is_blinded(self, user: User, imaging_study_uid: str) -> bool:
        """Tell whether a user must see nothing of other readers on an imaging study.

        That is so for a reader of a blinded list until every reader of the list is done with the case.
        """
        with self._database.connect() as connection:
            return _store.is_blinded(connection, user.name, imaging_study_uid)

    def is_blinded_to_machines(self, user: User, imaging_study_uid: str) -> bool:
        """Tell whether no stored mask of anybody else is shown to a user on an imaging study."""
        with self._database.connect() as connection:
            return _store.is_blinded(connection, user.name, imaging_study_uid, to_machines=True)

    def is_blinded_on_any(self, user: User, imaging_study_uids: Collection[str]) -> bool:
        """Tell whether a user is blinded to other readers, or to machines, on one of some imaging studies."""
        with self._database.connect() as connection:
            to_readers, to_machines = _store.blindness(connection, user.name)
            kinds = [kind for kind, is_so in ((False, to_readers), (True, to_machines)) if is_so]
            return any(
                _store.is_blinded(connection, user.name, uid, to_machines=kind)
                for kind in kinds
                for uid in imaging_study_uids
            )

    def tasks_of_case(self, imaging_study_uid: str) -> list[ReadingTask]:
        """List the tasks of every list and reader on an imaging study."""
        with self._database.connect() as connection:
            return tasks_on(connection, imaging_study_uid)

    def names(self) -> list[str]:
        """List the names of all reading lists."""
        with self._database.connect() as connection:
            return _store.list_names(connection)

    def hand_over(
        self, user: User, list_name: str, imaging_study_uid: str, reader: str, to: str
    ) -> dict[str, int]:
        """Give an unfinished case to another reader, with the draft, drawings and marks that were begun.

        Raises
        ------
        NoSuchTask, CannotHandOver
        """
        with self._database.begin() as connection:
            moved = hand_over(connection, list_name, imaging_study_uid, reader, to)
            self._audit.append(
                connection,
                actor=user.name,
                actor_role=user.main_role,
                action="reading.hand_over",
                target=f"reading-list/{list_name}",
                details={"imaging_study": imaging_study_uid, "from": reader, "to": to, **moved},
            )
        return moved

    def progress(self, list_name: str) -> dict[str, tuple[int, int]]:
        """Count done and all tasks of each reader.

        Raises
        ------
        NoSuchList
        """
        found = self._readings(list_name)
        counts: dict[str, tuple[int, int]] = {}
        for task in found:
            done, total = counts.get(task.reader, (0, 0))
            counts[task.reader] = done + (task.done_at is not None), total + 1
        return dict(sorted(counts.items()))

    def answers(self, user: User, list_name: str) -> list[dict[str, Any]]:
        """Return what the people of a list signed last, one row per answer; audited.

        Raises
        ------
        NoSuchList
        """
        found = self.tasks(list_name)
        duties = {(task.reader, task.imaging_study_uid): task.duty for task in found}
        studies = sorted({task.imaging_study_uid for task in found})
        with self._database.begin() as connection:
            signed = signed_versions(connection, found[0].template_url, studies)
            forms = templates(connection)
            rows = [
                row
                for version in signed
                if (duty := duties.get((version.author, version.imaging_study_uid)))
                for row in rows_of(version, forms, list_name=list_name, duty=duty)
            ]
            self._audit.append(
                connection,
                actor=user.name,
                actor_role=user.main_role,
                action="reading.export",
                target=f"reading-list/{list_name}",
                details={"rows": len(rows)},
            )
        return rows

    def _readings(self, list_name: str) -> list[ReadingTask]:
        return [task for task in self.tasks(list_name) if task.duty == READ]

    def tasks(self, list_name: str) -> list[ReadingTask]:
        """List all tasks of a list.

        Raises
        ------
        NoSuchList
        """
        with self._database.connect() as connection:
            found = _store.load(connection, list_name=list_name)
        found = [task for task in found if self._archive.is_readable(task.pseudonym)]
        if not found:
            raise NoSuchList("There is no such reading list.")
        return found


def _shared_out(
    assignment: Assignment, facts: Sequence[SeriesFacts], per_case: int, before: Sequence[ReadingTask]
) -> list[tuple[SeriesFacts, list[tuple[str, str]]]]:
    """Say who gets each case: whoever has least, and among equals a draw that is the same whenever it is made."""
    held = dict.fromkeys(assignment.readers, 0)
    known = set()
    for task in before:
        known.add(task.imaging_study_uid)
        if task.reader in held and task.duty == READ:
            held[task.reader] += 1
    found = []
    for fact in facts:
        uid = fact.imaging_study_uid
        if uid in known and per_case < len(assignment.readers):
            continue
        draw = {reader: _position(f"{assignment.list_name}/draw", reader, uid) for reader in held}
        order = sorted(assignment.readers, key=lambda reader, draw=draw: (held[reader], draw[reader]))  # type: ignore[misc] # a default binds the loop's value
        people = [(reader, READ) for reader in order[:per_case]]
        for reader, _ in people:
            held[reader] += 1
        if assignment.adjudicator:
            people.append((assignment.adjudicator, ADJUDICATE))
        found.append((fact, people))
    return found


def _position(list_name: str, reader: str, imaging_study_uid: str) -> int:
    """Give a place in a reader's own order, random and the same whenever it is asked for."""
    digest = hashlib.sha256(f"{list_name}/{reader}/{imaging_study_uid}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1

"""What one may ask of queries: those of a report, answering, raising, closing, keeping step with edit checks."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa

from racoon.domain.identity import Pseudonym
from racoon.domain.questionnaire import Problem
from racoon.node.archive.service import Archive
from racoon.node.reading.queries import _store
from racoon.node.reading.queries.model import (
    ANSWERED,
    CLOSED,
    EDIT_CHECK,
    LONGEST,
    OPEN,
    BadQuery,
    OpenQueries,
    Query,
    QueryClosed,
    QueryNotFound,
)
from racoon.node.reading.reports.catalogue import newest_template
from racoon.node.reading.reports.published import subject_of
from racoon.node.reading.work.model import ReadingTask
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.auth import User
from racoon.platform.database import Database


def forget_subject(connection: sa.Connection, pseudonym: Pseudonym) -> int:
    """Remove the queries on a subject; returns how many rows."""
    return _store.forget_subject(connection, pseudonym)


def require_no_open(
    connection: sa.Connection, reader: str, imaging_study_uid: str, template_url: str
) -> None:
    """Refuse to sign a report whose edit checks still ask something; called in the transaction of the signature.

    Raises
    ------
    OpenQueries
    """
    found = _store.of_report(connection, imaging_study_uid, reader, template_url)
    if any(item.state == OPEN and item.check_key for item in found):
        raise OpenQueries("A check asks something at a question: change the answer, or answer what is asked.")


class Queries:
    """Queries at fields of reports.

    Parameters
    ----------
    database, audit
        Where they and their audit entries are kept.
    archive
        What the reports are about.
    """

    def __init__(self, database: Database, audit: AuditLog, archive: Archive) -> None:
        self._database = database
        self._audit = audit
        self._archive = archive

    def follow(
        self, user: User, imaging_study_uid: str, template_url: str, doubts: Sequence[Problem]
    ) -> list[Query]:
        """Let the edit checks ask what they doubt now, and take back what they do not doubt any more.

        Returns
        -------
        list of Query
            All queries of the report.
        """
        wanted = {(doubt.path, doubt.check) for doubt in doubts}
        with self._database.connect() as connection:
            found = _store.of_report(connection, imaging_study_uid, user.name, template_url)
        asked = {
            (item.path, item.check_key): item for item in found if item.check_key and item.state != CLOSED
        }
        if set(asked) == wanted:
            return found
        pseudonym = subject_of(self._archive, imaging_study_uid)
        now = clock.now()
        with self._database.begin() as connection:
            for path, key in sorted(wanted - set(asked)):
                query = Query(
                    str(uuid.uuid4()), imaging_study_uid, user.name, template_url, str(pseudonym), path, key, "",
                    EDIT_CHECK, now,
                )  # fmt: skip
                _store.insert(connection, query)
                self._record(connection, user, "query.raise", query)
            for place in sorted(set(asked) - wanted):
                closed = replace(asked[place], state=CLOSED, closed_by=EDIT_CHECK, closed_at=now)
                _store.save(connection, closed)
                self._record(connection, user, "query.close", closed)
            return _store.of_report(connection, imaging_study_uid, user.name, template_url)

    def of_report(self, user: User, imaging_study_uid: str, template_url: str) -> list[Query]:
        """List the queries of an own report, the oldest first."""
        with self._database.connect() as connection:
            return _store.of_report(connection, imaging_study_uid, user.name, template_url)

    def all(self) -> list[Query]:
        """List the queries at every report here, the newest first."""
        with self._database.connect() as connection:
            found = _store.load_all(connection)
        return [item for item in found if self._archive.is_readable(Pseudonym(item.pseudonym))]

    def answer(self, user: User, query_id: str, text: str, *, reader: str = "") -> Query:
        """Answer a query at an own report.

        Parameters
        ----------
        reader
            Whose report it is where somebody enters the answer for its reader; the audit names who entered it.

        Raises
        ------
        QueryNotFound, QueryClosed, BadQuery
        """
        text = _checked(text)
        with self._database.begin() as connection:
            query = self._readable(connection, query_id)
            if query.reader != (reader or user.name):
                raise QueryNotFound("There is no such query.")
            if query.state == CLOSED:
                raise QueryClosed("This query is closed and needs no answer.")
            answered = replace(query, state=ANSWERED, answer=text, answered_at=clock.now())
            _store.save(connection, answered)
            self._record(connection, user, "query.answer", answered)
        return answered

    def raise_query(self, user: User, task: ReadingTask, path: str, text: str) -> Query:
        """Ask a reader something at a question of a report.

        Raises
        ------
        BadQuery
        """
        text = _checked(text)
        link_id = path.rpartition("/")[2].partition("[")[0]
        with self._database.connect() as connection:
            template = newest_template(task.template_url, connection)
        if not any(item.link_id == link_id and item.is_question for item in template.walk()):
            raise BadQuery("The template has no such question.")
        query = Query(
            str(uuid.uuid4()), task.imaging_study_uid, task.reader, task.template_url, str(task.pseudonym), path, "",
            text, user.name, clock.now(),
        )  # fmt: skip
        with self._database.begin() as connection:
            _store.insert(connection, query)
            self._record(connection, user, "query.raise", query)
        return query

    def close(self, user: User, query_id: str) -> Query:
        """Close a query, answered or not.

        Raises
        ------
        QueryNotFound, QueryClosed
        """
        with self._database.begin() as connection:
            query = self._readable(connection, query_id)
            if query.state == CLOSED:
                raise QueryClosed("This query is closed already.")
            if query.check_key:
                raise QueryClosed("A question of an edit check closes with the answers themselves.")
            closed = replace(query, state=CLOSED, closed_by=user.name, closed_at=clock.now())
            _store.save(connection, closed)
            self._record(connection, user, "query.close", closed)
        return closed

    def of_tasks(self, tasks: Sequence[ReadingTask]) -> list[Query]:
        """List the queries of the reports of some tasks, the newest first."""
        if not tasks:
            return []
        readers = {(task.reader, task.imaging_study_uid) for task in tasks}
        studies = sorted({task.imaging_study_uid for task in tasks})
        with self._database.connect() as connection:
            found = _store.of_studies(connection, studies, tasks[0].template_url)
        return [item for item in found if (item.reader, item.imaging_study_uid) in readers]

    def _readable(self, connection: sa.Connection, query_id: str) -> Query:
        query = _store.load(connection, query_id)
        if query is None or not self._archive.is_readable(Pseudonym(query.pseudonym)):
            raise QueryNotFound("There is no such query.")
        return query

    def _record(self, connection: sa.Connection, user: User, action: str, query: Query) -> None:
        self._audit.append(
            connection,
            actor=user.name,
            actor_role=user.main_role,
            action=action,
            target=f"query/{query.query_id}",
            details={
                "imaging_study": query.imaging_study_uid,
                "pseudonym": query.pseudonym,
                "reader": query.reader,
                "path": query.path,
                "check": query.check_key,
            },
        )


def _checked(text: str) -> str:
    text = text.strip()
    if not text or len(text) > LONGEST:
        raise BadQuery("Say it in words, and not in too many.")
    return text

"""Words of queries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from racoon.domain.questionnaire import Template
from racoon.errors import Defect, Refused

OPEN, ANSWERED, CLOSED = "open", "answered", "closed"

EDIT_CHECK = "edit check"
"""Who asks, where no person does."""

LONGEST = 500


class QueryNotFound(Refused):
    """There is no such query, or it is another reader's."""

    code = "reading.query_not_found"
    status = 404


class QueryClosed(Refused):
    """A closed query is not answered."""

    code = "reading.query_closed"
    status = 409


class OpenQueries(Defect):
    """A report whose edit checks still ask something is not signed."""

    code = "reading.open_queries"


class BadQuery(Defect):
    """A query or an answer without words, with too many, or at no question of the template."""

    code = "reading.bad_query"


@dataclass(frozen=True)
class Query:
    """One question at a field.

    Parameters
    ----------
    path
        Of the question in the form.
    check_key
        The edit check that asks, or empty for a monitor; then ``text`` is the question.
    state
        :data:`OPEN`, :data:`ANSWERED` or :data:`CLOSED`.
    """

    query_id: str
    imaging_study_uid: str
    reader: str
    template_url: str
    pseudonym: str
    path: str
    check_key: str
    text: str
    raised_by: str
    raised_at: datetime
    state: str = OPEN
    answer: str = ""
    answered_at: datetime | None = None
    closed_by: str = ""
    closed_at: datetime | None = None

    def said(self, template: Template, language: str) -> str:
        """Return the question in a language; a monitor's stays as it was written."""
        for item in template.walk():
            for check in item.checks:
                if self.check_key and check.key == self.check_key:
                    return check.words.in_language(language)
        return self.text

    def to_dict(self, template: Template, language: str) -> dict[str, Any]:
        """Return the JSON form."""
        link_id = self.path.rpartition("/")[2].partition("[")[0]
        item = next((item for item in template.walk() if item.link_id == link_id), None)
        return {
            "id": self.query_id,
            "imaging_study": self.imaging_study_uid,
            "pseudonym": self.pseudonym,
            "reader": self.reader,
            "path": self.path,
            "question": item.words.in_language(language) if item else self.path,
            "text": self.said(template, language),
            "raised_by": self.raised_by,
            "raised_at": self.raised_at.isoformat(),
            "state": self.state,
            "answer": self.answer,
            "answered_at": self.answered_at.isoformat() if self.answered_at else None,
            "closed_by": self.closed_by,
        }

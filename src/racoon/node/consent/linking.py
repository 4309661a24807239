"""Who may be linked with other sites for a study: both documents of the data and of the person have to allow it."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from racoon.domain.consent import Purpose, Question, decide
from racoon.domain.identity import Pseudonym
from racoon.node.consent import _store
from racoon.node.consent.model import EVERYTHING, fresh_documents
from racoon.platform import clock


def linkable(connection: sa.Connection, study_id: str, subjects: Collection[Pseudonym]) -> set[Pseudonym]:
    """Return the subjects whose record linkage across sites is permitted for a study.

    Parameters
    ----------
    connection
        Open connection.
    study_id
        The study that asks; a legal basis that the site recorded for it counts too.
    subjects
        Who is asked about.
    """
    now = clock.now()
    today = now.astimezone().date()
    blocked = _store.load_blocks(connection, subjects)
    documents = _store.load_documents(connection, subjects)
    bases = [item.rule() for item in _store.load_bases(connection, study_id, only_open=True)]
    found = set()
    for subject in subjects:
        known = documents.get(subject, [])
        papers = fresh_documents(known, now)
        born = min((entry.born for entry in known if entry.born), default=None)
        # A person is linked, not an image: the day on which the newest paper was signed stands for the data.
        signed = max((paper.given for paper in papers), default=today)
        question = Question(signed, today, purpose=Purpose.LINKAGE, study=study_id, born=born)
        is_blocked = bool(blocked.get(subject, set()) & {EVERYTHING, study_id})
        if not is_blocked and decide(question, papers, bases).is_permitted:
            found.add(subject)
    return found

"""Which template a report is written with where no reading list says so."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from racoon.node.reading.reports import _store

DEFAULT_TEMPLATE = "urn:racoon:questionnaire:thorax-short"
"""Template of an examination that no row of the table fits."""

BY_BODY_PART: Mapping[str, str] = {
    "HEAD": "urn:racoon:questionnaire:neuro",
    "BRAIN": "urn:racoon:questionnaire:neuro",
    "SKULL": "urn:racoon:questionnaire:neuro",
    "HEART": "urn:racoon:questionnaire:cardio",
}
"""Template that a new report is begun with by Body Part Examined (0018,0015); the reader may choose another."""


def begun_with(connection: sa.Connection, imaging_study_uid: str, author: str, body_part: str) -> str:
    """Return the address of the template of the author's latest report on an imaging study, else by body part."""
    latest = _store.latest_template(connection, imaging_study_uid, author)
    return latest or BY_BODY_PART.get(body_part.upper(), DEFAULT_TEMPLATE)

"""A begun report goes with its case to another reader."""

from __future__ import annotations

import sqlalchemy as sa

from racoon.node.reading.reports import _store


def hand_over(
    connection: sa.Connection, imaging_study_uid: str, template_url: str, author: str, to: str
) -> int:
    """Give the draft of a report to another reader who has begun none; returns how many, 0 or 1."""
    begun = _store.load(connection, imaging_study_uid, author, template_url)
    is_there = _store.load(connection, imaging_study_uid, to, template_url) is not None
    if begun is None or is_there or begun.signed_at is not None or begun.amending:
        return 0
    _store.give(connection, begun.report_id, to, begun.response | {"author": {"display": to}})
    return 1

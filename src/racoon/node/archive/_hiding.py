"""Objects that exist and that a person must not see yet, such as another reader's marks in a blinded reading.

The archive does not know why: a room fills the port, and every search and every retrieval asks it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from racoon.node.archive import _store

Hidden = sa.Select[Any]
"""Selects SOP Instance UIDs that are to be left out; a statement, so that a page of results stays full."""

HiddenFrom = Callable[[sa.Connection, str], Hidden | None]
"""Port: from whom (name of a user) what is hidden now; None where nothing is.

A second port of this form selects imaging studies instead: those whose automatic values a person must not see."""


def no_values_are_hidden(_connection: sa.Connection, _user_name: str) -> Hidden | None:
    """Hide no measured values: for an archive whose users are not readers."""
    return None


def nothing_is_hidden(_connection: sa.Connection, _user_name: str) -> Hidden | None:
    """Hide nothing: for an archive whose users are not readers."""
    return None


def shows_instance(hidden: Hidden) -> sa.ColumnElement[bool]:
    """Condition of a statement on the table of instances."""
    return _store.instances.c.sop_instance_uid.not_in(hidden)


def shows_series(hidden: Hidden) -> sa.ColumnElement[bool]:
    """Condition of a statement on the table of series: one that holds a hidden object is hidden with it.

    What a reader makes has series of its own; an empty shell of one would tell that the other has drawn.
    """
    # An alias: the statement around may join the instances itself, and must not be correlated to.
    other = sa.alias(_store.instances)
    return _store.series.c.id.not_in(sa.select(other.c.series_id).where(other.c.sop_instance_uid.in_(hidden)))

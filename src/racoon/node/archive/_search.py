"""Compiles QIDO-RS queries to SQL (PS3.18 section 10.6).

Attributes that can be matched are columns; the others of a series come from its metadata blob when a client
asks for them.  A page never has more than :data:`MAXIMUM_RESULTS` results, whatever the client asks for.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from racoon.domain.identity import Pseudonym
from racoon.node.archive import _store
from racoon.node.archive._conditions import (
    COLUMNS,
    CONTAINING,
    INSTANCE,
    SERIES,
    STUDY,
    Parameters,
    Shape,
    condition_of,
)
from racoon.node.archive._documents import Layout, Level, layout_of, line_of, lines_with_blobs
from racoon.node.archive._hiding import Hidden, shows_instance, shows_series
from racoon.node.archive.access import GRANTED, Restriction
from racoon.node.archive.model import ReadableAmong
from racoon.platform.prepared import PreparedSelect
from racoon.standards.dicomweb.dicom_json import JsonDataset
from racoon.standards.dicomweb.query import Query

MAXIMUM_RESULTS = 1000
DEFAULT_RESULTS = 200

_UNASKED = frozenset({"PatientBirthDate", "ConvolutionKernel", "ManufacturerModelName"})
"""Columns that are returned only when asked for; the defaults are those of PS3.18 tables 10.6.3-3 to -5."""


@dataclass(frozen=True)
class Scope:
    """UIDs in the path of a request; empty where the path has none."""

    imaging_study_uid: str = ""
    series_uid: str = ""


SHAPES = 256
"""Shapes of questions whose statements are kept; a viewer asks in about ten."""

COUNTED_RESULTS = 1000
"""Further results are counted up to this number and called "more than" beyond it."""


@dataclass(frozen=True)
class Page:
    """One page of results.

    Parameters
    ----------
    lines
        DICOM JSON data sets, each as its text.
    more
        Results behind this page; :data:`COUNTED_RESULTS` + 1 means that many or more.
    """

    lines: list[str]
    more: int = 0

    def documents(self) -> Iterator[JsonDataset]:
        """Read the data sets."""
        yield from map(json.loads, self.lines)


def search(
    connection: sa.Connection,
    level: Level,
    scope: Scope,
    query: Query,
    readable_among: ReadableAmong,
    base_url: str,
    *,
    hidden: Hidden | None,
    restriction: Restriction | None = None,
) -> Page:
    """Run a query.

    Parameters
    ----------
    connection
        Reading transaction.
    level
        What to return.
    scope
        Restriction by path.
    query
        Restriction by query string.
    readable_among
        Rows of subjects that it leaves out are left out.
    base_url
        Address of the DICOMweb root, for ``RetrieveURL``.
    hidden
        What the user must not see yet (``Archive.hidden_from``).
    restriction
        Imaging studies that the user's rights leave (``ImageAccess.restriction``).

    Returns
    -------
    Page
        DICOM JSON data sets, and how many more there are.
    """
    prepared = _prepare(
        level,
        bool(scope.imaging_study_uid),
        bool(scope.series_uid),
        _ALL if query.include_all else query.include,
        tuple(map(Shape.of, query.matches)),
        restriction is not None,
        connection.dialect.name,
    )
    limit = min(DEFAULT_RESULTS if query.limit is None else query.limit, MAXIMUM_RESULTS)
    # One more than asked for tells whether there are others, without counting them.
    values = {
        "study": scope.imaging_study_uid,
        "series": scope.series_uid,
        "most": limit + 1,
        "skipped": query.offset,
        "behind": query.offset + limit,
        **(restriction.parameters if restriction else {}),
    }
    for match, parameters in zip(query.matches, prepared.parameters, strict=True):
        values |= parameters.values_for(match.values)
    page, rest = prepared.page, prepared.rest
    if hidden is not None and level is not Level.STUDY:
        page, rest = _page_and_rest(level, _showing(prepared.all, level, hidden))
    rows = page.rows(connection, values)
    more = int(rest.scalars(connection, values)[0]) if len(rows) > limit else 0
    readable = readable_among(connection, {Pseudonym(row.scope_pseudonym) for row in rows[:limit]})
    found = [row for row in rows[:limit] if row.scope_pseudonym in readable]
    lines = [line_of(row, level, prepared.layout, base_url) for row in found]
    if query.include_all or query.include - prepared.returned:
        lines = lines_with_blobs(connection, found, lines, level, query)
    return Page(lines, more)


_ALL = None
"""Instead of the attributes a client wants: all of them."""


@dataclass(frozen=True)
class _Prepared:
    """Statements for all questions of one shape.

    Parameters
    ----------
    all
        All rows that match.
    page, rest
        A page of them, and how many are behind it.
    parameters
        Of each restriction.
    layout
        What each result is made of.
    returned
        Keywords of the attributes among the columns.
    """

    all: sa.Select[Any]
    page: PreparedSelect
    rest: PreparedSelect
    parameters: tuple[Parameters, ...]
    layout: Layout
    returned: frozenset[str]


@functools.lru_cache(maxsize=SHAPES)
def _prepare(
    level: Level,
    in_study: bool,
    in_series: bool,
    include: frozenset[str] | None,
    shapes: tuple[Shape, ...],
    is_restricted: bool,
    dialect: str,
) -> _Prepared:
    returned = _returned_columns(level, in_study, in_series, include)
    statement = _select(level, [column.label(keyword) for keyword, column in returned.items()])
    if in_study:
        statement = statement.where(STUDY.imaging_study_uid == sa.bindparam("study"))
    if in_series:
        statement = statement.where(SERIES.series_uid == sa.bindparam("series"))
    if is_restricted:
        statement = statement.where(GRANTED)
    parameters = tuple(Parameters(place) for place in range(len(shapes)))
    for shape, own in zip(shapes, parameters, strict=True):
        statement = statement.where(condition_of(level, shape, own, dialect))
    return _Prepared(
        statement,
        *_page_and_rest(level, statement),
        parameters,
        layout_of(returned),
        frozenset(returned),
    )


def _page_and_rest(level: Level, statement: sa.Select[Any]) -> tuple[PreparedSelect, PreparedSelect]:
    """Cut a page out of a statement, and count what lies behind it, up to a limit: a client wants to know whether to go
    on, not a census.
    """
    order = _order(level)
    page = statement.order_by(*order).limit(sa.bindparam("most")).offset(sa.bindparam("skipped"))
    ids = statement.with_only_columns(*order[-1:], maintain_column_froms=True)
    behind = ids.limit(COUNTED_RESULTS + 1).offset(sa.bindparam("behind")).subquery()
    return PreparedSelect(page), PreparedSelect(sa.select(sa.func.count()).select_from(behind))


def _showing(statement: sa.Select[Any], level: Level, hidden: Hidden) -> sa.Select[Any]:
    shown = statement.where(shows_series(hidden))
    return shown.where(shows_instance(hidden)) if level is Level.INSTANCE else shown


def _order(level: Level) -> tuple[sa.Column[Any], ...]:
    if level is Level.INSTANCE:
        return (INSTANCE.series_id, INSTANCE.instance_number, INSTANCE.id)
    # Both ways to find series, by imaging study and by modality, have an index in this order: nothing is sorted.
    return (SERIES.study_id, SERIES.id) if level is Level.SERIES else (STUDY.id,)


def _select(level: Level, columns: Iterable[sa.ColumnElement[Any]]) -> sa.Select[Any]:
    always = [
        STUDY.pseudonym.label("scope_pseudonym"),
        STUDY.imaging_study_uid.label("scope_study_uid"),
        STUDY.modalities.label("scope_modalities"),
    ]
    source: sa.FromClause = _store.imaging_studies
    if level is not Level.STUDY:
        always += [SERIES.id.label("scope_series_id"), SERIES.series_uid.label("scope_series_uid")]
        source = source.join(_store.series, SERIES.study_id == STUDY.id)
    if level is Level.INSTANCE:
        always.append(INSTANCE.sop_instance_uid.label("scope_instance_uid"))
        source = source.join(_store.instances, INSTANCE.series_id == SERIES.id)
    return sa.select(*columns, *always).select_from(source)


def _returned_columns(
    level: Level,
    in_study: bool,
    in_series: bool,
    include: frozenset[str] | None,
) -> dict[str, sa.Column[Any]]:
    wanted: dict[str, sa.Column[Any]] = {}
    for containing in CONTAINING[level]:
        # Attributes of the levels above are defaults only where the path does not name them already
        # (10.6.3.3).
        is_default = (
            containing is level
            or (containing is Level.STUDY and not in_study)
            or (containing is Level.SERIES and not in_series)
        )
        for keyword, column in COLUMNS[containing].items():
            asked = include is _ALL or keyword in include
            if asked or (is_default and keyword not in _UNASKED):
                wanted[keyword] = column
    return wanted

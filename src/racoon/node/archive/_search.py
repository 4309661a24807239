"""Compiles QIDO-RS queries to SQL (PS3.18 section 10.6).

Attributes that can be matched are columns; the others of a series come from its metadata blob when a client
asks for them.  A page never has more than :data:`MAXIMUM_RESULTS` results, whatever the client asks for.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from racoon.domain.identity import Pseudonym
from racoon.node.archive import _store
from racoon.node.archive._documents import Level, add_from_blobs, document_of, layout_of
from racoon.node.archive._hiding import Hidden, shows_instance, shows_series
from racoon.standards.dicomweb.dicom_json import JsonDataset
from racoon.standards.dicomweb.query import (
    BadQuery,
    Match,
    MatchKind,
    Query,
    vr_of_path,
    wildcard_to_glob,
    wildcard_to_like,
)

MAXIMUM_RESULTS = 1000
DEFAULT_RESULTS = 200

_STUDY, _SERIES, _INSTANCE = _store.imaging_studies.c, _store.series.c, _store.instances.c


_COLUMNS: Mapping[Level, Mapping[str, sa.Column[Any]]] = {
    Level.STUDY: {
        "StudyDate": _STUDY.study_date,
        "StudyTime": _STUDY.study_time,
        "AccessionNumber": _STUDY.accession_number,
        "StudyDescription": _STUDY.description,
        "PatientName": _STUDY.patient_name,
        "PatientID": _STUDY.pseudonym,
        "PatientBirthDate": _STUDY.patient_birth_date,
        "PatientSex": _STUDY.sex,
        "StudyInstanceUID": _STUDY.imaging_study_uid,
        "StudyID": _STUDY.study_identifier,
        "NumberOfStudyRelatedSeries": _STUDY.series_count,
        "NumberOfStudyRelatedInstances": _STUDY.instance_count,
    },
    Level.SERIES: {
        "Modality": _SERIES.modality,
        "SeriesDescription": _SERIES.description,
        "SeriesInstanceUID": _SERIES.series_uid,
        "SeriesNumber": _SERIES.series_number,
        "SeriesDate": _SERIES.series_date,
        "SeriesTime": _SERIES.series_time,
        "BodyPartExamined": _SERIES.body_part,
        "Laterality": _SERIES.laterality,
        "ProtocolName": _SERIES.protocol_name,
        "PerformedProcedureStepStartDate": _SERIES.performed_date,
        "PerformedProcedureStepStartTime": _SERIES.performed_time,
        "Manufacturer": _SERIES.manufacturer,
        "ManufacturerModelName": _SERIES.model,
        "ConvolutionKernel": _SERIES.kernel,
        "NumberOfSeriesRelatedInstances": _SERIES.instance_count,
    },
    Level.INSTANCE: {
        "SOPClassUID": _INSTANCE.sop_class_uid,
        "SOPInstanceUID": _INSTANCE.sop_instance_uid,
        "InstanceNumber": _INSTANCE.instance_number,
        "Rows": _INSTANCE.rows,
        "Columns": _INSTANCE.columns,
        "NumberOfFrames": _INSTANCE.frame_count,
        "AvailableTransferSyntaxUID": _INSTANCE.transfer_syntax_uid,
    },
}

_CONTAINING = {
    Level.STUDY: (Level.STUDY,),
    Level.SERIES: (Level.SERIES, Level.STUDY),
    Level.INSTANCE: (Level.INSTANCE, Level.SERIES, Level.STUDY),
}

_UNASKED = frozenset({"PatientBirthDate", "ConvolutionKernel", "ManufacturerModelName"})
"""Columns that are returned only when asked for; the defaults are those of PS3.18 tables 10.6.3-3 to -5."""


@dataclass(frozen=True)
class Scope:
    """UIDs in the path of a request; empty where the path has none."""

    imaging_study_uid: str = ""
    series_uid: str = ""


COUNTED_RESULTS = 1000
"""Further results are counted up to this number and called "more than" beyond it."""


@dataclass(frozen=True)
class Page:
    """One page of results.

    Parameters
    ----------
    documents
        DICOM JSON data sets.
    more
        Results behind this page; :data:`COUNTED_RESULTS` + 1 means that many or more.
    """

    documents: list[JsonDataset]
    more: int = 0


def search(
    connection: sa.Connection,
    level: Level,
    scope: Scope,
    query: Query,
    is_readable: Callable[[Pseudonym], bool],
    base_url: str,
    *,
    hidden: Hidden | None,
    restriction: sa.ColumnElement[bool] | None = None,
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
    is_readable
        Rows of subjects it denies are left out.
    base_url
        Address of the DICOMweb root, for ``RetrieveURL``.
    hidden
        What the user must not see yet (``Archive.hidden_from``).
    restriction
        Condition on imaging studies that the user's rights add.

    Returns
    -------
    Page
        DICOM JSON data sets, and how many more there are.
    """
    returned = _returned_columns(level, scope, query)
    statement = _select(level, [column.label(keyword) for keyword, column in returned.items()])
    if scope.imaging_study_uid:
        statement = statement.where(_STUDY.imaging_study_uid == scope.imaging_study_uid)
    if scope.series_uid:
        statement = statement.where(_SERIES.series_uid == scope.series_uid)
    if restriction is not None:
        statement = statement.where(restriction)
    if hidden is not None and level is not Level.STUDY:
        statement = statement.where(shows_series(hidden))
    if hidden is not None and level is Level.INSTANCE:
        statement = statement.where(shows_instance(hidden))
    for match in query.matches:
        statement = statement.where(_condition(level, match, connection.dialect.name))
    limit = min(DEFAULT_RESULTS if query.limit is None else query.limit, MAXIMUM_RESULTS)
    # One more than asked for tells whether there are others, without counting them.
    rows = connection.execute(statement.order_by(*_order(level)).limit(limit + 1).offset(query.offset)).all()
    more = _count_more(connection, level, statement, query.offset + limit) if len(rows) > limit else 0
    asked = functools.cache(is_readable)
    found = [row for row in rows[:limit] if asked(Pseudonym(row.scope_pseudonym))]
    parts = layout_of(returned)
    documents = [document_of(row, level, parts, base_url) for row in found]
    if query.include_all or query.include - frozenset(returned):
        add_from_blobs(connection, found, documents, level, query)
    return Page(documents, more)


def _count_more(connection: sa.Connection, level: Level, statement: sa.Select[Any], skip: int) -> int:
    """Count what lies behind a page, up to a limit: a client wants to know whether to go on, not a census."""
    ids = statement.with_only_columns(*_order(level)[-1:], maintain_column_froms=True)
    rest = ids.limit(COUNTED_RESULTS + 1).offset(skip).subquery()
    return int(connection.execute(sa.select(sa.func.count()).select_from(rest)).scalar_one())


def _order(level: Level) -> tuple[sa.Column[Any], ...]:
    if level is Level.INSTANCE:
        return (_INSTANCE.series_id, _INSTANCE.instance_number, _INSTANCE.id)
    # Both ways to find series, by imaging study and by modality, have an index in this order: nothing is sorted.
    return (_SERIES.study_id, _SERIES.id) if level is Level.SERIES else (_STUDY.id,)


def _select(level: Level, columns: Iterable[sa.ColumnElement[Any]]) -> sa.Select[Any]:
    always = [
        _STUDY.pseudonym.label("scope_pseudonym"),
        _STUDY.imaging_study_uid.label("scope_study_uid"),
        _STUDY.modalities.label("scope_modalities"),
    ]
    source: sa.FromClause = _store.imaging_studies
    if level is not Level.STUDY:
        always += [_SERIES.id.label("scope_series_id"), _SERIES.series_uid.label("scope_series_uid")]
        source = source.join(_store.series, _SERIES.study_id == _STUDY.id)
    if level is Level.INSTANCE:
        always.append(_INSTANCE.sop_instance_uid.label("scope_instance_uid"))
        source = source.join(_store.instances, _INSTANCE.series_id == _SERIES.id)
    return sa.select(*columns, *always).select_from(source)


def _returned_columns(level: Level, scope: Scope, query: Query) -> dict[str, sa.Column[Any]]:
    wanted: dict[str, sa.Column[Any]] = {}
    for containing in _CONTAINING[level]:
        # Attributes of the levels above are defaults only where the path does not name them already
        # (10.6.3.3).
        is_default = (
            containing is level
            or (containing is Level.STUDY and not scope.imaging_study_uid)
            or (containing is Level.SERIES and not scope.series_uid)
        )
        for keyword, column in _COLUMNS[containing].items():
            asked = query.include_all or keyword in query.include
            if asked or (is_default and keyword not in _UNASKED):
                wanted[keyword] = column
    return wanted


_BLANKED = frozenset(
    {
        "ReferringPhysicianName",
        "RequestAttributesSequence.RequestedProcedureID",
        "RequestAttributesSequence.ScheduledProcedureStepID",
    }
)
"""Keys of PS3.18 tables 10.6.1-5 that no object here has a value of: they name people and orders."""

_IN_SEQUENCES: Mapping[str, Mapping[Level, sa.Column[Any]]] = {
    "ReferencedSeriesSequence.SeriesInstanceUID": {
        Level.SERIES: _SERIES.referenced_series_uid,
        Level.INSTANCE: _INSTANCE.referenced_series_uid,
    }
}
"""Attributes inside sequences that are columns: a viewer asks by them for what was drawn on a series."""

_SEGMENT_CODES = {
    "SegmentSequence.SegmentedPropertyTypeCodeSequence.CodeValue": 0,
    "SegmentSequence.SegmentedPropertyTypeCodeSequence.CodingSchemeDesignator": 1,
    "SegmentSequence.SegmentedPropertyTypeCodeSequence.CodeMeaning": 2,
}
"""Attributes inside sequences that are in a series' list of segment codes, and their place there."""


def _condition(level: Level, match: Match, dialect: str) -> sa.ColumnElement[bool]:
    if match.keyword in _BLANKED:
        return sa.false()
    if match.keyword in _IN_SEQUENCES and level in _IN_SEQUENCES[match.keyword]:
        return _compare(_IN_SEQUENCES[match.keyword][level], match, dialect)
    if match.keyword in _SEGMENT_CODES and level is not Level.STUDY:
        return _has_segment(_SEGMENT_CODES[match.keyword], match, dialect)
    if match.keyword == "ModalitiesInStudy" or (match.keyword == "Modality" and level is Level.STUDY):
        # A list, not a question for each imaging study: a rare modality must not cost a walk through all of them.
        other = _store.series.alias()
        found = sa.select(other.c.study_id).where(_compare(other.c.modality, match, dialect))
        return _STUDY.id.in_(found)
    for containing in _CONTAINING[level]:
        column = _COLUMNS[containing].get(match.keyword)
        if column is not None:
            return _compare(column, match, dialect)
    raise BadQuery(f"The attribute {match.keyword} cannot be searched for at this level.")


def _has_segment(place: int, match: Match, dialect: str) -> sa.ColumnElement[bool]:
    entry: sa.ColumnElement[Any]
    if dialect == "postgresql":
        entries = sa.func.jsonb_array_elements(sa.cast(_SERIES.segment_labels, postgresql.JSONB))
        entry = entries.column_valued("segment_entry")
        text = sa.func.jsonb_extract_path_text(entry, str(place))
    else:
        entry = sa.func.json_each(_SERIES.segment_labels).table_valued("value", name="segment_entry").c.value
        text = sa.func.json_extract(entry, f"$[{place}]")
    return (
        sa.exists().where(_SERIES.modality == "SEG", _compare(text, match, dialect)).correlate(_store.series)
    )


def _compare(column: sa.ColumnElement[Any], match: Match, dialect: str) -> sa.ColumnElement[bool]:
    is_number = isinstance(column.type, sa.Integer)
    if is_number and (match.kind is not MatchKind.EXACT or not _is_integer(match.values[0])):
        return sa.false()
    if match.kind is MatchKind.LIST:
        return column.in_(match.values)
    if match.kind is MatchKind.WILDCARD and dialect == "sqlite":
        # SQLite's LIKE forgets case, and with it the index of a text that begins without a wildcard.
        return column.op("GLOB", return_type=sa.Boolean())(wildcard_to_glob(match.values[0]))
    if match.kind is MatchKind.WILDCARD:
        return column.like(wildcard_to_like(match.values[0]), escape="\\")
    if match.kind is MatchKind.RANGE:
        low, high = match.values
        conditions = [column != ""]
        conditions += [column >= low] if low else []
        # A time of lower precision stands for its whole span: up to 1015 includes 10:15:59.
        conditions += [column <= high + "\uffff"] if high else []
        return sa.and_(*conditions)
    if vr_of_path(match.keyword) == "TM":
        # 101500 and 101500.000 are one time: zeros at the end only tell how it was measured.
        return sa.and_(column != "", sa.func.rtrim(column, "0.") == match.values[0].rstrip("0."))
    return column == (int(match.values[0]) if is_number else match.values[0])


def _is_integer(text: str) -> bool:
    digits = text.removeprefix("-").removeprefix("+")
    return digits.isascii() and digits.isdigit() and len(digits) <= 12

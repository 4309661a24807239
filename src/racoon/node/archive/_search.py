"""Compiles QIDO-RS queries to SQL and rows to DICOM JSON (PS3.18 section 10.6).

Attributes that can be matched are columns; the others of a series come from its metadata blob when a client
asks for them.  A page never has more than :data:`MAXIMUM_RESULTS` results, whatever the client asks for.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from pydicom.datadict import dictionary_VR

from racoon.domain.identity import Pseudonym
from racoon.node.archive import _store
from racoon.standards.dicomweb.dicom_json import JsonDataset, element, tag_key
from racoon.standards.dicomweb.query import BadQuery, Match, MatchKind, Query, wildcard_to_like

MAXIMUM_RESULTS = 1000
DEFAULT_RESULTS = 200

SEGMENT_SEPARATOR = "\\"

_STUDY, _SERIES, _INSTANCE = _store.imaging_studies.c, _store.series.c, _store.instances.c


class Level(StrEnum):
    """What a query returns."""

    STUDY = "study"
    SERIES = "series"
    INSTANCE = "instance"


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


def search(
    connection: sa.Connection,
    level: Level,
    scope: Scope,
    query: Query,
    is_readable: Callable[[Pseudonym], bool],
    base_url: str,
) -> list[JsonDataset]:
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

    Returns
    -------
    list of dict
        DICOM JSON data sets.
    """
    returned = _returned_columns(level, scope, query)
    statement = _select(level, [column.label(keyword) for keyword, column in returned.items()])
    if scope.imaging_study_uid:
        statement = statement.where(_STUDY.imaging_study_uid == scope.imaging_study_uid)
    if scope.series_uid:
        statement = statement.where(_SERIES.series_uid == scope.series_uid)
    for match in query.matches:
        statement = statement.where(_condition(level, match))
    limit = min(DEFAULT_RESULTS if query.limit is None else query.limit, MAXIMUM_RESULTS)
    rows = connection.execute(statement.order_by(*_order(level)).limit(limit).offset(query.offset)).all()
    found = [row for row in rows if is_readable(Pseudonym(row.scope_pseudonym))]
    documents = [_document(row, level, returned, base_url) for row in found]
    if level is not Level.STUDY and (query.include_all or query.include - frozenset(returned)):
        _add_from_blobs(connection, found, documents, level, query)
    return documents


def _order(level: Level) -> tuple[sa.Column[Any], ...]:
    if level is Level.INSTANCE:
        return (_INSTANCE.series_id, _INSTANCE.instance_number, _INSTANCE.id)
    return (_SERIES.id,) if level is Level.SERIES else (_STUDY.id,)


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


def _condition(level: Level, match: Match) -> sa.ColumnElement[bool]:
    if match.keyword == "ModalitiesInStudy" or (match.keyword == "Modality" and level is Level.STUDY):
        other = sa.alias(_store.series)
        return sa.exists().where(other.c.study_id == _STUDY.id, _compare(other.c.modality, match))
    for containing in _CONTAINING[level]:
        column = _COLUMNS[containing].get(match.keyword)
        if column is not None:
            return _compare(column, match)
    raise BadQuery(f"The attribute {match.keyword} cannot be searched for at this level.")


def _compare(column: sa.ColumnElement[Any], match: Match) -> sa.ColumnElement[bool]:
    is_number = isinstance(column.type, sa.Integer)
    if is_number and (match.kind is not MatchKind.EXACT or not _is_integer(match.values[0])):
        return sa.false()
    if match.kind is MatchKind.LIST:
        return column.in_(match.values)
    if match.kind is MatchKind.WILDCARD:
        return column.like(wildcard_to_like(match.values[0]), escape="\\")
    if match.kind is MatchKind.RANGE:
        low, high = match.values
        conditions = [column != ""]
        conditions += [column >= low] if low else []
        # A time of lower precision stands for its whole span: up to 1015 includes 10:15:59.
        conditions += [column <= high + "\uffff"] if high else []
        return sa.and_(*conditions)
    return column == (int(match.values[0]) if is_number else match.values[0])


def _is_integer(text: str) -> bool:
    digits = text.removeprefix("-").removeprefix("+")
    return digits.isascii() and digits.isdigit() and len(digits) <= 12


@functools.cache
def _key_and_vr(keyword: str) -> tuple[str, str]:
    """Look an attribute up once: the data dictionary would cost more than the whole statement."""
    return tag_key(keyword), dictionary_VR(keyword)


def _document(
    row: sa.Row[Any], level: Level, returned: Mapping[str, sa.Column[Any]], base_url: str
) -> JsonDataset:
    values = row._mapping
    document: JsonDataset = {}
    for keyword in returned:
        value = values[keyword]
        if keyword == "NumberOfFrames" and value == 1:
            continue
        key, vr = _key_and_vr(keyword)
        document[key] = element(vr, value)
    address = f"{base_url}/studies/{row.scope_study_uid}"
    if "StudyInstanceUID" in returned:
        found = [item for item in row.scope_modalities.split(SEGMENT_SEPARATOR) if item]
        document[_key_and_vr("ModalitiesInStudy")[0]] = element("CS", *found)
    if level is not Level.STUDY:
        address += f"/series/{row.scope_series_uid}"
    if level is Level.INSTANCE:
        address += f"/instances/{row.scope_instance_uid}"
    document[_key_and_vr("RetrieveURL")[0]] = element("UR", address)
    document[_key_and_vr("InstanceAvailability")[0]] = element("CS", "ONLINE")
    return dict(sorted(document.items()))


def _add_from_blobs(
    connection: sa.Connection,
    rows: list[sa.Row[Any]],
    documents: list[JsonDataset],
    level: Level,
    query: Query,
) -> None:
    """Add attributes that are no columns from the stored metadata: of the instance, or of the first of a
    series.
    """
    wanted = {tag_key(keyword) for keyword in query.include}
    stored: dict[int, dict[str, JsonDataset]] = {}
    for row, document in zip(rows, documents, strict=True):
        if row.scope_series_id not in stored:
            lines = _store.load_metadata_lines(connection, row.scope_series_uid)
            entries = (json.loads(line) for line in lines)
            stored = {row.scope_series_id: {entry["uid"]: entry["metadata"] for entry in entries}}
        instances = stored[row.scope_series_id]
        uid = row.scope_instance_uid if level is Level.INSTANCE else next(iter(instances), "")
        for key, value in instances.get(uid, {}).items():
            if (query.include_all and level is Level.INSTANCE) or key in wanted:
                document.setdefault(key, value)

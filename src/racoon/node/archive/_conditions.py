"""Conditions of QIDO-RS queries as SQL (PS3.18 section 8.3.4, PS3.4 section C.2.2.2).

A condition is made for the shape of a restriction, its values are parameters: a question that is asked again with other
values is neither built nor compiled again, which would cost more than its answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from racoon.node.archive import _store
from racoon.node.archive._documents import Level
from racoon.standards.dicomweb.query import (
    BadQuery,
    Match,
    MatchKind,
    vr_of_path,
    wildcard_to_glob,
    wildcard_to_like,
)

STUDY, SERIES, INSTANCE = _store.imaging_studies.c, _store.series.c, _store.instances.c


COLUMNS: Mapping[Level, Mapping[str, sa.Column[Any]]] = {
    Level.STUDY: {
        "StudyDate": STUDY.study_date,
        "StudyTime": STUDY.study_time,
        "AccessionNumber": STUDY.accession_number,
        "StudyDescription": STUDY.description,
        "PatientName": STUDY.patient_name,
        "PatientID": STUDY.pseudonym,
        "PatientBirthDate": STUDY.patient_birth_date,
        "PatientSex": STUDY.sex,
        "StudyInstanceUID": STUDY.imaging_study_uid,
        "StudyID": STUDY.study_identifier,
        "NumberOfStudyRelatedSeries": STUDY.series_count,
        "NumberOfStudyRelatedInstances": STUDY.instance_count,
    },
    Level.SERIES: {
        "Modality": SERIES.modality,
        "SeriesDescription": SERIES.description,
        "SeriesInstanceUID": SERIES.series_uid,
        "SeriesNumber": SERIES.series_number,
        "SeriesDate": SERIES.series_date,
        "SeriesTime": SERIES.series_time,
        "BodyPartExamined": SERIES.body_part,
        "Laterality": SERIES.laterality,
        "ProtocolName": SERIES.protocol_name,
        "PerformedProcedureStepStartDate": SERIES.performed_date,
        "PerformedProcedureStepStartTime": SERIES.performed_time,
        "Manufacturer": SERIES.manufacturer,
        "ManufacturerModelName": SERIES.model,
        "ConvolutionKernel": SERIES.kernel,
        "NumberOfSeriesRelatedInstances": SERIES.instance_count,
    },
    Level.INSTANCE: {
        "SOPClassUID": INSTANCE.sop_class_uid,
        "SOPInstanceUID": INSTANCE.sop_instance_uid,
        "InstanceNumber": INSTANCE.instance_number,
        "Rows": INSTANCE.rows,
        "Columns": INSTANCE.columns,
        "NumberOfFrames": INSTANCE.frame_count,
        "AvailableTransferSyntaxUID": INSTANCE.transfer_syntax_uid,
    },
}

CONTAINING = {
    Level.STUDY: (Level.STUDY,),
    Level.SERIES: (Level.SERIES, Level.STUDY),
    Level.INSTANCE: (Level.INSTANCE, Level.SERIES, Level.STUDY),
}

Values = tuple[str, ...]
"""Values of a restriction, as the client wrote them."""


@dataclass(frozen=True)
class Shape:
    """What of a restriction decides about the statement; all else are its parameters.

    Parameters
    ----------
    keyword, kind
        As in the restriction.
    given
        Of a range, which bounds it has.
    is_whole
        Whether its first value is a whole number that a column can hold.
    """

    keyword: str
    kind: MatchKind
    given: tuple[bool, ...]
    is_whole: bool

    @classmethod
    def of(cls, match: Match) -> Shape:
        """Return the shape of a restriction."""
        given = tuple(map(bool, match.values)) if match.kind is MatchKind.RANGE else ()
        return cls(match.keyword, match.kind, given, _is_integer(match.values[0]))


@dataclass
class Parameters:
    """Parameters of one condition: their names, and how each comes from the values of the restriction."""

    place: int
    readers: dict[str, Callable[[Values], Any]] = field(default_factory=dict)

    def new(self, read: Callable[[Values], Any], *, is_list: bool = False) -> sa.BindParameter[Any]:
        """Make one more."""
        name = f"match_{self.place}_{len(self.readers)}"
        self.readers[name] = read
        return sa.bindparam(name, expanding=is_list)

    def values_for(self, values: Values) -> dict[str, Any]:
        """Fill them."""
        return {name: read(values) for name, read in self.readers.items()}


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
        Level.SERIES: SERIES.referenced_series_uid,
        Level.INSTANCE: INSTANCE.referenced_series_uid,
    }
}
"""Attributes inside sequences that are columns: a viewer asks by them for what was drawn on a series."""

_SEGMENT_CODES = {
    "SegmentSequence.SegmentedPropertyTypeCodeSequence.CodeValue": 0,
    "SegmentSequence.SegmentedPropertyTypeCodeSequence.CodingSchemeDesignator": 1,
    "SegmentSequence.SegmentedPropertyTypeCodeSequence.CodeMeaning": 2,
}
"""Attributes inside sequences that are in a series' list of segment codes, and their place there."""


def condition_of(level: Level, shape: Shape, parameters: Parameters, dialect: str) -> sa.ColumnElement[bool]:
    """Write the condition of a restriction.

    Raises
    ------
    BadQuery
        If the attribute cannot be searched for at this level.
    """
    keyword = shape.keyword
    if keyword in _BLANKED:
        return sa.false()
    if keyword in _IN_SEQUENCES and level in _IN_SEQUENCES[keyword]:
        return _compare(_IN_SEQUENCES[keyword][level], shape, parameters, dialect)
    if keyword in _SEGMENT_CODES and level is not Level.STUDY:
        return _has_segment(_SEGMENT_CODES[keyword], shape, parameters, dialect)
    if keyword == "ModalitiesInStudy" or (keyword == "Modality" and level is Level.STUDY):
        # A list, not a question for each imaging study: a rare modality must not cost a walk through all of them.
        other = _store.series.alias()
        found = sa.select(other.c.study_id).where(_compare(other.c.modality, shape, parameters, dialect))
        return STUDY.id.in_(found)
    for containing in CONTAINING[level]:
        column = COLUMNS[containing].get(keyword)
        if column is not None:
            return _compare(column, shape, parameters, dialect)
    raise BadQuery(f"The attribute {keyword} cannot be searched for at this level.")


def _has_segment(place: int, shape: Shape, parameters: Parameters, dialect: str) -> sa.ColumnElement[bool]:
    entry: sa.ColumnElement[Any]
    if dialect == "postgresql":
        entries = sa.func.jsonb_array_elements(sa.cast(SERIES.segment_labels, postgresql.JSONB))
        entry = entries.column_valued("segment_entry")
        text = sa.func.jsonb_extract_path_text(entry, str(place))
    else:
        entry = sa.func.json_each(SERIES.segment_labels).table_valued("value", name="segment_entry").c.value
        text = sa.func.json_extract(entry, f"$[{place}]")
    compared = _compare(text, shape, parameters, dialect)
    return sa.exists().where(SERIES.modality == "SEG", compared).correlate(_store.series)


def _compare(
    column: sa.ColumnElement[Any], shape: Shape, parameters: Parameters, dialect: str
) -> sa.ColumnElement[bool]:
    is_number = isinstance(column.type, sa.Integer)
    if is_number:
        if shape.kind is not MatchKind.EXACT or not shape.is_whole:
            return sa.false()
        return column == parameters.new(_whole_number)
    if shape.kind is MatchKind.LIST:
        return column.in_(parameters.new(list, is_list=True))
    if shape.kind is MatchKind.WILDCARD and dialect == "sqlite":
        # SQLite's LIKE forgets case, and with it the index of a text that begins without a wildcard.
        return column.op("GLOB", return_type=sa.Boolean())(parameters.new(_glob))
    if shape.kind is MatchKind.WILDCARD:
        return column.like(parameters.new(_like), escape="\\")
    if shape.kind is MatchKind.RANGE:
        low, high = shape.given
        conditions = [column != ""]
        conditions += [column >= parameters.new(_first)] if low else []
        conditions += [column <= parameters.new(_whole_span)] if high else []
        return sa.and_(*conditions)
    if vr_of_path(shape.keyword) == "TM":
        # 101500 and 101500.000 are one time: zeros at the end only tell how it was measured.
        return sa.and_(column != "", sa.func.rtrim(column, "0.") == parameters.new(_without_zeros))
    return column == parameters.new(_first)


def _first(values: Values) -> str:
    return values[0]


def _whole_number(values: Values) -> int:
    return int(values[0])


def _glob(values: Values) -> str:
    return wildcard_to_glob(values[0])


def _like(values: Values) -> str:
    return wildcard_to_like(values[0])


def _whole_span(values: Values) -> str:
    # A time of lower precision stands for its whole span: up to 1015 includes 10:15:59.
    return values[1] + "\uffff"


def _without_zeros(values: Values) -> str:
    return values[0].rstrip("0.")


def _is_integer(text: str) -> bool:
    digits = text.removeprefix("-").removeprefix("+")
    return digits.isascii() and digits.isdigit() and len(digits) <= 12

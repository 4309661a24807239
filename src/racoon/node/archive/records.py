"""Whole records of imaging studies, page by page: what a room needs that writes the archive's index in another
language, such as FHIR.

Everything here asks the archive whether a subject may be read; a page never holds more studies than were asked for.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
import zstandard

from racoon.domain.identity import Pseudonym
from racoon.node.archive import _store
from racoon.node.archive._hiding import Hidden, shows_series
from racoon.node.archive.service import Archive
from racoon.platform.database import Database

PAGE = 50
"""Studies read in one transaction: few enough that their series and headers are small in memory."""


@dataclass(frozen=True)
class StudySelection:
    """Which imaging studies; empty fields match all.

    Parameters
    ----------
    day_from, day_to
        Shifted Study Date, ``YYYYMMDD``, both inclusive.
    updated_from, updated_to
        When the newest series came; from inclusive, to exclusive.
    after
        Keyset: only studies after this ``StudyRecord.position``.
    seen_by
        Name of the user they are shown to: without what is hidden from this user; empty for the node itself.
    """

    imaging_study_uids: tuple[str, ...] = ()
    pseudonyms: tuple[str, ...] = ()
    modality: str = ""
    day_from: str = ""
    day_to: str = ""
    updated_from: datetime | None = None
    updated_to: datetime | None = None
    after: int = 0
    seen_by: str = ""


@dataclass(frozen=True)
class SeriesRecord:
    """One series as the index knows it; ``header`` is the DICOM JSON of its first instance."""

    series_uid: str
    modality: str
    number: int | None
    body_part: str
    laterality: str
    day: str
    clock: str
    manufacturer: str
    model: str
    has_contrast: bool | None
    slice_thickness_mm: float | None
    instance_count: int
    stored_at: datetime
    header: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StudyRecord:
    """One imaging study with its series, in the order in which they came."""

    imaging_study_uid: str
    pseudonym: Pseudonym
    day: str
    clock: str
    updated: datetime
    position: int
    series: tuple[SeriesRecord, ...]


@dataclass(frozen=True)
class SubjectRecord:
    """One subject of the archive."""

    pseudonym: Pseudonym
    sex: str
    birth_date: str
    updated: datetime
    position: int


_STUDY, _SERIES = _store.imaging_studies.c, _store.series.c


def iterate_studies(archive: Archive, selection: StudySelection) -> Iterator[StudyRecord]:
    """Yield readable imaging studies in the order in which they came, a page at a time."""
    after = selection.after
    while True:
        with archive.database.connect() as connection:
            rows = connection.execute(_select(selection, after)).all()
            known = archive.readable_among(connection, {Pseudonym(row.pseudonym) for row in rows})
            readable = [row for row in rows if row.pseudonym in known]
            hidden = archive.hidden_from(connection, selection.seen_by) if selection.seen_by else None
            records = [_record(connection, row, hidden) for row in readable]
        yield from records
        if len(rows) < PAGE:
            return
        after = rows[-1].id


def _select(selection: StudySelection, after: int) -> sa.Select[Any]:
    newest = sa.select(sa.func.max(_SERIES.stored_at)).where(_SERIES.study_id == _STUDY.id).scalar_subquery()
    updated = sa.type_coerce(sa.func.coalesce(newest, _STUDY.stored_at), _STUDY.stored_at.type)
    query = sa.select(_store.imaging_studies, updated.label("updated")).where(_STUDY.id > after)
    if selection.imaging_study_uids:
        query = query.where(_STUDY.imaging_study_uid.in_(selection.imaging_study_uids))
    if selection.pseudonyms:
        query = query.where(_STUDY.pseudonym.in_(selection.pseudonyms))
    if selection.modality:
        other = sa.alias(_store.series)
        query = query.where(
            sa.exists().where(other.c.study_id == _STUDY.id, other.c.modality == selection.modality)
        )
    if selection.day_from or selection.day_to:
        query = query.where(_STUDY.study_date != "")
    if selection.day_from:
        query = query.where(_STUDY.study_date >= selection.day_from)
    if selection.day_to:
        query = query.where(_STUDY.study_date <= selection.day_to)
    if selection.updated_from is not None:
        query = query.where(updated >= selection.updated_from)
    if selection.updated_to is not None:
        query = query.where(updated < selection.updated_to)
    return query.order_by(_STUDY.id).limit(PAGE)


def _record(connection: sa.Connection, study: sa.Row[Any], hidden: Hidden | None) -> StudyRecord:
    query = (
        sa.select(_store.series, _store.blobs.c.blob)
        .outerjoin(_store.blobs, _store.blobs.c.series_id == _SERIES.id)
        .where(_SERIES.study_id == study.id)
        .order_by(_SERIES.id)
    )
    if hidden is not None:
        query = query.where(shows_series(hidden))
    return StudyRecord(
        imaging_study_uid=study.imaging_study_uid,
        pseudonym=Pseudonym(study.pseudonym),
        day=study.study_date,
        clock=study.study_time,
        updated=study.updated,
        position=study.id,
        series=tuple(
            SeriesRecord(
                series_uid=row.series_uid,
                modality=row.modality,
                number=row.series_number,
                body_part=row.body_part,
                laterality=row.laterality,
                day=row.series_date,
                clock=row.series_time,
                manufacturer=row.manufacturer,
                model=row.model,
                has_contrast=row.has_contrast,
                slice_thickness_mm=row.slice_thickness_mm,
                instance_count=row.instance_count,
                stored_at=row.stored_at,
                header=_first_header(row.blob),
            )
            for row in connection.execute(query)
        ),
    )


def _first_header(blob: bytes | None) -> Mapping[str, Any]:
    """Read the header of the first instance only: a series of a thousand slices is not unpacked for it."""
    if not blob:
        return {}
    line = b""
    with zstandard.ZstdDecompressor().stream_reader(blob, read_across_frames=True) as reader:
        while piece := reader.read(1 << 16):
            head, newline, _ = piece.partition(b"\n")
            line += head
            if newline:
                break
    found: Mapping[str, Any] = json.loads(line)["metadata"] if line else {}
    return found


def iterate_subjects(
    archive: Archive,
    *,
    pseudonyms: Collection[str] = (),
    sex: str = "",
    updated_from: datetime | None = None,
    updated_to: datetime | None = None,
    after: int = 0,
) -> Iterator[SubjectRecord]:
    """Yield readable subjects in the order in which they came, a page at a time.

    Parameters
    ----------
    pseudonyms
        Only these; all when empty.
    sex
        ``F``, ``M`` or ``O``.
    updated_from, updated_to
        When the subject's newest imaging study came; from inclusive, to exclusive.
    after
        Keyset: only subjects after this ``SubjectRecord.position``.
    """
    first = sa.func.min(_STUDY.id)
    newest = sa.type_coerce(sa.func.max(_STUDY.stored_at), _STUDY.stored_at.type)
    while True:
        query = sa.select(
            _STUDY.pseudonym,
            sa.func.max(_STUDY.sex).label("sex"),
            sa.func.max(_STUDY.patient_birth_date).label("birth_date"),
            newest.label("updated"),
            first.label("position"),
        ).group_by(_STUDY.pseudonym)
        if pseudonyms:
            query = query.where(_STUDY.pseudonym.in_(list(pseudonyms)))
        query = query.having(first > after)
        if sex:
            query = query.having(sa.func.max(_STUDY.sex) == sex)
        if updated_from is not None:
            query = query.having(newest >= updated_from)
        if updated_to is not None:
            query = query.having(newest < updated_to)
        with archive.database.connect() as connection:
            rows = connection.execute(query.order_by(first).limit(PAGE)).all()
            readable = archive.readable_among(connection, {Pseudonym(row.pseudonym) for row in rows})
        for row in rows:
            if row.pseudonym in readable:
                yield SubjectRecord(
                    Pseudonym(row.pseudonym), row.sex or "", row.birth_date or "", row.updated, row.position
                )
        if len(rows) < PAGE:
            return
        after = rows[-1].position


def studies_of_series(archive: Archive, series_uids: Collection[str]) -> dict[str, tuple[str, str, str]]:
    """Return imaging study UID, day and time of the study of each readable series."""
    query = (
        sa.select(
            _SERIES.series_uid,
            _STUDY.imaging_study_uid,
            _STUDY.study_date,
            _STUDY.study_time,
            _STUDY.pseudonym,
        )
        .join(_store.imaging_studies, _STUDY.id == _SERIES.study_id)
        .where(_SERIES.series_uid.in_(list(series_uids)))
    )
    with archive.database.connect() as connection:
        rows = connection.execute(query).all()
        readable = archive.readable_among(connection, {Pseudonym(row.pseudonym) for row in rows})
    return {
        row.series_uid: (row.imaging_study_uid, row.study_date, row.study_time)
        for row in rows
        if row.pseudonym in readable
    }


def series_uids_of(
    archive: Archive, *, pseudonyms: Collection[str] = (), imaging_study_uids: Collection[str] = ()
) -> list[str]:
    """Return the series of some subjects or imaging studies that may be read, in the order in which they came."""
    query = sa.select(_SERIES.series_uid, _SERIES.pseudonym).order_by(_SERIES.id)
    if pseudonyms:
        query = query.where(_SERIES.pseudonym.in_(list(pseudonyms)))
    if imaging_study_uids:
        query = query.where(_SERIES.imaging_study_uid.in_(list(imaging_study_uids)))
    with archive.database.connect() as connection:
        rows = connection.execute(query).all()
        readable = archive.readable_among(connection, {Pseudonym(row.pseudonym) for row in rows})
    return [row.series_uid for row in rows if row.pseudonym in readable]


def devices(archive: Archive) -> list[tuple[str, str]]:
    """Return make and model of every device that occurs, sorted; a few dozen at any site."""
    query = sa.select(_SERIES.manufacturer, _SERIES.model, _SERIES.pseudonym).distinct()
    found: set[tuple[str, str]] = set()
    with archive.database.connect() as connection:
        for row in connection.execute(query):
            name = (row.manufacturer, row.model)
            if name != ("", "") and name not in found and archive.is_readable(Pseudonym(row.pseudonym)):
                found.add(name)
    return sorted(found)


def holdings(database: Database, pseudonym: Pseudonym) -> dict[str, list[str]]:
    """Return the series of a subject by imaging study, readable or not: what has to go when the subject withdraws.

    For erasing only; it shows no image and nothing of one.
    """
    found: dict[str, list[str]] = {}
    query = sa.select(_STUDY.imaging_study_uid, _SERIES.series_uid).join(
        _store.series, _SERIES.study_id == _STUDY.id
    )
    with database.connect() as connection:
        for row in connection.execute(query.where(_STUDY.pseudonym == pseudonym).order_by(_SERIES.id)):
            found.setdefault(row.imaging_study_uid, []).append(row.series_uid)
    return found


def count_stored_between(database: Database, pseudonym: Pseudonym, start: datetime, end: datetime) -> int:
    """Count the imaging studies of a subject that came between two moments, readable or not."""
    query = sa.select(sa.func.count()).where(
        _STUDY.pseudonym == pseudonym, _STUDY.stored_at >= start, _STUDY.stored_at < end
    )
    with database.connect() as connection:
        return int(connection.execute(query).scalar_one())


def subjects_of_studies(
    connection: sa.Connection, imaging_study_uids: Collection[str]
) -> dict[str, Pseudonym]:
    """Return whose some imaging studies are, readable or not; those that are not here are left out."""
    wanted = sorted(set(imaging_study_uids))
    found: dict[str, Pseudonym] = {}
    for start in range(0, len(wanted), PAGE):
        query = sa.select(_STUDY.imaging_study_uid, _STUDY.pseudonym).where(
            _STUDY.imaging_study_uid.in_(wanted[start : start + PAGE])
        )
        found |= {row.imaging_study_uid: Pseudonym(row.pseudonym) for row in connection.execute(query)}
    return found


def days_of_studies(connection: sa.Connection, imaging_study_uids: Collection[str]) -> dict[str, str]:
    """Return the moved days (``YYYYMMDD``) of some imaging studies; empty where one has none."""
    wanted = sorted(set(imaging_study_uids))
    found: dict[str, str] = {}
    for start in range(0, len(wanted), PAGE):
        query = sa.select(_STUDY.imaging_study_uid, _STUDY.study_date).where(
            _STUDY.imaging_study_uid.in_(wanted[start : start + PAGE])
        )
        found |= {row.imaging_study_uid: row.study_date for row in connection.execute(query)}
    return found


def studies_of_subjects(connection: sa.Connection, pseudonyms: Collection[str]) -> dict[str, Pseudonym]:
    """Return the imaging studies of some subjects, readable or not, with whose each is."""
    wanted = sorted(set(pseudonyms))
    found: dict[str, Pseudonym] = {}
    for start in range(0, len(wanted), PAGE):
        query = sa.select(_STUDY.imaging_study_uid, _STUDY.pseudonym).where(
            _STUDY.pseudonym.in_(wanted[start : start + PAGE])
        )
        found |= {row.imaging_study_uid: Pseudonym(row.pseudonym) for row in connection.execute(query)}
    return found


def everybody(connection: sa.Connection) -> list[Pseudonym]:
    """Return every subject that has images, readable or not."""
    rows = connection.execute(sa.select(_STUDY.pseudonym).distinct().order_by(_STUDY.pseudonym))
    return [Pseudonym(row.pseudonym) for row in rows]


def evidence_of_study(connection: sa.Connection, imaging_study_uid: str) -> list[dict[str, Any]]:
    """Return what de-identification noted of the objects of a study."""
    query = (
        sa.select(_store.instances.c.evidence)
        .join(_store.series, _SERIES.id == _store.instances.c.series_id)
        .where(_SERIES.imaging_study_uid == imaging_study_uid)
    )
    return [dict(row.evidence) for row in connection.execute(query)]


def people_of_images(
    connection: sa.Connection, pseudonyms: Collection[str] | None = None
) -> dict[Pseudonym, tuple[frozenset[str], frozenset[str]]]:
    """Return the sexes and years of birth that the headers of each subject's imaging studies say.

    Parameters
    ----------
    pseudonyms
        Only these; all when None.
    """
    query = sa.select(_STUDY.pseudonym, _STUDY.sex, _STUDY.patient_birth_date).distinct()
    rows: list[Any] = []
    if pseudonyms is None:
        rows += connection.execute(query)
    else:
        wanted = sorted(set(pseudonyms))
        for start in range(0, len(wanted), PAGE):
            chunk = wanted[start : start + PAGE]
            rows += connection.execute(query.where(_STUDY.pseudonym.in_(chunk)))
    found: dict[Pseudonym, tuple[set[str], set[str]]] = {}
    for row in rows:
        sexes, years = found.setdefault(Pseudonym(row.pseudonym), (set(), set()))
        sexes |= {row.sex} - {"", None}
        years |= {(row.patient_birth_date or "")[:4]} - {""}
    return {name: (frozenset(sexes), frozenset(years)) for name, (sexes, years) in found.items()}

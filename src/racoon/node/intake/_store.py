"""Tables of intake: counts per day, outcomes on their way, whose an imaging study is, the quarantine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from racoon.node.intake.model import OPEN_STATES, DayCounts, QuarantinedObject, QuarantineState
from racoon.platform.clock import now
from racoon.platform.database import UtcDateTime, metadata

_METADATA = metadata("node")

days = sa.Table(
    "intake_day",
    _METADATA,
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("received", sa.BigInteger, nullable=False),
    sa.Column("archived", sa.BigInteger, nullable=False),
    sa.Column("quarantined", sa.BigInteger, nullable=False),
)

finished = sa.Table(
    "intake_finished",
    _METADATA,
    sa.Column("spool_name", sa.String(128), primary_key=True),
)
"""Objects whose outcome is committed and whose file is still to be deleted; short-lived rows."""

series_sizes = sa.Table(
    "intake_series",
    _METADATA,
    sa.Column("series_uid", sa.String(64), primary_key=True),
    sa.Column("instance_count", sa.BigInteger, nullable=False),
)
"""How many instances of a series were counted as archived."""

imaging_study_subjects = sa.Table(
    "intake_imaging_study",
    _METADATA,
    sa.Column("imaging_study_uid", sa.String(64), primary_key=True),
    sa.Column("pseudonym", sa.String(64), nullable=False),
)

quarantine = sa.Table(
    "intake_quarantine",
    _METADATA,
    sa.Column("quarantine_id", sa.String(128), primary_key=True),
    sa.Column("received_at", UtcDateTime, nullable=False, index=True),
    sa.Column("code", sa.String(64), nullable=False),
    sa.Column("reason", sa.String(512), nullable=False),
    sa.Column("reason_de", sa.String(512), nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("decided_by", sa.String(128), nullable=False, server_default=""),
    sa.Column("decided_at", UtcDateTime),
    sa.Column("note", sa.String(512), nullable=False, server_default=""),
)

quarantine_subjects = sa.Table(
    "intake_quarantine_subject",
    _METADATA,
    sa.Column("quarantine_id", sa.String(128), primary_key=True),
    sa.Column("pseudonym", sa.String(64), primary_key=True, index=True),
)
"""Whom an object in quarantine names, as far as it can be read: a withdrawal finds it by this."""


def _insert(connection: sa.Connection, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def count(connection: sa.Connection, *, received: int = 0, archived: int = 0, quarantined: int = 0) -> None:
    """Add to today's counts."""
    row = {"day": now().date(), "received": received, "archived": archived, "quarantined": quarantined}
    statement = _insert(connection, days).values(row)
    added = {name: days.c[name] + row[name] for name in ("received", "archived", "quarantined")}
    connection.execute(statement.on_conflict_do_update(index_elements=[days.c.day], set_=added))


def count_archived(connection: sa.Connection, sizes: Mapping[str, int]) -> int:
    """Count what a series grew by, in the transaction that made it grow; give the number."""
    query = sa.select(series_sizes).where(series_sizes.c.series_uid.in_(list(sizes)))
    known: dict[str, int] = {row.series_uid: row.instance_count for row in connection.execute(query)}
    grown = sum(max(size - known.get(uid, 0), 0) for uid, size in sizes.items())
    rows = [{"series_uid": uid, "instance_count": size} for uid, size in sizes.items()]
    statement = _insert(connection, series_sizes).values(rows)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[series_sizes.c.series_uid],
            set_={"instance_count": statement.excluded.instance_count},
        )
    )
    if grown:
        count(connection, archived=grown)
    return grown


def finished_among(connection: sa.Connection, names: Sequence[str]) -> set[str]:
    """Give those names whose outcome is committed already."""
    query = sa.select(finished.c.spool_name).where(finished.c.spool_name.in_(names))
    return set(connection.execute(query).scalars())


def add_finished(connection: sa.Connection, names: Iterable[str]) -> None:
    """Record outcomes whose files may be deleted now."""
    rows = [{"spool_name": name} for name in names]
    if rows:
        connection.execute(_insert(connection, finished).values(rows).on_conflict_do_nothing())


def forget_finished(connection: sa.Connection, names: Iterable[str]) -> None:
    """Drop the records of files that are gone."""
    connection.execute(sa.delete(finished).where(finished.c.spool_name.in_(list(names))))


def subjects_of(connection: sa.Connection, imaging_study_uids: Iterable[str]) -> dict[str, str]:
    """Whose the imaging studies are, as far as known."""
    query = sa.select(imaging_study_subjects).where(
        imaging_study_subjects.c.imaging_study_uid.in_(list(imaging_study_uids))
    )
    return {row.imaging_study_uid: row.pseudonym for row in connection.execute(query)}


def add_subjects(connection: sa.Connection, subjects: Mapping[str, str]) -> None:
    """Record whose imaging studies are; a known one stays what it is."""
    rows = [{"imaging_study_uid": uid, "pseudonym": pseudonym} for uid, pseudonym in subjects.items()]
    if rows:
        connection.execute(_insert(connection, imaging_study_subjects).values(rows).on_conflict_do_nothing())


def add_quarantined(connection: sa.Connection, item: QuarantinedObject) -> None:
    """Record an object in quarantine; a second time changes nothing."""
    row = {
        "quarantine_id": item.quarantine_id,
        "received_at": item.received_at,
        "code": item.code,
        "reason": item.reason,
        "reason_de": item.reason_de,
        "size_bytes": item.size_bytes,
        "state": item.state.value,
    }
    connection.execute(_insert(connection, quarantine).values(row).on_conflict_do_nothing())


def name_subjects(connection: sa.Connection, quarantine_id: str, subjects: Iterable[str]) -> None:
    """Record whom an object in quarantine names."""
    rows = [{"quarantine_id": quarantine_id, "pseudonym": subject} for subject in sorted(subjects)]
    if rows:
        connection.execute(_insert(connection, quarantine_subjects).values(rows).on_conflict_do_nothing())


def quarantined_of(connection: sa.Connection, pseudonym: str) -> list[str]:
    """List the objects in quarantine that name a subject."""
    query = sa.select(quarantine_subjects.c.quarantine_id).where(quarantine_subjects.c.pseudonym == pseudonym)
    return list(connection.execute(query).scalars())


def unnamed_in_quarantine(connection: sa.Connection) -> list[str]:
    """List the open objects of which nothing says whom they name: broken ones, and those of older versions."""
    query = sa.select(quarantine.c.quarantine_id).where(
        quarantine.c.state.in_([state.value for state in OPEN_STATES]),
        ~sa.exists().where(quarantine_subjects.c.quarantine_id == quarantine.c.quarantine_id),
    )
    return list(connection.execute(query).scalars())


def forget_owner(connection: sa.Connection, pseudonym: str) -> None:
    """Forget which imaging studies are a subject's."""
    table = imaging_study_subjects
    connection.execute(sa.delete(table).where(table.c.pseudonym == pseudonym))


def close_withdrawn(connection: sa.Connection, quarantine_ids: Sequence[str], note: str) -> list[str]:
    """Close open objects of a subject who withdrew; give those that were open."""
    statement = (
        sa.update(quarantine)
        .where(
            quarantine.c.quarantine_id.in_(quarantine_ids),
            quarantine.c.state.in_([state.value for state in OPEN_STATES]),
        )
        .values(state=QuarantineState.DELETED.value, decided_by="consent", decided_at=now(), note=note[:512])
        .returning(quarantine.c.quarantine_id)
    )
    return sorted(connection.execute(statement).scalars())


def forget_names(connection: sa.Connection, quarantine_ids: Sequence[str]) -> None:
    """Forget whom objects named that are gone."""
    connection.execute(
        sa.delete(quarantine_subjects).where(quarantine_subjects.c.quarantine_id.in_(quarantine_ids))
    )


def return_quarantined(connection: sa.Connection, item: QuarantinedObject) -> None:
    """Let an object wait again whose correction was not enough, with its new reason."""
    connection.execute(
        sa.update(quarantine)
        .where(quarantine.c.quarantine_id == item.quarantine_id)
        .values(
            code=item.code,
            reason=item.reason,
            reason_de=item.reason_de,
            state=QuarantineState.WAITING.value,
        )
    )


def settle_corrected(connection: sa.Connection, quarantine_ids: Sequence[str]) -> None:
    """Record that corrected objects have passed."""
    if quarantine_ids:
        connection.execute(
            sa.update(quarantine)
            .where(quarantine.c.quarantine_id.in_(quarantine_ids))
            .values(state=QuarantineState.CORRECTED.value)
        )


def list_quarantined(
    connection: sa.Connection,
    *,
    state: QuarantineState | None,
    limit: int,
    code: str = "",
    before: str = "",
) -> list[QuarantinedObject]:
    """List quarantined objects, newest first; those after ``before`` in that order."""
    order = (quarantine.c.received_at, quarantine.c.quarantine_id)
    query = sa.select(quarantine).order_by(*(column.desc() for column in order))
    if state is not None:
        query = query.where(quarantine.c.state == state.value)
    if code:
        query = query.where(quarantine.c.code == code)
    if before:
        last = sa.select(*order).where(quarantine.c.quarantine_id == before).subquery()
        later = quarantine.c.received_at < last.c.received_at
        same = sa.and_(
            quarantine.c.received_at == last.c.received_at,
            quarantine.c.quarantine_id < last.c.quarantine_id,
        )
        query = query.where(sa.or_(later, same))
    return [_item(row) for row in connection.execute(query.limit(limit))]


def waiting_reasons(connection: sa.Connection) -> dict[str, int]:
    """Count waiting objects by reason, the most frequent first."""
    number = sa.func.count().label("number")
    query = (
        sa.select(quarantine.c.code, number)
        .where(quarantine.c.state == QuarantineState.WAITING.value)
        .group_by(quarantine.c.code)
        .order_by(number.desc(), quarantine.c.code)
    )
    return {row.code: row.number for row in connection.execute(query)}


def load_quarantined(connection: sa.Connection, quarantine_id: str) -> QuarantinedObject | None:
    """Give one quarantined object."""
    query = sa.select(quarantine).where(quarantine.c.quarantine_id == quarantine_id)
    row = connection.execute(query).one_or_none()
    return None if row is None else _item(row)


def decide(
    connection: sa.Connection, quarantine_id: str, state: QuarantineState, *, decided_by: str, note: str
) -> bool:
    """Record a decision on a waiting object; False when it is decided already."""
    statement = (
        sa.update(quarantine)
        .where(
            quarantine.c.quarantine_id == quarantine_id, quarantine.c.state == QuarantineState.WAITING.value
        )
        .values(state=state.value, decided_by=decided_by, decided_at=now(), note=note)
    )
    return connection.execute(statement).rowcount == 1


def waiting_in_quarantine(connection: sa.Connection) -> int:
    """Count the objects that wait for a decision."""
    query = sa.select(sa.func.count()).where(quarantine.c.state == QuarantineState.WAITING.value)
    return int(connection.execute(query.select_from(quarantine)).scalar_one())


def latest_days(connection: sa.Connection, limit: int, since: date | None = None) -> tuple[DayCounts, ...]:
    """Counts of the latest days, newest first."""
    query = sa.select(days).order_by(days.c.day.desc()).limit(limit)
    if since is not None:
        query = query.where(days.c.day >= since)
    return tuple(
        DayCounts(row.day, row.received, row.archived, row.quarantined) for row in connection.execute(query)
    )


def _item(row: sa.Row[tuple[object, ...]]) -> QuarantinedObject:
    fields = dict(row._mapping)
    return QuarantinedObject(**fields | {"state": QuarantineState(fields["state"])})

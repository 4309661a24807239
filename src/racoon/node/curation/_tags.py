"""Tables of tags on series, of saved views, and of the members of frozen datasets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from racoon.node.curation.model import GalleryFilter, View
from racoon.platform import clock
from racoon.platform.database import Json, UtcDateTime, metadata

series_tag = sa.Table(
    "series_tag",
    metadata("node"),
    sa.Column("tag", sa.String(40), primary_key=True),
    sa.Column("series_uid", sa.String(64), primary_key=True, index=True),
    sa.Column("pseudonym", sa.String(64), nullable=False, index=True),
    sa.Column("given_by", sa.String(80), nullable=False),
    sa.Column("given_at", UtcDateTime, nullable=False),
)

gallery_view = sa.Table(
    "gallery_view",
    metadata("node"),
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("name", sa.String(80), nullable=False, unique=True),
    sa.Column("owner", sa.String(80), nullable=False),
    sa.Column("wanted", Json, nullable=False),
    sa.Column("changed_at", UtcDateTime, nullable=False),
)

member = sa.Table(
    "frozen_dataset_series",
    metadata("node"),
    sa.Column("hash", sa.String(64), primary_key=True),
    sa.Column("study_id", sa.String(80), primary_key=True),
    sa.Column("series_uid", sa.String(64), primary_key=True, index=True),
)
"""What a manifest lists, to be asked by SQL."""

PART = 500


def parts(values: Sequence[str]) -> Iterable[Sequence[str]]:
    """Cut a long list into pieces that a statement can carry."""
    return (values[start : start + PART] for start in range(0, len(values), PART))


def give(connection: sa.Connection, tag: str, subjects: dict[str, str], actor: str) -> int:
    """Tag series, given with their subjects; returns how many did not have it."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    had = count_of(connection, tag)
    now = clock.now()
    for part in parts(sorted(subjects)):
        rows = [
            {"tag": tag, "series_uid": uid, "pseudonym": subjects[uid], "given_by": actor, "given_at": now}
            for uid in part
        ]
        connection.execute(dialect.insert(series_tag).on_conflict_do_nothing(), rows)
    return count_of(connection, tag) - had


def take(connection: sa.Connection, tag: str, series_uids: Sequence[str]) -> int:
    """Take a tag from series; returns how many had it."""
    columns = series_tag.c
    return sum(
        connection.execute(
            sa.delete(series_tag).where(columns.tag == tag, columns.series_uid.in_(part))
        ).rowcount
        for part in parts(list(series_uids))
    )


def count_of(connection: sa.Connection, tag: str) -> int:
    """Count the series with a tag."""
    query = sa.select(sa.func.count()).where(series_tag.c.tag == tag)
    return int(connection.execute(query).scalar_one())


def tags_of(connection: sa.Connection, series_uids: Sequence[str]) -> dict[str, list[str]]:
    """Return the tags of some series."""
    found: dict[str, list[str]] = {}
    for part in parts(list(series_uids)):
        query = sa.select(series_tag.c.series_uid, series_tag.c.tag).where(series_tag.c.series_uid.in_(part))
        for row in connection.execute(query.order_by(series_tag.c.tag)):
            found.setdefault(row.series_uid, []).append(row.tag)
    return found


def forget_series(connection: sa.Connection, series_uids: Sequence[str]) -> None:
    """Remove the tags of series that are gone."""
    for part in parts(list(series_uids)):
        connection.execute(sa.delete(series_tag).where(series_tag.c.series_uid.in_(part)))


def forget_subject(connection: sa.Connection, pseudonym: str) -> int:
    """Remove a subject's tags, and views that name the subject; returns how many rows."""
    gone = connection.execute(sa.delete(series_tag).where(series_tag.c.pseudonym == pseudonym)).rowcount
    for view in views(connection):
        if view.wanted.names_subject(pseudonym):
            gone += delete_view(connection, view.view_id)
    return int(gone)


def views(connection: sa.Connection) -> list[View]:
    """Load all views by name."""
    query = sa.select(gallery_view).order_by(sa.func.lower(gallery_view.c.name))
    return [
        View(row.id, row.name, row.owner, GalleryFilter.from_dict(row.wanted), row.changed_at)
        for row in connection.execute(query)
    ]


def save_view(connection: sa.Connection, view: View) -> int:
    """Insert a view, or replace the one of its number; returns its number."""
    values = {
        "name": view.name,
        "owner": view.owner,
        "wanted": view.wanted.to_dict(),
        "changed_at": view.changed_at,
    }
    if view.view_id:
        connection.execute(sa.update(gallery_view).where(gallery_view.c.id == view.view_id).values(values))
        return view.view_id
    made = connection.execute(sa.insert(gallery_view).values(values).returning(gallery_view.c.id))
    return int(made.scalar_one())


def delete_view(connection: sa.Connection, view_id: int) -> int:
    """Delete a view; returns how many, 0 or 1."""
    return int(connection.execute(sa.delete(gallery_view).where(gallery_view.c.id == view_id)).rowcount)


def save_members(
    connection: sa.Connection, study_id: str, dataset_hash: str, series_uids: Sequence[str]
) -> None:
    """Write what a dataset holds; writing it again changes nothing."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    for part in parts(list(series_uids)):
        rows = [{"hash": dataset_hash, "study_id": study_id, "series_uid": uid} for uid in part]
        connection.execute(dialect.insert(member).on_conflict_do_nothing(), rows)

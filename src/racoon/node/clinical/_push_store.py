"""What was sent to another FHIR server: by subject, what it was and under which names, so that it can be taken back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from racoon.platform.database import Json, UtcDateTime, metadata

push = sa.Table(
    "clinical_push",
    metadata("node"),
    sa.Column("target", sa.String(200), primary_key=True),
    sa.Column("pseudonym", sa.String(64), primary_key=True),
    sa.Column("content_hash", sa.String(64), nullable=False),
    sa.Column("names", Json, nullable=False),
    sa.Column("pushed_at", UtcDateTime, nullable=False),
)


def sent(connection: sa.Connection, target: str, pseudonym: str) -> tuple[str, list[str]]:
    """Return hash and names of what was sent of a subject; empty where nothing was."""
    query = sa.select(push.c.content_hash, push.c.names).where(
        push.c.target == target, push.c.pseudonym == pseudonym
    )
    row = connection.execute(query).one_or_none()
    return (row.content_hash, list(row.names)) if row else ("", [])


def subjects(connection: sa.Connection, target: str) -> list[str]:
    """Return everybody of whom something was sent."""
    query = sa.select(push.c.pseudonym).where(push.c.target == target).order_by(push.c.pseudonym)
    return list(connection.execute(query).scalars())


def last_sent(connection: sa.Connection, target: str) -> datetime | None:
    """Return when something was sent last."""
    query = sa.select(push.c.pushed_at).where(push.c.target == target).order_by(push.c.pushed_at.desc())
    return connection.execute(query.limit(1)).scalar_one_or_none()


def keep(
    connection: sa.Connection,
    target: str,
    pseudonym: str,
    content_hash: str,
    names: Sequence[str],
    when: datetime,
) -> None:
    """Remember what was sent of a subject."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    row = {"content_hash": content_hash, "names": list(names), "pushed_at": when}
    statement = dialect.insert(push).values(target=target, pseudonym=pseudonym, **row)
    connection.execute(statement.on_conflict_do_update(index_elements=["target", "pseudonym"], set_=row))


def forget(connection: sa.Connection, target: str, pseudonym: str) -> None:
    """Forget a subject of whom everything was taken back."""
    connection.execute(sa.delete(push).where(push.c.target == target, push.c.pseudonym == pseudonym))

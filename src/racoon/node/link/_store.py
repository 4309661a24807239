"""Tables of the line: what waits to leave, what came in, and how far we have read."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from racoon.platform import clock
from racoon.platform.database import Json, UtcDateTime, metadata

outbox = sa.Table(
    "link_outbox",
    metadata("node"),
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("envelope_id", sa.String(36), nullable=False, unique=True),
    sa.Column("type", sa.String(64), nullable=False),
    sa.Column("envelope", Json, nullable=False),
    sa.Column("written_at", UtcDateTime, nullable=False),
    sa.Column("sent_at", UtcDateTime, index=True),
    sa.Column("answer", sa.String(200)),
)

inbox = sa.Table(
    "link_inbox",
    metadata("node"),
    sa.Column("envelope_id", sa.String(36), primary_key=True),
    sa.Column("type", sa.String(64), nullable=False),
    sa.Column("received_at", UtcDateTime, nullable=False),
    sa.Column("outcome", sa.String(80), nullable=False),
)

cursor = sa.Table(
    "link_cursor",
    metadata("node"),
    sa.Column("name", sa.String(20), primary_key=True),
    sa.Column("value", sa.Integer, nullable=False),
    sa.Column("contact_at", UtcDateTime),
)

artifact_outbox = sa.Table(
    "link_artifact",
    metadata("node"),
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("written_at", UtcDateTime, nullable=False),
    sa.Column("sent_at", UtcDateTime),
)


def put(connection: sa.Connection, envelope_id: str, message_type: str, envelope: dict[str, Any]) -> None:
    """Append an envelope to what waits to leave."""
    connection.execute(
        outbox.insert().values(
            envelope_id=envelope_id, type=message_type, envelope=envelope, written_at=clock.now()
        )
    )


def drop_unsent(connection: sa.Connection, message_type: str) -> None:
    """Remove unsent envelopes of a type of which only the newest matters."""
    connection.execute(outbox.delete().where(outbox.c.type == message_type, outbox.c.sent_at.is_(None)))


def waiting(connection: sa.Connection, limit: int) -> list[tuple[str, dict[str, Any]]]:
    """Load the oldest envelopes that wait."""
    statement = (
        sa.select(outbox.c.envelope_id, outbox.c.envelope)
        .where(outbox.c.sent_at.is_(None))
        .order_by(outbox.c.sequence)
        .limit(limit)
    )
    return [(row.envelope_id, row.envelope) for row in connection.execute(statement)]


def mark_sent(connection: sa.Connection, envelope_id: str, answer: str) -> None:
    """Record that CENTRAL has stored, or for good rejected, an envelope."""
    connection.execute(
        outbox.update()
        .where(outbox.c.envelope_id == envelope_id)
        .values(sent_at=clock.now(), answer=answer[:200])
    )


def is_known(connection: sa.Connection, envelope_id: str) -> bool:
    """Tell whether an envelope was processed before."""
    statement = sa.select(inbox.c.envelope_id).where(inbox.c.envelope_id == envelope_id)
    return connection.execute(statement).first() is not None


def remember(connection: sa.Connection, envelope_id: str, message_type: str, outcome: str) -> None:
    """Record that an envelope was processed."""
    connection.execute(
        inbox.insert().values(
            envelope_id=envelope_id, type=message_type[:64], received_at=clock.now(), outcome=outcome[:80]
        )
    )


def load_cursor(connection: sa.Connection) -> int:
    """Load how far CENTRAL's messages have been read."""
    value = connection.execute(sa.select(cursor.c.value).where(cursor.c.name == "central")).scalar()
    return int(value or 0)


def save_cursor(connection: sa.Connection, value: int) -> None:
    """Save how far CENTRAL's messages have been read, and that CENTRAL answered now."""
    changed = connection.execute(
        cursor.update().where(cursor.c.name == "central").values(value=value, contact_at=clock.now())
    )
    if changed.rowcount == 0:
        connection.execute(cursor.insert().values(name="central", value=value, contact_at=clock.now()))


def last_contact(connection: sa.Connection) -> datetime | None:
    """Load when CENTRAL last answered."""
    return connection.execute(sa.select(cursor.c.contact_at).where(cursor.c.name == "central")).scalar()


def put_artifact(connection: sa.Connection, sha256: str) -> None:
    """Note a file that has to be sent before the messages that name it."""
    known = connection.execute(
        sa.select(artifact_outbox.c.sha256).where(artifact_outbox.c.sha256 == sha256)
    ).first()
    if known is None:
        connection.execute(artifact_outbox.insert().values(sha256=sha256, written_at=clock.now()))


def waiting_artifacts(connection: sa.Connection) -> list[str]:
    """Load the hashes of files that wait to be sent."""
    statement = sa.select(artifact_outbox.c.sha256).where(artifact_outbox.c.sent_at.is_(None))
    return list(connection.execute(statement).scalars())


def mark_artifact_sent(connection: sa.Connection, sha256: str) -> None:
    """Record that CENTRAL has stored a file."""
    connection.execute(
        artifact_outbox.update().where(artifact_outbox.c.sha256 == sha256).values(sent_at=clock.now())
    )


def prune(connection: sa.Connection, before: datetime) -> int:
    """Forget sent envelopes older than a time; ids of received ones are kept for ever (replays)."""
    return int(
        connection.execute(
            outbox.delete().where(outbox.c.sent_at.is_not(None), outbox.c.sent_at < before)
        ).rowcount
    )

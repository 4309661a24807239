"""Tables of the inbox: a file of its own, because messages name patients; nothing in it is readable without its key."""

from __future__ import annotations

import sqlalchemy as sa

from racoon.platform.database import UtcDateTime

METADATA = sa.MetaData()
"""Not the node's collection of tables: this one never shares a file, a backup or a connection with them."""

MESSAGE = sa.Table(
    "message",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("reason", sa.String(40), nullable=False),
    sa.Column("sender", sa.String(80), nullable=False),
    sa.Column("kind", sa.String(12), nullable=False),
    sa.Column("control_token", sa.String(32), nullable=False),
    sa.Column("content_token", sa.String(32), nullable=False),
    sa.Column("patients", sa.Text, nullable=False),
    sa.Column("received_at", UtcDateTime, nullable=False),
    sa.Column("finished_at", UtcDateTime),
    sa.Column("size_bytes", sa.Integer, nullable=False),
    sa.Column("times", sa.Integer, nullable=False),
    sa.Column("duplicates", sa.Integer, nullable=False),
    sa.Column("is_reused_id", sa.Boolean, nullable=False),
    sa.Column("sealed", sa.LargeBinary),
    sa.Index("ix_message_control", "sender", "control_token", "content_token"),
    sa.Index("ix_message_state", "state", "number"),
)

SENDER = sa.Table(
    "sender",
    METADATA,
    sa.Column("name", sa.String(80), primary_key=True),
    sa.Column("last_at", UtcDateTime, nullable=False),
    *(
        sa.Column(name, sa.Integer, nullable=False)
        for name in ("messages", "refused", "duplicates", "reused_ids")
    ),
)
"""Counts by sender: the page asks every few seconds, and messages are many."""

SAME_PATIENT = sa.Table(
    "same_patient",
    METADATA,
    sa.Column("token", sa.String(32), primary_key=True),
    sa.Column("surviving", sa.String(32), nullable=False),
)
"""Keyed names of merged patients, so that their messages keep one order."""

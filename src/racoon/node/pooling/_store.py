"""Tables of pooled studies: known peers, what this node sent, what it took, and what both sides promised."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from racoon.platform.database import Json, UtcDateTime, metadata

_METADATA = metadata("node")

peer = sa.Table(
    "pool_peer",
    _METADATA,
    sa.Column("site", sa.String(16), primary_key=True),
    sa.Column("code", sa.String(400), nullable=False),
    sa.Column("fingerprint", sa.String(60), nullable=False),
    sa.Column("added_by", sa.String(80), nullable=False),
    sa.Column("added_at", UtcDateTime, nullable=False),
)

shipment = sa.Table(
    "pool_shipment",
    _METADATA,
    sa.Column("shipment_id", sa.String(32), primary_key=True),
    sa.Column("study_id", sa.String(80), nullable=False, index=True),
    sa.Column("study_hash", sa.String(64), nullable=False),
    sa.Column("dataset_hash", sa.String(64), nullable=False),
    sa.Column("pool", sa.String(16), nullable=False),
    sa.Column("state", sa.String(12), nullable=False, index=True),
    sa.Column("asked_by", sa.String(80), nullable=False),
    sa.Column("reason", sa.String(500), nullable=False),
    sa.Column("asked_at", UtcDateTime, nullable=False),
    sa.Column("manifest_sha256", sa.String(64), nullable=False),
    sa.Column("parcels", Json, nullable=False),
    sa.Column("counts", Json, nullable=False),
    sa.Column("problem", sa.String(500), nullable=False),
    sa.Column("sent_at", UtcDateTime),
    sa.Column("receipt", Json),
    sa.Column("quality", Json),
    sa.Column("deletion", Json),
)
"""``receipt``, ``quality`` and ``deletion`` are the pool's signed envelopes as they came."""

shipped = sa.Table(
    "pool_shipped_series",
    _METADATA,
    sa.Column("shipment_id", sa.String(32), primary_key=True),
    sa.Column("series_uid", sa.String(64), primary_key=True),
    sa.Column("pseudonym", sa.String(64), nullable=False, index=True),
    sa.Column("content", Json, nullable=False),
)

incoming = sa.Table(
    "pool_incoming",
    _METADATA,
    sa.Column("sender", sa.String(16), primary_key=True),
    sa.Column("shipment_id", sa.String(80), primary_key=True),
    sa.Column("study_id", sa.String(80), nullable=False, index=True),
    sa.Column("announced", Json, nullable=False),
    sa.Column("state", sa.String(12), nullable=False, index=True),
    sa.Column("problem", sa.String(500), nullable=False),
    sa.Column("announced_at", UtcDateTime, nullable=False),
    sa.Column("subjects", sa.Integer, nullable=False),
    sa.Column("objects", sa.Integer, nullable=False),
    sa.Column("set_aside", Json, nullable=False),
    sa.Column("stored_at", UtcDateTime),
    sa.Column("quality", Json),
)

incoming_series = sa.Table(
    "pool_incoming_series",
    _METADATA,
    sa.Column("sender", sa.String(16), primary_key=True),
    sa.Column("shipment_id", sa.String(80), primary_key=True),
    sa.Column("parcel", sa.String(64), primary_key=True),
    sa.Column("content", Json, nullable=False),
    sa.Column("is_done", sa.Boolean, nullable=False),
    sa.Column("set_aside", Json, nullable=False),
)

pooled = sa.Table(
    "pool_object",
    _METADATA,
    sa.Column("sop_instance_uid", sa.String(64), primary_key=True),
    sa.Column("series_uid", sa.String(64), nullable=False),
    sa.Column("imaging_study_uid", sa.String(64), nullable=False),
    sa.Column("pseudonym", sa.String(64), nullable=False, index=True),
    sa.Column("study_id", sa.String(80), nullable=False, index=True),
    sa.Column("sender", sa.String(16), nullable=False),
    sa.Column("shipment_id", sa.String(80), nullable=False),
)

letter = sa.Table(
    "pool_letter",
    _METADATA,
    sa.Column("letter_id", sa.String(36), primary_key=True),
    sa.Column("sender", sa.String(16), nullable=False),
    sa.Column("document", Json, nullable=False),
    sa.Column("received_at", UtcDateTime, nullable=False),
    sa.Column("outcome", sa.String(300), index=True),
)

taken_back = sa.Table(
    "pool_taken_back",
    _METADATA,
    sa.Column("sender", sa.String(16), primary_key=True),
    sa.Column("tombstone_id", sa.String(80), primary_key=True),
    sa.Column("study_id", sa.String(80), nullable=False),
    sa.Column("pseudonym", sa.String(64), nullable=False, index=True),
    sa.Column("received_at", UtcDateTime, nullable=False),
    sa.Column("answered_at", UtcDateTime),
)

deletion = sa.Table(
    "pool_deletion",
    _METADATA,
    sa.Column("study_id", sa.String(80), primary_key=True),
    sa.Column("reason", sa.String(500), nullable=False),
    sa.Column("asked_by", sa.String(80), nullable=False),
    sa.Column("asked_at", UtcDateTime, nullable=False),
    sa.Column("confirmed_by", sa.String(80), nullable=False),
    sa.Column("confirmed_at", UtcDateTime),
    sa.Column("done_at", UtcDateTime),
    sa.Column("proof", Json),
)


def rows(
    connection: sa.Connection, table: sa.Table, *conditions: Any, order: Any = None
) -> list[sa.Row[Any]]:
    """Load rows of one of these tables."""
    query = sa.select(table).where(*conditions)
    return list(connection.execute(query if order is None else query.order_by(order)))


def one(connection: sa.Connection, table: sa.Table, *conditions: Any) -> sa.Row[Any] | None:
    """Load at most one row."""
    return connection.execute(sa.select(table).where(*conditions)).one_or_none()

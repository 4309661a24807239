"""Reviews of releases, parcels on the line, and pooled studies."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from racoon.platform.database import Json, UtcDateTime

revision = "0240"
down_revision = "0230"
branch_labels = None
depends_on = None


def _text(name: str, length: int, *, optional: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=length), nullable=optional)


def _time(name: str, *, optional: bool = False) -> sa.Column[object]:
    return sa.Column(name, UtcDateTime(), nullable=optional)


def _json(name: str, *, optional: bool = False) -> sa.Column[object]:
    return sa.Column(name, Json(), nullable=optional)


def _key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=op.f(f"pk_{table}"))


INDEXES = (
    ("release_review", "study_id"),
    ("release_review", "asked_at"),
    ("link_parcel", "study_id"),
    ("pool_shipment", "study_id"),
    ("pool_shipment", "state"),
    ("pool_shipped_series", "pseudonym"),
    ("pool_incoming", "study_id"),
    ("pool_incoming", "state"),
    ("pool_object", "pseudonym"),
    ("pool_object", "study_id"),
    ("pool_letter", "outcome"),
    ("pool_taken_back", "pseudonym"),
)


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "release_review",
        _text("review_id", 32),
        _text("kind", 20),
        _text("study_id", 80),
        _text("target", 120),
        _json("facts"),
        _json("held"),
        _text("asked_by", 80),
        _time("asked_at"),
        sa.Column("needed", sa.Integer(), nullable=False),
        _json("decisions"),
        sa.Column("said", sa.Integer(), nullable=False),
        _text("state", 12),
        _key("release_review", "review_id"),
        sa.UniqueConstraint("target", name=op.f("uq_release_review_target")),
    )
    op.create_table(
        "link_parcel",
        _text("sha256", 64),
        _text("direction", 3),
        _text("peer", 16),
        _text("study_id", 80),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        _time("queued_at"),
        _time("done_at", optional=True),
        _text("refused", 200, optional=True),
        _key("link_parcel", "sha256"),
    )
    op.create_table(
        "pool_peer",
        _text("site", 16),
        _text("code", 400),
        _text("fingerprint", 60),
        _text("added_by", 80),
        _time("added_at"),
        _key("pool_peer", "site"),
    )
    op.create_table(
        "pool_shipment",
        _text("shipment_id", 32),
        _text("study_id", 80),
        _text("study_hash", 64),
        _text("dataset_hash", 64),
        _text("pool", 16),
        _text("state", 12),
        _text("asked_by", 80),
        _text("reason", 500),
        _time("asked_at"),
        _text("manifest_sha256", 64),
        _json("parcels"),
        _json("counts"),
        _text("problem", 500),
        _time("sent_at", optional=True),
        _json("receipt", optional=True),
        _json("quality", optional=True),
        _json("deletion", optional=True),
        _key("pool_shipment", "shipment_id"),
    )
    op.create_table(
        "pool_shipped_series",
        _text("shipment_id", 32),
        _text("series_uid", 64),
        _text("pseudonym", 64),
        _json("content"),
        _key("pool_shipped_series", "shipment_id", "series_uid"),
    )
    op.create_table(
        "pool_incoming",
        _text("sender", 16),
        _text("shipment_id", 80),
        _text("study_id", 80),
        _json("announced"),
        _text("state", 12),
        _text("problem", 500),
        _time("announced_at"),
        sa.Column("subjects", sa.Integer(), nullable=False),
        sa.Column("objects", sa.Integer(), nullable=False),
        _json("set_aside"),
        _time("stored_at", optional=True),
        _json("quality", optional=True),
        _key("pool_incoming", "sender", "shipment_id"),
    )
    op.create_table(
        "pool_incoming_series",
        _text("sender", 16),
        _text("shipment_id", 80),
        _text("parcel", 64),
        _json("content"),
        sa.Column("is_done", sa.Boolean(), nullable=False),
        _json("set_aside"),
        _key("pool_incoming_series", "sender", "shipment_id", "parcel"),
    )
    op.create_table(
        "pool_object",
        _text("sop_instance_uid", 64),
        _text("series_uid", 64),
        _text("imaging_study_uid", 64),
        _text("pseudonym", 64),
        _text("study_id", 80),
        _text("sender", 16),
        _text("shipment_id", 80),
        _key("pool_object", "sop_instance_uid"),
    )
    op.create_table(
        "pool_letter",
        _text("letter_id", 36),
        _text("sender", 16),
        _json("document"),
        _time("received_at"),
        _text("outcome", 300, optional=True),
        _key("pool_letter", "letter_id"),
    )
    op.create_table(
        "pool_taken_back",
        _text("sender", 16),
        _text("tombstone_id", 80),
        _text("study_id", 80),
        _text("pseudonym", 64),
        _time("received_at"),
        _time("answered_at", optional=True),
        _key("pool_taken_back", "sender", "tombstone_id"),
    )
    op.create_table(
        "pool_deletion",
        _text("study_id", 80),
        _text("reason", 500),
        _text("asked_by", 80),
        _time("asked_at"),
        _text("confirmed_by", 80),
        _time("confirmed_at", optional=True),
        _time("done_at", optional=True),
        _json("proof", optional=True),
        _key("pool_deletion", "study_id"),
    )
    for table, column in INDEXES:
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.create_index(batch_op.f(f"ix_{table}_{column}"), [column], unique=False)


def downgrade() -> None:
    """Take back."""
    for table, column in INDEXES:
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.drop_index(batch_op.f(f"ix_{table}_{column}"))
    for table in (
        "pool_deletion",
        "pool_taken_back",
        "pool_letter",
        "pool_object",
        "pool_incoming_series",
        "pool_incoming",
        "pool_shipped_series",
        "pool_shipment",
        "pool_peer",
        "link_parcel",
        "release_review",
    ):
        op.drop_table(table)

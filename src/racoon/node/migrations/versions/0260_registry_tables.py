"""Saved mappings of registry tables, exchanges with neighbours, rows that came between a merge and its parting, and
orders linked by accession number."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from racoon.platform.database import Json, UtcDateTime

revision = "0260"
down_revision = "0240"
branch_labels = None
depends_on = None


def _text(name: str, length: int) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=length), nullable=False)


def _time(name: str, *, optional: bool = False) -> sa.Column[object]:
    return sa.Column(name, UtcDateTime(), nullable=optional)


def _json(name: str) -> sa.Column[object]:
    return sa.Column(name, Json(), nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False)


def _key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=op.f(f"pk_{table}"))


INDEXES = (
    ("clinical_exchange", "project"),
    ("clinical_between", "surviving_pseudonym"),
    ("clinical_accession", "token"),
    ("clinical_order_link", "imaging_study_uid"),
)


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "clinical_table_mapping",
        _number("id"),
        _text("title", 100),
        _number("version"),
        _json("content"),
        _text("content_hash", 64),
        _text("saved_by", 80),
        _time("saved_at"),
        _key("clinical_table_mapping", "id"),
        sa.UniqueConstraint("title", "version", name="uq_clinical_table_mapping_version"),
    )
    op.create_table(
        "clinical_exchange",
        _number("id"),
        _text("project", 80),
        _text("direction", 10),
        _time("done_at"),
        _text("done_by", 80),
        _json("mapping"),
        _json("counts"),
        _json("refused"),
        _key("clinical_exchange", "id"),
    )
    op.create_table(
        "clinical_between",
        _text("key", 80),
        _text("old_pseudonym", 64),
        _text("surviving_pseudonym", 64),
        _time("parted_at"),
        _key("clinical_between", "key"),
    )
    op.create_table(
        "clinical_accession",
        _text("imaging_study_uid", 64),
        _text("token", 80),
        _key("clinical_accession", "imaging_study_uid"),
    )
    op.create_table(
        "clinical_order_link",
        _text("order_key", 80),
        _text("imaging_study_uid", 64),
        _text("state", 10),
        _text("reason", 40),
        _text("decided_by", 80),
        _time("decided_at", optional=True),
        _key("clinical_order_link", "order_key", "imaging_study_uid"),
    )
    for table, column in INDEXES:
        op.create_index(op.f(f"ix_{table}_{column}"), table, [column])


def downgrade() -> None:
    """Take back."""
    for table in (
        "clinical_order_link",
        "clinical_accession",
        "clinical_between",
        "clinical_exchange",
        "clinical_table_mapping",
    ):
        op.drop_table(table)

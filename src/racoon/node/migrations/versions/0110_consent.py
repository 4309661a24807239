"""Legal bases, consents and withdrawals; the day of a series; budgets of counts."""

from __future__ import annotations

from datetime import date

import sqlalchemy as sa
from alembic import op

from racoon.platform.database import Json, UtcDateTime

revision = "0110"
down_revision = "0100"
branch_labels = None
depends_on = None


def _text(name: str, length: int) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=length), nullable=False)


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "consent_basis",
        _text("basis_id", 32),
        _text("study_id", 80),
        _text("kind", 40),
        _text("document", 500),
        _text("scope", 500),
        _text("approved_by", 200),
        _text("acquired_from", 10),
        _text("acquired_until", 10),
        _text("valid_from", 10),
        _text("valid_until", 10),
        _text("recorded_by", 80),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        _text("ended_by", 80),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("basis_id", name=op.f("pk_consent_basis")),
    )
    op.create_table(
        "consent_document",
        _text("key", 80),
        _text("pseudonym", 64),
        _text("version", 120),
        _text("domain", 80),
        _text("given", 10),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("provisions", Json(), nullable=False),
        _text("born", 10),
        _text("source", 40),
        sa.Column("fresh_until", UtcDateTime(), nullable=True),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_consent_document")),
    )
    op.create_table(
        "consent_permit",
        _text("pseudonym", 64),
        _text("permitted_from", 10),
        _text("permitted_until", 10),
        sa.Column("fresh_until", UtcDateTime(), nullable=True),
        _text("document", 80),
        sa.PrimaryKeyConstraint("pseudonym", name=op.f("pk_consent_permit")),
    )
    op.create_table(
        "consent_block",
        _text("pseudonym", 64),
        _text("scope", 80),
        _text("withdrawal_id", 32),
        sa.Column("blocked_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("pseudonym", "scope", name=op.f("pk_consent_block")),
    )
    op.create_table(
        "consent_withdrawal",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        _text("withdrawal_id", 32),
        _text("pseudonym", 64),
        _text("scope", 80),
        _text("reason", 500),
        _text("source", 40),
        _text("recorded_by", 80),
        _text("recorded_role", 200),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.Column("affected", Json(), nullable=False),
        _text("state", 16),
        sa.Column("proof", Json(), nullable=True),
        _text("proof_hash", 64),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_consent_withdrawal")),
        sa.UniqueConstraint("withdrawal_id", name=op.f("uq_consent_withdrawal_withdrawal_id")),
    )
    op.create_table(
        "consent_tombstone",
        _text("tombstone_id", 36),
        sa.Column("withdrawal_number", sa.Integer(), nullable=False),
        _text("recipient", 80),
        _text("study_id", 80),
        _text("study_pseudonym", 64),
        sa.Column("run_ids", Json(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("sent_at", UtcDateTime(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("acknowledged_at", UtcDateTime(), nullable=True),
        sa.Column("escalated_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("tombstone_id", name=op.f("pk_consent_tombstone")),
    )
    for table, column in (
        ("consent_basis", "study_id"),
        ("consent_document", "pseudonym"),
        ("consent_withdrawal", "pseudonym"),
        ("consent_withdrawal", "state"),
        ("consent_tombstone", "withdrawal_number"),
    ):
        op.create_index(op.f(f"ix_{table}_{column}"), table, [column], unique=False)
    op.create_table(
        "count_ledger",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        _text("requester", 80),
        _text("project", 80),
        _text("cohort_hash", 64),
        _text("epsilon", 20),
        sa.Column("answered_at", UtcDateTime(), nullable=False),
        sa.Column("near", sa.Boolean(), nullable=False),
        sa.Column("members", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_count_ledger")),
    )
    op.create_index(op.f("ix_count_ledger_answered_at"), "count_ledger", ["answered_at"], unique=False)
    op.create_index(op.f("ix_count_ledger_project"), "count_ledger", ["project"], unique=False)
    op.create_table(
        "count_hold",
        _text("project", 80),
        sa.Column("held_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("project", name=op.f("pk_count_hold")),
    )
    op.create_table(
        "clinical_fact",
        _text("key", 80),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        _text("resource_key", 80),
        _text("pseudonym", 64),
        _text("kind", 20),
        _text("system", 160),
        _text("code", 80),
        _text("category", 80),
        sa.Column("day_number", sa.Integer(), nullable=True),
        sa.Column("value_number", sa.Float(), nullable=True),
        _text("value_unit", 40),
        sa.PrimaryKeyConstraint("key", "number", name=op.f("pk_clinical_fact")),
    )
    op.create_index(
        "ix_clinical_fact_category_pseudonym", "clinical_fact", ["category", "pseudonym"], unique=False
    )
    for column in ("pseudonym", "resource_key"):
        op.create_index(op.f(f"ix_clinical_fact_{column}"), "clinical_fact", [column], unique=False)
    op.add_column("series_fact", sa.Column("day_number", sa.Integer(), nullable=True))
    op.add_column(
        "series_fact", sa.Column("study_date", sa.String(length=8), nullable=False, server_default="")
    )
    op.execute(
        "UPDATE series_fact SET study_date = COALESCE((SELECT image_series.study_date FROM image_series"
        " WHERE image_series.series_uid = series_fact.series_uid), '')"
    )
    _number_days()


def _number_days() -> None:
    """Count the days of series that are there already; clinical facts come with the next import of their files."""
    connection = op.get_bind()
    facts = sa.table("series_fact", sa.column("study_date"), sa.column("day_number"))
    for text in connection.execute(sa.select(facts.c.study_date).distinct()).scalars().all():
        if text:
            try:
                number = date(int(text[:4]), int(text[4:6]), int(text[6:8])).toordinal()
            except ValueError:
                continue
            connection.execute(sa.update(facts).where(facts.c.study_date == text).values(day_number=number))


def downgrade() -> None:
    """Undo."""
    op.drop_column("series_fact", "study_date")
    op.drop_column("series_fact", "day_number")
    for table in (
        "clinical_fact",
        "count_hold",
        "count_ledger",
        "consent_tombstone",
        "consent_withdrawal",
        "consent_block",
        "consent_permit",
        "consent_document",
        "consent_basis",
    ):
        op.drop_table(table)

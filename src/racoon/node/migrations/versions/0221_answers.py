"""Signed answers as narrow rows; what was signed before is taken in by the node itself."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from racoon.platform.database import UtcDateTime

revision = "0221"
down_revision = "0220"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "reading_question",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("template", sa.String(length=250), nullable=False),
        sa.Column("link_id", sa.String(length=200), nullable=False),
        sa.Column("system", sa.String(length=200), nullable=False),
        sa.Column("code", sa.String(length=80), nullable=False),
        sa.Column("text", sa.String(length=500), nullable=False),
        sa.Column("unit", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reading_question")),
        sa.UniqueConstraint("template", "link_id", name="uq_reading_question_template"),
    )
    op.create_table(
        "reading_answer_value",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("system", sa.String(length=200), nullable=False),
        sa.Column("code", sa.String(length=80), nullable=False),
        sa.Column("text", sa.String(length=500), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reading_answer_value")),
        sa.UniqueConstraint("system", "code", "text", name="uq_reading_answer_value_code"),
    )
    op.create_table(
        "reading_answered_report",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("report_id", sa.String(length=36), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("pseudonym", sa.String(length=64), nullable=False),
        sa.Column("imaging_study_uid", sa.String(length=64), nullable=False),
        sa.Column("reader", sa.String(length=80), nullable=False),
        sa.Column("signed_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reading_answered_report")),
        sa.UniqueConstraint("report_id", name=op.f("uq_reading_answered_report_report_id")),
    )
    op.create_index(op.f("ix_reading_answered_report_pseudonym"), "reading_answered_report", ["pseudonym"])
    op.create_table(
        "reading_answer",
        sa.Column("question_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("report", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("value_id", sa.Integer(), nullable=True),
        sa.Column("number", sa.Double(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("question_id", "report", "place", name=op.f("pk_reading_answer")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_reading_answer_report", "reading_answer", ["report"])
    op.create_index("ix_reading_answer_question_id_value_id", "reading_answer", ["question_id", "value_id"])


def downgrade() -> None:
    """Take back."""
    op.drop_table("reading_answer")
    op.drop_table("reading_answered_report")
    op.drop_table("reading_answer_value")
    op.drop_table("reading_question")

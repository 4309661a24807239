"""What a series is, the quality rules it breaks, and doses; every archived series is to be assessed once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from racoon.platform.clock import now
from racoon.platform.database import Json, UtcDateTime

revision = "0121"
down_revision = "0120"
branch_labels = None
depends_on = None

_INDEXES = {
    "image_series_to_assess": ("changed_at",),
    "image_series_assessment": ("study_id",),
    "image_dose_report": ("series_id", "study_id"),
    "image_study_dose": ("dlp_mgy_cm", "dose_area_product_gy_m2"),
}


def _text(name: str, length: int) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=length), nullable=False)


def _id(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False)


def _refers(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=op.f(f"fk_{table}_{column}_{other}"))


def upgrade() -> None:
    """Apply."""
    table = "image_series_to_assess"
    waiting = op.create_table(
        table,
        _id("series_id"),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        _refers(table, "series_id", "image_series"),
        sa.PrimaryKeyConstraint("series_id", name=op.f(f"pk_{table}")),
    )
    table = "image_series_assessment"
    op.create_table(
        table,
        _id("series_id"),
        _id("study_id"),
        _text("kind", 32),
        _text("body_part", 64),
        _text("plane", 16),
        _text("contrast", 16),
        _text("kernel", 16),
        _text("thickness", 16),
        _text("worst", 8),
        sa.Column("rules", Json(), nullable=False),
        sa.Column("findings", Json(), nullable=False),
        sa.Column("sources", Json(), nullable=False),
        _refers(table, "series_id", "image_series"),
        _refers(table, "study_id", "imaging_study"),
        sa.PrimaryKeyConstraint("series_id", name=op.f(f"pk_{table}")),
    )
    for column in ("contrast", "kind", "plane", "worst"):
        op.create_index(f"ix_{table}_{column}", table, [column, "study_id"], unique=False)
    table = "image_dose_report"
    op.create_table(
        table,
        _text("sop_instance_uid", 64),
        _id("series_id"),
        _id("study_id"),
        _text("kind", 16),
        _text("started_at", 64),
        _text("ended_at", 64),
        sa.Column("events", Json(), nullable=False),
        sa.Column("totals", Json(), nullable=False),
        _refers(table, "series_id", "image_series"),
        _refers(table, "study_id", "imaging_study"),
        sa.PrimaryKeyConstraint("sop_instance_uid", name=op.f(f"pk_{table}")),
    )
    table = "image_study_dose"
    op.create_table(
        table,
        _id("study_id"),
        _id("reports"),
        _id("superseded"),
        sa.Column("is_single", sa.Boolean(), nullable=False),
        sa.Column("dlp_mgy_cm", sa.Float(), nullable=True),
        sa.Column("dose_area_product_gy_m2", sa.Float(), nullable=True),
        sa.Column("totals", Json(), nullable=False),
        _refers(table, "study_id", "imaging_study"),
        sa.PrimaryKeyConstraint("study_id", name=op.f(f"pk_{table}")),
    )
    for table, columns in _INDEXES.items():
        for column in columns:
            op.create_index(op.f(f"ix_{table}_{column}"), table, [column], unique=False)
    series = sa.table("image_series", sa.column("id", sa.Integer))
    op.execute(
        sa.insert(waiting).from_select(
            ["series_id", "changed_at"], sa.select(series.c.id, sa.literal(now(), UtcDateTime()))
        )
    )


def downgrade() -> None:
    """Take back."""
    for table in (
        "image_study_dose",
        "image_dose_report",
        "image_series_assessment",
        "image_series_to_assess",
    ):
        op.drop_table(table)

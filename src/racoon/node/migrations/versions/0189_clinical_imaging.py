"""Imaging studies and series as the clinic knows them; one index less where a resource has one row."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from racoon.platform.database import Json

revision = "0189"
down_revision = "0187"
branch_labels = None
depends_on = None

SINGLE = (
    "clinical_subject",
    "clinical_condition",
    "clinical_observation",
    "clinical_medication",
    "clinical_procedure",
    "clinical_encounter",
)
"""Here a row's key is its resource's: the index on ``resource_key`` only cost writes."""


def _create(name: str, *columns: sa.Column[object], is_indexed: bool) -> None:
    op.create_table(
        name,
        sa.Column("key", sa.String(length=80), nullable=False),
        sa.Column("resource_key", sa.String(length=80), nullable=False),
        sa.Column("pseudonym", sa.String(length=64), nullable=False),
        *columns,
        sa.PrimaryKeyConstraint("key", name=op.f(f"pk_{name}")),
    )
    for column in ("resource_key", "pseudonym") if is_indexed else ("pseudonym",):
        op.create_index(op.f(f"ix_{name}_{column}"), name, [column])


def _text(name: str, length: int) -> sa.Column[object]:
    return sa.Column(name, sa.String(length=length), nullable=False)


def upgrade() -> None:
    """Apply."""
    for name in SINGLE:
        op.drop_index(op.f(f"ix_{name}_resource_key"), table_name=name)
    _create(
        "clinical_imaging_study",
        _text("imaging_study_uid", 64),
        sa.Column("modalities", Json(), nullable=False),
        _text("status", 40),
        _text("started", 40),
        sa.Column("series_count", sa.Integer(), nullable=False),
        _text("encounter_key", 80),
        is_indexed=False,
    )
    _create(
        "clinical_imaging_series",
        _text("imaging_study_uid", 64),
        _text("series_uid", 64),
        _text("modality", 16),
        _text("body_site", 40),
        _text("laterality", 40),
        _text("started", 40),
        sa.Column("instance_count", sa.Integer()),
        is_indexed=True,
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("clinical_imaging_series")
    op.drop_table("clinical_imaging_study")
    for name in SINGLE:
        op.create_index(op.f(f"ix_{name}_resource_key"), name, ["resource_key"])

"""Checklists, mentors and readiness of new sites."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from racoon.platform.database import Json, UtcDateTime

revision = "0060"
down_revision = "0055"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "onboarding",
        sa.Column("site", sa.String(length=16), nullable=False),
        sa.Column("mentor", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("site", name=op.f("pk_onboarding")),
    )
    op.create_table(
        "onboarding_tick",
        sa.Column("site", sa.String(length=16), nullable=False),
        sa.Column("item", sa.String(length=40), nullable=False),
        sa.Column("done_by", sa.String(length=200), nullable=False),
        sa.Column("done_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("site", "item", name=op.f("pk_onboarding_tick")),
    )
    op.create_table(
        "site_readiness",
        sa.Column("site", sa.String(length=16), nullable=False),
        sa.Column("tested_at", UtcDateTime(), nullable=False),
        sa.Column("version", sa.String(length=40), nullable=False),
        sa.Column("policy_version", sa.String(length=80), nullable=False),
        sa.Column("checks", Json(), nullable=False),
        sa.Column("envelope", Json(), nullable=False),
        sa.PrimaryKeyConstraint("site", name=op.f("pk_site_readiness")),
    )


def downgrade() -> None:
    """Take back."""
    for table in ("site_readiness", "onboarding_tick", "onboarding"):
        op.drop_table(table)

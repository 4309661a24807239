"""What people decided about subjects whose images and clinical record disagree."""

from __future__ import annotations

import sqlalchemy as sa

from racoon.platform.database import UtcDateTime, metadata

match = sa.Table(
    "clinical_match",
    metadata("node"),
    sa.Column("pseudonym", sa.String(64), primary_key=True),
    sa.Column("facts", sa.String(200), nullable=False),
    sa.Column("is_same", sa.Boolean, nullable=False),
    sa.Column("decided_by", sa.String(80), nullable=False),
    sa.Column("decided_at", UtcDateTime, nullable=False),
)
"""``facts`` are what disagreed: a decision is about these, and new ones ask again."""

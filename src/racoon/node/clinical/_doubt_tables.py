"""Pairs of descriptions that may be one person, or are under one number and may be two; no name stands here."""

from __future__ import annotations

import sqlalchemy as sa

from racoon.platform.database import Json, UtcDateTime, metadata

doubt = sa.Table(
    "clinical_doubt",
    metadata("node"),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("left_token", sa.String(32), nullable=False),
    sa.Column("right_token", sa.String(32), nullable=False),
    sa.Column("pseudonym", sa.String(64), nullable=False, index=True),
    sa.Column("likeness", sa.Float, nullable=False),
    sa.Column("differing", Json, nullable=False),
    sa.Column("state", sa.String(12), nullable=False, index=True),
    sa.Column("reason", sa.String(20), nullable=False),
    sa.Column("standing", sa.String(8), nullable=False),
    sa.Column("found_at", UtcDateTime, nullable=False),
    sa.Column("decided_by", sa.String(80), nullable=False),
    sa.Column("decided_at", UtcDateTime),
    sa.UniqueConstraint("left_token", "right_token", name="uq_clinical_doubt_pair"),
)
"""``left_token`` is the smaller one.  ``pseudonym`` is set where both are under one number: its case is stopped."""

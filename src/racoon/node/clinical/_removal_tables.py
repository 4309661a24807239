"""What was taken out because the clinic deleted it: which resource of whom, why and when; nothing of its content."""

from __future__ import annotations

import sqlalchemy as sa

from racoon.platform.database import UtcDateTime, metadata

removal = sa.Table(
    "clinical_removal",
    metadata("node"),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("key", sa.String(80), nullable=False, index=True),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("pseudonym", sa.String(64), nullable=False, index=True),
    sa.Column("reason", sa.String(20), nullable=False),
    sa.Column("removed_at", UtcDateTime, nullable=False),
)

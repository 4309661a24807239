"""How the last talk with each service of the hospital ended, and how far fetching from the DIZ is."""

from __future__ import annotations

import sqlalchemy as sa

from racoon.platform.database import Json, UtcDateTime, metadata

_METADATA = metadata("node")

source = sa.Table(
    "clinical_source",
    _METADATA,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("tried_at", UtcDateTime, nullable=False),
    sa.Column("succeeded_at", UtcDateTime),
    sa.Column("problem_code", sa.String(80), nullable=False),
    sa.Column("problem", sa.String(500), nullable=False),
    sa.Column("facts", Json, nullable=False),
)

fetch = sa.Table(
    "clinical_fetch",
    _METADATA,
    sa.Column("kind", sa.String(40), primary_key=True),
    sa.Column("is_done", sa.Boolean, nullable=False),
    sa.Column("since", sa.String(40), nullable=False),
    sa.Column("started", sa.String(40), nullable=False),
    sa.Column("next_page", sa.Text, nullable=False),
    sa.Column("line", sa.Integer, nullable=False),
    sa.Column("read", sa.Integer, nullable=False),
)
"""One row a type: what was fetched up to, and where an interrupted fetch goes on."""

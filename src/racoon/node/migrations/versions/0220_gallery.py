"""The gallery: tags on series, saved views, and the members of frozen datasets as rows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from racoon.platform.database import Json, UtcDateTime

revision = "0220"
down_revision = "0215"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "series_tag",
        sa.Column("tag", sa.String(length=40), nullable=False),
        sa.Column("series_uid", sa.String(length=64), nullable=False),
        sa.Column("pseudonym", sa.String(length=64), nullable=False),
        sa.Column("given_by", sa.String(length=80), nullable=False),
        sa.Column("given_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("tag", "series_uid", name=op.f("pk_series_tag")),
    )
    op.create_index(op.f("ix_series_tag_series_uid"), "series_tag", ["series_uid"])
    op.create_index(op.f("ix_series_tag_pseudonym"), "series_tag", ["pseudonym"])
    op.create_table(
        "gallery_view",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("owner", sa.String(length=80), nullable=False),
        sa.Column("wanted", Json(), nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gallery_view")),
        sa.UniqueConstraint("name", name=op.f("uq_gallery_view_name")),
    )
    op.create_table(
        "frozen_dataset_series",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("study_id", sa.String(length=80), nullable=False),
        sa.Column("series_uid", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("hash", "study_id", "series_uid", name=op.f("pk_frozen_dataset_series")),
    )
    op.create_index(op.f("ix_frozen_dataset_series_series_uid"), "frozen_dataset_series", ["series_uid"])
    _list_members()


def _list_members() -> None:
    frozen = sa.table(
        "frozen_dataset", sa.column("hash"), sa.column("study_id"), sa.column("manifest", Json())
    )
    listed = sa.table(
        "frozen_dataset_series", sa.column("hash"), sa.column("study_id"), sa.column("series_uid")
    )
    connection = op.get_bind()
    for dataset in connection.execute(sa.select(frozen)).all():
        rows = [
            {"hash": dataset.hash, "study_id": dataset.study_id, "series_uid": entry["series_uid"]}
            for entry in dataset.manifest["series"]
        ]
        if rows:
            connection.execute(sa.insert(listed), rows)


def downgrade() -> None:
    """Take back."""
    op.drop_table("frozen_dataset_series")
    op.drop_table("gallery_view")
    op.drop_table("series_tag")

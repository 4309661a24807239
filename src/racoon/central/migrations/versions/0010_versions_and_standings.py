"""A track per version of a study, what sites say about their standing, and amendments."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from racoon.platform.database import Json, UtcDateTime

revision = "0010"
down_revision = "0002"
branch_labels = None
depends_on = None

OLD = ("study_id", "site", "state", "study_hash", "version", "since", "public_reason")


def _make_track(*columns: sa.Column[object], key: tuple[str, ...]) -> None:
    """Make the table of tracks anew with another key; both databases can do this, and neither can alter a key."""
    names = ", ".join(OLD)
    op.execute(f"CREATE TABLE site_track_kept AS SELECT {names} FROM site_track")  # noqa: S608 -- constants
    op.drop_table("site_track")
    op.create_table(
        "site_track",
        sa.Column("study_id", sa.String(length=80), nullable=False),
        sa.Column("site", sa.String(length=16), nullable=False),
        sa.Column("study_hash", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.Column("public_reason", sa.String(length=500), nullable=False),
        *columns,
        sa.ForeignKeyConstraint(["study_id"], ["study.study_id"], name=op.f("fk_site_track_study_id_study")),
        sa.PrimaryKeyConstraint(*key, name=op.f("pk_site_track")),
    )
    op.execute(f"INSERT INTO site_track ({names}) SELECT {names} FROM site_track_kept")  # noqa: S608 -- constants
    op.drop_table("site_track_kept")


def upgrade() -> None:
    """Apply."""
    _make_track(
        sa.Column("standing", Json(), nullable=True),
        sa.Column("reminded_at", UtcDateTime(), nullable=True),
        key=("study_id", "site", "study_hash"),
    )
    with op.batch_alter_table("site_decision", schema=None) as batch_op:
        batch_op.add_column(sa.Column("study_hash", sa.String(length=64), nullable=False, server_default=""))
    # Decisions from before belong to the one version their site was asked for.
    op.execute(
        "UPDATE site_decision SET study_hash = COALESCE((SELECT site_track.study_hash FROM site_track WHERE"
        " site_track.study_id = site_decision.study_id AND site_track.site = site_decision.site), '')"
    )
    op.create_table(
        "study_amendment",
        sa.Column("study_id", sa.String(length=80), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("definition", Json(), nullable=False),
        sa.Column("reason", sa.String(length=2000), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.Column("last_actor", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id"], ["study.study_id"], name=op.f("fk_study_amendment_study_id_study")
        ),
        sa.PrimaryKeyConstraint("study_id", "number", name=op.f("pk_study_amendment")),
    )
    op.create_table(
        "study_amendment_event",
        sa.Column("study_id", sa.String(length=80), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("target", sa.String(length=32), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("roles", sa.String(length=400), nullable=False),
        sa.Column("artefacts", Json(), nullable=False),
        sa.Column("happened_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id"], ["study.study_id"], name=op.f("fk_study_amendment_event_study_id_study")
        ),
        sa.PrimaryKeyConstraint("study_id", "number", "version", name=op.f("pk_study_amendment_event")),
    )


def downgrade() -> None:
    """Take back; tracks of versions on their way are lost with their amendments."""
    op.drop_table("study_amendment_event")
    op.drop_table("study_amendment")
    with op.batch_alter_table("site_decision", schema=None) as batch_op:
        batch_op.drop_column("study_hash")
    op.execute(
        "DELETE FROM site_track WHERE study_hash <>"
        " (SELECT study.hash FROM study WHERE study.study_id = site_track.study_id)"
    )
    _make_track(key=("study_id", "site"))

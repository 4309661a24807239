"""Measured values as facts that a cohort can ask for; what was measured before is among them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0187"
down_revision = "0186"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "measured_fact",
        sa.Column("series_uid", sa.String(length=64), nullable=False),
        sa.Column("biomarker", sa.String(length=80), nullable=False),
        sa.Column("label", sa.String(length=120), nullable=False),
        sa.Column("identity", sa.String(length=90), nullable=False),
        sa.Column("pseudonym", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Double(), nullable=False),
        sa.Column("unit", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint(
            "series_uid", "biomarker", "label", "identity", name=op.f("pk_measured_fact")
        ),
    )
    op.create_index(op.f("ix_measured_fact_pseudonym"), "measured_fact", ["pseudonym"])
    op.create_index("ix_measured_fact_biomarker_number", "measured_fact", ["biomarker", "number"])
    # Only of series that are still there: values outlive the images they were measured on, facts do not.
    op.execute(
        sa.text(
            "INSERT INTO measured_fact (series_uid, biomarker, label, identity, pseudonym, number, unit) "
            "SELECT m.series_uid, m.biomarker, m.label_key, m.version || '/' || m.parameters_hash, "
            "MIN(m.pseudonym), MIN(m.value), MIN(m.unit) FROM measurement m "
            "JOIN series_fact s ON s.series_uid = m.series_uid "
            "WHERE m.valid AND m.value IS NOT NULL "
            "GROUP BY m.series_uid, m.biomarker, m.label_key, m.version, m.parameters_hash"
        )
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("measured_fact")

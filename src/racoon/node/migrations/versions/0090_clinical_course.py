"""Tables of the clinical course."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from racoon.platform.database import Json, UtcDateTime

revision = "0090"
down_revision = "0060"
branch_labels = None
depends_on = None


def _flat(name: str, *columns: sa.Column[Any]) -> None:
    """One flat table: key, resource, subject, and its own columns."""
    op.create_table(
        name,
        sa.Column("key", sa.String(length=80), nullable=False),
        sa.Column("resource_key", sa.String(length=80), nullable=False),
        sa.Column("pseudonym", sa.String(length=64), nullable=False),
        *columns,
        sa.PrimaryKeyConstraint("key", name=op.f(f"pk_{name}")),
    )
    with op.batch_alter_table(name, schema=None) as batch_op:
        batch_op.create_index(batch_op.f(f"ix_{name}_pseudonym"), ["pseudonym"], unique=False)
        batch_op.create_index(batch_op.f(f"ix_{name}_resource_key"), ["resource_key"], unique=False)


def _index(table: str, column: str) -> None:
    with op.batch_alter_table(table, schema=None) as batch_op:
        batch_op.create_index(batch_op.f(f"ix_{table}_{column}"), [column], unique=False)


def _text(name: str, length: int = 40) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length=length), nullable=False)


def _coded() -> list[sa.Column[Any]]:
    return [_text("system", 160), _text("code", 80), sa.Column("codings", Json(), nullable=False)]


def upgrade() -> None:
    """Apply."""
    _flat(
        "clinical_subject",
        _text("gender", 10),
        _text("birth_year", 4),
        sa.Column("is_deceased", sa.Boolean(), nullable=True),
        _text("died"),
    )
    _flat(
        "clinical_condition",
        *_coded(),
        _text("clinical_status"),
        _text("verification_status"),
        _text("onset"),
        _text("recorded"),
        _text("encounter_key", 80),
    )
    _flat(
        "clinical_observation",
        *_coded(),
        sa.Column("is_laboratory", sa.Boolean(), nullable=False),
        _text("status"),
        _text("effective"),
        sa.Column("value_number", sa.Float(), nullable=True),
        _text("value_unit"),
        _text("value_code", 80),
        sa.Column("value_boolean", sa.Boolean(), nullable=True),
        _text("interpretation"),
        _text("encounter_key", 80),
    )
    _flat(
        "clinical_medication",
        *_coded(),
        _text("kind", 20),
        _text("status"),
        _text("start"),
        _text("end"),
        sa.Column("dose_number", sa.Float(), nullable=True),
        _text("dose_unit"),
        _text("encounter_key", 80),
    )
    _flat(
        "clinical_procedure",
        *_coded(),
        _text("status"),
        _text("start"),
        _text("end"),
        _text("encounter_key", 80),
    )
    _flat(
        "clinical_encounter",
        _text("class_code"),
        sa.Column("codings", Json(), nullable=False),
        _text("status"),
        _text("start"),
        _text("end"),
    )
    _flat(
        "clinical_consent_period",
        _text("policy", 80),
        sa.Column("is_permit", sa.Boolean(), nullable=False),
        _text("start"),
        _text("end"),
        _text("document", 120),
        _text("status"),
        _text("given"),
    )
    for table in ("clinical_condition", "clinical_observation", "clinical_medication", "clinical_procedure"):
        _index(table, "code")
    _index("clinical_consent_period", "policy")
    op.create_table(
        "clinical_resource",
        sa.Column("key", sa.String(length=80), nullable=False),
        _text("kind"),
        _text("pseudonym", 64),
        _text("content_hash", 64),
        sa.Column("content", Json(), nullable=False),
        sa.Column("imported_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_clinical_resource")),
    )
    _index("clinical_resource", "kind")
    _index("clinical_resource", "pseudonym")
    op.create_table(
        "clinical_import",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime(), nullable=False),
        sa.Column("report", Json(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clinical_import")),
    )


def downgrade() -> None:
    """Undo."""
    for table in (
        "clinical_import",
        "clinical_resource",
        "clinical_consent_period",
        "clinical_encounter",
        "clinical_procedure",
        "clinical_medication",
        "clinical_observation",
        "clinical_condition",
        "clinical_subject",
    ):
        op.drop_table(table)

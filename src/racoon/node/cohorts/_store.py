"""Fact tables: image series, masks and values on them, what was signed and marked, consents, the clinical course."""

from __future__ import annotations

import sqlalchemy as sa

from racoon.platform.database import UtcDateTime, metadata

series_fact = sa.Table(
    "series_fact",
    metadata("node"),
    sa.Column("series_uid", sa.String(64), primary_key=True),
    sa.Column("imaging_study_uid", sa.String(64), nullable=False),
    sa.Column("pseudonym", sa.String(64), nullable=False, index=True),
    sa.Column("modality", sa.String(16), nullable=False, index=True),
    sa.Column("body_part", sa.String(16), nullable=False),
    sa.Column("gender", sa.String(10), nullable=False),
    sa.Column("age_years", sa.Float),
    sa.Column("slice_thickness_mm", sa.Float),
    sa.Column("instance_count", sa.Integer, nullable=False),
    sa.Column("study_date", sa.String(8), nullable=False, server_default=""),
    sa.Column("day_number", sa.Integer),
    sa.Column("scanner", sa.String(200), nullable=False, server_default=""),
)

mask_fact = sa.Table(
    "mask_fact",
    metadata("node"),
    sa.Column("mask_series_uid", sa.String(64), primary_key=True),
    sa.Column("label", sa.String(80), primary_key=True),
    sa.Column("series_uid", sa.String(64), nullable=False, index=True),
    sa.Column("pseudonym", sa.String(64), nullable=False),
)

clinical_fact = sa.Table(
    "clinical_fact",
    metadata("node"),
    sa.Column("key", sa.String(80), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("resource_key", sa.String(80), nullable=False),
    sa.Column("pseudonym", sa.String(64), nullable=False, index=True),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("system", sa.String(160), nullable=False),
    sa.Column("code", sa.String(80), nullable=False),
    sa.Column("category", sa.String(80), nullable=False),
    sa.Column("day_number", sa.Integer),
    sa.Column("value_number", sa.Float),
    sa.Column("value_unit", sa.String(40), nullable=False),
    sa.Index("ix_clinical_fact_category_pseudonym", "category", "pseudonym"),
)
"""One row per code of a diagnosis, value, procedure or medication; days are shifted, counted from 0001-01-01."""

measured_fact = sa.Table(
    "measured_fact",
    metadata("node"),
    sa.Column("series_uid", sa.String(64), primary_key=True),
    sa.Column("biomarker", sa.String(80), primary_key=True),
    sa.Column("label", sa.String(120), primary_key=True),
    sa.Column("identity", sa.String(90), primary_key=True),
    sa.Column("pseudonym", sa.String(64), nullable=False, index=True),
    sa.Column("number", sa.Double, nullable=False),
    sa.Column("unit", sa.String(40), nullable=False),
    sa.Index("ix_measured_fact_biomarker_number", "biomarker", "number"),
)
"""One row per valid value; ``identity`` is the version of the definition and the hash of its parameters."""

answer_fact = sa.Table(
    "answer_fact",
    metadata("node"),
    sa.Column("report_id", sa.String(36), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("imaging_study_uid", sa.String(64), nullable=False, index=True),
    sa.Column("pseudonym", sa.String(64), nullable=False, index=True),
    sa.Column("template", sa.String(200), nullable=False),
    sa.Column("question", sa.String(200), nullable=False),
    sa.Column("system", sa.String(160), nullable=False),
    sa.Column("code", sa.String(80), nullable=False),
    sa.Index("ix_answer_fact_question_code", "question", "code"),
)
"""One row per coded answer of the newest signed version of a report; yes and no are ``true`` and ``false``."""

annotation_fact = sa.Table(
    "annotation_fact",
    metadata("node"),
    sa.Column("key", sa.String(36), primary_key=True),
    sa.Column("imaging_study_uid", sa.String(64), nullable=False, index=True),
    sa.Column("pseudonym", sa.String(64), nullable=False, index=True),
)
"""One row per finding that is there and per signed report, whoever made it."""

consent_fact = sa.Table(
    "consent_fact",
    metadata("node"),
    sa.Column("pseudonym", sa.String(64), primary_key=True),
    sa.Column("policy", sa.String(60), primary_key=True),
    sa.Column("first_day", sa.String(10), primary_key=True),
    sa.Column("last_day", sa.String(10), nullable=False),
    sa.Column("fresh_until", UtcDateTime),
    sa.Index("ix_consent_fact_policy", "policy", "pseudonym"),
)
"""Periods in which the newest broad consent permits a policy; days are real ones, ISO 8601."""

pacs_fact = sa.Table(
    "pacs_fact",
    metadata("node"),
    sa.Column("key", sa.String(80), primary_key=True),
    sa.Column("resource_key", sa.String(80), nullable=False, index=True),
    sa.Column("series_uid", sa.String(64), nullable=False, index=True),
    sa.Column("imaging_study_uid", sa.String(64), nullable=False),
    sa.Column("pseudonym", sa.String(64), nullable=False, index=True),
    sa.Column("modality", sa.String(16), nullable=False, index=True),
    sa.Column("day_number", sa.Integer),
)
"""One row per series that the clinic's own system names."""

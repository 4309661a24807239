"""Fact tables: one row per image series, one per label that a mask of it carries."""

from __future__ import annotations

import sqlalchemy as sa

from racoon.platform.database import metadata

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
    sa.Column("resource_key", sa.String(80), nullable=False, index=True),
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

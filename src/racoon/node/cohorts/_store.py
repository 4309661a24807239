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
)

mask_fact = sa.Table(
    "mask_fact",
    metadata("node"),
    sa.Column("mask_series_uid", sa.String(64), primary_key=True),
    sa.Column("label", sa.String(80), primary_key=True),
    sa.Column("series_uid", sa.String(64), nullable=False, index=True),
    sa.Column("pseudonym", sa.String(64), nullable=False),
)

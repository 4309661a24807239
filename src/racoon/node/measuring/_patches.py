"""Pieces punched out at marks, as files beside their values."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from racoon.domain.canonical import content_hash
from racoon.domain.identity import Pseudonym
from racoon.node.measuring.model import StoredValue
from racoon.platform import clock
from racoon.platform.database import UtcDateTime, metadata

patch_table = sa.Table(
    "measuring_patch",
    metadata("node"),
    sa.Column("study_id", sa.String(80), primary_key=True),
    sa.Column("dataset_hash", sa.String(64), primary_key=True),
    sa.Column("series_uid", sa.String(64), primary_key=True),
    sa.Column("parameters_hash", sa.String(64), primary_key=True),
    sa.Column("pseudonym", sa.String(64), nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("patch", sa.LargeBinary, nullable=False),
    sa.Column("mask", sa.LargeBinary, nullable=False),
    sa.Column("made_at", UtcDateTime, nullable=False),
)


@dataclass(frozen=True)
class Patch:
    """A piece of an image and the voxels of the shape in it, as compressed NIfTI files of one grid.

    Parameters
    ----------
    patch, mask
        The files.
    sha256
        Of the file with the image.
    """

    patch: bytes
    mask: bytes
    sha256: str


def patch_key(value: StoredValue) -> str:
    """Hash of where and how a piece was punched: all values of one piece have the same."""
    return content_hash({name: item for name, item in value.parameters.items() if name != "settings"})


def save_patches(connection: sa.Connection, patches: Sequence[tuple[StoredValue, bytes, bytes]]) -> None:
    """Store pieces, each with one of its values; one that exists stays as it is."""
    rows = [
        {
            "study_id": value.study_id,
            "dataset_hash": value.dataset_hash,
            "series_uid": value.series_uid,
            "parameters_hash": patch_key(value),
            "pseudonym": value.pseudonym,
            "sha256": hashlib.sha256(patch).hexdigest(),
            "patch": patch,
            "mask": mask,
            "made_at": clock.now(),
        }
        for value, patch, mask in patches
    ]
    if rows:
        insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        connection.execute(insert(patch_table).on_conflict_do_nothing(), rows)


def load_patch(connection: sa.Connection, value: StoredValue) -> Patch | None:
    """Load the piece that a value was computed from; ``None`` where it was no punch or lay outside the image."""
    if "mark" not in value.parameters:
        return None
    columns = patch_table.c
    statement = sa.select(columns.patch, columns.mask, columns.sha256).where(
        columns.study_id == value.study_id,
        columns.dataset_hash == value.dataset_hash,
        columns.series_uid == value.series_uid,
        columns.parameters_hash == patch_key(value),
    )
    row = connection.execute(statement).one_or_none()
    return Patch(bytes(row.patch), bytes(row.mask), row.sha256) if row else None


def forget_subject(connection: sa.Connection, pseudonym: Pseudonym, series_uids: Sequence[str]) -> int:
    """Remove the pieces of a subject; returns how many."""
    columns = patch_table.c
    where = (columns.pseudonym == pseudonym) | columns.series_uid.in_(list(series_uids))
    return connection.execute(sa.delete(patch_table).where(where)).rowcount

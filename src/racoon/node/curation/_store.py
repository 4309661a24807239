"""Table of frozen datasets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import sqlalchemy as sa

from racoon.domain.dataset import DatasetManifest
from racoon.domain.identity import Pseudonym
from racoon.platform import clock
from racoon.platform.database import Json, UtcDateTime, metadata

frozen_dataset = sa.Table(
    "frozen_dataset",
    metadata("node"),
    sa.Column("hash", sa.String(64), primary_key=True),
    sa.Column("study_id", sa.String(80), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("manifest", Json, nullable=False),
    sa.Column("series_count", sa.Integer, nullable=False),
    sa.Column("subject_count", sa.Integer, nullable=False),
    sa.Column("frozen_at", UtcDateTime, nullable=False),
)

matched_control = sa.Table(
    "matched_control",
    metadata("node"),
    sa.Column("study_id", sa.String(80), primary_key=True),
    sa.Column("dataset_hash", sa.String(64), primary_key=True),
    sa.Column("control_pseudonym", sa.String(64), primary_key=True, index=True),
    sa.Column("case_pseudonym", sa.String(64), nullable=False, index=True),
    sa.Column("place", sa.Integer, nullable=False),
)
"""Who is the control of whom in a frozen dataset; these rows never leave the node."""


def save(connection: sa.Connection, manifest: DatasetManifest) -> None:
    """Write a manifest once; freezing the same content again changes nothing."""
    if load(connection, manifest.study_id, manifest.hash) is None:
        connection.execute(
            frozen_dataset.insert().values(
                hash=manifest.hash,
                study_id=manifest.study_id,
                name=manifest.name,
                manifest=manifest.to_dict(),
                series_count=len(manifest.series),
                subject_count=manifest.subject_count,
                frozen_at=clock.now(),
            )
        )


def load(connection: sa.Connection, study_id: str, dataset_hash: str) -> DatasetManifest | None:
    """Load a frozen dataset."""
    statement = sa.select(frozen_dataset.c.manifest).where(
        frozen_dataset.c.study_id == study_id, frozen_dataset.c.hash == dataset_hash
    )
    document = connection.execute(statement).scalar()
    return DatasetManifest.from_dict(document) if document else None


def load_manifests(connection: sa.Connection) -> Iterator[DatasetManifest]:
    """Yield every frozen dataset."""
    for document in connection.execute(sa.select(frozen_dataset.c.manifest)).scalars():
        yield DatasetManifest.from_dict(document)


def save_pairs(
    connection: sa.Connection,
    study_id: str,
    dataset_hash: str,
    controls: Mapping[Pseudonym, tuple[Pseudonym, ...]],
) -> None:
    """Write who is compared with whom; the same dataset frozen again has the pairs of this time."""
    columns = matched_control.c
    connection.execute(
        sa.delete(matched_control).where(columns.study_id == study_id, columns.dataset_hash == dataset_hash)
    )
    rows = [
        {
            "study_id": study_id,
            "dataset_hash": dataset_hash,
            "control_pseudonym": control,
            "case_pseudonym": case,
            "place": place,
        }
        for case, own in controls.items()
        for place, control in enumerate(own)
    ]
    if rows:
        connection.execute(sa.insert(matched_control), rows)


def load_pairs(
    connection: sa.Connection, study_id: str, dataset_hash: str
) -> dict[Pseudonym, tuple[Pseudonym, ...]]:
    """Load who is compared with whom."""
    columns = matched_control.c
    query = sa.select(columns.case_pseudonym, columns.control_pseudonym).where(
        columns.study_id == study_id, columns.dataset_hash == dataset_hash
    )
    found: dict[Pseudonym, tuple[Pseudonym, ...]] = {}
    for case, control in connection.execute(query.order_by(columns.case_pseudonym, columns.place)):
        found[Pseudonym(case)] = (*found.get(Pseudonym(case), ()), Pseudonym(control))
    return found


def forget_pairs(connection: sa.Connection, pseudonym: str) -> int:
    """Remove every pair of a subject; returns how many rows."""
    columns = matched_control.c
    statement = sa.delete(matched_control).where(
        sa.or_(columns.case_pseudonym == pseudonym, columns.control_pseudonym == pseudonym)
    )
    return int(connection.execute(statement).rowcount)


def load_all(connection: sa.Connection) -> list[sa.Row[tuple[str, ...]]]:
    """Load the list of datasets without their manifests, newest first."""
    columns = [column for column in frozen_dataset.c if column.name != "manifest"]
    return list(connection.execute(sa.select(*columns).order_by(frozen_dataset.c.frozen_at.desc())))

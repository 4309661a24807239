"""Table of frozen datasets."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from racoon.domain.dataset import DatasetManifest
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


def load_all(connection: sa.Connection) -> list[sa.Row[tuple[str, ...]]]:
    """Load the list of datasets without their manifests, newest first."""
    columns = [column for column in frozen_dataset.c if column.name != "manifest"]
    return list(connection.execute(sa.select(*columns).order_by(frozen_dataset.c.frozen_at.desc())))

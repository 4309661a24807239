"""What one may ask about frozen datasets."""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar

import sqlalchemy as sa

from racoon.domain.cohort import CohortDefinition
from racoon.domain.dataset import DatasetManifest, DatasetSeries
from racoon.errors import Defect
from racoon.node.archive.service import Archive
from racoon.node.cohorts import service as cohorts
from racoon.node.curation import _store


class DatasetMissing(Defect):
    """No such frozen dataset at this site."""

    code: ClassVar[str] = "curation.dataset_missing"


def freeze(
    connection: sa.Connection, archive: Archive, study_id: str, name: str, definition: CohortDefinition
) -> DatasetManifest:
    """Freeze the series that match a cohort now.

    Parameters
    ----------
    connection
        Open write transaction.
    archive
        Where the instances' hashes are read from.
    study_id, name
        Study and name of the dataset.
    definition
        Cohort; its imaging criteria choose the series.

    Returns
    -------
    DatasetManifest
        Stored; the same archive content gives the same hash.
    """
    manifest = DatasetManifest(
        study_id=study_id,
        name=name,
        series=tuple(
            DatasetSeries(
                series_uid=entry.series_uid,
                pseudonym=entry.pseudonym,
                instance_count=len(archive.instances(entry.series_uid)),
                content_hash=_content_hash(archive, (entry.series_uid, *entry.mask_series_uids)),
                mask_series_uids=entry.mask_series_uids,
            )
            for entry in cohorts.select_series(connection, definition)
        ),
    )
    _store.save(connection, manifest)
    return manifest


def load(connection: sa.Connection, study_id: str, dataset_hash: str) -> DatasetManifest:
    """Load a frozen dataset.

    Raises
    ------
    DatasetMissing
    """
    manifest = _store.load(connection, study_id, dataset_hash)
    if manifest is None:
        raise DatasetMissing("No dataset with this hash is frozen for the study at this site.")
    return manifest


def datasets(connection: sa.Connection) -> list[dict[str, Any]]:
    """Return all frozen datasets without their manifests, newest first."""
    return [dict(row._mapping) for row in _store.load_all(connection)]


def _content_hash(archive: Archive, series_uids: tuple[str, ...]) -> str:
    digest = hashlib.sha256()
    for value in sorted(row.sha256 for uid in series_uids for row in archive.instances(uid)):
        digest.update(value.encode("ascii"))
    return digest.hexdigest()

"""What one may ask about frozen datasets."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from typing import Any, ClassVar

import sqlalchemy as sa

from racoon.domain.cohort import CohortDefinition
from racoon.domain.dataset import DatasetManifest, DatasetSeries
from racoon.domain.identity import Pseudonym
from racoon.errors import Defect, Refused
from racoon.node.archive.service import Archive
from racoon.node.cohorts import service as cohorts
from racoon.node.curation import _store, _tags
from racoon.node.curation.matching import Matched, match


class NothingUsable(Refused):
    """Images match, and consent permits not one of them for the study."""

    code: ClassVar[str] = "curation.nothing_usable"


class DatasetMissing(Defect):
    """No such frozen dataset at this site."""

    code: ClassVar[str] = "curation.dataset_missing"


Usable = Callable[[sa.Connection, str, Sequence[cohorts.CohortSeries]], Collection[str]]
"""Which of some series a study may use: ``consent`` decides item by item; ``app`` registers it."""


def freeze(
    connection: sa.Connection,
    archive: Archive,
    study_id: str,
    name: str,
    definition: CohortDefinition,
    *,
    readable: cohorts.Readable,
    usable: Usable,
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
    readable, usable
        Conditions of ``consent``: on what is read at all, and on each series for this study.

    Returns
    -------
    DatasetManifest
        Stored; the same archive content gives the same hash.

    Raises
    ------
    NothingUsable
        When series match, and this study may use none of them.
    """
    manifest, _ = freeze_matched(
        connection, archive, study_id, name, definition, readable=readable, usable=usable
    )
    return manifest


def freeze_matched(
    connection: sa.Connection,
    archive: Archive,
    study_id: str,
    name: str,
    definition: CohortDefinition,
    *,
    readable: cohorts.Readable,
    usable: Usable,
) -> tuple[DatasetManifest, Matched | None]:
    """Freeze as :func:`freeze` does; of a cohort with controls only cases that found one, and these controls.

    Returns
    -------
    tuple
        The manifest, and the outcome of the matching where the cohort asks for one; the pairs are stored.

    Raises
    ------
    NothingUsable
    """
    found = cohorts.select_series(connection, definition.cases, readable)
    permitted = set(usable(connection, study_id, found))
    if found and not permitted:
        raise NothingUsable(
            "This site may use none of the matching images for this study: it has recorded neither consents nor a"
            " legal basis that permit it.",
            details={"series": len(found)},
        )
    matched = None
    if definition.controls is not None and definition.matching is not None:
        own = {entry.pseudonym for entry in found}
        # Who is a case is no control, even where this study may not use the case.
        others = [
            entry
            for entry in cohorts.select_series(connection, definition.controls, readable)
            if entry.pseudonym not in own
        ]
        found += others
        permitted |= set(usable(connection, study_id, others))
        known = cohorts.features(connection, permitted)
        matched = match(definition.matching, known, own & known.keys(), known.keys() - own)
        permitted = {entry.series_uid for entry in found if entry.pseudonym in matched.subjects} & permitted
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
            for entry in found
            if entry.series_uid in permitted
        ),
    )
    keep(connection, manifest)
    if matched is not None:
        _store.save_pairs(connection, study_id, manifest.hash, matched.controls)
    return manifest, matched


def keep(connection: sa.Connection, manifest: DatasetManifest) -> DatasetManifest:
    """Store a dataset and list its members; keeping the same content again changes nothing."""
    _store.save(connection, manifest)
    _tags.save_members(
        connection, manifest.study_id, manifest.hash, [entry.series_uid for entry in manifest.series]
    )
    return manifest


def pairs(
    connection: sa.Connection, study_id: str, dataset_hash: str
) -> dict[Pseudonym, tuple[Pseudonym, ...]]:
    """Return the controls of every case of a matched dataset."""
    return _store.load_pairs(connection, study_id, dataset_hash)


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


def datasets_with(connection: sa.Connection, pseudonym: Pseudonym) -> list[tuple[str, str]]:
    """Return study and hash of every frozen dataset that holds a subject."""
    return [
        (manifest.study_id, manifest.hash)
        for manifest in _store.load_manifests(connection)
        if any(entry.pseudonym == pseudonym for entry in manifest.series)
    ]


def datasets(connection: sa.Connection) -> list[dict[str, Any]]:
    """Return all frozen datasets without their manifests, newest first."""
    return [dict(row._mapping) for row in _store.load_all(connection)]


def forget_series(connection: sa.Connection, removed: Sequence[str], _changed: object = ()) -> None:
    """Remove the tags of series that were deleted; the archive calls this in its removing transaction."""
    _tags.forget_series(connection, removed)


def forget_subject(connection: sa.Connection, pseudonym: Pseudonym) -> int:
    """Remove a subject's tags, pairs, and views that name the subject; returns how many rows."""
    return _tags.forget_subject(connection, pseudonym) + _store.forget_pairs(connection, pseudonym)


def forget_pairs(connection: sa.Connection, pseudonym: Pseudonym) -> int:
    """Remove a subject from all pairs; returns how many rows."""
    return _store.forget_pairs(connection, pseudonym)


def content_hash_of(hashes: Sequence[str]) -> str:
    """SHA-256 over the sorted hashes of the instances of a series and its masks."""
    return hashlib.sha256("".join(sorted(hashes)).encode("ascii")).hexdigest()


def _content_hash(archive: Archive, series_uids: tuple[str, ...]) -> str:
    return content_hash_of([row.sha256 for uid in series_uids for row in archive.instances(uid)])

"""Takes instances out of the index, in one transaction of the caller: rows, counts, metadata, nothing left over."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
import zstandard

from racoon.node.archive import _assessments, _doses, _ingest, _store
from racoon.node.archive._header import labels_of_metadata
from racoon.node.archive.model import SeriesFacts
from racoon.node.archive.objects import ObjectStore, evidence_key


@dataclass(frozen=True)
class Removed:
    """What left the index.

    Parameters
    ----------
    series
        Series that are gone altogether.
    changed
        Facts of series that keep other instances.
    """

    series: tuple[str, ...]
    changed: tuple[SeriesFacts, ...]


def select_doomed(
    connection: sa.Connection, imaging_study_uid: str, series_uid: str, sop_instance_uid: str
) -> Sequence[sa.Row[Any]]:
    """Select what a deletion takes away.

    Without an instance, the segmentations drawn on a series go with it: they show it.
    """
    query = _store.select_instances().where(_store.series.c.imaging_study_uid == imaging_study_uid)
    if sop_instance_uid:
        query = query.where(
            _store.series.c.series_uid == series_uid,
            _store.instances.c.sop_instance_uid == sop_instance_uid,
        )
    elif series_uid:
        query = query.where(
            sa.or_(
                _store.series.c.series_uid == series_uid,
                _store.instances.c.referenced_series_uid == series_uid,
            )
        )
    return connection.execute(query.order_by(_store.instances.c.id)).all()


def remove(connection: sa.Connection, rows: Sequence[sa.Row[Any]]) -> Removed:
    """Remove instances; counts of what stays are computed anew, not subtracted."""
    by_series: dict[str, list[sa.Row[Any]]] = {}
    for row in rows:
        by_series.setdefault(row.series_uid, []).append(row)
    gone, changed, studies = [], [], set()
    for series_uid in sorted(by_series):
        series = _store.lock_series(connection, series_uid)
        if series is None:
            continue
        studies.add(series.study_id)
        uids = {row.sop_instance_uid for row in by_series[series_uid]}
        doomed = [row.id for row in by_series[series_uid]]
        for start in range(0, len(doomed), _store.MOST_PARAMETERS):
            table = _store.instances
            connection.execute(
                sa.delete(table).where(table.c.id.in_(doomed[start : start + _store.MOST_PARAMETERS]))
            )
        facts = _shrink(connection, series, uids)
        if facts is None:
            gone.append(series_uid)
        else:
            changed.append(facts)
    for study_id in sorted(studies):
        _recount_study(connection, study_id)
    return Removed(tuple(gone), tuple(changed))


def _shrink(connection: sa.Connection, series: sa.Row[Any], removed: set[str]) -> SeriesFacts | None:
    """Bring a series to what is left of it; remove it when that is nothing."""
    table, blobs = _store.instances, _store.blobs
    _assessments.forget_series(connection, series.id)
    count, frames, size = connection.execute(
        sa.select(
            sa.func.count(),
            sa.func.coalesce(sa.func.sum(table.c.frame_count), 0),
            sa.func.coalesce(sa.func.sum(table.c.size_bytes), 0),
        ).where(table.c.series_id == series.id)
    ).one()
    if not count:
        connection.execute(sa.delete(blobs).where(blobs.c.series_id == series.id))
        connection.execute(sa.delete(_store.series).where(_store.series.c.id == series.id))
        return None
    _assessments.mark(connection, series.id)
    lines, labels = [], []
    for line in _store.load_metadata_lines(connection, series.series_uid):
        entry = json.loads(line)
        if entry["uid"] not in removed:
            lines.append(line)
            labels += [
                [code.value, code.scheme, code.meaning] for code in labels_of_metadata(entry["metadata"])
            ]
    blob = zstandard.compress(b"".join(line + b"\n" for line in lines), level=6)
    connection.execute(sa.update(blobs).where(blobs.c.series_id == series.id).values(parts=1, blob=blob))
    updated = connection.execute(
        sa.update(_store.series)
        .where(_store.series.c.id == series.id)
        .values(
            instance_count=int(count), frame_count=int(frames), size_bytes=int(size), segment_labels=labels
        )
        .returning(_store.series)
    ).one()
    return _store.facts_of(updated)


def _recount_study(connection: sa.Connection, study_id: int) -> None:
    table, studies = _store.series, _store.imaging_studies
    left = connection.execute(
        sa.select(table.c.modality, table.c.instance_count).where(table.c.study_id == study_id)
    ).all()
    _doses.update_study_dose(connection, study_id)
    if not left:
        connection.execute(sa.delete(studies).where(studies.c.id == study_id))
        return
    connection.execute(
        sa.update(studies)
        .where(studies.c.id == study_id)
        .values(
            series_count=len(left),
            instance_count=sum(row.instance_count for row in left),
            modalities="\\".join(sorted({row.modality for row in left} - {""}))[:128],
        )
    )


def forget_evidence(objects: ObjectStore, contents: Mapping[str, str]) -> int:
    """Take the evidence of some instances out of the stored packs.

    Parameters
    ----------
    objects
        The object store.
    contents
        SHA-256 by SOP Instance UID.

    Returns
    -------
    int
        Packs that were written anew or removed.
    """
    rewritten = 0
    for key in list(objects.keys("evidence")):
        entries = _ingest.unpack_evidence(objects.read(key))
        kept = [entry for entry in entries if contents.get(entry["sop_instance_uid"]) != entry["sha256"]]
        if len(kept) == len(entries):
            continue
        if kept:
            packed = _ingest.pack_lines(kept)
            objects.put_many([(evidence_key(packed), packed)])
        objects.delete(key)
        rewritten += 1
    return rewritten

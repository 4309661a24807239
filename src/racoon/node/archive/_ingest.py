"""Puts a batch of parsed instances into the index, in one transaction of the caller."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
import zstandard

from racoon.node.archive import _assessments, _store
from racoon.node.archive._header import Header
from racoon.node.archive.model import SeriesFacts, StoreResult
from racoon.node.archive.objects import object_key

DIFFERENT_CONTENT = "An instance with this UID and other content is in the archive already."
DIFFERENT_PARENT = "The series or imaging study of this instance belongs to another imaging study or subject."


def insert_batch(
    connection: sa.Connection, headers: Sequence[Header], evidence: Mapping[str, Any]
) -> tuple[dict[str, tuple[StoreResult, str]], list[SeriesFacts]]:
    """Insert instances and keep series, imaging studies, counts and metadata current.

    Parameters
    ----------
    connection
        Open write transaction.
    headers
        Distinct SOP Instance UIDs whose objects are durable.
    evidence
        De-identification evidence by SOP Instance UID.

    Returns
    -------
    tuple
        Outcome by SOP Instance UID, and the facts of each series that changed.
    """
    outcomes: dict[str, tuple[StoreResult, str]] = {}
    known = _store.known_contents(connection, [header.sop_instance_uid for header in headers])
    by_series: dict[str, list[Header]] = defaultdict(list)
    for header in headers:
        stored = known.get(header.sop_instance_uid)
        if stored is None:
            by_series[header.series_uid].append(header)
        elif stored == header.sha256:
            outcomes[header.sop_instance_uid] = (StoreResult.DUPLICATE, "")
        else:
            outcomes[header.sop_instance_uid] = (StoreResult.CONFLICT, DIFFERENT_CONTENT)
    facts = []
    # Sorted, so that two writers lock series in the same order.
    for series_uid in sorted(by_series):
        changed = _insert_series_batch(connection, by_series[series_uid], evidence, outcomes)
        if changed is not None:
            facts.append(changed)
    return outcomes, facts


def _insert_series_batch(
    connection: sa.Connection,
    headers: Sequence[Header],
    evidence: Mapping[str, Any],
    outcomes: dict[str, tuple[StoreResult, str]],
) -> SeriesFacts | None:
    first = headers[0]
    study = _store.ensure_study(connection, first.imaging_study_uid, first.pseudonym, first.study)
    series = _store.lock_series(connection, first.series_uid)
    if series is None and study.pseudonym == first.pseudonym:
        series, is_new = _store.ensure_series(connection, first.series_uid, study, first.series)
    else:
        is_new = False
    fitting: list[Header] = []
    for header in headers:
        if (
            series is None
            or header.imaging_study_uid != series.imaging_study_uid
            or header.pseudonym != series.pseudonym
        ):
            outcomes[header.sop_instance_uid] = (StoreResult.CONFLICT, DIFFERENT_PARENT)
        else:
            fitting.append(header)
    if series is None or not fitting:
        return None
    fitting = _insert_instances(connection, fitting, series.id, evidence, outcomes)
    if not fitting:
        return None
    _store.append_metadata(connection, series.id, b"".join(header.metadata_line for header in fitting))
    return _update_counts(connection, series, study, fitting, is_new=is_new)


def _insert_instances(
    connection: sa.Connection,
    headers: Sequence[Header],
    series_id: int,
    evidence: Mapping[str, Any],
    outcomes: dict[str, tuple[StoreResult, str]],
) -> list[Header]:
    """Insert instances in one statement, note their outcomes and return those that are new."""
    rows = [_row_of(header, series_id, evidence.get(header.sop_instance_uid, {})) for header in headers]
    new = _store.insert_new_instances(connection, rows)
    late = [header.sop_instance_uid for header in headers if header.sop_instance_uid not in new]
    # Another writer was faster between our look and our insert; only PostgreSQL lets this happen.
    now_known = _store.known_contents(connection, late) if late else {}
    for header in headers:
        uid = header.sop_instance_uid
        if uid in new:
            outcomes[uid] = (StoreResult.STORED, "")
        elif now_known.get(uid) == header.sha256:
            outcomes[uid] = (StoreResult.DUPLICATE, "")
        else:
            outcomes[uid] = (StoreResult.CONFLICT, DIFFERENT_CONTENT)
    return [header for header in headers if header.sop_instance_uid in new]


def _row_of(header: Header, series_id: int, evidence: Any) -> dict[str, Any]:
    return header.instance | {
        "sop_instance_uid": header.sop_instance_uid,
        "series_id": series_id,
        "sop_class_uid": header.sop_class_uid,
        "transfer_syntax_uid": header.transfer_syntax_uid,
        "size_bytes": header.size_bytes,
        "sha256": header.sha256,
        "object_key": object_key(header.series_uid, header.sop_instance_uid, header.sha256),
        "referenced_series_uid": header.referenced_series_uid,
        "evidence": dict(evidence),
    }


def _update_counts(
    connection: sa.Connection,
    series: sa.Row[Any],
    study: sa.Row[Any],
    headers: Sequence[Header],
    *,
    is_new: bool,
) -> SeriesFacts:
    labels = [list(label) for label in series.segment_labels]
    for header in headers:
        labels += [[label.value, label.scheme, label.meaning] for label in header.segment_labels]
    referenced = series.referenced_series_uid or next(
        (header.referenced_series_uid for header in headers if header.referenced_series_uid), ""
    )
    updated = connection.execute(
        sa.update(_store.series)
        .where(_store.series.c.id == series.id)
        .values(
            instance_count=_store.series.c.instance_count + len(headers),
            frame_count=_store.series.c.frame_count
            + sum(header.instance["frame_count"] for header in headers),
            size_bytes=_store.series.c.size_bytes + sum(header.size_bytes for header in headers),
            segment_labels=labels,
            referenced_series_uid=referenced,
        )
        .returning(_store.series)
    ).one()
    _assessments.mark(connection, series.id)
    modalities = set(study.modalities.split("\\")) - {""} | {series.modality} - {""}
    connection.execute(
        sa.update(_store.imaging_studies)
        .where(_store.imaging_studies.c.id == study.id)
        .values(
            instance_count=_store.imaging_studies.c.instance_count + len(headers),
            series_count=_store.imaging_studies.c.series_count + int(is_new),
            modalities="\\".join(sorted(modalities))[:128],
        )
    )
    return _store.facts_of(updated)


def pack_evidence(headers: Sequence[Header], evidence: Mapping[str, Any]) -> bytes:
    """Write the evidence of a batch as compressed JSON lines, so that the index can be rebuilt with it."""
    entries = [
        {
            "sop_instance_uid": header.sop_instance_uid,
            "sha256": header.sha256,
            "evidence": evidence[header.sop_instance_uid],
        }
        for header in headers
        if evidence.get(header.sop_instance_uid)
    ]
    return pack_lines(entries) if entries else b""


def pack_lines(entries: Sequence[Mapping[str, Any]]) -> bytes:
    """Write entries as compressed JSON lines."""
    lines = [json.dumps(entry, separators=(",", ":"), sort_keys=True) for entry in entries]
    return zstandard.compress("\n".join(lines).encode())


def unpack_evidence(data: bytes) -> list[dict[str, Any]]:
    """Read what :func:`pack_evidence` wrote."""
    return [json.loads(line) for line in _store.decompress(data).splitlines()]

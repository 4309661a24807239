"""Compares the object store with the index and mends the index; the objects are the truth."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import sqlalchemy as sa

from racoon.errors import Defect
from racoon.node.archive import _ingest, _store
from racoon.node.archive._header import Header, read_header_of_object
from racoon.node.archive.model import MAXIMUM_BATCH, StoreResult, SweepReport
from racoon.node.archive.objects import ObjectNotFound, ObjectStore, object_key
from racoon.platform.database import Database

Index = Callable[[Sequence[Header], Mapping[str, Any]], dict[str, tuple[StoreResult, str]]]


def sweep(
    database: Database,
    objects: ObjectStore,
    index: Index,
    *,
    verify: bool = False,
    progress: Callable[[int], None] | None = None,
) -> SweepReport:
    """Index objects without an entry, remove those that lost a conflict, find entries without an object."""
    seen = removed = 0
    damaged: list[str] = []
    for keys in _batches(objects.keys("instances"), MAXIMUM_BATCH):
        seen += len(keys)
        removed += _adopt(database, objects, index, keys, damaged, verify=verify)
        if progress is not None:
            progress(seen)
    _restore_evidence(database, objects)
    missing = _missing(database, objects)
    with database.connect() as connection:
        referenced = connection.execute(sa.select(sa.func.count()).select_from(_store.instances)).scalar_one()
    return SweepReport(seen, int(referenced), removed, tuple(missing), tuple(damaged))


def _adopt(
    database: Database,
    objects: ObjectStore,
    index: Index,
    keys: Sequence[str],
    damaged: list[str],
    *,
    verify: bool,
) -> int:
    with database.connect() as connection:
        known = _store.keys_in_use(connection, keys)
    headers: dict[str, Header] = {}
    losers = []
    for key in keys:
        if key in known:
            if verify and hashlib.sha256(objects.read(key)).hexdigest() != known[key]:
                damaged.append(key)
            continue
        try:
            header = read_header_of_object(objects.read(key))
        except (Defect, ObjectNotFound):
            damaged.append(key)
            continue
        if object_key(header.series_uid, header.sop_instance_uid, header.sha256) != key:
            damaged.append(key)
        elif header.sop_instance_uid in headers:
            losers.append(key)
        else:
            headers[header.sop_instance_uid] = header
    if headers:
        outcomes = index(list(headers.values()), {})
        for uid, (result, _) in outcomes.items():
            if result is StoreResult.CONFLICT:
                header = headers[uid]
                losers.append(object_key(header.series_uid, uid, header.sha256))
    return sum(objects.delete(key) for key in losers)


def _restore_evidence(database: Database, objects: ObjectStore) -> None:
    """Give entries that came back without evidence the evidence that was stored with their batch."""
    table = _store.instances
    with database.connect() as connection:
        bare = connection.execute(
            sa.select(sa.func.count()).select_from(table).where(sa.cast(table.c.evidence, sa.Text) == "{}")
        ).scalar_one()
    if not bare:
        return
    for key in objects.keys("evidence"):
        entries = _ingest.unpack_evidence(objects.read(key))
        with database.begin() as connection:
            for entry in entries:
                connection.execute(
                    sa.update(table)
                    .where(
                        table.c.sop_instance_uid == entry["sop_instance_uid"],
                        table.c.sha256 == entry["sha256"],
                    )
                    .values(evidence=entry["evidence"])
                )


def _missing(database: Database, objects: ObjectStore) -> list[str]:
    """Keys the index names and the store does not have."""
    found: list[str] = []
    table = _store.instances
    last = 0
    while True:
        query = (
            sa.select(table.c.id, table.c.object_key)
            .where(table.c.id > last)
            .order_by(table.c.id)
            .limit(1000)
        )
        with database.connect() as connection:
            rows = connection.execute(query).all()
        if not rows:
            return found
        last = rows[-1].id
        for row in rows:
            try:
                objects.open(row.object_key).close()
            except ObjectNotFound:
                found.append(row.object_key)


def _batches(items: Iterable[str], size: int) -> Iterator[list[str]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch

"""What other rooms may ask of the archive."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from racoon.domain.identity import Pseudonym
from racoon.errors import Defect
from racoon.node.archive import _assessments, _ingest, _rebuild, _store
from racoon.node.archive._header import Header, UnreadableObject, read_header
from racoon.node.archive._hiding import HiddenFrom, no_values_are_hidden, nothing_is_hidden
from racoon.node.archive._volumes import SegmentationMask
from racoon.node.archive.model import (
    MAXIMUM_BATCH,
    BatchTooLarge,
    DeidentifiedInstance,
    ReadableAmong,
    SeriesFacts,
    StoreOutcome,
    StoreResult,
    SweepReport,
)
from racoon.node.archive.objects import ObjectStore, evidence_key, object_key
from racoon.node.archive.reader import ArchiveReader, everything_is_readable, masks_and_reports_on
from racoon.platform.database import Database

StoredListener = Callable[[sa.Connection, Sequence[SeriesFacts]], None]
"""Called inside the storing transaction with the facts of each series that changed; if it fails, nothing is
stored."""


class Archive(ArchiveReader):
    """De-identified instances of one node.

    Parameters
    ----------
    database, objects, is_readable, readable_among, hidden_from, values_hidden_from
        As for :class:`ArchiveReader`.
    on_stored
        Listeners that keep their own tables in the storing transaction.
    """

    def __init__(
        self,
        database: Database,
        objects: ObjectStore,
        *,
        on_stored: Sequence[StoredListener] = (),
        is_readable: Callable[[Pseudonym], bool] = everything_is_readable,
        readable_among: ReadableAmong | None = None,
        hidden_from: HiddenFrom = nothing_is_hidden,
        values_hidden_from: HiddenFrom = no_values_are_hidden,
    ) -> None:
        super().__init__(
            database,
            objects,
            is_readable=is_readable,
            readable_among=readable_among,
            hidden_from=hidden_from,
            values_hidden_from=values_hidden_from,
        )
        self._on_stored = tuple(on_stored)

    def store(self, batch: Sequence[DeidentifiedInstance]) -> list[StoreOutcome]:
        """Store a batch durably and index it in one transaction.

        Objects are on disk before the index names them: a crash leaves at most objects without an entry,
        which the next call of the same batch, or :meth:`sweep`, takes over.

        Parameters
        ----------
        batch
            At most 200 instances.

        Returns
        -------
        list of StoreOutcome
            In the order of the batch.  An identical duplicate is no change; a conflict changes nothing and
            says why.
        """
        if len(batch) > MAXIMUM_BATCH:
            raise BatchTooLarge(f"At most {MAXIMUM_BATCH} instances can be stored at once.")
        headers: dict[str, Header] = {}
        results: list[tuple[str, StoreResult, str] | str] = []
        contents: dict[str, DeidentifiedInstance] = {}
        for instance in batch:
            try:
                header = read_header(instance)
            except Defect as error:
                results.append((instance.sop_instance_uid, StoreResult.CONFLICT, error.public_message))
                continue
            earlier = headers.setdefault(header.sop_instance_uid, header)
            if earlier is header:
                contents[header.sop_instance_uid] = instance
                results.append(header.sop_instance_uid)
            elif earlier.sha256 == header.sha256:
                results.append((header.sop_instance_uid, StoreResult.DUPLICATE, ""))
            else:
                results.append((header.sop_instance_uid, StoreResult.CONFLICT, _ingest.DIFFERENT_CONTENT))
        outcomes = self._store_distinct(headers, contents)
        return [
            StoreOutcome(result, *outcomes[result]) if isinstance(result, str) else StoreOutcome(*result)
            for result in results
        ]

    def _store_distinct(
        self, headers: Mapping[str, Header], contents: Mapping[str, DeidentifiedInstance]
    ) -> dict[str, tuple[StoreResult, str]]:
        if not headers:
            return {}
        with self._database.connect() as connection:
            known = _store.known_contents(connection, list(headers))
        fresh = [header for uid, header in headers.items() if uid not in known]
        evidence = {uid: instance.evidence for uid, instance in contents.items()}
        items = [(_key(header), contents[header.sop_instance_uid].bytes) for header in fresh]
        packed = _ingest.pack_evidence(fresh, evidence)
        if packed:
            items.append((evidence_key(packed), packed))
        if items:
            self._objects.put_many(items)
        elif all(known[uid] == header.sha256 for uid, header in headers.items()):
            return dict.fromkeys(headers, (StoreResult.DUPLICATE, ""))
        return self._index(list(headers.values()), evidence)

    def _index(
        self, headers: Sequence[Header], evidence: Mapping[str, Any]
    ) -> dict[str, tuple[StoreResult, str]]:
        with self._database.begin() as connection:
            outcomes, facts = _ingest.insert_batch(connection, headers, evidence)
            for listener in self._on_stored if facts else ():
                listener(connection, facts)
        return outcomes

    def sweep(self, *, verify: bool = False) -> SweepReport:
        """Compare objects and index: take over the unindexed, remove losers of a conflict, report the rest.

        Parameters
        ----------
        verify
            Also read every object and compare its SHA-256.
        """
        return _rebuild.sweep(self._database, self._objects, self._index, verify=verify)

    def reindex(self, progress: Callable[[int], None] | None = None) -> SweepReport:
        """Rebuild the index from the objects alone.

        The index is emptied first and filled in batches; a rebuild that is interrupted is simply run again.
        """
        with self._database.begin() as connection:
            for table in (*_assessments.TABLES, *_store.TABLES):
                connection.execute(sa.delete(table))
        return _rebuild.sweep(self._database, self._objects, self._index, progress=progress)


def _key(header: Header) -> str:
    return object_key(header.series_uid, header.sop_instance_uid, header.sha256)


__all__ = ["Archive", "SegmentationMask", "StoredListener", "UnreadableObject", "masks_and_reports_on"]

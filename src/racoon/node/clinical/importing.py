"""Takes FHIR files into the clinical tables: batch by batch, under pseudonyms, again without harm.

Two passes over the files: patients and medicines first, because others refer to them, then everything else.  Memory
holds a few batches.  What is refused is counted by reason; a resource that changed its patient is never taken
silently.  A large source is prepared by a helper process, while this one writes.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Literal

import sqlalchemy as sa

from racoon.domain.identity import Pseudonym
from racoon.errors import Unavailable
from racoon.node.clinical import _origins, _store, removing
from racoon.node.clinical.deidentify import Losses
from racoon.node.clinical.flat import rows_of
from racoon.node.clinical.import_report import ImportReport
from racoon.node.clinical.numbers import patient_number
from racoon.node.clinical.preparing import (
    Deletion,
    Prepared,
    Preparer,
    begin_helper,
    may_come_first,
    medicine_key,
    prepare_in_helper,
    row_of,
    subject_of,
)
from racoon.node.clinical.trust.model import IdentityLink
from racoon.node.pseudonyms.model import DEFAULT_DATE_SHIFT_DAYS
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.platform import clock
from racoon.platform.bulk import indexed_afterwards
from racoon.platform.database import Database
from racoon.standards.fhir.building import Resource
from racoon.standards.fhir.reading import SUFFIXES, Found, Unread, iterate_lines

BATCH = 2000
"""Lines in one transaction: enough to amortise the commit and to meet neighbours in an index; some 20 MB."""

AHEAD = 2
"""Batches that the helper may be ahead of the writer."""

WORTH_A_HELPER_BYTES = 16 << 20
"""Smaller sources are done before a helper has started."""

Taken = Literal["taken", "other_patient", "behind"]

RowsListener = Callable[[sa.Connection, Collection[str], Mapping[str, Sequence[Mapping[str, Any]]]], None]
"""Called in the storing transaction with the keys of resources that may have been there before, whose facts go, and
the rows of all new and changed ones by flat table."""

Item = Unread | Found


class ImportInterrupted(Unavailable):
    """The helper process of an import ended; what was stored stays, and the import may be begun again."""

    code: ClassVar[str] = "clinical.import_interrupted"


class Importer:
    """Imports FHIR files into one node.

    Parameters
    ----------
    database
        The node's database.
    names
        The door to who is who.
    patient_systems
        Identifier systems that carry the number which is in the images.
    shift_limit_days
        Of the de-identification profile in force: dates move as those of the images.
    on_stored
        Listeners that keep their own tables in the storing transaction.
    identities
        Finds the number of a patient whose record does not carry it.
    deleted_tags
        Tags, ``system|code``, by which the clinic marks what it deleted.
    tables_kept
        Tables of the listeners: a large import into an empty node builds their indexes at its end, like its own.
    """

    def __init__(
        self,
        database: Database,
        names: Pseudonymiser,
        *,
        patient_systems: Sequence[str] = (),
        shift_limit_days: int = DEFAULT_DATE_SHIFT_DAYS,
        on_stored: Sequence[RowsListener] = (),
        identities: IdentityLink | None = None,
        deleted_tags: Sequence[str] = (),
        tables_kept: Sequence[sa.Table] = (),
    ) -> None:
        self._database = database
        self._names = names
        self._systems = tuple(patient_systems)
        self._shift_limit_days = shift_limit_days
        self._on_stored = tuple(on_stored)
        self._identities = identities
        self._deleted_tags = tuple(deleted_tags)
        self._loaded = loaded_tables(tables_kept)
        self._pages = self._preparer()

    def import_path(
        self,
        path: Path,
        *,
        progress: Callable[[int], None] | None = None,
        is_helped: bool | None = None,
    ) -> ImportReport:
        """Import a file or folder.

        Parameters
        ----------
        path
            As :func:`racoon.standards.fhir.reading.iterate_resources` reads it.
        progress
            Called with the number of resources read.
        is_helped
            Whether a helper process prepares what this one writes; by size of the source when omitted.

        Returns
        -------
        ImportReport
            Also kept in the node's database.
        """
        if is_helped is None:
            is_helped = (os.cpu_count() or 1) > 1 and _size(path) >= WORTH_A_HELPER_BYTES
        # Connections to an identity service stay in this process.
        is_helped = is_helped and self._identities is None
        return self._import(
            lambda: iterate_lines(path), keep_patients=True, progress=progress, helped=is_helped
        )

    def import_resources(
        self,
        read: Callable[[], Iterator[Found]],
        *,
        keep_patients: bool = True,
        progress: Callable[[int], None] | None = None,
    ) -> ImportReport:
        """Import what a source gives; it is read twice.

        Parameters
        ----------
        read
            Begins to read the source.
        keep_patients
            False where the source's Patients only say whose the rest is: they are linked and not stored.
        progress
            Called with the number of resources read.
        """
        return self._import(read, keep_patients=keep_patients, progress=progress, helped=False)

    def _import(
        self,
        read: Callable[[], Iterator[Item]],
        *,
        keep_patients: bool,
        progress: Callable[[int], None] | None,
        helped: bool,
    ) -> ImportReport:
        report, started = ImportReport(), clock.now()
        preparer = self._preparer()
        with (
            self._helper() if helped else nullcontext() as helper,
            indexed_afterwards(self._database, self._loaded) if helped else nullcontext(),
        ):
            for first_pass in (True, False):
                for made, found in _batches(read, preparer, helper, first_pass, keep_patients):
                    report.add(found)
                    self._take(made, report)
                    if progress is not None:
                        progress(report.read.total())
        with self._database.begin() as connection:
            _store.save_report(
                connection,
                {"started_at": started, "finished_at": clock.now(), "report": report.as_json()},
            )
        return report

    def take_page(self, page: Sequence[Found], report: ImportReport) -> None:
        """Take one page of a source that is never read twice; whoever it names came before, or is in it."""
        for first_pass in (True, False):
            made, found = self._pages.prepare(page, first_pass=first_pass, keep_patients=True)
            report.add(found)
            self._take(made, report)

    def _preparer(self) -> Preparer:
        return Preparer(
            self._names, self._systems, self._shift_limit_days, self._identities, self._deleted_tags
        )

    def _helper(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            1,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=begin_helper,
            initargs=(self._names, self._systems, self._shift_limit_days, self._deleted_tags),
        )

    # -- one batch

    def _take(self, batch: Sequence[Prepared | Deletion], report: ImportReport) -> None:
        if not batch:
            return
        # The last word on a resource counts.
        last = {item.key if isinstance(item, Deletion) else item.row["key"]: item for item in batch}
        prepared = {key: item for key, item in last.items() if not isinstance(item, Deletion)}
        deletions = [item for item in last.values() if isinstance(item, Deletion)]
        with self._database.begin() as connection:
            _store.prepare_for_much(connection)
            known = _store.known_hashes(connection, list(prepared))
            fresh = []
            for key, item in prepared.items():
                earlier, row = known.get(key), item.row
                if earlier is not None and earlier[1] != row["pseudonym"]:
                    report.refuse("other_patient", row["kind"])
                elif earlier is not None and earlier[0] == row["content_hash"]:
                    report.unchanged += 1
                else:
                    fresh.append(item)
            if fresh:
                self._store_rows(connection, fresh, known)
            report.stored += len(fresh)
            removed = removing.remove(connection, deletions, self._on_stored)
            for deletion in deletions:
                if deletion.key in removed:
                    report.removed += 1
                    report.removals[f"{deletion.reason} {deletion.kind}"] += 1
                elif deletion.reason != "deleted":
                    # It came for the first time, and says itself that it does not count.
                    report.left_out += 1

    def take_groups(
        self, groups: Sequence[Sequence[Resource]], combine: Callable[[Resource, Resource], Resource]
    ) -> list[Taken]:
        """Take resources that belong together, group after group, all in one transaction.

        Parameters
        ----------
        groups
            Of each message its resources, with the Patient that they name; its number is taken as it stands there.
        combine
            Makes of a stored resource and a new one, both de-identified, what is kept.

        Returns
        -------
        list of str
            For each group: all of it was taken, or nothing, because something in it was another patient's before or
            because an earlier group of its patient was not taken.
        """
        patients = [item for group in groups for item in group if item["resourceType"] == "Patient"]
        numbers = {item["id"]: patient_number(item, self._systems)[0] for item in patients}
        preparer = Preparer(self._names, self._systems, self._shift_limit_days)
        people = preparer.people_of(numbers)
        losses = Losses()
        prepared = [[row_of(item, people[_owner_of(item)], losses) for item in group] for group in groups]
        keys = sorted({row["key"] for rows in prepared for row in rows})
        taken: list[Taken] = []
        stopped: set[str] = set()
        with self._database.begin() as connection:
            known = _store.known_hashes(connection, keys)
            owners = {key: row[1] for key, row in known.items()}
            current = _store.load_contents(connection, keys)
            made: dict[str, dict[str, Any]] = {}
            for found in prepared:
                if any(owners.get(row["key"], row["pseudonym"]) != row["pseudonym"] for row in found):
                    taken.append("other_patient")
                else:
                    taken.append("behind" if any(row["pseudonym"] in stopped for row in found) else "taken")
                if taken[-1] != "taken":
                    stopped |= {row["pseudonym"] for row in found}
                    continue
                for row in found:
                    key, content = row["key"], row["content"]
                    owners[key] = row["pseudonym"]
                    current[key] = combine(current[key], content) if key in current else content
                    made[key] = row
            changed = []
            for key, row in made.items():
                text, digest = _store.written(current[key])
                if digest != known.get(key, ("",))[0]:
                    whole = row | {"content": text, "content_hash": digest}
                    flat = rows_of(current[key], key, row["pseudonym"], None)
                    changed.append(
                        Prepared(whole, flat, current[key] if medicine_key(current[key]) else None)
                    )
            self._store_rows(connection, changed, known)
        return taken

    def _store_rows(
        self, connection: sa.Connection, fresh: Sequence[Prepared], known: Mapping[str, Any]
    ) -> None:
        """Write resources with their flat rows, and tell who keeps tables of their own."""
        # What is of one subject is read and changed together: it lies together, in whatever order the source has it.
        fresh = sorted(fresh, key=lambda item: (item.row["pseudonym"], item.row["key"]))
        wanted = {medicine_key(item.content) for item in fresh if item.content is not None}
        medicines = _store.load_contents(connection, sorted(wanted))
        flat: dict[str, list[dict[str, Any]]] = {}
        for item in fresh:
            found = item.flat
            if item.content is not None:
                medicine = medicines.get(medicine_key(item.content))
                found = rows_of(item.content, item.row["key"], item.row["pseudonym"], medicine)
            for table, line in found:
                flat.setdefault(table, []).append(line)
        changed = {item.row["key"] for item in fresh if item.row["key"] in known}
        new = [item for item in fresh if item.row["key"] not in known and item.row["pseudonym"]]
        came = {
            item.row["key"]: (Pseudonym(item.row["pseudonym"]), Pseudonym(item.own) if item.own else None)
            for item in new
        }
        _origins.note_among_merged(connection, came)
        _store.replace_rows(connection, [item.row for item in fresh], flat, changed=changed)
        for listener in self._on_stored:
            listener(connection, changed, flat)


def loaded_tables(tables_kept: Sequence[sa.Table] = ()) -> tuple[sa.Table, ...]:
    """Return the tables that an import fills, whose indexes :func:`racoon.platform.bulk.restore_indexes` restores."""
    return (*_store.FLAT.values(), _store.resource, *tables_kept)


def _owner_of(item: Resource) -> str:
    return str(item["id"]) if item["resourceType"] == "Patient" else subject_of(item) or ""


def _batches(
    read: Callable[[], Iterator[Item]],
    preparer: Preparer,
    helper: ProcessPoolExecutor | None,
    first_pass: bool,
    keep_patients: bool,
) -> Iterator[tuple[list[Prepared | Deletion], ImportReport]]:
    """Yield what is made of a source, batch by batch and in its order."""
    items = (item for item in read() if not first_pass or may_come_first(item))
    chunks = iter(lambda: list(islice(items, BATCH)), [])
    if helper is None:
        for chunk in chunks:
            yield preparer.prepare(chunk, first_pass=first_pass, keep_patients=keep_patients)
        return
    waiting: deque[Future[tuple[list[Prepared | Deletion], ImportReport]]] = deque()
    try:
        for chunk in chunks:
            waiting.append(helper.submit(prepare_in_helper, chunk, first_pass, keep_patients))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise ImportInterrupted("The helper process of the import ended. Begin the import again.") from error


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(item.stat().st_size for item in path.rglob("*") if item.suffix.lower() in SUFFIXES)
    return path.stat().st_size if path.is_file() else 0

"""Tables of registries and trial databases: mappings saved in versions, rows previewed, tables taken by one of them.

The same service behind the page and the command line.  A preview names nobody: it shows what the columns that a mapping
uses would become, under invented pseudonyms, and is kept nowhere.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from racoon.domain.canonical import content_hash
from racoon.errors import Refused
from racoon.node.clinical import _mapping_store, spreadsheet
from racoon.node.clinical.importing import Importer
from racoon.node.clinical.preparing import preview
from racoon.node.clinical.spreadsheet import BadTable, Refusals, Source
from racoon.node.clinical.table_mapping import TableMapping
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database
from racoon.standards.fhir.building import Resource
from racoon.standards.fhir.reading import Found

SAMPLE_ROWS = 200
"""Rows of a table that the editor looks at."""

WORDS_SHOWN = 20
LONGEST_WORD = 30

_DAYS = ("%d.%m.%Y", "%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%y", "%Y%m%d")


class NoSuchMapping(Refused):
    """No mapping is saved under this name."""

    code: ClassVar[str] = "clinical.no_such_mapping"
    status: ClassVar[int] = 404


@dataclass(frozen=True)
class SavedMapping:
    """One version of a mapping.

    Parameters
    ----------
    number
        Its row.
    version
        Of its title, from 1.
    mapping, content_hash
        What it says.
    saved_by, saved_at
        Who saved it when.
    """

    number: int
    version: int
    mapping: TableMapping
    content_hash: str
    saved_by: str
    saved_at: datetime

    @property
    def title(self) -> str:
        """Its name."""
        return self.mapping.title


@dataclass(frozen=True)
class Column:
    """A column of a table as the editor shows it: its name and what kind of cells it has, none of them.

    Parameters
    ----------
    name
        As in the first row.
    filled
        Rows of the sample with something in it.
    kind
        ``numbers``, ``days``, ``words``, ``texts`` or ``empty``.
    distinct
        Different cells.
    """

    name: str
    filled: int
    kind: str
    distinct: int


@dataclass(frozen=True)
class Sample:
    """The first rows of a table, as long as the editor is open."""

    columns: tuple[Column, ...]
    rows: int
    is_without_names: bool
    _cells: dict[str, tuple[str, ...]]

    def words(self, column: str) -> tuple[str, ...]:
        """Return the words of a column that has few; of one with many different or long cells nothing."""
        counts = Counter(cell for cell in self._cells.get(column, ()) if cell)
        is_few = len(counts) <= WORDS_SHOWN and all(len(cell) <= LONGEST_WORD for cell in counts)
        # A word that stands in one row only may be somebody.
        return tuple(sorted(cell for cell, count in counts.items() if count > 1)) if is_few else ()


def read_sample(data: bytes, separator: str, encoding: str) -> Sample:
    """Read the first rows of a table.

    Raises
    ------
    BadTable
        If it is none of this separator and encoding.
    """
    try:
        with spreadsheet.opened(data, encoding) as file:
            reader = csv.reader(file, delimiter=separator)
            names = next(reader, [])
            rows = [row for _, row in zip(range(SAMPLE_ROWS), reader, strict=False)]
    except (UnicodeDecodeError, UnicodeError) as error:
        raise BadTable(f"The table is not encoded as {encoding}. Name its encoding.") from error
    except csv.Error as error:
        raise BadTable("The table breaks off or is no CSV. Check separator and encoding.") from error
    cells = {
        name: tuple((row[place] if place < len(row) else "").strip() for row in rows)
        for place, name in enumerate(names)
        if name
    }
    columns = tuple(
        Column(name, sum(map(bool, found)), _kind_of(found), len(set(found) - {""}))
        for name, found in cells.items()
    )
    is_without = any(_is_day(name) or name.replace(",", ".").replace(".", "").isdigit() for name in cells)
    return Sample(columns, len(rows), is_without, cells)


def _kind_of(cells: Sequence[str]) -> str:
    filled = [cell for cell in cells if cell]
    if not filled:
        return "empty"
    if all(_is_day(cell) for cell in filled):
        return "days"
    if all(_is_number(cell) for cell in filled):
        return "numbers"
    return "words" if len(set(filled)) <= WORDS_SHOWN and max(map(len, filled)) <= LONGEST_WORD else "texts"


def _is_number(cell: str) -> bool:
    return cell.lstrip("+-<>").replace(".", "").replace(",", "").replace(" ", "").isdigit()


def _is_day(cell: str) -> bool:
    for pattern in _DAYS:
        try:
            datetime.strptime(cell, pattern)  # noqa: DTZ007 -- a day has no zone
        except ValueError:
            continue
        return True
    return False


def preview_rows(
    mapping: TableMapping, source: Source, rows: int, *, system: str = ""
) -> tuple[list[Resource], Refusals]:
    """Return what the first rows would become, under invented pseudonyms, and what of the table is refused.

    Raises
    ------
    BadTable, BadMapping
    """
    shown: list[Resource] = []
    refusals = Refusals()
    for count, (line, row) in enumerate(spreadsheet.iterate_rows(source, mapping)):
        patient = spreadsheet.patient_of(row, line, mapping, system, refusals)
        found = list(spreadsheet.resources_of(row, line, mapping, refusals))
        if patient is not None and count < rows:
            shown += preview(found, {patient["id"]: row[mapping.patient.number]})
    return shown, refusals


class TableDesk:
    """Saved mappings of one node, and the way in for tables.

    Parameters
    ----------
    database, audit
        The node's own.
    open_importer
        Opens the door to who is who for as long as a table is taken.
    system
        Identifier system of the number that is in the images; empty where none is configured.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        open_importer: Callable[[], AbstractContextManager[Importer]],
        *,
        system: str = "",
    ) -> None:
        self._database, self._audit = database, audit
        self._open_importer, self.system = open_importer, system

    def saved(self) -> list[SavedMapping]:
        """List every version, by title, the newest first."""
        with self._database.connect() as connection:
            return [_saved(row) for row in _mapping_store.load_all(connection)]

    def load(self, number: int) -> SavedMapping:
        """Return one version.

        Raises
        ------
        NoSuchMapping
        """
        with self._database.connect() as connection:
            row = _mapping_store.load(connection, number)
        if row is None:
            raise NoSuchMapping("There is no such mapping here. Look at the list again.")
        return _saved(row)

    def find(self, name: str) -> SavedMapping:
        """Return a mapping by its title, or ``title@version``.

        Raises
        ------
        NoSuchMapping
        """
        title, at, version = name.rpartition("@")
        with self._database.connect() as connection:
            row = _mapping_store.find(connection, name)
            if row is None and at and version.isascii() and version.isdigit():
                row = _mapping_store.find(connection, title, int(version))
        if row is None:
            raise NoSuchMapping(
                "No mapping of this name is saved here, and no such file exists. racoon fhir mappings lists them."
            )
        return _saved(row)

    def save(self, mapping: TableMapping, *, actor: str, actor_role: str) -> SavedMapping:
        """Save a mapping as the next version of its title; one that says the same as the newest stays that one."""
        content = mapping.model_dump(mode="json")
        digest = content_hash(content)
        with self._database.begin() as connection:
            newest = _mapping_store.find(connection, mapping.title)
            if newest is not None and newest["content_hash"] == digest:
                return _saved(newest)
            number = _mapping_store.insert(connection, mapping.title, content, digest, actor)
            row = _mapping_store.load(connection, number)
            assert row is not None
            self._audit.append(
                connection,
                actor=actor,
                actor_role=actor_role,
                action="clinical.mapping.save",
                target=f"mapping/{number}",
                details={"version": row["version"], "mapping_hash": digest},
            )
        return _saved(row)

    def take(
        self,
        mapping: TableMapping,
        source: Source,
        *,
        actor: str,
        actor_role: str,
        version: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> dict[str, Any]:
        """Take a table into the clinical course; audited.

        Returns
        -------
        dict
            The import's report, the mapping's hash, and the cells that were refused by line and column.

        Raises
        ------
        BadTable, BadMapping
        """
        refusals = Refusals()
        facts: dict[str, Any] = {
            "mapping": mapping.title,
            "mapping_hash": content_hash(mapping.model_dump(mode="json")),
        }
        facts |= {} if version is None else {"mapping_version": version}

        def resources() -> Iterator[Found]:
            # The source is read twice; what is wrong in it is counted once.
            refusals.clear()
            numbers: set[str] = set()
            for line, row in spreadsheet.iterate_rows(source, mapping):
                patient = spreadsheet.patient_of(row, line, mapping, self.system, refusals)
                if patient is not None and patient["id"] not in numbers:
                    numbers.add(patient["id"])
                    yield Found(f"table:{line}", patient)
                for resource in spreadsheet.resources_of(row, line, mapping, refusals):
                    yield Found(f"table:{line}", resource)

        keeps_patients = bool(mapping.patient.birth_date or mapping.patient.gender)
        with self._open_importer() as importer:
            report = importer.import_resources(resources, keep_patients=keeps_patients, progress=progress)
        details = report.counts() | facts | {"refused_cells": refusals.counts.total()}
        with self._database.begin() as connection:
            self._audit.append(
                connection,
                actor=actor,
                actor_role=actor_role,
                action="clinical.import",
                target="clinical/table",
                details=details,
            )
        return report.as_json() | facts | {"refused_cells": spreadsheet.describe(refusals)}


def _saved(row: dict[str, Any]) -> SavedMapping:
    return SavedMapping(
        row["id"],
        row["version"],
        TableMapping.model_validate(row["content"]),
        row["content_hash"],
        row["saved_by"],
        row["saved_at"],
    )

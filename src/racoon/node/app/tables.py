"""Tables of registries in the node's processes: for the page, and for an operator at the console."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from racoon.domain.canonical import content_hash
from racoon.node.app.administration import prepare
from racoon.node.app.clinic import Progress, open_importer
from racoon.node.app.operation import OPERATOR, person
from racoon.node.app.rooms import open_pseudonyms
from racoon.node.clinical import spreadsheet
from racoon.node.clinical.importing import Importer
from racoon.node.clinical.table_mapping import TableMapping, read_mapping
from racoon.node.clinical.tables import TableDesk, preview_rows
from racoon.node.settings import NodeSettings, load_node_settings
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database


def open_tables(settings: NodeSettings, database: Database, audit: AuditLog) -> TableDesk:
    """Make what keeps mappings and takes tables."""

    @contextmanager
    def importer() -> Iterator[Importer]:
        names = open_pseudonyms(settings)
        try:
            yield open_importer(settings, database, names)
        finally:
            names.close()

    return TableDesk(database, audit, importer, system=_system(settings))


def import_table(
    config: Path, path: Path, mapping: str, *, preview_rows_of: int = 0, progress: Progress | None = None
) -> dict[str, Any]:
    """Take a table into the node's clinical course, or show what would be taken.

    Parameters
    ----------
    config
        The node's TOML file.
    path
        CSV file.
    mapping
        A TOML file, or the title of a saved mapping, ``title@version`` for an older one.
    preview_rows_of
        Rows to show instead of taking any.
    progress
        Called with the number of resources read.
    """
    settings = load_node_settings(config)
    version: int | None = None
    if (file := Path(mapping)).is_file() or file.suffix == ".toml":
        found: TableMapping = read_mapping(file)
    else:
        with _desk(settings) as desk:
            saved = desk.find(mapping)
        found, version = saved.mapping, saved.version
    if preview_rows_of:
        shown, refusals = preview_rows(found, path, preview_rows_of, system=_system(settings))
        facts = {"mapping": found.title, "mapping_hash": content_hash(found.model_dump(mode="json"))}
        return facts | {"preview": shown, "refused_cells": spreadsheet.describe(refusals)}
    with _desk(settings) as desk:
        return desk.take(found, path, actor=person(), actor_role=OPERATOR, version=version, progress=progress)


def save_mapping(config: Path, file: Path) -> Mapping[str, Any]:
    """Save a mapping that was written as a file."""
    mapping = read_mapping(file)
    with _desk(load_node_settings(config)) as desk:
        saved = desk.save(mapping, actor=person(), actor_role=OPERATOR)
    return {"mapping": saved.title, "version": saved.version, "mapping_hash": saved.content_hash}


def list_mappings(config: Path) -> list[dict[str, Any]]:
    """Return every saved version, by title, the newest first."""
    with _desk(load_node_settings(config)) as desk:
        saved = desk.saved()
    return [
        {
            "mapping": item.title,
            "version": item.version,
            "saved_by": item.saved_by,
            "saved_at": item.saved_at.isoformat(timespec="seconds"),
            "mapping_hash": item.content_hash,
        }
        for item in saved
    ]


@contextmanager
def _desk(settings: NodeSettings) -> Iterator[TableDesk]:
    prepare(settings)
    database = Database(settings.database)
    try:
        yield open_tables(settings, database, AuditLog("node"))
    finally:
        database.dispose()


def _system(settings: NodeSettings) -> str:
    return next(iter(settings.fhir.patient_systems), "")

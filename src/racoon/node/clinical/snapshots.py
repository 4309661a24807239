"""The clinical course of a frozen dataset's subjects as Parquet files, one a flat table, with what they are.

Rows stand in the order of subject and key, so that the same course gives the same bytes; a manifest names tables,
columns, hashes and how well images and clinic are linked.  The course is as of the writing: the dataset freezes images.
Columns keep their types; codes of several catalogues stay a JSON text.  Not here: who may be read (the caller decides).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import sqlalchemy as sa

from racoon.domain.identity import Pseudonym
from racoon.errors import Refused
from racoon.node.clinical import _store, matching
from racoon.node.clinical.ordering import linked_orders
from racoon.platform.database import Json
from racoon.platform.files import write_atomically

FORMAT_VERSION = 1
MANIFEST = "snapshot.json"

SUBJECTS_AT_ONCE = 500
"""A row group holds the rows of so many subjects: what is in memory at once, however large the dataset is."""


class ParquetMissing(Refused):
    """The library that writes Parquet is not installed at this site."""

    code: ClassVar[str] = "clinical.parquet_missing"
    status: ClassVar[int] = 501


def write_snapshot(
    connection: sa.Connection,
    subjects: Sequence[Pseudonym],
    folder: Path,
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """Write the flat tables of some subjects.

    Parameters
    ----------
    connection
        Open connection: one state of the database for all tables.
    subjects
        Who may be read.
    folder
        Where the files go; files of an earlier snapshot are replaced.
    facts
        What else the manifest says, such as the study and the dataset's hash.

    Returns
    -------
    dict
        The manifest, which also stands in ``snapshot.json``; it is written last.

    Raises
    ------
    ParquetMissing
        Where pyarrow is not installed.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra, and 50 MB that only an export needs
        from pyarrow import parquet  # noqa: PLC0415 - as above
    except ImportError as error:
        raise ParquetMissing("This node cannot write Parquet; install the extra `parquet`.") from error
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / MANIFEST).unlink(missing_ok=True)
    tables = {}
    linked = {key: uid for _, key, uid in linked_orders(connection)}
    for name, table in sorted(_store.FLAT.items()):
        title, columns = name.removeprefix("clinical_"), [column.name for column in table.columns]
        schema = pa.schema([(column.name, _type(pa, column)) for column in table.columns])
        file, count = folder / f"{title}.parquet", 0
        with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
            for rows in _pieces(connection, table, sorted(set(subjects))):
                if table is _store.order:
                    _name_studies(rows, linked)
                made = {
                    column.name: [_cell(column, row[column.name]) for row in rows] for column in table.columns
                }
                writer.write_table(pa.table(made, schema=schema))
                count += len(rows)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        tables[title] = {"file": file.name, "rows": count, "sha256": digest, "columns": columns}
    manifest = {
        "format_version": FORMAT_VERSION,
        **facts,
        "subjects": len(set(subjects)),
        "linkage": matching.quality(connection, subjects),
        "tables": tables,
    }
    write_atomically(folder / MANIFEST, (json.dumps(manifest, indent=2) + "\n").encode())
    return manifest


def _name_studies(rows: list[dict[str, Any]], linked: Mapping[str, str]) -> None:
    """Write the study of orders that were linked by their accession number."""
    for row in rows:
        row["imaging_study_uid"] = row["imaging_study_uid"] or linked.get(row["key"], "")


def _pieces(
    connection: sa.Connection, table: sa.Table, subjects: Sequence[Pseudonym]
) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, len(subjects), SUBJECTS_AT_ONCE):
        chosen = table.c.pseudonym.in_(subjects[start : start + SUBJECTS_AT_ONCE])
        query = sa.select(table).where(chosen).order_by(table.c.pseudonym, table.c.key)
        rows = [dict(row._mapping) for row in connection.execute(query)]
        if rows:
            yield rows


def _type(pa: Any, column: sa.Column[Any]) -> Any:
    for kind, made in (
        (sa.Boolean, pa.bool_()),
        (sa.Float, pa.float64()),
        (sa.Integer, pa.int64()),
        (sa.String, pa.string()),
        (Json, pa.string()),
    ):
        if isinstance(column.type, kind):
            return made
    raise TypeError(f"a flat table has no column of type {column.type!r}")


def _cell(column: sa.Column[Any], value: Any) -> Any:
    if isinstance(column.type, Json) and value is not None:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return value

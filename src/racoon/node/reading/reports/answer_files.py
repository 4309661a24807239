"""Answers of all signed reports as a file: CSV or JSON lines piece by piece, Parquet in groups of rows."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from racoon.node.reading.reports.table import ParquetMissing, cell

FileKind = Literal["csv", "json", "parquet"]

COLUMNS = (
    "pseudonym", "imaging_study_uid", "reader", "signed_at", "report_id", "version", "template", "link_id",
    "question_system", "question_code", "question", "answer_system", "answer_code", "answer", "number", "unit",
    "text",
)  # fmt: skip

MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}

PIECE_ROWS = 2000
GROUP_ROWS = 100_000


def pieces(rows: Iterable[dict[str, Any]], kind: FileKind) -> Iterator[bytes]:
    """Yield a file of answers.

    Raises
    ------
    ParquetMissing
        If the library is not installed.
    """
    if kind == "parquet":
        yield _parquet(iter(rows))
        return
    if kind == "csv":
        yield (",".join(COLUMNS) + "\r\n").encode()
    source = iter(rows)
    while part := list(itertools.islice(source, PIECE_ROWS)):
        if kind == "json":
            yield "".join(
                json.dumps({n: row[n] for n in COLUMNS}, ensure_ascii=False) + "\n" for row in part
            ).encode()
            continue
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\r\n")
        writer.writerows([cell(row[name]) for name in COLUMNS] for row in part)
        yield buffer.getvalue().encode()


def _parquet(rows: Iterator[dict[str, Any]]) -> bytes:
    try:
        import pyarrow as pa  # noqa: PLC0415 - optional
        from pyarrow import parquet  # noqa: PLC0415 - as above
    except ImportError:
        raise ParquetMissing(
            "This node cannot write Parquet; install the extra `parquet` or take the table as CSV."
        ) from None
    types = {"number": pa.float64(), "version": pa.int32()}
    schema = pa.schema([(name, types.get(name, pa.string())) for name in COLUMNS])
    sink = io.BytesIO()
    with parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
        while part := list(itertools.islice(rows, GROUP_ROWS)):
            writer.write_table(
                pa.table({name: [row[name] for row in part] for name in COLUMNS}, schema=schema)
            )
    return sink.getvalue()

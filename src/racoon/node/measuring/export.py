"""Stored values for people and spreadsheets."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, ClassVar

from racoon.errors import Refused
from racoon.node.measuring.model import StoredValue, title_of
from racoon.science.biomarkers.reasons import QUALITY, REASONS


def describe(value: StoredValue) -> dict[str, Any]:
    """Return what a table shows of a value; plain JSON."""
    german, english = REASONS.get(value.reason, ("", ""))
    return {
        "study_id": value.study_id,
        "dataset_hash": value.dataset_hash,
        "pseudonym": value.pseudonym,
        "series_uid": value.series_uid,
        "measurement": value.measurement,
        "biomarker": value.biomarker,
        "version": value.version,
        "title": title_of(value),
        "title_de": title_of(value, "de"),
        "label": value.label.to_dict() if value.label else None,
        "value": value.value,
        "unit": value.unit,
        "valid": value.valid,
        "reason": value.reason,
        "reason_text": english,
        "reason_text_de": german,
        "parameters": dict(value.parameters),
        "masks": [mask.to_dict() for mask in value.masks],
        "automation": value.automation,
        "key_instance_uid": value.key_instance_uid,
        "key_frame": value.key_frame,
        "key_slice": value.key_slice,
        "software": value.software,
        "computed_at": value.computed_at.isoformat(),
        "warnings": list(value.warnings),
        "evidence": dict(value.evidence),
        "warning_texts": [QUALITY[code][1] for code in value.warnings if code in QUALITY],
        "warning_texts_de": [QUALITY[code][0] for code in value.warnings if code in QUALITY],
        "link": value.link,
    }


class ParquetMissing(Refused):
    """A table is asked for in a form whose library this site has not installed."""

    code: ClassVar[str] = "measuring.parquet_missing"
    status: ClassVar[int] = 501


ROWS_AT_ONCE = 1000
"""Rows of a piece of CSV and of a row group: what is in memory at once, however large the table is."""

CSV_COLUMNS = (
    "study_id",
    "dataset_hash",
    "pseudonym",
    "series_uid",
    "biomarker",
    "version",
    "label_key",
    "label",
    "value",
    "unit",
    "valid",
    "reason",
    "automation",
    "key_instance_uid",
    "key_frame",
    "software",
    "computed_at",
    "warnings",
    "measurement",
    "parameters",
    "masks",
)


def csv_pieces(values: Iterable[StoredValue]) -> Iterator[str]:
    """Write values as CSV (RFC 4180) in full precision, piece by piece; no cell can start a spreadsheet formula."""
    yield _csv([CSV_COLUMNS])
    for batch in batches(values):
        rows = []
        for value in batch:
            row = {
                **_row(value),
                "value": "" if value.value is None else repr(value.value),
                "computed_at": value.computed_at.isoformat(),
            }
            rows.append([_cell(name, row[name]) for name in CSV_COLUMNS])
        yield _csv(rows)


def parquet_pieces(values: Iterable[StoredValue]) -> Iterator[bytes]:
    """Write values as Apache Parquet, one row group after the other.

    Notes
    -----
    The columns are those of the CSV; numbers, truth values and times keep their types, a missing value is null.

    Raises
    ------
    ParquetMissing
        Where pyarrow is not installed; at once, not when the first piece is taken.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra, and 50 MB that only an export needs
        from pyarrow import parquet  # noqa: PLC0415 - as above
    except ImportError as error:
        raise ParquetMissing(
            "This node cannot write Parquet; install the extra `parquet` or take the table as CSV."
        ) from error
    types = {
        "value": pa.float64(),
        "valid": pa.bool_(),
        "key_frame": pa.int32(),
        "computed_at": pa.timestamp("us", tz="UTC"),
    }
    schema = pa.schema([(name, types.get(name, pa.string())) for name in CSV_COLUMNS])

    def pieces() -> Iterator[bytes]:
        sink = _Sink()
        with parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
            for batch in batches(values):
                rows = [_row(value) for value in batch]
                columns = {name: [row[name] for row in rows] for name in CSV_COLUMNS}
                writer.write_table(pa.table(columns, schema=schema))
                yield sink.take()
        yield sink.take()

    return pieces()


class _Sink(io.RawIOBase):
    """Holds what was written since the last piece was taken."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._written = 0

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        piece = bytes(content)
        self._held += piece
        self._written += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self._written

    def take(self) -> bytes:
        """Return what is held and let it go."""
        held, self._held = bytes(self._held), bytearray()
        return held


def batches(values: Iterable[StoredValue]) -> Iterator[list[StoredValue]]:
    """Cut values into lists that fit into memory."""
    iterator = iter(values)
    while batch := list(islice(iterator, ROWS_AT_ONCE)):
        yield batch


def _row(value: StoredValue) -> dict[str, Any]:
    return {
        **describe(value),
        "label_key": value.label.key if value.label else "",
        "label": value.label.meaning if value.label else "",
        "computed_at": value.computed_at,
        "warnings": " ".join(value.warnings),
        "parameters": json.dumps(dict(value.parameters), sort_keys=True),
        "masks": json.dumps([mask.to_dict() for mask in value.masks], sort_keys=True),
    }


def _csv(rows: Sequence[Sequence[str]]) -> str:
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows(rows)
    return stream.getvalue()


def _cell(name: str, content: object) -> str:
    text = "" if content is None else str(content)
    # Labels are words other people wrote into a SEG; "=…" there would run in a spreadsheet.
    return f"'{text}" if name != "value" and text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text

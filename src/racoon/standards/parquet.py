"""Tables as Apache Parquet files: one row group, plain values, no compression, the same bytes for the same table.

Format: https://parquet.apache.org/docs/file-format/ (version 1 data pages, Thrift compact protocol for the metadata).
Not here: reading, and anything nested; a result table is flat and has a few hundred rows.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from itertools import groupby

MAGIC = b"PAR1"

Value = bool | int | float | str | None

_BOOLEAN, _INT64, _DOUBLE, _BYTE_ARRAY = 0, 2, 5, 6
_OPTIONAL, _UTF8, _PLAIN, _RLE, _DATA_PAGE, _UNCOMPRESSED = 1, 0, 0, 3, 0, 0
_I32, _I64, _BINARY, _LIST, _STRUCT = 5, 6, 8, 9, 12


def write_parquet(columns: Mapping[str, Sequence[Value]]) -> bytes:
    """Write a table.

    Parameters
    ----------
    columns
        By name, all of one length.  A column becomes ``BOOLEAN``, ``INT64``, ``DOUBLE`` or text by what it holds; whole
        and broken numbers together become ``DOUBLE``, and anything with a text becomes text.

    Raises
    ------
    ValueError
        Without a column, or when lengths differ.
    """
    lengths = {len(values) for values in columns.values()}
    if len(lengths) != 1:
        raise ValueError("a table has columns of one length")
    rows = lengths.pop()
    content = bytearray(MAGIC)
    schema = [_struct((4, _BINARY, b"schema"), (5, _I32, len(columns)))]
    chunks = []
    for name, values in columns.items():
        kind, plain = _encode(values)
        schema.append(_schema(name, kind))
        page = _levels(values) + plain
        header = _struct(
            (1, _I32, _DATA_PAGE),
            (2, _I32, len(page)),
            (3, _I32, len(page)),
            (5, _STRUCT, _struct((1, _I32, rows), (2, _I32, _PLAIN), (3, _I32, _RLE), (4, _I32, _RLE))),
        )
        size, offset = len(header) + len(page), len(content)
        content += header + page
        meta = _struct(
            (1, _I32, kind),
            (2, _LIST, _list(_I32, [_number(_PLAIN), _number(_RLE)])),
            (3, _LIST, _list(_BINARY, [_text(name.encode())])),
            (4, _I32, _UNCOMPRESSED),
            (5, _I64, rows),
            (6, _I64, size),
            (7, _I64, size),
            (9, _I64, offset),
        )
        chunks.append((size, _struct((2, _I64, offset), (3, _STRUCT, meta))))
    group = _struct(
        (1, _LIST, _list(_STRUCT, [chunk for _, chunk in chunks])),
        (2, _I64, sum(size for size, _ in chunks)),
        (3, _I64, rows),
    )
    footer = _struct(
        (1, _I32, 1),
        (2, _LIST, _list(_STRUCT, schema)),
        (3, _I64, rows),
        (4, _LIST, _list(_STRUCT, [group])),
        (6, _BINARY, b"racoon"),
    )
    return bytes(content) + footer + struct.pack("<I", len(footer)) + MAGIC


def _encode(values: Sequence[Value]) -> tuple[int, bytes]:
    """Choose the type of a column and write what is not null."""
    known = [value for value in values if value is not None]
    kinds = {type(value) for value in known}
    if kinds == {bool}:
        bits = sum(1 << place for place, value in enumerate(known) if value)
        return _BOOLEAN, bits.to_bytes(-(-len(known) // 8), "little")
    if kinds == {int} and all(-(2**63) <= int(value) < 2**63 for value in known):
        return _INT64, b"".join(struct.pack("<q", value) for value in known)
    if kinds and kinds <= {int, float}:
        return _DOUBLE, b"".join(struct.pack("<d", value) for value in known)
    texts = [str(value).encode() for value in known]
    return _BYTE_ARRAY, b"".join(struct.pack("<I", len(text)) + text for text in texts)


def _levels(values: Sequence[Value]) -> bytes:
    """Write which rows hold a value, as runs of one bit."""
    runs = b""
    for is_known, run in groupby(value is not None for value in values):
        runs += _varint(len(list(run)) << 1) + bytes([is_known])
    return struct.pack("<I", len(runs)) + runs


def _schema(name: str, kind: int) -> bytes:
    fields: list[tuple[int, int, int | bytes]] = [
        (1, _I32, kind), (3, _I32, _OPTIONAL), (4, _BINARY, name.encode())
    ]  # fmt: skip
    return _struct(*fields, *([(6, _I32, _UTF8)] if kind == _BYTE_ARRAY else []))


# ------------------------------------------------------------------------------------ Thrift compact protocol


def _struct(*fields: tuple[int, int, int | bytes]) -> bytes:
    written, last = b"", 0
    for number, kind, value in fields:
        written += bytes([(number - last) << 4 | kind])
        last = number
        if isinstance(value, int):
            written += _number(value)
        else:
            written += _text(value) if kind == _BINARY else value
    return written + b"\0"


def _list(kind: int, items: Sequence[bytes]) -> bytes:
    if len(items) < 15:
        return bytes([len(items) << 4 | kind]) + b"".join(items)
    return bytes([0xF0 | kind]) + _varint(len(items)) + b"".join(items)


def _text(value: bytes) -> bytes:
    return _varint(len(value)) + value


def _number(value: int) -> bytes:
    return _varint((value << 1) ^ (value >> 63))


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)

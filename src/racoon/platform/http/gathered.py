"""Answers made of many small pieces, sent in portions.

A streamed answer costs a change of threads for each piece; a table row by row or a series instance by instance would
spend more time on that than on its content.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from starlette.responses import StreamingResponse

PORTION_BYTES = 1 << 16


def gather(pieces: Iterable[str | bytes], portion_bytes: int = PORTION_BYTES) -> Iterator[bytes]:
    """Join pieces until they make a portion; the last one may be smaller.

    Parameters
    ----------
    pieces
        Text is written as UTF-8.
    portion_bytes
        Least size of a portion; no more than this and one piece is held.
    """
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        data = piece.encode() if isinstance(piece, str) else piece
        held.append(data)
        size += len(data)
        if size >= portion_bytes:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


class GatheredResponse(StreamingResponse):
    """A streamed response of small pieces; parameters as for Starlette's."""

    def __init__(self, pieces: Iterable[str | bytes], **options: Any) -> None:
        super().__init__(gather(pieces), **options)

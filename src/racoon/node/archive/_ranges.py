"""Parts of one body by HTTP range (RFC 9110 section 14, PS3.18 section 8.4.1.1): a lost download goes on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from racoon.errors import Refused

_PIECE = 1 << 18
_BYTES = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")


class RangeNotSatisfiable(Refused):
    """The range that was asked for lies behind the end."""

    code = "dicomweb.range_not_satisfiable"
    status = 416


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """Read a Range header.

    Parameters
    ----------
    header
        Its value; several ranges and other units are ignored, as RFC 9110 allows: the answer is then whole.
    size
        Bytes of the whole body.

    Returns
    -------
    tuple or None
        First and last byte, or None for the whole body.

    Raises
    ------
    RangeNotSatisfiable
        If it begins behind the end.
    """
    found = _BYTES.fullmatch(header.strip())
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        length = min(int(found[2]), size)
        if length == 0:
            raise RangeNotSatisfiable(f"The body has {size} bytes; ask for some of them.")
        return size - length, size - 1
    first = int(found[1])
    last = min(int(found[2]), size - 1) if found[2] else size - 1
    if first >= size:
        raise RangeNotSatisfiable(f"The body has {size} bytes; ask for some of them.")
    return (first, last) if first <= last else None


def partial_content(request: Request, stream: BinaryIO, size: int, media_type: str, tag: str) -> Response:
    """Answer with a body or the part of it that was asked for; the stream is closed at the end.

    Parameters
    ----------
    request
        Its ``Range`` and ``If-Range`` headers are read.
    stream
        The whole body, seekable.
    size
        Its bytes.
    media_type
        Content type.
    tag
        What identifies exactly this content; archived objects never change.
    """
    entity_tag = f'"{tag}"'
    asked = request.headers.get("range", "")
    if request.headers.get("if-range", entity_tag) != entity_tag:
        asked = ""
    try:
        part = parse_range(asked, size)
    except RangeNotSatisfiable:
        stream.close()
        raise
    headers = {"Accept-Ranges": "bytes", "ETag": entity_tag}
    first, last = part or (0, size - 1)
    headers["Content-Length"] = str(last - first + 1)
    if part is not None:
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    return StreamingResponse(
        _pieces(stream, first, last - first + 1),
        status_code=200 if part is None else 206,
        media_type=media_type,
        headers=headers,
    )


def _pieces(stream: BinaryIO, start: int, left: int) -> Iterator[bytes]:
    with stream:
        stream.seek(start)
        while left > 0 and (piece := stream.read(min(_PIECE, left))):
            left -= len(piece)
            yield piece

"""Multipart bodies (RFC 2046, RFC 2387 ``multipart/related``) written and read without holding more than a
part.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from racoon.errors import Refused

_HEADER_LIMIT = 16_384

PIECE_BYTES = 2 << 20
"""What is handed on at once: each handover to the server's loop costs as much as copying a hundred kilobytes."""


class BadMultipart(Refused):
    """A multipart body that is not one."""

    code = "dicomweb.bad_multipart"
    status = 400


@dataclass(frozen=True)
class Part:
    """One part: its media type, further headers, and content in pieces."""

    content_type: str
    content: Iterable[bytes]
    headers: Mapping[str, str] = field(default_factory=dict)


def new_boundary() -> str:
    """Return a boundary that no DICOM object contains by chance."""
    return f"racoon-{secrets.token_hex(16)}"


def content_type(media_type: str, boundary: str) -> str:
    """Return the Content-Type of a whole body of parts of one media type."""
    return f'multipart/related; type="{media_type}"; boundary={boundary}'


def write(parts: Iterable[Part], boundary: str) -> Iterator[bytes]:
    """Yield a multipart body in pieces of about :data:`PIECE_BYTES`."""
    pieces: list[bytes] = []
    gathered = 0
    for piece in _pieces(parts, boundary):
        pieces.append(piece)
        gathered += len(piece)
        if gathered >= PIECE_BYTES:
            yield b"".join(pieces)
            pieces, gathered = [], 0
    yield b"".join(pieces)


def _pieces(parts: Iterable[Part], boundary: str) -> Iterator[bytes]:
    for part in parts:
        yield head(part.content_type, part.headers, boundary)
        yield from part.content
        yield b"\r\n"
    yield end(boundary)


def head(content_type: str, headers: Mapping[str, str], boundary: str) -> bytes:
    """What stands before the content of a part."""
    lines = [f"--{boundary}", f"Content-Type: {content_type}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def end(boundary: str) -> bytes:
    """What stands behind the last part."""
    return f"--{boundary}--\r\n".encode("ascii")


def length_of(parts: Iterable[tuple[str, int]], boundary: str) -> int:
    """Length of a whole body of parts without further headers.

    Parameters
    ----------
    parts
        Media type and size in bytes of each.
    """
    sizes = [len(head(content_type, {}, boundary)) + size + 2 for content_type, size in parts]
    return sum(sizes) + len(end(boundary))


def boundary_of(header: str) -> str:
    """Return the boundary named in a Content-Type header.

    Raises
    ------
    BadMultipart
        If there is none.

    Notes
    -----
    RFC 2046 section 5.1.1 allows 70 characters; Orthanc 1.10 sends 73.
    """
    found = re.search(r'boundary=(?:"([^"]{1,200})"|([^\s;,"]{1,200})(?=[\s;,]|$))', header)
    if not header.lower().startswith("multipart/") or found is None:
        raise BadMultipart("The body is not a multipart message with a boundary.")
    return found[1] or found[2]


def read(body: bytes, boundary: str) -> Iterator[tuple[dict[str, str], bytes]]:
    """Yield the headers (names in lower case) and the content of each part of a complete body.

    Raises
    ------
    BadMultipart
        If the body does not start with the boundary or ends before its last one.
    """
    delimiter = b"\r\n--" + boundary.encode("ascii")
    data = b"\r\n" + body
    start = data.find(delimiter)
    if start < 0:
        raise BadMultipart("The body does not contain its boundary.")
    while True:
        start += len(delimiter)
        if data[start : start + 2] == b"--":
            return
        end = data.find(delimiter, start)
        if end < 0:
            raise BadMultipart("The body ends before its last boundary.")
        yield _split(data[start:end])
        start = end


def _split(part: bytes) -> tuple[dict[str, str], bytes]:
    part = part.removeprefix(b"\r\n")
    if part.startswith(b"\r\n"):
        return {}, part[2:]
    head, separator, content = part.partition(b"\r\n\r\n")
    if not separator or len(head) > _HEADER_LIMIT:
        raise BadMultipart("A part of the body has no end of its headers.")
    headers = {}
    for line in head.decode("latin-1").split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    return headers, content

"""A multipart body that is still arriving, part by part: what is held is one part, whatever the body's size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from racoon.standards.dicomweb.multipart import BadMultipart

_HEADER_LIMIT = 16_384
_PREAMBLE_LIMIT = 65_536


@dataclass(frozen=True)
class ReceivedPart:
    """One complete part.

    Parameters
    ----------
    headers
        Names in lower case.
    content
        Its bytes; empty when it was too large.
    is_too_large
        Whether it outgrew the limit; its bytes were dropped as they came.
    """

    headers: Mapping[str, str]
    content: bytes
    is_too_large: bool = False


class MultipartReader:
    """Cuts a body into parts while it arrives (RFC 2046 section 5.1).

    Parameters
    ----------
    boundary
        From the Content-Type header.
    largest_part_bytes
        A larger part is dropped and reported; the body goes on.
    """

    def __init__(self, boundary: str, *, largest_part_bytes: int) -> None:
        self._delimiter = b"\r\n--" + boundary.encode("latin-1")
        self._limit = largest_part_bytes
        # A body may begin with its boundary: the line break before it is then missing.
        self._buffer = bytearray(b"\r\n")
        self._searched = 0
        self._size = 0
        self._is_in_part = False
        self._dropping = False
        self.is_complete = False

    def feed(self, data: bytes) -> Iterator[ReceivedPart]:
        """Take the next piece of the body and yield the parts that it completes.

        Raises
        ------
        BadMultipart
            If the body is no multipart message.
        """
        if self.is_complete:
            return
        self._buffer += data
        while not self.is_complete:
            found = self._buffer.find(self._delimiter, self._searched)
            tail = found + len(self._delimiter)
            if found < 0 or len(self._buffer) < tail + 2:
                self._hold_back(found)
                return
            if self._is_in_part:
                yield self._part(bytes(self._buffer[:found]))
            self._is_in_part = True
            self._dropping = False
            self.is_complete = self._buffer[tail : tail + 2] == b"--"
            del self._buffer[:tail]
            self._searched = 0

    def finish(self) -> None:
        """Say that the body has ended.

        Raises
        ------
        BadMultipart
            If it ended before its last boundary.
        """
        if not self.is_complete:
            raise BadMultipart("The body ends before its last boundary.")

    def _hold_back(self, found: int) -> None:
        """Keep what may belong to a boundary that is not complete yet; drop the content of a part too large."""
        if found >= 0:
            self._searched = found
            return
        self._searched = max(len(self._buffer) - len(self._delimiter), 0)
        if not self._is_in_part:
            if len(self._buffer) > _PREAMBLE_LIMIT:
                raise BadMultipart("The body does not contain its boundary.")
        elif self._dropping or len(self._buffer) > self._limit + _HEADER_LIMIT:
            self._dropping = True
            del self._buffer[: self._searched]
            self._searched = 0

    def _part(self, data: bytes) -> ReceivedPart:
        if self._dropping:
            return ReceivedPart({}, b"", is_too_large=True)
        # White space may stand behind a boundary (RFC 2046 section 5.1.1).
        line, separator, rest = data.partition(b"\r\n")
        if not separator or line.strip(b" \t"):
            raise BadMultipart("A boundary is followed by something that is no part.")
        if rest.startswith(b"\r\n"):
            head, content = b"", rest[2:]
        else:
            head, separator, content = rest.partition(b"\r\n\r\n")
            if not separator or len(head) > _HEADER_LIMIT:
                raise BadMultipart("A part of the body has no end of its headers.")
        if len(content) > self._limit:
            return ReceivedPart({}, b"", is_too_large=True)
        headers = {}
        for text in head.decode("latin-1").split("\r\n"):
            name, colon, value = text.partition(":")
            if colon:
                headers[name.strip().lower()] = value.strip()
        return ReceivedPart(headers, content)

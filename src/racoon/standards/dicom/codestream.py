"""Comments inside compressed frames: JPEG (ISO/IEC 10918-1 annex B), JPEG-LS and JPEG 2000 (15444-1 annex A).

Encoders and viewers leave text there, which no header rule reaches.  Comments are overwritten in place, so
every length stays and no pixel changes.
"""

from __future__ import annotations

from collections.abc import Iterator

from racoon.standards.dicom.elements import Buffer

_ITEM = b"\xfe\xff\x00\xe0"
_JPEG, _J2K = b"\xff\xd8", b"\xff\x4f"
_START_OF_SCAN, _START_OF_TILE, _COMMENT, _J2K_COMMENT = 0xDA, 0x90, 0xFE, 0x64
_DECODERS_NEED = (b"JFIF\0", b"Adobe", b"mrfx", b"SPIFF\0", b"ICC_PROFILE\0")
"""Application segments that change how pixels are read; every other one may hold anything."""

_LONGEST_HEADER = 4096
"""Segments a frame's header may have; more is no frame."""


def blank_comments(pixel_data: Buffer) -> tuple[Buffer, int]:
    """Overwrite comments and foreign application segments of encapsulated frames by spaces.

    Parameters
    ----------
    pixel_data
        All items of encapsulated pixel data (PS3.5 section A.4), as they stand in the file.

    Returns
    -------
    tuple
        The same bytes, or a copy where something was overwritten, and the number of overwritten segments.
    """
    view = memoryview(pixel_data)
    places = [place for fragment in _fragments(view) for place in _comments(view, *fragment)]
    if not places:
        return pixel_data, 0
    changed = bytearray(view)
    for start, end in places:
        changed[start:end] = b" " * (end - start)
    return bytes(changed), len(places)


def _fragments(view: memoryview) -> Iterator[tuple[int, int]]:
    at = 0
    while at + 8 <= len(view) and bytes(view[at : at + 4]) == _ITEM:
        length = int.from_bytes(view[at + 4 : at + 8], "little")
        yield at + 8, min(at + 8 + length, len(view))
        at += 8 + length


def _comments(view: memoryview, at: int, end: int) -> Iterator[tuple[int, int]]:
    start = bytes(view[at : at + 2])
    if start not in (_JPEG, _J2K):
        return
    is_j2k = start == _J2K
    at += 2
    for _ in range(_LONGEST_HEADER):
        if at + 4 > end or view[at] != 0xFF:
            return
        marker = view[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker == (_START_OF_TILE if is_j2k else _START_OF_SCAN):
            return
        length = int.from_bytes(view[at + 2 : at + 4], "big")
        stop = at + 2 + length
        if length < 2 or stop > end:
            return
        text = at + 4 + (2 if is_j2k else 0)  # JPEG 2000 comments begin with their kind
        if _may_hold_text(view, marker, at + 4, is_j2k=is_j2k) and text < stop and any(view[text:stop]):
            yield text, stop
        at = stop


def _may_hold_text(view: memoryview, marker: int, at: int, *, is_j2k: bool) -> bool:
    if is_j2k:
        return marker == _J2K_COMMENT
    if marker == _COMMENT:
        return True
    return 0xE0 <= marker <= 0xEF and not bytes(view[at : at + 12]).startswith(_DECODERS_NEED)

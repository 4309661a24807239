"""Media types a client accepts (PS3.18 section 8.7), from the Accept header or the ``accept`` query
parameter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from racoon.errors import Refused

DICOM = "application/dicom"
OCTET_STREAM = "application/octet-stream"
DICOM_JSON = "application/dicom+json"
JPEG, PNG = "image/jpeg", "image/png"

FRAME_MEDIA_TYPES = {
    "1.2.840.10008.1.2.4.50": "image/jpeg",
    "1.2.840.10008.1.2.4.51": "image/jpeg",
    "1.2.840.10008.1.2.4.57": "image/jpeg",
    "1.2.840.10008.1.2.4.70": "image/jpeg",
    "1.2.840.10008.1.2.4.80": "image/jls",
    "1.2.840.10008.1.2.4.81": "image/jls",
    "1.2.840.10008.1.2.4.90": "image/jp2",
    "1.2.840.10008.1.2.4.91": "image/jp2",
    "1.2.840.10008.1.2.4.201": "image/jphc",
    "1.2.840.10008.1.2.4.202": "image/jphc",
    "1.2.840.10008.1.2.4.203": "image/jphc",
    "1.2.840.10008.1.2.5": "image/dicom-rle",
}
"""Media type of a compressed frame by transfer syntax (PS3.18 table 8.7.3-5)."""


class NotAcceptable(Refused):
    """The client accepts nothing that we can give."""

    code = "dicomweb.not_acceptable"
    status = 406


@dataclass(frozen=True)
class MediaRange:
    """One entry of an Accept header.

    Parameters
    ----------
    media_type
        For multipart the type of its parts.
    is_multipart
        Whether the client wants a multipart body.
    transfer_syntax
        Transfer Syntax UID, ``*`` for any, empty when not named.
    quality
        Weight, 0 to 1.
    """

    media_type: str
    is_multipart: bool = False
    transfer_syntax: str = ""
    quality: float = 1.0

    def accepts(self, media_type: str) -> bool:
        """Tell whether a media type lies in this range."""
        if self.media_type in ("*/*", "", media_type):
            return True
        return self.media_type.endswith("/*") and media_type.startswith(self.media_type[:-1])


def parse_accept(header: str) -> tuple[MediaRange, ...]:
    """Read an Accept header; ranges with weight 0 are left out, the rest is sorted by weight."""
    ranges = []
    for item in _split_outside_quotes(header, ","):
        pieces = [piece.strip() for piece in _split_outside_quotes(item, ";")]
        if not pieces[0]:
            continue
        options = {}
        for piece in pieces[1:]:
            name, _, value = piece.partition("=")
            options[name.strip().lower()] = value.strip().strip('"')
        media_type = pieces[0].lower()
        is_multipart = media_type == "multipart/related"
        quality = _quality(options.get("q", "1"))
        if quality > 0:
            ranges.append(
                MediaRange(
                    options.get("type", "").lower() if is_multipart else media_type,
                    is_multipart,
                    options.get("transfer-syntax", ""),
                    quality,
                )
            )
    return tuple(sorted(ranges, key=lambda found: -found.quality))


def choose(ranges: Sequence[MediaRange], offered: Sequence[str]) -> str:
    """Return the first offered media type that a range accepts; without ranges the first one.

    Raises
    ------
    NotAcceptable
        If no range accepts any.
    """
    if not ranges:
        return offered[0]
    for wanted in ranges:
        for media_type in offered:
            if wanted.accepts(media_type):
                return media_type
    raise NotAcceptable("None of the accepted media types can be given here.")


def _quality(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0


def _split_outside_quotes(text: str, separator: str) -> list[str]:
    pieces, current, is_quoted = [], "", False
    for character in text:
        if character == '"':
            is_quoted = not is_quoted
        if character == separator and not is_quoted:
            pieces.append(current)
            current = ""
        else:
            current += character
    return [*pieces, current]

"""Unique identifiers (PS3.5 section 9, annex B): the ones of the standard, and ours by keyed hash."""

from __future__ import annotations

import re

from pydicom._uid_dict import UID_dictionary

IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
DEFLATED_LITTLE_ENDIAN = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG_ENDIAN = "1.2.840.10008.1.2.2"

NATIVE = frozenset(
    {IMPLICIT_LITTLE_ENDIAN, EXPLICIT_LITTLE_ENDIAN, DEFLATED_LITTLE_ENDIAN, EXPLICIT_BIG_ENDIAN}
)
"""Transfer syntaxes whose pixel data are not encapsulated."""

ENCAPSULATED = re.compile(r"1\.2\.840\.10008\.1\.2\.(4\.\d{1,3}|5)")
"""JPEG family, MPEG, HTJ2K and RLE (PS3.5 annex A.4)."""

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
LABEL_MAP_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.7"

_UNLISTED_STANDARD = re.compile(r"1\.2\.840\.10008(\.\d{1,3}){2,9}")
"""UIDs newer than the dictionary: short components only, so that no number of a person hides under the
root."""

IMPLEMENTATION_CLASS_UID = "2.25.313098402312840186452079163370215468841"
"""This implementation in the file meta information (PS3.7 annex D.3.3.2)."""

IMPLEMENTATION_VERSION_NAME = "RACOON_1"

_PATTERN = re.compile(r"[0-9]+(\.[0-9]+)+")


def is_uid(text: str) -> bool:
    """Tell whether a text is a UID: components of digits, at most 64 characters; leading zeros are
    tolerated.
    """
    return len(text) <= 64 and _PATTERN.fullmatch(text) is not None


def is_standard(uid: str) -> bool:
    """Tell whether the standard itself registered a UID, so that it must stay what it is."""
    return uid in UID_dictionary or _UNLISTED_STANDARD.fullmatch(uid) is not None


def uid_from_digest(digest: bytes) -> str:
    """Make a ``2.25.`` UID from the first 16 bytes of a digest (PS3.5 annex B.2).

    The bytes become a UUID of version 8, variant RFC 9562, so that strict readers accept it.
    """
    if len(digest) < 16:
        raise ValueError("a UID needs 16 bytes")
    value = bytearray(digest[:16])
    value[6] = 0x80 | value[6] & 0x0F
    value[8] = 0x80 | value[8] & 0x3F
    return f"2.25.{int.from_bytes(value, 'big')}"

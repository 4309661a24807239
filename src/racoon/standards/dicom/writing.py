"""Write a DICOM file strictly: explicit VR little endian, ascending tags, even lengths, rewritten file
meta.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct

from racoon.standards.dicom.elements import LONG_FORM, SHORT_FORM, UNDEFINED_LENGTH, Buffer
from racoon.standards.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

_SHORT_HEADER = Struct("<HH2sH")
_LONG_HEADER = Struct("<HH2s2xL")
_ITEM_HEADER = Struct("<HHL")

_SHORT_CODES = {code.decode(): code for code in SHORT_FORM}
_LONG_CODES = {code.decode(): code for code in LONG_FORM}

_PAD = {"UI": b"\0", "OB": b"\0", "UN": b"\0"}


def encode_element(tag: int, vr: str, value: bytes) -> bytes:
    """Encode one element; an odd value is padded as its VR demands (PS3.5 section 6.2).

    Raises
    ------
    ValueError
        If the value does not fit the VR's length field: the caller must have cleaned it.
    """
    if len(value) % 2:
        value += _PAD.get(vr, b" ")
    group, element = tag >> 16, tag & 0xFFFF
    if vr in _SHORT_CODES:
        if len(value) > 0xFFFF:
            raise ValueError(f"value too long for {vr}")
        return _SHORT_HEADER.pack(group, element, _SHORT_CODES[vr], len(value)) + value
    return _LONG_HEADER.pack(group, element, _LONG_CODES[vr], len(value)) + value


def encode_text(tag: int, vr: str, text: str) -> bytes:
    """Encode an element whose value is text, in UTF-8."""
    return encode_element(tag, vr, text.encode("utf-8"))


def encode_sequence(tag: int, items: Iterable[bytes]) -> bytes:
    """Encode a sequence of already encoded data sets with defined lengths."""
    content = b"".join(_ITEM_HEADER.pack(0xFFFE, 0xE000, len(item)) + item for item in items)
    return encode_element(tag, "SQ", content)


def pixel_header(tag: int, vr: str, length: int, *, is_encapsulated: bool) -> bytes:
    """Encode the header that stands before pixel data, which then follow untouched."""
    size = UNDEFINED_LENGTH if is_encapsulated else length + length % 2
    return _LONG_HEADER.pack(tag >> 16, tag & 0xFFFF, _LONG_CODES[vr], size)


def encode_file_meta(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Encode preamble (zero), prefix and a fresh group 0002 (PS3.10 section 7.1)."""
    content = b"".join(
        [
            encode_element(0x00020001, "OB", b"\0\1"),
            encode_text(0x00020002, "UI", sop_class_uid),
            encode_text(0x00020003, "UI", sop_instance_uid),
            encode_text(0x00020010, "UI", transfer_syntax_uid),
            encode_text(0x00020012, "UI", IMPLEMENTATION_CLASS_UID),
            encode_text(0x00020013, "SH", IMPLEMENTATION_VERSION_NAME),
        ]
    )
    length = encode_element(0x00020000, "UL", len(content).to_bytes(4, "little"))
    return bytes(128) + b"DICM" + length + content


def join_file(header: Iterable[Buffer], pixels: Iterable[Buffer]) -> bytes:
    """Join the parts of a file with one copy of the pixel data."""
    return b"".join([*header, *pixels])

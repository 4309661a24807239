"""The elements by which an object says that it is de-identified, and how."""

from __future__ import annotations

from racoon.node.deid.model import BASIC_PROFILE_CODE, OPTIONS, SAFE_PRIVATE_CODE, Profile
from racoon.standards.dicom.writing import encode_sequence, encode_text


def marks(profile: Profile) -> dict[int, bytes]:
    """Say what was done (PS3.15 section E.1.1; PS3.16 CID 7050; PS3.3 C.7.1.1, C.12.1.1.1)."""
    codes = [BASIC_PROFILE_CODE, *(OPTIONS[option] for option in sorted(profile.options))]
    if profile.safe_private:
        codes.append(SAFE_PRIVATE_CODE)
    items = [
        encode_text(0x00080100, "SH", value)
        + encode_text(0x00080102, "SH", "DCM")
        + encode_text(0x00080104, "LO", meaning)
        for value, meaning in codes
    ]
    temporal = "MODIFIED" if "modified_dates" in profile.options else "REMOVED"
    return {
        0x00080005: encode_text(0x00080005, "CS", "ISO_IR 192"),
        0x00120062: encode_text(0x00120062, "CS", "YES"),
        0x00120063: encode_text(0x00120063, "LO", f"RACOON {profile.name}"[:64]),
        0x00120064: encode_sequence(0x00120064, items),
        0x00280303: encode_text(0x00280303, "CS", temporal),
    }

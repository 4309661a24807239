"""The elements by which an object says that it is de-identified, and how."""

from __future__ import annotations

from racoon.node.deid.model import BASIC_PROFILE_CODE, OPTIONS, SAFE_PRIVATE_CODE, Profile
from racoon.standards.dicom.writing import encode_sequence, encode_text

_ONLY_WHERE_USED = {
    "clean_structured_content": "report",
    "clean_graphics": "presentation",
    "clean_pixel_data": "blanked",
}
"""Options that are claimed only on objects on which they did something."""


def marks(profile: Profile, used: frozenset[str] = frozenset()) -> dict[int, bytes]:
    """Say what was done (PS3.15 section E.1.1; PS3.16 CID 7050; PS3.3 C.7.1.1, C.12.1.1.1).

    Parameters
    ----------
    used
        Kind of the object, and ``"blanked"`` when pixels were overwritten.
    """
    claimed = [name for name in sorted(profile.options) if _ONLY_WHERE_USED.get(name, "") in {"", *used}]
    codes = [BASIC_PROFILE_CODE, *(OPTIONS[name] for name in claimed)]
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

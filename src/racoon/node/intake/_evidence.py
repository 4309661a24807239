"""What an object in quarantine says about itself, in words that identify nobody."""

from __future__ import annotations

import hashlib

from pydicom.uid import UID

from racoon.node.intake.model import ObjectSummary
from racoon.standards.dicom.elements import Dataset, MalformedDicom
from racoon.standards.dicom.reading import read_file
from racoon.standards.dicom.uids import is_standard

_SOP_CLASS, _IMAGE_TYPE, _MODALITY = 0x00080016, 0x00080008, 0x00080060
_FRAMES, _ROWS, _COLUMNS, _BURNED_IN = 0x00280008, 0x00280010, 0x00280011, 0x00280301

_CODE_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_ \\")
"""Characters of a code string (PS3.5 section 6.2); a value with others may be free text and is not shown."""


def summarise(data: bytes) -> ObjectSummary:
    """Read the technical part of a header.

    Parameters
    ----------
    data
        The object as received.

    Returns
    -------
    ObjectSummary
        With ``problem`` when the header cannot be read.
    """
    digest = hashlib.sha256(data).hexdigest()
    try:
        file = read_file(data)
    except MalformedDicom as error:
        return ObjectSummary(digest, problem=error.public_message)
    order = "big" if file.is_big_endian else "little"
    dataset = file.dataset

    def number(tag: int) -> int:
        value = bytes(dataset[tag].value[:2]) if tag in dataset else b""
        return int.from_bytes(value, "big" if order == "big" else "little")

    frames = _code(dataset, _FRAMES)
    return ObjectSummary(
        digest,
        sop_class=_name_of_uid(_text(dataset, _SOP_CLASS)),
        transfer_syntax=_name_of_uid(file.transfer_syntax_uid),
        modality=_code(dataset, _MODALITY),
        image_type=_code(dataset, _IMAGE_TYPE),
        rows=number(_ROWS),
        columns=number(_COLUMNS),
        frames=int(frames) if frames.isdigit() else 0,
        burned_in_annotation=_code(dataset, _BURNED_IN),
        tolerated=file.tolerated,
    )


def _text(dataset: Dataset, tag: int) -> str:
    element = dataset.get(tag)
    return "" if element is None else bytes(element.value[:256]).decode("ascii", "replace").strip(" \0")


def _code(dataset: Dataset, tag: int) -> str:
    text = _text(dataset, tag)
    return text if set(text) <= _CODE_CHARACTERS else ""


def _name_of_uid(text: str) -> str:
    # A UID of a manufacturer may hold a serial number or a date; only registered ones are shown.
    return str(UID(text).name) if is_standard(text) else ("unregistered" if text else "")

"""Whom an object names, however broken it is: what is set aside must be found again when its subject withdraws."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

from racoon.domain.identity import PatientId, Pseudonym
from racoon.standards.dicom.elements import MalformedDicom
from racoon.standards.dicom.reading import read_file
from racoon.standards.dicom.text import encodings_of, text_of

PATIENT_ID, IMAGING_STUDY = 0x00100020, 0x0020000D

PREFIX_BYTES = 64 << 10
"""Patient and imaging study stand in the first kilobytes of every object; pixels do not have to be read."""

LONGEST_VALUE = 64
"""Bytes of a Long String or a UID (PS3.5 table 6.2-1)."""


def patients_named(data: bytes) -> list[PatientId]:
    """Say whose object this is: the patient's number, else the imaging study that stands for it.

    Parameters
    ----------
    data
        A DICOM file or the beginning of one; what cannot be parsed is searched for the bytes of the elements.

    Returns
    -------
    list of PatientId
        Empty where nothing names anybody.
    """
    try:
        dataset = read_file(data).dataset
    except (MalformedDicom, struct.error, ValueError, KeyError, IndexError, TypeError, RecursionError):
        return _searched(data)
    number = text_of(dataset.get(PATIENT_ID), encodings_of(dataset))
    if number:
        return [PatientId(number)]
    study = text_of(dataset.get(IMAGING_STUDY))
    return [PatientId(f"imaging-study:{study}")] if study else []


def subjects_named(data: bytes, pseudonym_of: Callable[[PatientId], Pseudonym]) -> frozenset[Pseudonym]:
    """Say under which pseudonyms the archive would know the patients of an object."""
    return frozenset(pseudonym_of(patient) for patient in patients_named(data))


def _searched(data: bytes) -> list[PatientId]:
    for tag, prefix in ((PATIENT_ID, ""), (IMAGING_STUDY, "imaging-study:")):
        found = {value for order in "<>" for value in _values(data[:PREFIX_BYTES], tag, order)}
        if found:
            return [PatientId(prefix + value) for value in sorted(found)]
    return []


def _values(data: bytes, tag: int, order: str) -> list[str]:
    """Values of an element wherever its bytes stand, with explicit VR in either byte order or implicit VR."""
    name = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
    found = []
    for match in re.finditer(re.escape(name) + rb"(?:[A-Z]{2}(..)|(..)\0\0)", data, re.DOTALL):
        length = int.from_bytes(match[1] or match[2], "little" if order == "<" else "big")
        if 0 < length <= LONGEST_VALUE:
            value = data[match.end() : match.end() + length].decode("latin-1").strip(" \0")
            found += [value] if value.isprintable() and value else []
    return found

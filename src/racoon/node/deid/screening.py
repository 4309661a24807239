"""Look before anything is done: identifiers present, size plausible, no text expected in the pixels."""

from __future__ import annotations

from math import ceil

from racoon.node.deid.model import Quarantined, QuarantineReason
from racoon.node.deid.rules import pixel_risks
from racoon.standards.dicom.elements import PIXEL_DATA, Dataset, Element
from racoon.standards.dicom.reading import DicomFile
from racoon.standards.dicom.text import text_of, values_of
from racoon.standards.dicom.uids import ENCAPSULATED, NATIVE, is_uid

MAXIMUM_PIXEL_BYTES = 8 << 30
"""Decoded pixels of one object; 16 000 CT slices in one enhanced object would fit."""

MAXIMUM_EXPANSION = 2000
"""Decoded to compressed bytes; an empty label map in RLE reaches about 100, an empty JPEG 2000 about 1000."""

EXPANSION_FLOOR_BYTES = 256 << 20
"""Below this size a high ratio does no harm."""

_SOP_CLASS, _SOP_INSTANCE, _STUDY, _SERIES = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E
_ROWS, _COLUMNS, _BITS, _SAMPLES, _FRAMES = 0x00280010, 0x00280011, 0x00280100, 0x00280002, 0x00280008


def screen(file: DicomFile) -> None:
    """Refuse what cannot be made safe.

    Raises
    ------
    Quarantined
        With the first reason found.
    """
    dataset = file.dataset
    for tag in (_SOP_CLASS, _SOP_INSTANCE, _STUDY, _SERIES):
        if not is_uid(text_of(dataset.get(tag))):
            raise Quarantined(QuarantineReason.MISSING_UIDS, {"tag": f"{tag:08X}"})
    syntax = file.transfer_syntax_uid
    if syntax not in NATIVE and ENCAPSULATED.fullmatch(syntax) is None:
        raise Quarantined(QuarantineReason.UNSUPPORTED_TRANSFER_SYNTAX)


def screen_pixels(file: DicomFile, *, may_be_burned_in: bool = False) -> None:
    """Check size and risk of the pixels.

    Parameters
    ----------
    may_be_burned_in
        A person has looked and released the image.

    Raises
    ------
    Quarantined
        Missing, truncated or implausible pixels, or text suspected in them.
    """
    dataset = file.dataset
    if not may_be_burned_in and _is_suspicious(dataset):
        raise Quarantined(QuarantineReason.BURNED_IN_SUSPECTED)
    pixels = dataset.get(PIXEL_DATA)
    rows, columns, bits = (number_of(dataset.get(tag), file) for tag in (_ROWS, _COLUMNS, _BITS))
    if pixels is None or not rows or not columns or not bits:
        raise Quarantined(QuarantineReason.MISSING_PIXEL_DATA)
    samples = number_of(dataset.get(_SAMPLES), file) or 1
    frames = _frames(dataset)
    expected = ceil(rows * columns * samples * frames * bits / 8)
    if expected > MAXIMUM_PIXEL_BYTES:
        raise Quarantined(QuarantineReason.SUSPICIOUS_SIZE, {"bytes": expected})
    if pixels.is_undefined_length:
        too_good = expected > MAXIMUM_EXPANSION * len(pixels.value)
        if too_good and expected > EXPANSION_FLOOR_BYTES:
            raise Quarantined(QuarantineReason.SUSPICIOUS_SIZE, {"bytes": expected})
    elif file.transfer_syntax_uid not in NATIVE or len(pixels.value) < expected:
        raise Quarantined(QuarantineReason.TRUNCATED, {"missing": expected - len(pixels.value)})
    elif len(pixels.value) > expected + 1:
        # Bytes behind the last pixel could be anything.
        raise Quarantined(QuarantineReason.SUSPICIOUS_SIZE, {"excess": len(pixels.value) - expected})


def number_of(element: Element | None, file: DicomFile) -> int:
    """Read an unsigned 16-bit number; 0 when it is missing or malformed."""
    if element is None or len(element.value) != 2:
        return 0
    return int.from_bytes(element.value, "big" if file.is_big_endian else "little")


def _frames(dataset: Dataset) -> int:
    text = text_of(dataset.get(_FRAMES))
    if not text:
        return 1
    try:
        return max(int(text), 1)
    except ValueError:
        raise Quarantined(QuarantineReason.UNDECODABLE_HEADER, {"tag": f"{_FRAMES:08X}"}) from None


def _is_suspicious(dataset: Dataset) -> bool:
    risks = pixel_risks()
    if text_of(dataset.get(0x00280301)).upper() == "YES":  # Burned In Annotation
        return True
    if set(risks["image_type_words"]) & {value.upper() for value in values_of(dataset.get(0x00080008))}:
        return True
    if 0x00080064 in dataset:  # Conversion Type: made by a secondary capture device
        return True
    if text_of(dataset.get(0x00080060)) not in risks["image_modalities"]:
        return False
    # Colour CT and MR are perfusion maps and screen copies, with scales and names written into them.
    return text_of(dataset.get(0x00280004)) not in risks["photometric_interpretations"]

"""Look before anything is done: identifiers present, size plausible, no text expected in the pixels."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

from racoon.node.deid._risk import Risk, may_show_a_head, risk_of
from racoon.node.deid.model import Profile, Quarantined, QuarantineReason
from racoon.standards.dicom.elements import PIXEL_DATA, Dataset, Element
from racoon.standards.dicom.reading import DicomFile
from racoon.standards.dicom.text import text_of
from racoon.standards.dicom.uids import CT_IMAGE, ENCAPSULATED, MR_IMAGE, NATIVE, is_uid

MAXIMUM_PIXEL_BYTES = 8 << 30
"""Decoded pixels of one object; 16 000 CT slices in one enhanced object would fit."""

MAXIMUM_EXPANSION = 2000
"""Decoded to compressed bytes; an empty label map in RLE reaches about 100, an empty JPEG 2000 about 1000."""

EXPANSION_FLOOR_BYTES = 256 << 20
"""Below this size a high ratio does no harm."""

_JPEG = "1.2.840.10008.1.2.4."
_NO_DECODER = frozenset(
    f"{_JPEG}{number}" for number in (52, 53, 54, 55, 56, 58, 59, 60, 61, 62, 63, 64, 65, 66)
)
"""Retired JPEG processes (PS3.6 table A-1) that no decoder of the product reads."""

_EIGHT_BIT_JPEG = frozenset({f"{_JPEG}50", f"{_JPEG}51"})
"""Baseline and extended JPEG: deeper values come back wrong or not at all."""

_DEEP = frozenset({CT_IMAGE, MR_IMAGE, "1.2.840.10008.5.1.4.1.1.128"})
"""CT, MR and PET hold at least 12 bits (PS3.3 C.8.2.1, C.8.3.1, C.8.9.4): 8 bits of JPEG are a copy for the eye."""

FLOATING = {0x7FE00008: 4, 0x7FE00009: 8}
"""Float and double pixel data of parametric maps (PS3.3 C.7.6.24, C.7.6.25), bytes per value."""

_SOP_CLASS, _SOP_INSTANCE, _STUDY, _SERIES = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E
_ROWS, _COLUMNS, _BITS, _SAMPLES, _FRAMES = 0x00280010, 0x00280011, 0x00280100, 0x00280002, 0x00280008
_BITS_STORED = 0x00280101


_FROM_META = {_SOP_CLASS: 0x00020002, _SOP_INSTANCE: 0x00020003}


def completed(file: DicomFile) -> DicomFile:
    """Take SOP class and instance UID from the file meta information where the data set leaves them empty."""
    missing = {
        tag: file.meta[meta]
        for tag, meta in _FROM_META.items()
        if not text_of(file.dataset.get(tag)) and meta in file.meta
    }
    if not missing:
        return file
    dataset = Dataset(file.dataset)
    dataset.update({tag: element._replace(tag=tag) for tag, element in missing.items()})
    note = "SOP class or instance UID taken from the file meta information"
    return replace(file, dataset=Dataset(sorted(dataset.items())), tolerated=(*file.tolerated, note))


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


def screen_risk(file: DicomFile, *, profile: Profile, is_released: bool) -> Risk:
    """Ask the table of pixel risks, and refuse what nothing known makes safe.

    Parameters
    ----------
    profile
        Blanking needs its option ``clean_pixel_data``; ``faces`` may refuse heads.
    is_released
        A person has looked at the image and overruled the suspicion.

    Raises
    ------
    Quarantined
        Text suspected in the pixels, or a head where the profile wants none.
    """
    if profile.faces == "refuse" and may_show_a_head(file.dataset):
        raise Quarantined(QuarantineReason.FACE_RECOGNISABLE)
    risk = risk_of(file.dataset, is_big_endian=file.is_big_endian)
    if is_released:
        return Risk(risk.suspicions)
    can_blank = risk.remedy is not None and "clean_pixel_data" in profile.options
    if risk.suspicions and not can_blank:
        raise Quarantined(QuarantineReason.BURNED_IN_SUSPECTED, {"suspicions": list(risk.suspicions)})
    return risk


def screen_pixels(file: DicomFile) -> None:
    """Check that the pixels are there, all of them, and nothing behind them.

    Raises
    ------
    Quarantined
        Missing, truncated or implausible pixels.
    """
    dataset = file.dataset
    for tag, size in FLOATING.items():
        if tag in dataset and PIXEL_DATA not in dataset:
            _screen_floating(file, dataset[tag], size)
            return
    pixels = dataset.get(PIXEL_DATA)
    rows, columns, bits = (number_of(dataset.get(tag), file) for tag in (_ROWS, _COLUMNS, _BITS))
    if pixels is None or not rows or not columns or not bits:
        raise Quarantined(QuarantineReason.MISSING_PIXEL_DATA)
    samples = number_of(dataset.get(_SAMPLES), file) or 1
    frames = _frames(dataset)
    expected = ceil(rows * columns * samples * frames * bits / 8)
    if expected > MAXIMUM_PIXEL_BYTES:
        raise Quarantined(QuarantineReason.SUSPICIOUS_SIZE, {"bytes": expected})
    is_deep = number_of(dataset.get(_BITS_STORED), file) > 8 or text_of(dataset.get(_SOP_CLASS)) in _DEEP
    if file.transfer_syntax_uid in _NO_DECODER or (file.transfer_syntax_uid in _EIGHT_BIT_JPEG and is_deep):
        raise Quarantined(QuarantineReason.UNDECODABLE_PIXELS, {"transfer_syntax": file.transfer_syntax_uid})
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


def _screen_floating(file: DicomFile, pixels: Element, size: int) -> None:
    rows, columns = (number_of(file.dataset.get(tag), file) for tag in (_ROWS, _COLUMNS))
    expected = rows * columns * _frames(file.dataset) * size
    if not expected:
        raise Quarantined(QuarantineReason.MISSING_PIXEL_DATA)
    if expected > MAXIMUM_PIXEL_BYTES:
        raise Quarantined(QuarantineReason.SUSPICIOUS_SIZE, {"bytes": expected})
    if file.is_big_endian or len(pixels.value) != expected:
        reason = (
            QuarantineReason.TRUNCATED if len(pixels.value) < expected else QuarantineReason.SUSPICIOUS_SIZE
        )
        raise Quarantined(reason, {"expected": expected})

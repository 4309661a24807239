"""Our reader against pydicom's, and against files that lie about themselves."""

from __future__ import annotations

import io
import warnings

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from racoon.standards.dicom import dates, uids
from racoon.standards.dicom.elements import MalformedDicom, NotDicom, TooLarge, TruncatedDicom
from racoon.standards.dicom.reading import MAXIMUM_DEPTH, items_of, read_file
from racoon.standards.dicom.text import encodings_of, text_of, values_of
from racoon.standards.dicom.writing import encode_element, encode_file_meta, encode_sequence, encode_text
from tests.planted_identifiers import make_ct, make_seg


def small_file(*elements: bytes) -> bytes:
    return encode_file_meta("1.2", "1.2.3", ExplicitVRLittleEndian) + b"".join(elements)


@pytest.mark.parametrize(
    "syntax",
    [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian],
)
def test_reads_what_pydicom_reads(syntax: str) -> None:
    data = make_ct(syntax=syntax).data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = pydicom.dcmread(io.BytesIO(data))
        ours = read_file(data)
        assert list(ours.dataset) == [element.tag for element in theirs]
        assert text_of(ours.dataset[0x00100010], encodings_of(ours.dataset)) == str(theirs.PatientName)
        assert values_of(ours.dataset[0x00200037]) == [str(value) for value in theirs.ImageOrientationPatient]
        assert bytes(ours.dataset[0x7FE00010].value) == theirs.PixelData
        item = items_of(ours.dataset[0x00081140])[0]
        assert text_of(item[0x00081155]) == theirs.ReferencedImageSequence[0].ReferencedSOPInstanceUID


def test_reads_nested_undefined_lengths() -> None:
    dataset = pydicom.dcmread(io.BytesIO(make_seg(planted=False).data))
    dataset.PerFrameFunctionalGroupsSequence.is_undefined_length = True
    dataset["PerFrameFunctionalGroupsSequence"].is_undefined_length = True
    stream = io.BytesIO()
    dataset.save_as(stream)
    frames = items_of(read_file(stream.getvalue()).dataset[0x52009230])
    assert len(frames) == 2


def test_unknown_vr_of_a_gateway_is_read_as_the_standard_s() -> None:
    value = encode_element(0x00100020, "UN", b"4711")
    assert read_file(small_file(value)).dataset[0x00100020].vr == "LO"


def test_bare_data_set_and_wrong_labels_are_tolerated() -> None:
    element = encode_text(0x00080060, "CS", "CT")
    assert read_file(element).tolerated == (
        "no preamble and no DICM prefix",
        "transfer syntax not declared; recognised from the first element",
    )
    mislabelled = encode_file_meta("1.2", "1.2.3", ImplicitVRLittleEndian) + element
    assert read_file(mislabelled).tolerated == ("declared implicit, is explicit",)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", NotDicom),
        (b"GIF89a" * 100, NotDicom),
        (small_file(), TruncatedDicom),
        (small_file(encode_text(0x00080060, "CS", "CT"))[:-1], TruncatedDicom),
        (small_file(b"\x08\x00\x60\x00CS\xff\xff"), TruncatedDicom),
        (small_file(b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff"), TruncatedDicom),
        (small_file(b"\x10\x00\x20\x00UT\0\0\xff\xff\xff\xff"), MalformedDicom),
        (
            small_file(b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\x7f"),
            TruncatedDicom,
        ),
    ],
)
def test_broken_files_end_with_one_clear_error(data: bytes, error: type[MalformedDicom]) -> None:
    with pytest.raises(error):
        read_file(data)


def test_nesting_has_an_end() -> None:
    nested = b""
    for _ in range(MAXIMUM_DEPTH + 3):
        nested = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" + nested
    with pytest.raises((TooLarge, TruncatedDicom)):
        read_file(small_file(nested))


@given(st.binary(max_size=400))
def test_any_bytes_after_the_meta_information_end_well(tail: bytes) -> None:
    try:
        file = read_file(small_file(tail))
        for element in file.dataset.values():
            if element.vr == "SQ":
                items_of(element)
    except MalformedDicom:
        pass


@given(st.lists(st.text("ABC xyz", max_size=20), max_size=4), st.text(max_size=30))
def test_what_we_write_pydicom_reads(values: list[str], comment: str) -> None:
    inner = encode_text(0x00081155, "UI", "1.2.3")
    data = small_file(
        encode_text(0x00080005, "CS", "ISO_IR 192"),
        encode_sequence(0x00081140, [inner, inner]),
        encode_text(0x00180022, "LO", "\\".join(values)),
        encode_text(0x00204000, "LT", comment),
    )
    dataset = pydicom.dcmread(io.BytesIO(data))
    assert len(dataset.ReferencedImageSequence) == 2
    assert dataset.ReferencedImageSequence[1].ReferencedSOPInstanceUID == "1.2.3"
    assert len(data) % 2 == 0


def test_too_long_value_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="too long"):
        encode_element(0x00080060, "CS", b"A" * 70_000)


@given(st.dates(), st.integers(-180, 180))
def test_shift_and_back_is_the_same_date(day: object, days: int) -> None:
    text = day.strftime("%Y%m%d").zfill(8)
    there = dates.shift_date(text, days)
    assert not there or dates.shift_date(there, -days) == text


def test_datetime_keeps_time_and_offset() -> None:
    assert dates.shift_datetime("20230228235959.5+0100", 1) == "20230301235959.5+0100"
    assert dates.shift_datetime("2023", 1) == ""


def test_uid_of_a_digest_is_a_valid_uuid() -> None:
    import uuid

    uid = uids.uid_from_digest(bytes(range(16)))
    value = uuid.UUID(int=int(uid.removeprefix("2.25.")))
    assert (value.version, value.variant) == (8, uuid.RFC_4122)
    assert uids.is_uid(uid)

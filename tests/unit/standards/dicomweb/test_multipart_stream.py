"""A body cut anywhere gives the same parts, and no body can make the reader hold more than one."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racoon.standards.dicomweb import multipart
from racoon.standards.dicomweb.multipart import BadMultipart
from racoon.standards.dicomweb.multipart_stream import MultipartReader, ReceivedPart

BOUNDARY = "b-1"


def body_of(contents: list[bytes]) -> bytes:
    parts = [multipart.Part("application/dicom", [content]) for content in contents]
    return b"".join(multipart.write(parts, BOUNDARY))


def read(body: bytes, cuts: list[int], limit: int = 10_000) -> list[ReceivedPart]:
    reader = MultipartReader(BOUNDARY, largest_part_bytes=limit)
    places = sorted({min(cut, len(body)) for cut in cuts} | {0, len(body)})
    found = [part for low, high in pairwise(places) for part in reader.feed(body[low:high])]
    reader.finish()
    return found


@given(
    contents=st.lists(st.binary(max_size=60).map(lambda data: data.replace(b"--b", b"")), max_size=5),
    cuts=st.lists(st.integers(0, 700), max_size=30),
)
def test_parts_are_the_same_wherever_the_body_is_cut(contents: list[bytes], cuts: list[int]) -> None:
    found = read(body_of(contents), cuts)
    assert [part.content for part in found] == contents
    assert all(part.headers == {"content-type": "application/dicom"} for part in found)


def test_part_that_outgrows_the_limit_is_dropped_and_the_body_goes_on() -> None:
    body = body_of([b"a" * 100, b"b" * 200_000, b"c"])
    found = read(body, list(range(0, len(body), 1000)), limit=1000)
    assert [(part.content[:1], part.is_too_large) for part in found] == [
        (b"a", False), (b"", True), (b"c", False),
    ]  # fmt: skip


def test_reader_holds_no_more_than_one_part() -> None:
    reader = MultipartReader(BOUNDARY, largest_part_bytes=1000)
    assert list(reader.feed(b"--b-1\r\n\r\n")) == []
    for _ in range(200):
        assert list(reader.feed(b"x" * 10_000)) == []
        assert len(reader._buffer) < 40_000


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--b-1\r\n\r\nno end",
        b"--other\r\n\r\nx\r\n--other--",
        b"x" * 100_000,
        b"--b-1 junk\r\n\r\nx\r\n--b-1--",
    ],
)
def test_body_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(BadMultipart):
        read(body, [])


@pytest.mark.parametrize("length", [1, 70, 73, 200])
@pytest.mark.parametrize("form", ["boundary={}", 'boundary="{}"', 'boundary={}; type="application/dicom"'])
def test_a_boundary_is_read_whole(length: int, form: str) -> None:
    wanted = "b" * length
    assert multipart.boundary_of(f"multipart/related; {form.format(wanted)}") == wanted


def test_a_boundary_without_end_is_refused() -> None:
    with pytest.raises(BadMultipart):
        multipart.boundary_of(f"multipart/related; boundary={'b' * 201}")

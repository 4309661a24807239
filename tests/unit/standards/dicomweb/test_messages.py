"""Multipart bodies and Accept headers."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racoon.standards.dicomweb import media, multipart


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_multipart_survives_the_round_trip(contents: list[bytes]) -> None:
    boundary = multipart.new_boundary()
    parts = [
        multipart.Part("application/dicom", [content[:3], content[3:]], {"X-N": "1"}) for content in contents
    ]
    body = b"".join(multipart.write(parts, boundary))
    header = multipart.content_type("application/dicom", boundary)
    found = list(multipart.read(body, multipart.boundary_of(header)))
    assert [content for _, content in found] == contents
    assert all(headers == {"content-type": "application/dicom", "x-n": "1"} for headers, _ in found)


@given(st.binary(max_size=300))
def test_foreign_bytes_are_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(multipart.BadMultipart):
        list(multipart.read(body, "b"))


def test_truncated_body_is_refused() -> None:
    body = b"".join(multipart.write([multipart.Part("application/dicom", [b"x" * 50])], "b"))
    with pytest.raises(multipart.BadMultipart):
        list(multipart.read(body[:-10], "b"))


def test_accept_reads_weights_types_and_quotes() -> None:
    ranges = media.parse_accept(
        "image/png;q=0.5, multipart/related; "
        'type="application/octet-stream"; transfer-syntax=*, text/html;q=0'
    )
    assert ranges == (
        media.MediaRange("application/octet-stream", True, "*", 1.0),
        media.MediaRange("image/png", False, "", 0.5),
    )


def test_choice_prefers_the_client_and_refuses_the_rest() -> None:
    offered = (media.JPEG, media.PNG)
    assert media.choose((), offered) == media.JPEG
    assert media.choose(media.parse_accept("image/png"), offered) == media.PNG
    assert media.choose(media.parse_accept("image/*"), offered) == media.JPEG
    assert media.choose(media.parse_accept("image/jpeg;q=0.1, image/png"), offered) == media.PNG
    with pytest.raises(media.NotAcceptable):
        media.choose(media.parse_accept("text/plain"), offered)

"""Blocks, encodings, escapes and answers of HL7 v2."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import hl7
import pytest
from hypothesis import given
from hypothesis import strategies as st

from racoon.standards.hl7v2.answering import acknowledge
from racoon.standards.hl7v2.message import UnreadableMessage, parse_message, read_header, unescape
from racoon.standards.hl7v2.mllp import BlockReader, frame
from racoon.standards.hl7v2.times import fhir_date, fhir_time

HEAD = "MSH|^~\\&|KIS|KH|R|A|20240301||ADT^A08|7|P|2.5||||||"


def message(charset: str, encoding: str, name: str = "Müller") -> bytes:
    return f"{HEAD}{charset}\rPID|||4711||{name}\r".encode(encoding)


@given(
    st.lists(
        st.binary(max_size=60).map(lambda data: bytes(byte for byte in data if byte not in (0x0B, 0x1C)))
    ),
    st.lists(st.integers(1, 40), min_size=1),
)
def test_blocks_come_out_as_they_went_in_however_the_stream_is_cut(
    contents: list[bytes], cuts: list[int]
) -> None:
    stream = b"".join(frame(item) for item in contents)
    reader, found, place, turn = BlockReader(1000), [], 0, 0
    while place < len(stream):
        size = cuts[turn % len(cuts)]
        found += reader.feed(stream[place : place + size])
        place, turn = place + size, turn + 1
    assert [block.data for block in found] == contents
    assert reader.skipped_bytes == 0


def test_reader_is_in_step_again_after_noise_a_cut_and_a_flood() -> None:
    reader = BlockReader(10)
    stream = b"noise" + frame(b"one")[:-2] + frame(b"two") + frame(b"x" * 11) + b"\r\n" + frame(b"three")
    found = [(block.kind, block.data) for block in reader.feed(stream)]
    assert found == [("truncated", b"one"), ("message", b"two"), ("too_large", b""), ("message", b"three")]
    assert reader.skipped_bytes == 5
    assert not list(reader.feed(frame(b"half")[:3]))
    last = reader.close()
    assert last is not None
    assert (last.kind, last.data) == ("truncated", b"ha")


@given(st.binary(max_size=400), st.integers(1, 50))
def test_any_bytes_are_read_within_bounds(data: bytes, size: int) -> None:
    reader = BlockReader(size)
    assert all(len(block.data) <= size for block in reader.feed(data))


@pytest.mark.parametrize(
    ("charset", "encoding"),
    [("8859/1", "latin-1"), ("8859/15", "iso8859-15"), ("UNICODE UTF-8", "utf-8"), ("", "latin-1")],
)
def test_umlauts_are_right(charset: str, encoding: str) -> None:
    segment = parse_message(message(charset, encoding)).first("PID")
    assert segment is not None
    assert segment.text(5) == "Müller"


@pytest.mark.parametrize(
    ("charset", "encoding", "reason"),
    [
        ("ASCII", "latin-1", "wrong_encoding"),
        ("UNICODE UTF-8", "latin-1", "wrong_encoding"),
        ("8859/1", "utf-8", "wrong_encoding"),
        ("8859/15", "utf-8", "wrong_encoding"),
        ("", "utf-8", "wrong_encoding"),
        ("8859/1", "cp1252", "wrong_encoding"),
        ("KLINGON", "utf-8", "unknown_encoding"),
    ],
)
def test_wrong_encoding_is_refused_and_never_guessed(charset: str, encoding: str, reason: str) -> None:
    with pytest.raises(UnreadableMessage) as refusal:
        parse_message(
            message(charset, encoding, name="Müller – Öz"[: 11 if encoding in ("utf-8", "cp1252") else 6])
        )
    assert refusal.value.reason == reason


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no_header"),
        (b"PID|1", "no_header"),
        (b"MSH|||||", "no_header"),
        (HEAD.replace("ADT^A08", "").encode(), "no_type"),
        (HEAD.replace("|2.5|", "|3|").encode(), "no_type"),
        (HEAD.replace("|7|", "||").encode(), "no_control_id"),
        (f"{HEAD}\rpid|1\r".encode(), "no_segments"),
        (f"{HEAD}\rPIDX\r".encode(), "no_segments"),
        (f"{HEAD}\r{'NTE|1' + chr(13)}".encode() * 1 + b"NTE|1\r" * 20_000, "too_large"),
    ],
)
def test_what_cannot_be_read_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableMessage) as refusal:
        parse_message(data)
    assert refusal.value.reason == reason


@given(st.binary(max_size=300))
def test_any_bytes_behind_a_header_are_read_or_refused(data: bytes) -> None:
    try:
        found = parse_message(f"{HEAD}8859/1\r".encode() + data)
    except UnreadableMessage:
        return
    assert found.kind == "ADT^A08"


def test_lines_of_windows_are_tolerated() -> None:
    found = parse_message(f"{HEAD}\r\nPID|||1\r\nZZZ\r\n".encode())
    assert [segment.name for segment in found.segments] == ["MSH", "PID", "ZZZ"]


def test_escapes_are_replaced_and_values_never_reach_a_log(caplog: pytest.LogCaptureFixture) -> None:
    marks = "|^~\\&"
    assert unescape(r"a\F\b\S\c\T\d\R\e\E\f", marks) == r"a|b^c&d~e\f"
    assert unescape(r"M\XFC\ller\.br\x\H\bold\N\ \Zdd\ \\", marks) == "Müller\nxbold  "
    assert unescape("lone \\ mark", marks) == "lone \\ mark"
    assert not caplog.records
    # The library's own would have written the value: why it is not asked.
    with pytest.warns(DeprecationWarning, match="'warn'"):
        hl7.parse(f"{HEAD}\rPID|1\r").unescape("Frau Müller \\\\")
    assert "Frau Müller" in caplog.text


def test_other_separators_are_read() -> None:
    found = parse_message(b"MSH#*~\\&#KIS#KH#R#A#20240301##ADT*A08#7#P#2.5\rPID###1*2\r")
    segment = found.first("PID")
    assert segment is not None
    assert (found.kind, segment.text(3, 2)) == ("ADT^A08", "2")


def _of_library(found: Any, field: int, repetition: int, component: int, part: int) -> str:
    """What the library separated, counted as the standard does."""
    here: Any = found[field] if field < len(found) else ""
    for number in (repetition, component, part):
        if isinstance(here, str):
            here = here if number == 1 else ""
        else:
            here = here[number - 1] if number <= len(here) else ""
    return str(here).strip()


@given(
    st.lists(
        st.text(alphabet="|^~&ab Ü", max_size=30).map(lambda text: f"PID|{text}"), min_size=1, max_size=3
    )
)
def test_segments_are_separated_as_a_library_separates_them(lines: list[str]) -> None:
    text = "\r".join((HEAD, *lines)) + "\r"
    mine = parse_message(text.encode("latin-1")).segments
    theirs = hl7.parse(text)
    assert len(mine) == len(theirs)
    places = [
        (repetition, component, part) for repetition in (1, 2) for component in (1, 2, 3) for part in (1, 2)
    ]
    for segment, other in zip(mine, theirs, strict=True):
        assert segment.name == str(other[0])
        for field in range(1, 22):
            for place in places:
                repetition, component, part = place
                found = segment.text(field, component, part=part, repetition=repetition)
                assert found == _of_library(other, field, *place), (field, place)


def test_answer_names_the_message_and_nothing_else_of_it() -> None:
    data = message("8859/1", "latin-1")
    answer = acknowledge(
        read_header(data), "AE", datetime(2024, 3, 1, tzinfo=UTC), "42", sentence="No | here.", site="ALPHA"
    )
    assert answer == (
        b"MSH|^~\\&|RACOON|ALPHA|KIS|KH|20240301000000+0000||ACK^A08|42|P|2.5||||||8859/1\rMSA|AE|7|No  here.\r"
    )
    nothing = acknowledge(None, "AR", datetime(2024, 3, 1, tzinfo=UTC), "1", sentence="x" * 100)
    assert nothing.split(b"\r")[1] == b"MSA|AR||" + b"x" * 80


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("20240331013000", "2024-03-31T01:30:00+01:00"),
        ("202403310330", "2024-03-31T03:30:00+02:00"),
        ("2024033112", "2024-03-31T12:00:00+02:00"),
        ("20240331120000.1234-0500", "2024-03-31T12:00:00-05:00"),
        ("20240331", "2024-03-31"),
        ("202403", "2024-03"),
        ("20240231", ""),
        ("202403312500", ""),
        ("gestern", ""),
    ],
)
def test_times(text: str, wanted: str) -> None:
    assert fhir_time(text, ZoneInfo("Europe/Berlin")) == wanted
    assert fhir_date(text) == wanted[:10] or not wanted

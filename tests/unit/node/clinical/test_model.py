"""A search is understood as it is written, or refused with what would be understood; nothing is dropped silently."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racoon.node.clinical.model import (
    ACTION_OF_TYPE,
    INCLUDED,
    TYPES,
    BadSearch,
    NoSuchResource,
    page_token,
    parse_search,
)


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("2024-01-31", ("20240131", "20240131")),
        ("2024-02", ("20240201", "20240229")),
        ("2024", ("20240101", "20241231")),
        ("ge2024-02", ("20240201", "")),
        ("gt2024-02", ("20240301", "")),
        ("le2024-02", ("", "20240229")),
        ("lt2024-02", ("", "20240131")),
    ],
)
def test_started_stands_for_all_days_of_its_precision(text: str, days: tuple[str, str]) -> None:
    search = parse_search("ImagingStudy", [("started", text)])
    assert (search.day_from, search.day_to) == days


def test_two_dates_are_an_interval() -> None:
    search = parse_search("ImagingStudy", [("started", "ge2024-01-05"), ("started", "lt2024-02")])
    assert (search.day_from, search.day_to) == ("20240105", "20240131")


def test_last_updated_takes_a_time_with_a_zone() -> None:
    search = parse_search("ImagingStudy", [("_lastUpdated", "ge2024-01-31T10:15:00+01:00")])
    assert search.updated_from == datetime(2024, 1, 31, 9, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    "parameters",
    [
        [("name", "x")],
        [("started:missing", "true")],
        [("started", "31.01.2024")],
        [("started", "2024-13")],
        [("started", "2024-01-31T10:00:00Z")],
        [("_lastUpdated", "2024-01-31T10:00:00")],
        [("_count", "ten")],
        [("_include", "ImagingStudy:encounter")],
        [("_summary", "true")],
        [("_page", "nonsense")],
        [("_page", "e30"), ("_count", "3")],
    ],
)
def test_what_is_not_understood_is_refused(parameters: list[tuple[str, str]]) -> None:
    with pytest.raises(BadSearch):
        parse_search("ImagingStudy", parameters)


def test_unknown_parameter_is_answered_with_the_known_ones_and_not_quoted() -> None:
    with pytest.raises(BadSearch) as caught:
        parse_search("ImagingStudy", [("Mueller", "4711")])
    assert "modality, started, _count" in caught.value.public_message
    assert "Mueller" not in caught.value.public_message


def test_type_that_is_not_here_is_not_found() -> None:
    with pytest.raises(NoSuchResource):
        parse_search("Medication", [])


def test_alternatives_systems_and_types_of_values() -> None:
    search = parse_search(
        "ImagingStudy",
        [
            ("modality", "http://x|CT,MR"),
            ("patient", "Patient/R1-A"),
            ("identifier", "urn:dicom:uid|urn:oid:2.25.1"),
        ],
    )
    assert search.values == {"modality": {"CT", "MR"}, "patient": {"R1-A"}, "identifier": {"2.25.1"}}


@given(after=st.integers(0, 2**40), count=st.integers(0, 500))
def test_link_to_a_further_page_keeps_the_search(after: int, count: int) -> None:
    search = parse_search("ImagingStudy", [("modality", "CT"), ("_count", str(count))])
    further = parse_search("ImagingStudy", [("_page", page_token(search, after))])
    assert (further.given, further.values, further.count, further.after) == (
        search.given,
        search.values,
        count,
        after,
    )


def test_every_type_has_an_action_and_every_include_a_place() -> None:
    assert set(ACTION_OF_TYPE) == set(TYPES)
    assert set(INCLUDED) == {item for support in TYPES.values() for item in support.includes}

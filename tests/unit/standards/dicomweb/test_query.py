"""Query strings mean what PS3.18 and PS3.4 say."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racoon.errors import RacoonError
from racoon.standards.dicomweb.query import BadQuery, Match, MatchKind, Query, parse_query, wildcard_to_like


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("PatientID", "A1", Match("PatientID", MatchKind.EXACT, ("A1",))),
        ("00100020", "A1", Match("PatientID", MatchKind.EXACT, ("A1",))),
        ("PatientID", "A*", Match("PatientID", MatchKind.WILDCARD, ("A*",))),
        ("PatientID", "A?", Match("PatientID", MatchKind.WILDCARD, ("A?",))),
        ("StudyDate", "20240101-20240201", Match("StudyDate", MatchKind.RANGE, ("20240101", "20240201"))),
        ("StudyDate", "-20240201", Match("StudyDate", MatchKind.RANGE, ("", "20240201"))),
        ("StudyTime", "10-", Match("StudyTime", MatchKind.RANGE, ("10", ""))),
        ("PatientID", "A-B", Match("PatientID", MatchKind.EXACT, ("A-B",))),
        ("StudyInstanceUID", "1.2,1.3", Match("StudyInstanceUID", MatchKind.LIST, ("1.2", "1.3"))),
        ("StudyInstanceUID", "1.2", Match("StudyInstanceUID", MatchKind.EXACT, ("1.2",))),
        ("PatientID", "*", None),
        ("PatientID", "", None),
    ],
)
def test_matching_kinds(name: str, value: str, expected: Match | None) -> None:
    assert parse_query([(name, value)]).matches == ((expected,) if expected else ())


def test_controls_are_no_matches() -> None:
    query = parse_query(
        [
            ("limit", "5"),
            ("offset", "2"),
            ("includefield", "KVP,00080060"),
            ("includefield", "all"),
            ("fuzzymatching", "true"),
        ]
    )
    assert query == Query((), frozenset({"KVP", "Modality"}), True, 5, 2, True)


@given(
    st.lists(
        st.tuples(
            st.text(max_size=20) | st.sampled_from(["PatientID", "limit", "StudyDate"]), st.text(max_size=40)
        )
    )
)
def test_any_query_is_read_or_refused(parameters: list[tuple[str, str]]) -> None:
    try:
        parse_query(parameters)
    except RacoonError as error:
        assert isinstance(error, BadQuery)  # noqa: PT017 -- other queries are right


@given(st.text("ab%_\\*?", max_size=8), st.text("ab%_\\", max_size=8))
def test_like_matches_exactly_what_the_wildcards_match(pattern: str, value: str) -> None:
    def to_regex(text: str, many: str, one: str, escape: str = "") -> str:
        result, index = "", 0
        while index < len(text):
            if escape and text[index] == escape:
                index += 1
                result += re.escape(text[index])
            else:
                result += {many: ".*", one: "."}.get(text[index], re.escape(text[index]))
            index += 1
        return result

    expected = re.fullmatch(to_regex(pattern, "*", "?"), value, re.DOTALL) is not None
    assert (
        re.fullmatch(to_regex(wildcard_to_like(pattern), "%", "_", "\\"), value, re.DOTALL) is not None
    ) == expected

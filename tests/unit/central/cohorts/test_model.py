"""What may be said about counts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racoon.central.cohorts.model import ProtectedAnswer, combine, read_answer, to_dict

answers = st.lists(st.one_of(st.none(), st.integers(1, 50).map(lambda tens: 10 * tens)), max_size=6)


@given(answers, st.integers(0, 3))
def test_total_is_a_range_and_names_no_site_below_three_answers(
    values: list[int | None], silent: int
) -> None:
    given_answers = [ProtectedAnswer(f"S{index}", value) for index, value in enumerate(values)]
    asked = [answer.site for answer in given_answers] + [f"T{index}" for index in range(silent)]
    shown = to_dict(combine(given_answers, asked))
    known = sum(value for value in values if value is not None)
    assert shown["total"] == {"lower": known, "upper": known + 9 * values.count(None)}
    assert len(shown["sites"]) == (len(values) if len(values) >= 3 else 0)
    assert shown["table_withheld"] == (len(values) < 3)
    assert len(shown["silent_sites"]) == silent


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        ({"count": {"value": 120, "threshold": 10}}, 120),
        ({"value": 120}, 120),
        ({"count": {"value": None, "threshold": 20}}, None),
        ({"count": {"value": -5}}, None),
        ({"count": {"value": "120"}}, None),
        ({"count": True}, None),
        ({}, None),
    ],
)
def test_unreadable_counts_count_as_small(payload: dict[str, Any], value: int | None) -> None:
    assert read_answer("ALPHA", payload).value == value


@pytest.mark.parametrize(
    ("linked", "linkage", "words"),
    [
        ([False, False, False], "none", "counts twice"),
        ([True, False, True], "some", "Some of the answering sites"),
        ([True, True, True], "all", "counts once"),
        ([], "none", "counts twice"),
    ],
)
def test_a_count_says_whether_persons_of_several_sites_count_once(
    linked: list[bool], linkage: str, words: str
) -> None:
    payloads: list[dict[str, Any]] = [
        {"count": {"value": 20}} | ({"is_linked": True} if is_linked else {}) for is_linked in linked
    ]
    given_answers = [read_answer(f"S{index}", payload) for index, payload in enumerate(payloads)]
    shown = to_dict(combine(given_answers, ["S0", "S1", "S2"]))
    assert shown["linkage"] == linkage
    assert words in shown["linkage_text"]

"""Matching of cases with controls: within calipers, nobody twice, the same whatever the order."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racoon.science.statistics.matching import (
    Unit,
    balance_of,
    match_controls,
    mean_difference,
    share_difference,
)

units = st.lists(
    st.tuples(st.sampled_from(["f", "m", None]), st.sampled_from([0.0, 0.4, 1.2, 3.0, math.nan])), max_size=9
)


def named(prefix: str, found: list[tuple[str | None, float]]) -> list[Unit]:
    return [Unit(f"{prefix}{place}", (word,), (value,)) for place, (word, value) in enumerate(found)]


@given(units, units, st.integers(1, 3), st.integers(0, 5))
def test_pairs_are_within_calipers_and_controls_are_used_once(
    cases: list[tuple[str | None, float]], controls: list[tuple[str | None, float]], ratio: int, seed: int
) -> None:
    first, second = named("a", cases), named("b", controls)
    found = match_controls(first, second, ratio=ratio, seed=seed)
    by_name = {unit.name: unit for unit in (*first, *second)}
    chosen = [name for own in found.values() for name in own]
    assert len(chosen) == len(set(chosen))
    for case, own in found.items():
        assert 1 <= len(own) <= ratio
        for name in own:
            assert by_name[case].stratum == by_name[name].stratum != (None,)
            assert abs(by_name[case].position[0] - by_name[name].position[0]) <= 1
    mixed = random.Random(seed)
    again = match_controls(
        mixed.sample(first, len(first)), mixed.sample(second, len(second)), ratio=ratio, seed=seed
    )
    assert again == found
    # Greedy: nobody who is free would have fitted a case that has none.
    for unit in first:
        if unit.name not in found and unit.is_known:
            left = [other for other in second if other.name not in chosen and other.is_known]
            assert not any(
                other.stratum == unit.stratum and abs(other.position[0] - unit.position[0]) <= 1
                for other in left
            )


def test_the_nearest_is_taken_and_each_case_has_one_before_any_has_two() -> None:
    cases = [Unit("a1", (), (0.0,)), Unit("a2", (), (0.1,))]
    controls = [Unit("b1", (), (0.0,)), Unit("b2", (), (0.9,)), Unit("b3", (), (0.95,))]
    found = match_controls(cases, controls, ratio=2, seed=3)
    assert sorted(len(own) for own in found.values()) == [1, 2]
    assert {own[0] for own in found.values()} == {"b1", "b2"}
    assert match_controls(cases, [*cases, *controls], ratio=2, seed=3) == found, "a case is no control"


def test_standardised_differences_are_those_of_the_paper() -> None:
    # By hand: means 3 and 2, variances 1 and 1.
    assert mean_difference([2, 3, 4], [1, 2, 3]) == pytest.approx(1.0)
    assert mean_difference([1], [1, 2]) is None
    assert mean_difference([1, 1], [1, 1]) == 0.0
    assert mean_difference([1, 1], [2, 2]) is None
    # 0.5 against 0.25: 0.25 / sqrt((0.25 + 0.1875) / 2)
    assert share_difference(["f", "m"], ["f", "m", "m", "m"]) == pytest.approx(0.25 / math.sqrt(0.21875))
    assert share_difference([], ["f"]) is None
    assert share_difference(["f"], ["m"]) is None


def test_balance_names_each_covariate_before_and_after() -> None:
    values = {
        "a1": {"age": 50.0, "sex": "f"},
        "a2": {"age": 60.0, "sex": "m"},
        "b1": {"age": 50.0, "sex": "f"},
        "b2": {"age": 60.0, "sex": "m"},
        "b3": {"age": 20.0, "sex": None},
    }
    age, sex = balance_of(
        ["age", "sex"], values, (["a1", "a2"], ["b1", "b2", "b3"]), (["a1", "a2"], ["b1", "b2"])
    )
    assert (age.covariate, age.after) == ("age", 0.0)
    assert age.before is not None
    assert age.before > 0.5
    assert (sex.before, sex.after) == (0.0, 0.0)

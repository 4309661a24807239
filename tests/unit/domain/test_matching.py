"""Matching as part of a cohort definition: canonical, strict, and no part of what is counted."""

from __future__ import annotations

from typing import Any

import pytest

from racoon.domain.cohort import CohortDefect, parse_cohort

CT = [[{"x-imaging": {"modality": "CT"}}]]
RULE = {
    "controls": {"inclusionCriteria": CT},
    "exact": ["scanner", "gender"],
    "calipers": {"ageYears": 5},
    "ratio": 2,
    "seed": 7,
}


def document(**changed: Any) -> dict[str, Any]:
    rule = {name: value for name, value in {**RULE, **changed}.items() if value is not None}
    return {"version": "2", "inclusionCriteria": CT, "x-matching": rule}


def test_matching_is_part_of_the_hash_and_not_of_the_count() -> None:
    definition = parse_cohort(document())
    assert definition.matching is not None
    assert parse_cohort(definition.to_dict()) == definition
    assert parse_cohort(document(exact=["gender", "scanner"])).hash == definition.hash
    assert parse_cohort(document(seed=8)).hash != definition.hash
    assert definition.cases.hash == parse_cohort({"version": "2", "inclusionCriteria": CT}).hash


@pytest.mark.parametrize(
    "changed",
    [
        {"controls": None},
        {"controls": {"inclusionCriteria": []}},
        {"controls": {"inclusionCriteria": CT, "x-matching": RULE}},
        {"exact": ["name"]},
        {"exact": None, "calipers": None},
        {"calipers": {"ageYears": 0}},
        {"calipers": {"ageYears": True}},
        {"calipers": {"weight": 3}},
        {"ratio": 0},
        {"ratio": 11},
        {"ratio": 1.5},
        {"seed": -1},
        {"ageBandYears": 0},
        {"replacement": True},
    ],
)
def test_what_is_not_understood_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(CohortDefect):
        parse_cohort(document(**changed))

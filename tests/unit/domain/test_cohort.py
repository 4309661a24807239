"""Cohort definitions: one canonical form, nothing ignored."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racoon.domain.cohort import (
    AgeCriterion,
    CohortDefect,
    CohortDefinition,
    GenderCriterion,
    ImagingCriterion,
    parse_cohort,
)

criteria = st.one_of(
    st.builds(
        ImagingCriterion,
        modality=st.sampled_from(["CT", "MR"]),
        body_part=st.sampled_from([None, "CHEST"]),
        label=st.sampled_from([None, "SCT:39607008"]),
        max_slice_thickness_mm=st.sampled_from([None, 1.5, 5.0]),
    ),
    st.builds(GenderCriterion, genders=st.sampled_from([("female",), ("female", "male")])),
    st.builds(AgeCriterion, comparator=st.sampled_from(["ge", "lt"]), years=st.sampled_from([18.0, 65.0])),
)
groups = st.lists(st.lists(criteria, min_size=1, max_size=3).map(tuple), min_size=1, max_size=3).map(tuple)
definitions = st.builds(CohortDefinition, inclusion=groups, exclusion=st.one_of(st.just(()), groups))


@given(definitions)
def test_parsing_what_was_written_gives_the_same_question(definition: CohortDefinition) -> None:
    assert parse_cohort(definition.to_dict()).hash == definition.hash


@given(definitions, st.randoms())
def test_order_does_not_change_the_hash(definition: CohortDefinition, rng: random.Random) -> None:
    def shuffled(parts: tuple[tuple[object, ...], ...]) -> tuple[tuple[object, ...], ...]:
        copies = [tuple(rng.sample(group, len(group))) for group in parts]
        return tuple(rng.sample(copies, len(copies)))

    other = CohortDefinition(shuffled(definition.inclusion), shuffled(definition.exclusion))
    assert other.hash == definition.hash


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"version": "2", "inclusionCriteria": []}, "at least one"),
        ({"version": "2", "inclusionCriteria": [[{"x-imaging": {"colour": "red"}}]]}, "no condition"),
        ({"version": "2", "inclusionCriteria": [[{"x-imaging": {"modality": 3}}]]}, "wrong type"),
        ({"version": "2", "inclusionCriteria": [[{"termCodes": [{"code": "I10"}]}]]}, "not supported"),
        (
            {"version": "2", "inclusionCriteria": [[{"x-imaging": {"modality": "CT"}}]], "extra": 1},
            "unknown parts",
        ),
        ({"inclusionCriteria": [[{"x-imaging": {"modality": "CT"}}]]}, "version"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(document: dict[str, object], message: str) -> None:
    with pytest.raises(CohortDefect, match=message):
        parse_cohort(document)

"""The flow of a cohort: disjoint sets that together are everybody it began with."""

from __future__ import annotations

from hypothesis import given

from racoon.domain.cohort import CohortDefinition, parse_cohort
from racoon.domain.cohort_flow import flow_of
from tests.cohort_populations import Population, definitions, naive_subjects, populations


@given(populations(), definitions)
def test_the_sets_of_a_flow_share_nobody_and_leave_nobody_out(
    population: Population, definition: CohortDefinition
) -> None:
    steps = flow_of(definition)
    start = CohortDefinition((steps[0].group,))
    sets = [naive_subjects(step.left_out, population) for step in steps if step.left_out is not None]
    sets.append(naive_subjects(definition, population))
    together = [subject for one in sets for subject in one]
    assert len(together) == len(set(together))
    assert set(together) == naive_subjects(start, population)


@given(definitions)
def test_the_flow_is_that_of_the_canonical_form(definition: CohortDefinition) -> None:
    turned = CohortDefinition(definition.inclusion[::-1], definition.exclusion[::-1])
    assert [step.left_out and step.left_out.hash for step in flow_of(turned)] == [
        step.left_out and step.left_out.hash for step in flow_of(definition)
    ]
    for step in flow_of(definition):
        # What a step leaves out is a question as any other: it can be asked alone, and then has the same hash.
        if step.left_out is not None:
            assert parse_cohort(step.left_out.to_dict()).hash == step.left_out.hash

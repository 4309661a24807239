"""Cohort SQL against a naive evaluator on random populations: identical sets, whatever the question."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from racoon.domain.coding import Code
from racoon.domain.cohort import AgeCriterion, CohortDefinition, Criterion, GenderCriterion, ImagingCriterion
from racoon.domain.identity import Pseudonym
from racoon.node.archive.model import SeriesFacts
from racoon.node.cohorts import service
from racoon.node.cohorts.model import GENDER_OF_SEX
from racoon.platform.database import Database, create_all

LUNG = Code("39607008", "SCT", "Lung")
LIVER = Code("10200004", "SCT", "Liver")

COMPARE = {"eq": lambda a, b: a == b, "ge": lambda a, b: a >= b, "lt": lambda a, b: a < b}


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    database = Database("sqlite://")
    create_all(database, "node")
    yield database
    database.dispose()


@st.composite
def populations(draw: st.DrawFn) -> list[SeriesFacts]:
    facts = []
    for number in range(draw(st.integers(0, 8))):
        subject = Pseudonym(f"S{draw(st.integers(0, 4))}")
        uid = f"2.25.{number}"
        facts.append(
            SeriesFacts(
                series_uid=uid,
                imaging_study_uid=f"2.25.9{number}",
                pseudonym=subject,
                modality=draw(st.sampled_from(["CT", "MR"])),
                body_part=draw(st.sampled_from(["CHEST", ""])),
                sex=draw(st.sampled_from(["F", "M", ""])),
                age_years=draw(st.sampled_from([None, 17.0, 65.0])),
                slice_thickness_mm=draw(st.sampled_from([None, 1.0, 5.0])),
            )
        )
        if draw(st.booleans()):
            facts.append(
                SeriesFacts(
                    series_uid=f"{uid}.1",
                    imaging_study_uid=f"2.25.9{number}",
                    pseudonym=subject,
                    modality="SEG",
                    segment_labels=tuple(draw(st.lists(st.sampled_from([LUNG, LIVER]), max_size=2))),
                    referenced_series_uid=uid,
                )
            )
    return facts


criteria = st.one_of(
    st.builds(
        ImagingCriterion,
        modality=st.sampled_from(["CT", "MR"]),
        body_part=st.sampled_from([None, "CHEST"]),
        label=st.sampled_from([None, LUNG.key, LIVER.key]),
        max_slice_thickness_mm=st.sampled_from([None, 2.0]),
    ),
    st.builds(GenderCriterion, genders=st.sampled_from([("female",), ("male", "unknown")])),
    st.builds(
        AgeCriterion, comparator=st.sampled_from(["ge", "lt", "eq"]), years=st.sampled_from([18.0, 65.0])
    ),
)
group = st.lists(criteria, min_size=1, max_size=2).map(tuple)
inclusions = st.lists(group, min_size=1, max_size=2).map(tuple)
exclusions = st.lists(group, max_size=2).map(tuple)


def meets(criterion: Criterion, series: SeriesFacts, masks: list[SeriesFacts]) -> bool:
    if isinstance(criterion, GenderCriterion):
        return GENDER_OF_SEX.get(series.sex, "unknown") in criterion.genders
    if isinstance(criterion, AgeCriterion):
        return series.age_years is not None and COMPARE[criterion.comparator](
            series.age_years, criterion.years
        )
    labels = {
        code.key
        for mask in masks
        if mask.referenced_series_uid == series.series_uid
        for code in mask.segment_labels
    }
    return (
        (criterion.modality is None or series.modality == criterion.modality)
        and (criterion.body_part is None or series.body_part == criterion.body_part)
        and (criterion.label is None or criterion.label in labels)
        and (
            criterion.max_slice_thickness_mm is None
            or (
                series.slice_thickness_mm is not None
                and series.slice_thickness_mm <= criterion.max_slice_thickness_mm
            )
        )
    )


def naive_subjects(definition: CohortDefinition, facts: list[SeriesFacts]) -> set[str]:
    images = [fact for fact in facts if fact.modality != "SEG"]
    masks = [fact for fact in facts if fact.modality == "SEG"]
    subjects = {fact.pseudonym for fact in images}

    def holds(criterion: Criterion, subject: str) -> bool:
        return any(meets(criterion, fact, masks) for fact in images if fact.pseudonym == subject)

    return {
        subject
        for subject in subjects
        if all(any(holds(criterion, subject) for criterion in group) for group in definition.inclusion)
        and not any(all(holds(criterion, subject) for criterion in group) for group in definition.exclusion)
    }


def everybody(_: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    return sa.true()


@given(populations(), inclusions, exclusions)
def test_sql_finds_exactly_the_subjects_a_naive_evaluator_finds(
    database: Database,
    facts: list[SeriesFacts],
    inclusion: tuple[tuple[Criterion, ...], ...],
    exclusion: tuple[tuple[Criterion, ...], ...],
) -> None:
    definition = CohortDefinition(inclusion, exclusion)
    with database.begin() as connection, connection.begin_nested() as example:
        service.record(connection, facts)
        service.record(connection, facts)
        expected = naive_subjects(definition, facts)
        found = service.count_subjects(connection, definition, everybody)
        selected = {entry.pseudonym for entry in service.select_series(connection, definition, everybody)}
        example.rollback()
    assert found == len(expected)
    assert selected <= expected

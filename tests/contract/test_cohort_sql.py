"""Cohort SQL against a naive evaluator on random populations, on both databases: always identical sets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings

from racoon.domain.cohort import CohortDefinition, parse_cohort
from racoon.node.cohorts import service
from racoon.platform.database import Database, create_all
from tests.cohort_populations import Population, definitions, naive_series, naive_subjects, populations


def everybody(_: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    return sa.true()


@pytest.fixture(params=["sqlite", "postgresql"])
def tables(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_url")
    else:
        url = f"sqlite:///{tmp_path / 'node.sqlite'}"
    database = Database(url)
    create_all(database, "node")
    yield database
    database.dispose()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(populations(), definitions)
def test_sql_finds_exactly_what_a_naive_evaluator_finds(
    tables: Database, tmp_path: Path, population: Population, definition: CohortDefinition
) -> None:
    # What travels is JSON: the question that is answered is the one that was read back.
    question = parse_cohort(definition.to_dict())
    assert question.hash == definition.hash
    with tables.begin() as connection, connection.begin_nested() as example:
        service.record(connection, [*population.images, *population.masks])
        keys = [row["resource_key"] for _, row in population.clinical]
        service.record_clinical(connection, keys, population.rows())
        service.record_clinical(connection, keys, population.rows())
        service.record_measured(connection, population.measured)
        for report, subject, study, response in population.reports:
            service.record_report(connection, report, subject, study, response)
        for finding, subject, study in population.findings:
            service.record_finding(connection, finding, subject, study)
        for subject in {row[0] for row in population.consents}:
            periods = [row[1:] for row in population.consents if row[0] == subject]
            service.record_consent(connection, subject, periods, None)
        found = service.members(connection, question, everybody)
        count = service.count_subjects(connection, question, everybody)
        series = {entry.series_uid for entry in service.select_series(connection, question, everybody)}
        columns = service.ColumnCopy(tmp_path / "facts.duckdb")
        columns.forget()
        service.refresh(connection, columns)
        in_columns = service.members(connection, question, everybody, columns)
        example.rollback()
    assert in_columns == found
    assert found == naive_subjects(question, population)
    assert count == len(found)
    assert series == naive_series(question, population)

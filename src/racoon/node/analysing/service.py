"""Where the rows of an analysis come from: the fact tables and the stored measurements of this site."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import sqlalchemy as sa

from racoon.domain.analysis import AnalysisPlan
from racoon.domain.analysis.sources import CLINICAL
from racoon.domain.dataset import DatasetManifest
from racoon.domain.identity import Pseudonym
from racoon.node.analysing.model import (
    BadAnalysisJob,
    CodedFact,
    Course,
    DerivedTable,
    MeasuredValue,
    SubjectFacts,
    SubjectTable,
    subject_table,
)
from racoon.node.clinical import service as clinical
from racoon.node.cohorts import service as cohorts
from racoon.node.measuring import service as measuring


def load_subjects(
    connection: sa.Connection,
    plan: AnalysisPlan,
    manifest: DatasetManifest,
    is_readable: Callable[[Pseudonym], bool],
) -> SubjectTable:
    """Load the table of a frozen dataset with the columns of a plan.

    Parameters
    ----------
    connection
        Open connection to the node's database.
    plan, manifest
        Which columns of which subjects.
    is_readable
        Asked per subject.
    """
    series = {entry.series_uid for entry in manifest.series}
    facts = [
        SubjectFacts(item.series_uid, item.age_years, item.gender)
        for item in cohorts.facts_of_series(connection, series)
    ]
    stored = measuring.load_values(
        connection, study_id=manifest.study_id, dataset_hash=manifest.hash, limit=None
    )
    values = [
        MeasuredValue(value.series_uid, value.measurement, value.value)
        for _, value in stored
        if value.valid and value.value is not None
    ]
    courses = None
    if any(item.source.startswith(CLINICAL) for item in plan.variables):
        courses = load_courses(connection, manifest)
    return subject_table(plan, manifest, facts, values, is_readable, courses)


def derive_table(plan: AnalysisPlan, table: SubjectTable) -> DerivedTable:
    """Compute all variables of a plan over the site's rows.

    Raises
    ------
    BadAnalysisJob
        When a column can't be what the plan says.
    """
    from racoon.science.statistics.derivation import derive  # noqa: PLC0415 - scipy, only to analyse

    try:
        return DerivedTable(table.subjects, derive(plan, table.columns))
    except ValueError as error:
        raise BadAnalysisJob(f"This round can't be computed here: {error}.") from error


def load_courses(connection: sa.Connection, manifest: DatasetManifest) -> dict[Pseudonym, Course]:
    """Load the clinical courses of a dataset's subjects; days are shifted alike in images and courses.

    Parameters
    ----------
    connection
        Open connection to the node's database.
    manifest
        Whose.

    Returns
    -------
    dict
        Only subjects of whom the clinical systems said something.
    """
    subject_of = {entry.series_uid: entry.pseudonym for entry in manifest.series}
    subjects = set(subject_of.values())
    examined: dict[Pseudonym, int] = {}
    for uid, text in cohorts.days_of_series(connection, subject_of).items():
        if (day := _day(text)) is not None:
            name = subject_of[uid]
            examined[name] = min(day, examined.get(name, day))
    facts: dict[Pseudonym, list[CodedFact]] = {}
    for fact in cohorts.clinical_facts(connection, subjects):
        coded = CodedFact(
            fact.kind, fact.system, fact.code, fact.day_number, fact.value_number, fact.value_unit
        )
        facts.setdefault(fact.pseudonym, []).append(coded)
    deaths, seen = clinical.deaths(connection, subjects), clinical.last_days(connection, subjects)
    return {
        name: Course(
            examined.get(name),
            tuple(facts.get(name, ())),
            *_dead(*deaths.get(name, (None, "")), is_known=name in deaths),
            _day(seen.get(name, "")),
        )
        for name in subjects & (facts.keys() | deaths.keys() | seen.keys())
    }


def _dead(is_dead: bool | None, died: str, *, is_known: bool) -> tuple[bool | None, int | None]:
    """Read a death; a person's record that names none is that of somebody who lives."""
    return (bool(is_dead) if is_known else None), _day(died)


def _day(text: str) -> int | None:
    """Count the days since 0001-01-01 of ``YYYYMMDD`` or ``YYYY-MM-DD…``."""
    try:
        return date.fromisoformat(text[:10]).toordinal()
    except ValueError:
        return None

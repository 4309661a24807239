"""The table of a frozen dataset: one row per subject, with what this site knows and measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from racoon.domain.analysis import AnalysisPlan
from racoon.domain.analysis.sources import (
    CLINICAL,
    MEASURED,
    ClinicalEvent,
    ClinicalValue,
    Death,
    parse_clinical,
)
from racoon.domain.dataset import DatasetManifest
from racoon.domain.identity import Pseudonym
from racoon.errors import Defect, Refused


class NotMeasured(Refused):
    """The plan needs values that this site has not measured on the dataset."""

    code: ClassVar[str] = "analysing.not_measured"


class BadAnalysisJob(Defect):
    """A job's parameters do not have the form of its kind."""

    code: ClassVar[str] = "analysing.bad_job"


@dataclass(frozen=True)
class SubjectFacts:
    """What one image series says about its subject.

    Parameters
    ----------
    series_uid
        The series.
    age_years
        At the examination; ``None`` when unknown.
    gender
        ``male``, ``female``, ``other`` or ``unknown``.
    """

    series_uid: str
    age_years: float | None
    gender: str


@dataclass(frozen=True)
class MeasuredValue:
    """One valid value of one series."""

    series_uid: str
    measurement: str
    value: float


@dataclass(frozen=True)
class CodedFact:
    """One clinical fact; ``day`` is shifted, counted from 0001-01-01."""

    kind: str
    system: str
    code: str
    day: int | None = None
    value: float | None = None
    unit: str = ""


@dataclass(frozen=True)
class Course:
    """What the clinical systems said about a subject.

    Parameters
    ----------
    examined
        Shifted day of the first examination of the dataset.
    facts
        Diagnoses, values, procedures, medications.
    is_dead
        ``None`` when nobody said.
    died, seen
        Shifted days of death and of the last visit.
    """

    examined: int | None = None
    facts: tuple[CodedFact, ...] = ()
    is_dead: bool | None = None
    died: int | None = None
    seen: int | None = None

    def read(self, source: str, unit: str) -> float | None:
        """Read one variable; ``None`` where it is unknown."""
        wanted = parse_clinical(source)
        if isinstance(wanted, ClinicalEvent):
            return float(any(wanted.matches(fact.kind, fact.system, fact.code) for fact in self.facts))
        if isinstance(wanted, ClinicalValue):
            return self._value(wanted, unit)
        if isinstance(wanted, Death):
            return self._death(wanted.days)
        last = self.died if self.died is not None else self._last_day()
        if self.examined is None or last is None or (self.is_dead and self.died is None):
            return None
        return float(last - self.examined) if last >= self.examined else None

    def _value(self, wanted: ClinicalValue, unit: str) -> float | None:
        found = [
            (fact.day or 0, fact.value)
            for fact in self.facts
            if (fact.kind, fact.system, fact.code) == ("observation", wanted.system, wanted.code)
            and fact.value is not None
            and (not unit or fact.unit == unit)
        ]
        if not found:
            return None
        values = [value for _, value in sorted(found)]
        if wanted.choice == "mean":
            return sum(values) / len(values)
        if wanted.choice in {"first", "last"}:
            return values[0 if wanted.choice == "first" else -1]
        return min(values) if wanted.choice == "min" else max(values)

    def _death(self, days: int | None) -> float | None:
        if days is None or self.is_dead is not True:
            return None if self.is_dead is None else float(self.is_dead)
        if self.died is None or self.examined is None:
            return None
        return float(0 <= self.died - self.examined <= days)

    def _last_day(self) -> int | None:
        known = [day for day in (self.seen, *(fact.day for fact in self.facts)) if day is not None]
        return max(known, default=None)


@dataclass(frozen=True)
class SubjectTable:
    """Rows of a site; they never leave it.

    Parameters
    ----------
    subjects
        One per row, sorted.
    columns
        By variable of the plan that is not derived: one entry per row, ``None`` where it is unknown.
    """

    subjects: tuple[Pseudonym, ...]
    columns: Mapping[str, tuple[float | str | None, ...]]


@dataclass(frozen=True)
class DerivedTable:
    """The rows with all variables of the plan, ready to be reduced.

    Parameters
    ----------
    subjects
        One per row.
    columns
        By variable, shape (rows,); a category as the index of its level, NaN where it is unknown.
    """

    subjects: tuple[Pseudonym, ...]
    columns: Mapping[str, NDArray[np.float64]]


def table_columns(plan: AnalysisPlan, table: DerivedTable) -> dict[str, list[float | str | None]]:
    """Write the columns as people read them: categories by name, truths as 0 or 1, ``None`` where it is unknown."""
    found: dict[str, list[float | str | None]] = {}
    for variable in plan.variables:
        values = [None if np.isnan(value) else float(value) for value in table.columns[variable.name]]
        if variable.levels:
            found[variable.name] = [
                None if value is None else variable.levels[int(value)] for value in values
            ]
        else:
            found[variable.name] = list(values)
    return found


def subject_table(
    plan: AnalysisPlan,
    manifest: DatasetManifest,
    facts: Iterable[SubjectFacts],
    values: Iterable[MeasuredValue],
    is_readable: Callable[[Pseudonym], bool] = lambda _: True,
    courses: Mapping[Pseudonym, Course] | None = None,
) -> SubjectTable:
    """Reduce series to subjects.

    Parameters
    ----------
    plan
        Names the columns and where they come from.
    manifest
        The frozen dataset.
    facts, values
        Of its series; others are left out.
    is_readable
        Asked per subject: a consent withdrawn after freezing takes the subject out.
    courses
        Clinical courses; who has none is missing in every clinical variable.

    Returns
    -------
    SubjectTable
        The age is that at the first examination, the gender the first that is known (missing where the plan has no
        level for it), and a measured value the mean over the subject's series.

    Raises
    ------
    NotMeasured
        When no series has a value the plan needs.
    """
    subject_of = {
        entry.series_uid: entry.pseudonym for entry in manifest.series if is_readable(entry.pseudonym)
    }
    subjects = tuple(sorted(set(subject_of.values())))
    known = sorted(
        (item for item in facts if item.series_uid in subject_of), key=lambda item: item.series_uid
    )
    measured: dict[str, dict[Pseudonym, list[float]]] = {}
    for value in sorted(values, key=lambda item: (item.measurement, item.series_uid)):
        if value.series_uid in subject_of:
            by_subject = measured.setdefault(value.measurement, {})
            by_subject.setdefault(subject_of[value.series_uid], []).append(value.value)
    columns: dict[str, tuple[float | str | None, ...]] = {}
    for variable in plan.variables:
        if variable.derivation is not None:
            continue
        found: Mapping[Pseudonym, float | str]
        if variable.source == "subject.age_years":
            found = _ages(known, subject_of)
        elif variable.source == "subject.gender":
            genders = _genders(known, subject_of)
            found = {subject: gender for subject, gender in genders.items() if gender in variable.levels}
        elif variable.source.startswith(MEASURED):
            key = variable.source.removeprefix(MEASURED)
            if key not in measured:
                raise NotMeasured(f"This site has not measured {key} on the frozen dataset; measure first.")
            found = {subject: sum(own) / len(own) for subject, own in measured[key].items()}
        elif variable.source.startswith(CLINICAL):
            if not courses:
                raise NotMeasured(
                    f"This site has no clinical course of these subjects for {variable.name}.",
                    code="analysing.no_course",
                )
            read = {
                subject: course.read(variable.source, variable.unit) for subject, course in courses.items()
            }
            found = {subject: value for subject, value in read.items() if value is not None}
        else:
            raise NotMeasured(
                f"This site has no column {variable.name}; the plan names no source for it.",
                code="analysing.no_column",
            )
        columns[variable.name] = tuple(found.get(subject) for subject in subjects)
    return SubjectTable(subjects, columns)


def _ages(facts: Iterable[SubjectFacts], subject_of: Mapping[str, Pseudonym]) -> dict[Pseudonym, float]:
    ages: dict[Pseudonym, float] = {}
    for item in facts:
        if item.age_years is not None:
            subject = subject_of[item.series_uid]
            ages[subject] = min(item.age_years, ages.get(subject, item.age_years))
    return ages


def _genders(facts: Iterable[SubjectFacts], subject_of: Mapping[str, Pseudonym]) -> dict[Pseudonym, str]:
    genders: dict[Pseudonym, str] = {}
    for item in facts:
        if item.gender != "unknown":
            genders.setdefault(subject_of[item.series_uid], item.gender)
    return genders

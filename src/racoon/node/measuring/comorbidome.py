"""The vector of every subject of a frozen dataset: stored values beside age, sex and the diagnoses of the clinic.

Nothing here leaves the site: it is for the pages and commands of the people who work there.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from racoon.domain.clinical_criterion import ICD, category_of
from racoon.domain.dataset import DatasetManifest
from racoon.domain.identity import Pseudonym
from racoon.node.cohorts import service as cohorts
from racoon.node.measuring import _store
from racoon.node.measuring.model import StoredValue
from racoon.science.comorbidome import Subject

MOST_CONDITIONS = 40
"""Rarer ones are left out: a picture of all codes of a hospital shows none of them."""

_SYSTEMS: Mapping[str, str] = {
    ICD: "ICD-10-GM",
    "http://snomed.info/sct": "SNOMED CT",
    "http://www.orpha.net": "Orphanet",
    "http://terminology.hl7.org/CodeSystem/alpha-id": "Alpha-ID",
}

_SEX = {"female": "F", "male": "M"}


@dataclass(frozen=True, eq=False)
class Vectors:
    """The vectors of a dataset.

    Parameters
    ----------
    subjects
        One for each readable subject, by pseudonym.
    measurements
        Names of the measurements, each with one of its values: for title and unit.
    numbers
        Subject and measurement to the number of the stored value, which its page has.
    conditions
        Names of the diagnoses, most common first.
    """

    subjects: tuple[Subject, ...]
    measurements: Mapping[str, StoredValue]
    numbers: Mapping[tuple[str, str], int]
    conditions: tuple[str, ...]


def load_vectors(
    connection: sa.Connection, manifest: DatasetManifest, is_readable: Callable[[Pseudonym], bool]
) -> Vectors:
    """Load the vector of every readable subject of a frozen dataset.

    Parameters
    ----------
    connection
        Open connection to the node's database.
    manifest
        The study's frozen dataset.
    is_readable
        Asked per subject.

    Notes
    -----
    Of several series of a subject the last measured one counts, and a value that is not valid is missing.  Of a
    subject of whom the clinical systems have sent nothing every diagnosis is unknown; of others, what they did not
    send is absent.
    """
    names = {entry.pseudonym for entry in manifest.series}
    people = sorted(name for name in names if is_readable(name))
    subject_of = {entry.series_uid: entry.pseudonym for entry in manifest.series}
    aged: dict[str, tuple[float, str]] = {}
    for fact in sorted(cohorts.facts_of_series(connection, subject_of), key=lambda item: item.series_uid):
        years = math.nan if fact.age_years is None else fact.age_years
        aged.setdefault(subject_of[fact.series_uid], (years, _SEX.get(fact.gender, "")))
    values: dict[str, dict[str, float]] = {name: {} for name in people}
    measurements: dict[str, StoredValue] = {}
    numbers: dict[tuple[str, str], int] = {}
    for number, value in _store.load_values(
        connection, study_id=manifest.study_id, dataset_hash=manifest.hash, limit=None
    ):
        # Punches belong to a mark, not to the subject.
        if value.pseudonym not in values or "mark" in value.parameters:
            continue
        measurements.setdefault(value.measurement, value)
        if value.valid and value.value is not None:
            values[value.pseudonym][value.measurement] = value.value
            numbers[value.pseudonym, value.measurement] = number
    conditions, states = _conditions(people, cohorts.clinical_facts(connection, people))
    return Vectors(
        tuple(
            Subject(name, *aged.get(name, (math.nan, "")), values[name], states.get(name, {}))
            for name in people
        ),
        dict(sorted(measurements.items())),
        numbers,
        conditions,
    )


def _conditions(
    people: Iterable[Pseudonym], facts: Iterable[cohorts.ClinicalFact]
) -> tuple[tuple[str, ...], dict[str, dict[str, bool | None]]]:
    known: dict[str, set[str]] = {}
    for fact in facts:
        found = known.setdefault(fact.pseudonym, set())
        if fact.kind == "condition":
            found.add(condition_name(fact.system, fact.code))
    counts = Counter(name for found in known.values() for name in found)
    names = tuple(
        name for name, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_CONDITIONS]
    )
    return names, {
        person: {name: (name in known[person]) if person in known else None for name in names}
        for person in people
    }


def condition_name(system: str, code: str) -> str:
    """Name of a diagnosis: its system and code, of ICD-10-GM the three characters before the point."""
    short = _SYSTEMS.get(system, system.rstrip("/").rpartition("/")[2] or system)
    return f"{short} {category_of(system, code)}".strip()

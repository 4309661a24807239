"""Random populations with images and a clinical course, random questions, and a naive evaluator that answers them.

The evaluator is written from the words of the language, not from the SQL: loops over lists, one subject at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from hypothesis import strategies as st

from racoon.domain.clinical_criterion import ICD, ClinicalCriterion
from racoon.domain.coding import Code
from racoon.domain.cohort import (
    AgeCriterion,
    CohortDefinition,
    Criterion,
    GenderCriterion,
    ImagingCriterion,
    Near,
)
from racoon.domain.identity import Pseudonym
from racoon.node.archive.model import SeriesFacts
from racoon.node.cohorts.model import GENDER_OF_SEX

LUNG = Code("39607008", "SCT", "Lung")
LIVER = Code("10200004", "SCT", "Liver")
LOINC = "http://loinc.org"
FIRST = date(2024, 1, 10)

COMPARE = {"eq": lambda a, b: a == b, "ge": lambda a, b: a >= b, "lt": lambda a, b: a < b}


@dataclass(frozen=True)
class Population:
    """Image series, masks among them, and rows of the clinical course by flat table."""

    images: tuple[SeriesFacts, ...]
    masks: tuple[SeriesFacts, ...]
    clinical: tuple[tuple[str, dict[str, Any]], ...]

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for table, row in self.clinical:
            found.setdefault(table, []).append(row)
        return found


@st.composite
def populations(draw: st.DrawFn, *, largest: int = 8) -> Population:
    subjects = [Pseudonym(f"S{number}") for number in range(4)]
    images, masks, clinical = [], [], []
    for number in range(draw(st.integers(0, largest))):
        subject, uid = draw(st.sampled_from(subjects)), f"2.25.{number}"
        day = draw(st.sampled_from(["", *(_text(offset) for offset in (0, 5, 30))]))
        images.append(
            SeriesFacts(
                series_uid=uid,
                imaging_study_uid=f"2.25.9{draw(st.integers(0, 3))}{subject[1:]}",
                pseudonym=subject,
                modality=draw(st.sampled_from(["CT", "MR"])),
                body_part=draw(st.sampled_from(["CHEST", ""])),
                sex=draw(st.sampled_from(["F", "M", ""])),
                age_years=draw(st.sampled_from([None, 17.0, 65.0])),
                slice_thickness_mm=draw(st.sampled_from([None, 1.0, 5.0])),
                study_date_shifted=day,
            )
        )
        if draw(st.booleans()):
            labels = tuple(draw(st.lists(st.sampled_from([LUNG, LIVER]), max_size=2)))
            masks.append(
                SeriesFacts(
                    series_uid=f"{uid}.1",
                    imaging_study_uid=images[-1].imaging_study_uid,
                    pseudonym=subject,
                    modality="SEG",
                    segment_labels=labels,
                    referenced_series_uid=uid,
                )
            )
    clinical += [
        draw(_clinical_row(number, draw(st.sampled_from(subjects))))
        for number in range(draw(st.integers(0, largest)))
    ]
    return Population(tuple(images), tuple(masks), tuple(clinical))


@st.composite
def _clinical_row(draw: st.DrawFn, number: int, subject: str) -> tuple[str, dict[str, Any]]:
    day = draw(st.sampled_from(["", "2024", *(_iso(offset) for offset in (-7, 0, 6))]))
    base = {"key": f"k{number}", "resource_key": f"k{number}", "pseudonym": subject}
    if draw(st.booleans()):
        codes = draw(
            st.lists(
                st.sampled_from(["C22", "C22.0", "C22.1", "c22.0", "C220", "I10"]), min_size=1, max_size=2
            )
        )
        verified = draw(st.sampled_from(["confirmed", "refuted"]))
        return "clinical_condition", base | {
            "codings": [[ICD, code, ""] for code in codes],
            "verification_status": verified,
            "onset": day,
            "recorded": draw(st.sampled_from(["", _iso(0)])),
        }
    return "clinical_observation", base | {
        "codings": [[LOINC, draw(st.sampled_from(["2160-0", "1975-2"])), ""]],
        "status": "final",
        "effective": day,
        "value_number": draw(st.sampled_from([None, 0.5, 1.5, 2.5])),
        "value_unit": draw(st.sampled_from(["mg/dL", "umol/L"])),
    }


def _text(offset: int) -> str:
    return (FIRST + timedelta(days=offset)).strftime("%Y%m%d")


def _iso(offset: int) -> str:
    return (FIRST + timedelta(days=offset)).isoformat()


days = st.sampled_from([None, FIRST, FIRST + timedelta(days=3)])
conditions = st.builds(
    ClinicalCriterion,
    kind=st.just("condition"),
    codes=st.sampled_from([((ICD, "C22"),), ((ICD, "C22.0"), (ICD, "I10"))]),
    after=days,
    before=days,
)
observations = st.builds(
    ClinicalCriterion,
    kind=st.just("observation"),
    codes=st.just(((LOINC, "2160-0"),)),
    minimum=st.sampled_from([None, 1.5]),
    maximum=st.sampled_from([None, 2.5]),
    is_strict=st.just(False),
    unit=st.sampled_from(["", "mg/dL"]),
)
strict_observations = st.builds(
    ClinicalCriterion,
    kind=st.just("observation"),
    codes=st.just(((LOINC, "2160-0"), (LOINC, "1975-2"))),
    minimum=st.just(1.5),
    is_strict=st.just(True),
)
clinical = st.one_of(conditions, observations, strict_observations)
near = st.builds(
    Near, fact=clinical, days_before=st.sampled_from([0, 7]), days_after=st.sampled_from([0, 14])
)
imaging = st.builds(
    ImagingCriterion,
    modality=st.sampled_from(["CT", "MR"]),
    body_part=st.sampled_from([None, "CHEST"]),
    label=st.sampled_from([None, LUNG.key]),
    max_slice_thickness_mm=st.sampled_from([None, 2.0]),
    has_mask=st.sampled_from([None, True, False]),
    near=st.one_of(st.none(), near),
    min_studies=st.sampled_from([None, 1, 2]),
)
criteria = st.one_of(
    imaging,
    clinical,
    st.builds(GenderCriterion, genders=st.sampled_from([("female",), ("male", "unknown")])),
    st.builds(
        AgeCriterion, comparator=st.sampled_from(["ge", "lt", "eq"]), years=st.sampled_from([18.0, 65.0])
    ),
)
group = st.lists(criteria, min_size=1, max_size=2).map(tuple)
definitions = st.builds(
    CohortDefinition,
    inclusion=st.lists(group, min_size=1, max_size=2).map(tuple),
    exclusion=st.lists(group, max_size=2).map(tuple),
)


# -- the naive evaluator


def naive_subjects(definition: CohortDefinition, population: Population) -> set[str]:
    """Answer a question by looking at every subject."""
    everybody = {fact.pseudonym for fact in population.images}
    everybody |= {row["pseudonym"] for _, row in population.clinical if _is_fact(row)}

    def holds(criterion: Criterion, subject: str) -> bool:
        return _holds(criterion, subject, population)

    return {
        subject
        for subject in everybody
        if all(any(holds(criterion, subject) for criterion in found) for found in definition.inclusion)
        and not any(all(holds(criterion, subject) for criterion in found) for found in definition.exclusion)
    }


def naive_series(definition: CohortDefinition, population: Population) -> set[str]:
    """Say which series belong to the dataset of a question."""
    subjects = naive_subjects(definition, population)
    wanted = [c for found in definition.inclusion for c in found if isinstance(c, ImagingCriterion)]
    return {
        series.series_uid
        for series in population.images
        if series.pseudonym in subjects
        and (not wanted or any(_meets(criterion, series, population) for criterion in wanted))
    }


def _holds(criterion: Criterion, subject: str, population: Population) -> bool:
    own = [series for series in population.images if series.pseudonym == subject]
    if isinstance(criterion, ClinicalCriterion):
        return bool(_clinical(criterion, subject, population))
    if isinstance(criterion, GenderCriterion):
        return any(GENDER_OF_SEX.get(series.sex, "unknown") in criterion.genders for series in own)
    if isinstance(criterion, AgeCriterion):
        ages = [series.age_years for series in own if series.age_years is not None]
        return any(COMPARE[criterion.comparator](age, criterion.years) for age in ages)
    studies = {series.imaging_study_uid for series in own if _meets(criterion, series, population)}
    return len(studies) >= (criterion.min_studies or 1)


def _meets(criterion: ImagingCriterion, series: SeriesFacts, population: Population) -> bool:
    drawn = [mask for mask in population.masks if mask.referenced_series_uid == series.series_uid]
    labels = {code.key for mask in drawn for code in mask.segment_labels}
    if criterion.modality is not None and series.modality != criterion.modality:
        return False
    if criterion.body_part is not None and series.body_part != criterion.body_part:
        return False
    if criterion.label is not None and criterion.label not in labels:
        return False
    # A mask without a single label is no mask that one could use.
    if criterion.has_mask is not None and bool(labels) is not criterion.has_mask:
        return False
    limit, thickness = criterion.max_slice_thickness_mm, series.slice_thickness_mm
    if limit is not None and (thickness is None or thickness > limit):
        return False
    if criterion.near is None:
        return True
    if not series.study_date_shifted:
        return False
    text = series.study_date_shifted
    examined = date(int(text[:4]), int(text[4:6]), int(text[6:]))
    first = examined - timedelta(days=criterion.near.days_before)
    last = examined + timedelta(days=criterion.near.days_after)
    found = _clinical(criterion.near.fact, series.pseudonym, population)
    return any(day is not None and first <= day <= last for day in found)


def _clinical(criterion: ClinicalCriterion, subject: str, population: Population) -> Sequence[date | None]:
    """Return the days of the facts that meet a criterion."""
    found = []
    for table, row in population.clinical:
        if table != f"clinical_{criterion.kind}" or row["pseudonym"] != subject or not _is_fact(row):
            continue
        if not any(_is_code(criterion, system, code) for system, code, _ in row["codings"]):
            continue
        value, day = row.get("value_number"), _day(row)
        if criterion.minimum is not None and (value is None or value < criterion.minimum):
            continue
        if criterion.maximum is not None and (value is None or value > criterion.maximum):
            continue
        if criterion.is_strict and value in (criterion.minimum, criterion.maximum):
            continue
        if criterion.unit and row.get("value_unit") != criterion.unit:
            continue
        if criterion.after is not None and (day is None or day < criterion.after):
            continue
        if criterion.before is not None and (day is None or day > criterion.before):
            continue
        found.append(day)
    return found


def _is_code(criterion: ClinicalCriterion, system: str, code: str) -> bool:
    return any(
        system == wanted and (code == name or (system == ICD and code.startswith(f"{name}.")))
        for wanted, name in criterion.codes
    )


def _is_fact(row: dict[str, Any]) -> bool:
    return row.get("verification_status") != "refuted"


def _day(row: dict[str, Any]) -> date | None:
    for name in ("onset", "recorded", "effective"):
        text = row.get(name) or ""
        if len(text) >= 10:
            return date.fromisoformat(text[:10])
    return None

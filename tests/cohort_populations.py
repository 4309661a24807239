"""Random populations with images and a clinical course, random questions, and a naive evaluator that answers them.

The evaluator is written from the words of the language, not from the SQL: loops over lists, one subject at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from hypothesis import strategies as st

from racoon.domain.answered_criterion import AVAILABILITY
from racoon.domain.clinical_criterion import ICD, ClinicalCriterion
from racoon.domain.coding import Code
from racoon.domain.cohort import (
    AgeCriterion,
    CohortDefinition,
    ConsentCriterion,
    Criterion,
    GenderCriterion,
    ImagingCriterion,
    MeasuredValue,
    Near,
    ReportAnswer,
)
from racoon.domain.consent import COLLECT, USE
from racoon.domain.identity import Pseudonym
from racoon.domain.matching import CALIPERS, EXACT, MatchingRule
from racoon.node.archive.model import SeriesFacts
from racoon.node.cohorts.model import GENDER_OF_SEX
from racoon.node.cohorts.service import MeasuredFact
from racoon.platform import clock

LUNG = Code("39607008", "SCT", "Lung")
LIVER = Code("10200004", "SCT", "Liver")
LOINC = "http://loinc.org"
FIRST = date(2024, 1, 10)
RADLEX = "http://radlex.org"
TEMPLATES = ("https://racoon.example/chest", "https://racoon.example/liver")

COMPARE = {"eq": lambda a, b: a == b, "ge": lambda a, b: a >= b, "lt": lambda a, b: a < b}


@dataclass(frozen=True)
class Population:
    """Image series, masks among them, rows of the clinical course by flat table, what was signed, marked, permitted.

    Parameters
    ----------
    reports
        Report id, subject, imaging study and signed response; later ones of a report replace earlier ones.
    findings
        Finding id, subject and imaging study.
    consents
        Subject, policy, first and last day.
    """

    images: tuple[SeriesFacts, ...]
    masks: tuple[SeriesFacts, ...]
    clinical: tuple[tuple[str, dict[str, Any]], ...]
    measured: tuple[MeasuredFact, ...] = ()
    reports: tuple[tuple[str, Pseudonym, str, dict[str, Any]], ...] = ()
    findings: tuple[tuple[str, Pseudonym, str], ...] = ()
    consents: tuple[tuple[Pseudonym, str, date, date], ...] = ()

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
    measured = {
        (fact.series_uid, fact.biomarker, fact.label, fact.identity): fact
        for series in images
        for fact in draw(st.lists(_measured(series.series_uid, series.pseudonym), max_size=2))
    }
    named = draw(st.lists(st.sampled_from(images), max_size=4)) if images else []
    clinical += [
        row for number, series in enumerate(named) for row in draw(_named_by_clinic(number, series, subjects))
    ]
    reports, findings = [], []
    for number, series in enumerate(draw(st.lists(st.sampled_from(images), max_size=3)) if images else []):
        where = (series.pseudonym, series.imaging_study_uid)
        # The same report is signed again now and then: what it said before is gone.
        reports.append((f"r{draw(st.integers(0, 1))}{series.imaging_study_uid}", *where, draw(responses)))
        if draw(st.booleans()):
            findings.append((f"f{number}", *where))
    consents = draw(
        st.lists(
            st.tuples(
                st.sampled_from([*subjects, Pseudonym("S9")]),
                st.sampled_from([COLLECT, USE]),
                st.just(FIRST),
                st.sampled_from([date.max, FIRST + timedelta(days=1)]),
            ),
            max_size=3,
            unique_by=lambda row: row[:2],
        )
    )
    return Population(
        tuple(images),
        tuple(masks),
        tuple(clinical),
        tuple(measured.values()),
        tuple(reports),
        tuple(findings),
        tuple(consents),
    )


@st.composite
def _named_by_clinic(
    draw: st.DrawFn, number: int, series: SeriesFacts, subjects: Sequence[Pseudonym]
) -> list[tuple[str, dict[str, Any]]]:
    """A series as the clinic's system knows it: fetched already, or not."""
    is_here = draw(st.booleans())
    base = {
        "resource_key": f"i{number}",
        "pseudonym": series.pseudonym if is_here else draw(st.sampled_from(subjects)),
        "imaging_study_uid": series.imaging_study_uid if is_here else f"2.25.8{number}",
    }
    row = {
        "key": f"i{number}.1",
        "series_uid": series.series_uid if is_here else f"2.25.7{number}",
        "modality": draw(st.sampled_from(["CT", "MR"])),
        "started": draw(st.sampled_from(["", _iso(0), _iso(5)])),
    }
    status = draw(st.sampled_from(["available", "cancelled"]))
    return [
        ("clinical_imaging_study", base | {"key": f"i{number}", "status": status}),
        ("clinical_imaging_series", base | row),
    ]


def _response(template: str, said: bool | None, code: str) -> dict[str, Any]:
    items: list[dict[str, Any]] = [
        {"linkId": "sign", "answer": [{"valueCoding": {"system": RADLEX, "code": code}}]},
        {"linkId": "words", "answer": [{"valueString": "RID1"}]},
    ]
    if said is not None:
        items.append({"linkId": "lungs", "item": [{"linkId": "sign", "answer": [{"valueBoolean": said}]}]})
    return {"questionnaire": f"{template}|2", "item": items}


responses = st.builds(
    _response,
    st.sampled_from(TEMPLATES),
    st.sampled_from([None, True, False]),
    st.sampled_from(["RID1", "RID2"]),
)


def _measured(series_uid: str, subject: Pseudonym) -> st.SearchStrategy[MeasuredFact]:
    return st.builds(
        MeasuredFact,
        series_uid=st.just(series_uid),
        pseudonym=st.just(subject),
        biomarker=st.sampled_from(["volume", "mean"]),
        label=st.sampled_from(["", LIVER.key]),
        identity=st.sampled_from(["1/a", "2/a"]),
        number=st.sampled_from([0.5, 1.5, 2.5]),
        unit=st.sampled_from(["mL", "[hnsf'U]"]),
    )


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
limits = st.sampled_from(
    [
        (0.5, None, False),
        (1.5, None, True),
        (None, 1.5, True),
        (None, 0.5, False),
        (1.5, 1.5, False),
        (0.5, 1.5, False),
    ]
)
values = st.builds(
    lambda label, limit: MeasuredValue("volume", "mL", label, *limit),
    label=st.sampled_from([None, LIVER.key]),
    limit=limits,
)
answered = st.builds(
    ReportAnswer,
    question=st.sampled_from(["sign", "sign", "words"]),
    answers=st.sampled_from([((RADLEX, "RID1"),), (("", "true"),), ((RADLEX, "RID2"), ("", "false"))]),
    template=st.sampled_from(["", TEMPLATES[0]]),
)
imaging = st.builds(
    ImagingCriterion,
    answered=st.one_of(st.none(), answered),
    available=st.lists(st.sampled_from(AVAILABILITY), unique=True, max_size=2).map(tuple),
    modality=st.sampled_from(["CT", "MR"]),
    body_part=st.sampled_from([None, "CHEST"]),
    label=st.sampled_from([None, LUNG.key]),
    max_slice_thickness_mm=st.sampled_from([None, 2.0]),
    has_mask=st.sampled_from([None, True, False]),
    near=st.one_of(st.none(), near),
    measured=st.one_of(st.none(), values),
    min_studies=st.sampled_from([None, 1, 2]),
)
criteria = st.one_of(
    imaging,
    clinical,
    st.builds(ConsentCriterion, policies=st.sampled_from([(USE,), (COLLECT, USE)])),
    st.builds(GenderCriterion, genders=st.sampled_from([("female",), ("male", "unknown")])),
    st.builds(
        AgeCriterion, comparator=st.sampled_from(["ge", "lt", "eq"]), years=st.sampled_from([18.0, 65.0])
    ),
)
group = st.lists(criteria, min_size=1, max_size=2).map(tuple)
plain = st.builds(
    CohortDefinition,
    inclusion=st.lists(group, min_size=1, max_size=2).map(tuple),
    exclusion=st.lists(group, max_size=2).map(tuple),
)
rules = st.builds(
    MatchingRule,
    exact=st.lists(st.sampled_from(EXACT), min_size=1, unique=True, max_size=3).map(tuple),
    calipers=st.dictionaries(st.sampled_from(CALIPERS), st.sampled_from([0.5, 5.0])),
    ratio=st.integers(1, 10),
    seed=st.sampled_from([0, 1, 77]),
)
matched = st.builds(
    lambda cases, controls, rule: replace(cases, controls=controls, matching=rule), plain, plain, rules
)
definitions = st.one_of(plain, plain, matched)


# -- the naive evaluator


def naive_subjects(definition: CohortDefinition, population: Population) -> set[str]:
    """Answer a question by looking at every subject."""
    everybody = {fact.pseudonym for fact in population.images}
    everybody |= {row["pseudonym"] for _, row in population.clinical if _is_fact(row)}
    everybody |= {subject for subject, *_ in population.consents}

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
    if isinstance(criterion, ConsentCriterion):
        return any(
            owner == subject
            and policy in criterion.policies
            and first <= clock.now().astimezone().date() <= last
            for owner, policy, first, last in population.consents
        )
    studies = {series.imaging_study_uid for series in own if _meets(criterion, series, population)}
    if "inPacs" in criterion.available:
        studies = {
            row["imaging_study_uid"]
            for row in _named(population)
            if row["pseudonym"] == subject and _meets_named(criterion, row, population)
        }
    return len(studies) >= (criterion.min_studies or 1)


def _named(population: Population) -> list[dict[str, Any]]:
    """Series that the clinic names, without examinations that never happened."""
    rows = population.rows()
    gone = {
        row["resource_key"] for row in rows.get("clinical_imaging_study", []) if row["status"] == "cancelled"
    }
    return [row for row in rows.get("clinical_imaging_series", []) if row["resource_key"] not in gone]


def _meets_named(criterion: ImagingCriterion, row: dict[str, Any], population: Population) -> bool:
    """Modality and day are the clinic's word; all else is asked of the same series in the archive."""
    if criterion.modality is not None and row["modality"] != criterion.modality:
        return False
    if criterion.near is not None and (
        not row["started"]
        or not _is_near(criterion.near, date.fromisoformat(row["started"]), row["pseudonym"], population)
    ):
        return False
    others = replace(criterion, modality=None, near=None, available=())
    rest = {word for word in criterion.available if word != "inPacs"}
    if others == ImagingCriterion(min_studies=criterion.min_studies) and not rest:
        return True
    kept = [series for series in population.images if series.series_uid == row["series_uid"]]
    others = replace(others, available=tuple(rest))
    return any(_meets(others, series, population) for series in kept)


def _meets(criterion: ImagingCriterion, series: SeriesFacts, population: Population) -> bool:
    if "inPacs" in criterion.available:
        return any(
            row["series_uid"] == series.series_uid and _meets_named(criterion, row, population)
            for row in _named(population)
        )
    # The newest signed version of a report is the one that counts.
    reports = {report: (study, response) for report, _, study, response in population.reports}
    here = [response for study, response in reports.values() if study == series.imaging_study_uid]
    is_marked = any(study == series.imaging_study_uid for _, _, study in population.findings)
    if "annotated" in criterion.available and not (here or is_marked):
        return False
    if criterion.answered is not None and not any(_says(response, criterion.answered) for response in here):
        return False
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
    if criterion.measured is not None and not any(
        fact.series_uid == series.series_uid and _is_within(criterion.measured, fact)
        for fact in population.measured
    ):
        return False
    if criterion.near is None:
        return True
    if not series.study_date_shifted:
        return False
    text = series.study_date_shifted
    examined = date(int(text[:4]), int(text[4:6]), int(text[6:]))
    return _is_near(criterion.near, examined, series.pseudonym, population)


def _is_near(near: Near, examined: date, subject: str, population: Population) -> bool:
    first = examined - timedelta(days=near.days_before)
    last = examined + timedelta(days=near.days_after)
    found = _clinical(near.fact, subject, population)
    return any(day is not None and first <= day <= last for day in found)


def _says(response: dict[str, Any], wanted: ReportAnswer) -> bool:
    if wanted.template not in ("", response["questionnaire"].removesuffix("|2")):
        return False
    return any((system, code) in wanted.answers for system, code in _said(response["item"], wanted.question))


def _said(items: Sequence[dict[str, Any]], question: str) -> list[tuple[str, str]]:
    found = []
    for item in items:
        for answer in item.get("answer", []) if item["linkId"] == question else []:
            if "valueCoding" in answer:
                found.append((answer["valueCoding"]["system"], answer["valueCoding"]["code"]))
            if "valueBoolean" in answer:
                found.append(("", str(answer["valueBoolean"]).lower()))
        found += _said(item.get("item", []), question)
    return found


def _is_within(wanted: MeasuredValue, fact: MeasuredFact) -> bool:
    if (fact.biomarker, fact.unit) != (wanted.biomarker, wanted.unit):
        return False
    if wanted.label not in (None, fact.label):
        return False
    if wanted.is_strict and fact.number in (wanted.minimum, wanted.maximum):
        return False
    low = wanted.minimum is None or fact.number >= wanted.minimum
    return low and (wanted.maximum is None or fact.number <= wanted.maximum)


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
    if row.get("status") == "cancelled":
        return False
    return row.get("verification_status") != "refuted"


def _day(row: dict[str, Any]) -> date | None:
    for name in ("onset", "recorded", "effective"):
        text = row.get(name) or ""
        if len(text) >= 10:
            return date.fromisoformat(text[:10])
    return None

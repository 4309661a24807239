"""Harmonised values in later estimators: what the pooled rows would have said, and what a gate refuses to mix."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from racoon.domain.analysis import AnalysisPlan, PlanDefect, parse_plan
from racoon.node.release.estimates import EstimateGate
from racoon.node.release.policy import DisclosurePolicy
from racoon.science.analysis import Book, Gate, OpenGate, Question, SiteTable, advance, run_plan
from racoon.science.analysis.answering import compute_answers, judge
from racoon.science.analysis.asking import NOT_HARMONISED
from racoon.science.statistics.harmonisation import fit_combat
from racoon.science.statistics.sums import CrossProducts
from tests.unit.science.statistics.test_harmonisation import pooled_combat

FEATURES = ("fat", "liver", "lung")
VARIABLES: list[dict[str, Any]] = [
    {"name": "age", "kind": "number"},
    {"name": "stage", "kind": "category", "levels": ["I", "II"]},
    *({"name": name, "kind": "number", "unit": "HU"} for name in FEATURES),
    {"name": "died", "kind": "truth"},
    {"name": "days", "kind": "number"},
]
COMBAT = {
    "estimator": "harmonisation",
    "title": "ComBat",
    "features": [*FEATURES],
    "covariates": ["age", "stage"],
    "suffix": "_h",
}


def plan_of(*estimators: dict[str, Any], **changed: Any) -> AnalysisPlan:
    document = {"kind": "analysis", "name": "Harmonised", "variables": VARIABLES, "minimum_sites": 3}
    return parse_plan(document | {"estimators": [COMBAT, *estimators]} | changed)


LATER = plan_of(
    {"estimator": "model", "title": "Death", "outcome": "died", "terms": ["fat_h", "age"], "family": "binomial"},
    {"estimator": "description", "title": "Table 1", "variables": ["fat", "fat_h"], "by": "stage"},
    {"estimator": "mixed", "title": "By site", "outcome": "liver_h", "terms": ["age", "stage"]},
    {"estimator": "cox", "title": "Hazard", "time": "days", "event": "died", "terms": ["lung_h"],
     "edges": [20, 60]},
    {"estimator": "prediction", "title": "Risk", "outcome": "died", "score": "Death", "edges": [0.4]},
    {"estimator": "meta", "title": "Sites", "of": "Death", "term": "fat_h"},
    subgroups=[{"name": "old", "condition": "age >= 60"}],
)  # fmt: skip


def cohort(sites: int = 4, seed: int = 4) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float64]]]:
    random = np.random.default_rng(seed)
    n = 1600
    batch = random.integers(0, sites, n)
    age, stage = np.round(random.normal(61, 9, n), 1), random.integers(0, 2, n).astype(float)
    found = {"age": age, "stage": stage}
    for place, name in enumerate(FEATURES):
        spread = random.uniform(0.7, 1.6, sites)[batch]
        shift = random.normal(0, 8, sites)[batch]
        found[name] = np.round(
            90 + place + 0.4 * age + 3 * stage + shift + 6 * spread * random.normal(size=n), 2
        )
    odds = -1 + 0.03 * (age - 61) + 0.08 * (found["fat"] - found["fat"].mean())
    found["died"] = (random.random(n) < 1 / (1 + np.exp(-odds))).astype(float)
    found["days"] = np.round(np.minimum(random.exponential(40, n) + 1, 60), 1)
    return batch, found


def split(batch: NDArray[np.int64], rows: dict[str, NDArray[np.float64]], gate: Gate) -> list[SiteTable]:
    return [
        SiteTable(f"S{site}", {name: column[batch == site] for name, column in rows.items()}, gate)
        for site in np.unique(batch)
    ]


def test_later_estimators_say_what_the_pooled_harmonised_rows_say() -> None:
    batch, rows = cohort()
    ours = run_plan(LATER, split(batch, rows, EstimateGate(DisclosurePolicy())))
    matrix = np.column_stack([rows["age"], rows["stage"]])
    harmonised = pooled_combat(batch, matrix, np.column_stack([rows[name] for name in FEATURES]))
    table = {**rows, **{f"{name}_h": column for name, column in zip(FEATURES, harmonised.T, strict=True)}}
    # The oracle knows harmonised values as plain columns of the sites.
    plain = [*VARIABLES, *({"name": f"{name}_h", "kind": "number", "unit": "HU"} for name in FEATURES)]
    document = {**LATER.to_dict(), "variables": plain, "estimators": LATER.to_dict()["estimators"][1:]}
    theirs = run_plan(parse_plan(document), split(batch, table, OpenGate()))
    found = [result for result in ours.tables if result.title != "ComBat"]
    assert len(found) == len(theirs.tables) == 12
    for mine, other in zip(found, theirs.tables, strict=True):
        assert mine.rows, (mine.title, mine.notes, mine.withheld)
        assert (mine.title, mine.subgroup, mine.sites) == (other.title, other.subgroup, other.sites)
        for row, expected in zip(mine.rows, other.rows, strict=True):
            for a, b in zip(row, expected, strict=True):
                assert a == (pytest.approx(b, rel=1e-6, abs=1e-9) if isinstance(b, float) else b), mine.title
    assert ours.tables[0].notes[-1] == "Harmonised values, for later estimators: fat_h, liver_h, lung_h."
    assert run_plan(LATER, list(reversed(split(batch, rows, EstimateGate(DisclosurePolicy()))))) == ours


def test_a_site_without_harmonised_values_is_named() -> None:
    batch, rows = cohort()
    rows["fat"][batch == 3] = np.nan
    found = run_plan(LATER, split(batch, rows, EstimateGate(DisclosurePolicy())))
    tables = {table.title: table for table in found.tables if not table.subgroup}
    assert tables["ComBat"].sites == ("S0", "S1", "S2")
    assert ("S3", NOT_HARMONISED) in tables["Death"].withheld
    assert tables["Death"].sites == ("S0", "S1", "S2")
    alone = run_plan(replace(LATER, minimum_sites=1), split(batch * 0, rows, OpenGate()))
    assert all(not table.rows for table in alone.tables if table.title == "Death")


def test_each_site_gets_its_own_numbers_and_none_is_asked_twice() -> None:
    batch, rows = cohort()
    tables = {table.site: table for table in split(batch, rows, OpenGate())}
    plan, book, asked = plan_of(LATER.to_dict()["estimators"][1]), Book(tuple(sorted(tables))), []
    while isinstance(found := advance(plan, book), dict):
        for site, questions in found.items():
            again = [Question.from_dict(json.loads(json.dumps(item.to_dict()))) for item in questions]
            assert again == list(questions)
            asked += [(site, question) for question in again]
            for question, answer in zip(
                again, judge(compute_answers(plan, again, tables[site].columns), OpenGate()), strict=True
            ):
                book = book.with_answers(question, {site: answer})
    assert len(asked) == len(set(asked))
    numbers = {site: question.harmony for site, question in asked if question.place == 1}
    assert len(set(numbers.values())) == len(tables)


def test_numbers_that_make_a_rare_level_of_a_harmonised_value_get_no_answer() -> None:
    batch, rows = cohort()
    for site in range(4):
        own = np.flatnonzero(batch == site)
        rows["stage"][own] = 0.0
        rows["stage"][own[:3]] = 1.0
    mine = {name: column[batch == 0] for name, column in rows.items()}
    plan = plan_of({"estimator": "description", "title": "Table 1", "variables": ["fat_h"]})
    products = {
        site: CrossProducts.of(
            ("age", "stage[II]", *FEATURES),
            np.column_stack([rows[name][batch == int(site)] for name in ("age", "stage", *FEATURES)]),
        )
        for site in "0123"
    }
    fair = fit_combat(products, FEATURES).numbers("0")
    crafted = (*(0.0,) * 3, *(1e9,) * 3, *(0.0,) * 3, *(1.0,) * 6, *(1e12,) * 3)
    for numbers in (fair, crafted):
        question = Question(1, harmony=numbers)
        open_answer, answer = (
            judge(compute_answers(plan, [question], mine), gate)[0]
            for gate in (OpenGate(), EstimateGate(DisclosurePolicy()))
        )
        assert open_answer.value is not None
        assert answer.value is None
    wrong = judge(compute_answers(plan, [Question(1, harmony=fair[1:])], mine), OpenGate())[0]
    assert "same numbers for each feature" in wrong.reasons[0]


@pytest.mark.parametrize(
    "estimator",
    [
        {"estimator": "cox", "title": "T", "time": "fat_h", "event": "died", "terms": ["age"]},
        {"estimator": "survival", "title": "T", "time": "fat_h", "event": "died", "edges": [1]},
        {"estimator": "prediction", "title": "T", "outcome": "died", "score": "fat_h"},
        {"estimator": "comparison", "title": "T", "variable": "fat_h", "by": "stage", "test": "mann-whitney"},
        {"estimator": "model", "title": "T", "outcome": "age", "terms": ["spline(fat_h, 1, 2, 3)"],
         "family": "gaussian"},
        {"estimator": "model", "title": "T", "outcome": "age", "terms": ["stage"], "family": "gaussian",
         "variance": "clustered", "cluster": "fat_h"},
        {**COMBAT, "title": "T", "features": ["fat_h", "liver"]},
        {**COMBAT, "title": "T"},
        {**COMBAT, "title": "T", "suffix": "-x"},
    ],
)  # fmt: skip
def test_harmonised_values_never_sort_subjects(estimator: dict[str, Any]) -> None:
    with pytest.raises(PlanDefect, match=r"harmonised|needs bins|defined twice|suffix"):
        plan_of(estimator)


def test_a_plan_without_a_suffix_keeps_its_hash() -> None:
    document = plan_of().to_dict()
    assert document["estimators"][0]["suffix"] == "_h"
    without = parse_plan({**document, "estimators": [{**COMBAT, "suffix": ""}]})
    assert "suffix" not in without.to_dict()["estimators"][0]
    with pytest.raises(PlanDefect, match="no variable 'fat_h'"):
        parse_plan({**document, "estimators": [{**COMBAT, "suffix": ""}, LATER.to_dict()["estimators"][1]]})

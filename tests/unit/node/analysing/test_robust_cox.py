"""Robust and clustered variance of a Cox model over sites, through their gates; and what the gates refuse."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from racoon.domain.analysis import AnalysisPlan, parse_plan
from racoon.node.release.estimates import EstimateGate
from racoon.node.release.policy import DisclosurePolicy
from racoon.science.analysis import OpenGate, SiteTable, run_plan
from racoon.science.analysis.answering import check_answer, compute_answers, judge
from racoon.science.analysis.questions import Question

EDGES = (5.0, 12.0, 50.0)


def plan_of(**changed: Any) -> AnalysisPlan:
    cox = {
        "estimator": "cox",
        "title": "Death",
        "time": "days",
        "event": "died",
        "terms": ["a", "b"],
        "edges": list(EDGES),
        "ties": "efron",
        "variance": "clustered",
        "cluster": "family",
    }
    kinds = {"a": "truth", "b": "number", "days": "number", "died": "truth", "family": "number"}
    variables = [{"name": name, "kind": kind, "unit": "1"} for name, kind in kinds.items()]
    for item in variables:
        if item["kind"] == "truth":
            del item["unit"]
    return parse_plan(
        {
            "kind": "analysis",
            "name": "Robust",
            "variables": variables,
            "estimators": [cox | changed],
            "subgroups": [],
            "minimum_sites": 3,
        }
    )


def columns(seed: int = 3) -> dict[str, NDArray[np.float64]]:
    random = np.random.default_rng(seed)
    n = 480
    family = np.arange(n) // 4
    a, b = random.integers(0, 2, n), np.round(random.normal(0, 1, n), 2)
    shared = random.normal(0, 0.6, n // 4)[family]
    time = random.exponential(1 / (0.03 * np.exp(0.8 * a - 0.3 * b + shared)))
    censoring = random.uniform(1, 50, n)
    found = {"a": a, "b": b, "days": np.round(np.minimum(time, censoring), 1), "died": time <= censoring}
    return {name: np.asarray(value, dtype=np.float64) for name, value in {**found, "family": family}.items()}


def split(rows: dict[str, NDArray[np.float64]], sites: int) -> list[SiteTable]:
    place = rows["family"] % sites
    return [
        SiteTable(
            f"S{site}",
            {name: column[place == site] for name, column in rows.items()},
            EstimateGate(DisclosurePolicy()),
        )
        for site in range(sites)
    ]


@pytest.mark.parametrize("changed", [{}, {"variance": "robust", "cluster": None}, {"edges": []}])
def test_federated_is_pooled(changed: dict[str, Any]) -> None:
    plan, rows = plan_of(**changed), columns()
    (ours,) = run_plan(plan, split(rows, 3)).tables
    assert ours.withheld == ()
    model = plan_of(**{**changed, "variance": "model", "cluster": None})
    (naive,) = run_plan(model, split(rows, 3)).tables
    place = ours.columns.index("standard error")
    assert [row[1] for row in ours.rows] == [row[1] for row in naive.rows]
    assert all(row[place] != other[place] for row, other in zip(ours.rows, naive.rows, strict=True))
    if "edges" not in changed:  # stratified by site the pooled rows are another model
        (pooled,) = run_plan(plan, [SiteTable("all", rows, OpenGate())]).tables
        for row, other in zip(ours.rows, pooled.rows, strict=True):
            assert row[1:] == pytest.approx(other[1:], rel=1e-9)


def test_hazards_that_leave_one_subject_are_refused() -> None:
    plan, rows = plan_of(terms=["a"], variance="robust", cluster=None), split(columns(), 3)[0].columns
    late = np.flatnonzero((rows["days"] > EDGES[1]) & (rows["died"] == 0))
    days, a = rows["days"].copy(), rows["a"].copy()
    days[late[1:]], a[late[0]] = 5.0, 1.0  # one subject alone is censored in the last interval
    mine = {**rows, "days": days, "a": a}
    fair = np.tile([0.3, 0.3, 0.15, 0.15, 0.5], (3, 1))
    crafted = fair.copy()
    crafted[2, 0] = 1e6
    values = []
    for path in (fair, crafted):
        question = Question(0, "", "meat", (0.0,), path=tuple(path.ravel()))
        assert Question.from_dict(json.loads(json.dumps(question.to_dict()))) == question
        (answer,) = judge(compute_answers(plan, [question], mine), EstimateGate(DisclosurePolicy()))
        check_answer(plan, question, answer)
        values.append(answer.value)
    assert values[0] is not None
    assert values[1] is None

"""Robust and clustered variance of a Cox model over sites, through their gates; and what gates and ledger refuse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from racoon.domain.analysis import AnalysisPlan, parse_plan
from racoon.domain.identity import Pseudonym
from racoon.node.analysing.model import DerivedTable
from racoon.node.analysing.worker import compute_round
from racoon.node.approvals.model import job_content_hash
from racoon.node.release.estimates import EstimateGate
from racoon.node.release.policy import DisclosurePolicy
from racoon.node.release.service import ReleaseGate
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database, create_all
from racoon.protocol.messages import JobOffer
from racoon.science.analysis import OpenGate, SiteTable, run_plan
from racoon.science.analysis.answering import check_answer, compute_answers, judge
from racoon.science.analysis.questions import Question
from tests.unit.node.analysing.test_job import Line

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


class Ledger:
    """One site's gate with its ledger, asked by somebody who crafts hazards."""

    def __init__(self, database: Database, plan: AnalysisPlan, rows: dict[str, NDArray[np.float64]]) -> None:
        self.database, self.plan, self.jobs = database, plan, 0
        subjects = tuple(Pseudonym(f"P{number:03d}") for number in range(rows["days"].size))
        self.table = DerivedTable(subjects, rows)
        self.gate = ReleaseGate(DisclosurePolicy(), Line(), AuditLog("node"))

    def ask(self, *paths: NDArray[np.float64], without: int = 0) -> list[str]:
        """Ask for the squared scores over some hazards in one round; returns ``shown`` or the rule, for each."""
        self.jobs += 1
        questions = [Question(0, "", "meat", (0.1,), path=tuple(path.ravel())) for path in paths]
        parameters = {"questions": [question.to_dict() for question in questions], "sites": 3}
        kept = DerivedTable(
            self.table.subjects[without:],
            {name: column[without:] for name, column in self.table.columns.items()},
        )
        offer = JobOffer(
            job_id=f"job-{self.jobs}", run_id="run-1", study_id="S1", study_hash="0" * 64, kind="analyse",
            plan_hash=self.plan.hash, content_hash=job_content_hash("analyse", parameters), parameters=parameters,
            not_after=datetime.now(UTC) + timedelta(hours=1),
        )  # fmt: skip
        aggregate = {
            **compute_round(self.plan, kept, parameters),
            "plan_hash": self.plan.hash,
            "dataset_hash": "d",
        }
        with self.database.begin() as connection:
            released = self.gate.submit(connection, offer, aggregate, {})
        answers = released.payload["answers"]
        codes = {item.public_reason: item.reason_code for item in released.suppressed}
        return ["shown" if item["value"] is not None else codes[item["reasons"][0]] for item in answers]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    rows = split(columns(), 3)[0].columns
    # The last interval but one has one subject of a rare kind: who knows its sum twice knows that subject.
    found = Database(f"sqlite:///{tmp_path}/node.sqlite")
    create_all(found, "node")
    yield Ledger(found, plan_of(terms=["a"], variance="robust", cluster=None), dict(rows))
    found.dispose()


FAIR = np.tile([0.3, 0.3, 0.15, 0.15, 0.5], (3, 1))


def test_hazards_that_differ_for_a_few_subjects_are_refused_together(ledger: Ledger) -> None:
    days, died = ledger.table.columns["days"], ledger.table.columns["died"]
    last = np.flatnonzero((days > EDGES[1]) & (died == 0))
    days[last[3:]] = 5.0  # three subjects leave in the last interval
    other = FAIR.copy()
    other[2, 0] = 0.31  # only they weigh otherwise
    assert ledger.ask(FAIR) == ["shown"]
    assert ledger.ask(FAIR) == ["shown"]
    assert ledger.ask(other) == ["release.earlier_squares"]
    spread = FAIR * 1.01
    assert ledger.ask(spread) == ["shown"]  # as after a site has left: everybody weighs otherwise
    assert ledger.ask(spread, without=2) == ["release.earlier_population"]


def test_two_hazards_of_one_round_are_compared_too(ledger: Ledger) -> None:
    days, died = ledger.table.columns["days"], ledger.table.columns["died"]
    last = np.flatnonzero((days > EDGES[1]) & (died == 0))
    days[last[3:]] = 5.0
    other = FAIR.copy()
    other[2, 0] = 0.31
    assert ledger.ask(FAIR, other) == ["shown", "release.earlier_squares"]


def test_many_hazards_count_as_parameters_of_one_model(ledger: Ledger) -> None:
    ledger.gate.policy = DisclosurePolicy(parameters_per_observation=0.05)
    found = [ledger.ask(FAIR * (1 + number / 100))[0] for number in range(12)]
    allowed = int(0.05 * ledger.table.columns["days"].size)
    assert 0 < allowed < 12
    assert found == ["shown"] * allowed + ["release.earlier_squares"] * (12 - allowed)

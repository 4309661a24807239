"""Every estimator of a plan behind the gates of four sites: the pooled numbers, or a refusal that says why."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import statsmodels.api as sm
from statsmodels.stats.inter_rater import cohens_kappa

from racoon.central.analysing.report import sentence
from racoon.domain.analysis import parse_plan
from racoon.node.analysing.rehearsal import rehearse, write_results
from racoon.node.analysing.tables import read_plan, read_sites
from racoon.node.release.estimates import EstimateGate
from racoon.node.release.policy import DisclosurePolicy
from racoon.science.analysis import (
    Analysis,
    Answer,
    Book,
    SiteTable,
    advance,
    compute_answers,
    judge,
)
from racoon.science.analysis.answering import check_answer
from racoon.science.statistics.derivation import derive

ROOT = Path(__file__).resolve().parents[4]
SITES, ROWS = 4, 1800


def columns(seed=5):
    random = np.random.default_rng(seed)
    n = ROWS
    age = np.round(random.normal(62, 11, n), 1)
    male, smoker = random.integers(0, 2, n), random.integers(0, 2, n)
    site = random.integers(0, SITES, n)
    volume = np.round(4000 - 10 * age + 300 * male + 120 * site + random.normal(0, 250, n))
    stage = np.clip(np.floor((age - 45) / 14 + random.normal(0, 0.8, n)), 0, 2).astype(int)
    second = np.clip(stage + random.choice([-1, 0, 0, 0, 1], n), 0, 2)
    treated = (random.random(n) < 1 / (1 + np.exp(-(-0.4 + 0.03 * (age - 62) + 0.5 * smoker)))).astype(int)
    odds = -0.9 + 0.05 * (age - 62) + 0.7 * smoker - 0.4 * treated
    died = (random.random(n) < 1 / (1 + np.exp(-odds))).astype(int)
    time = random.exponential(30, n)
    ended = np.where(time > 45, 0, 1 + (random.random(n) < 0.6)).astype(int)
    ventilated = np.where(random.random(n) < 0.4, np.round(random.uniform(1, 30, n)), np.nan)
    month = random.integers(0, 24, n)
    keep = (month < 12) | (random.random(n) < 0.7)
    liver = np.round(1500 - 4 * age + 60 * site + random.normal(0, 90, n))
    return {
        "site": [f"site-{place}" for place in site],
        "age": age,
        "male": male,
        "smoker": smoker,
        "volume_ml": volume,
        "second_ml": volume + np.round(random.normal(15, 60, n)),
        "stage": np.array(["I", "II", "III"])[stage],
        "second_stage": np.array(["I", "II", "III"])[second],
        "liver": np.where(random.random(n) < 0.1, np.nan, liver),
        "fat": np.round(100 + 0.8 * age + 9 * site + random.normal(0, 12, n), 1),
        "treated": treated,
        "risk": np.round(1 / (1 + np.exp(0.9 - 0.05 * (age - 62))), 3),
        "died": died,
        "days": np.round(np.minimum(time, 45) + 0.5),
        "ended": np.array(["censored", "death", "discharge"])[ended],
        "ventilated_day": ventilated,
        "month": np.where(keep, month, random.integers(0, 12, n)),
        "visits": random.negative_binomial(
            2, 2 / (2 + np.exp(0.3 * smoker) * (np.minimum(time, 45) + 1.5) / 20)
        ),
        "scanner": 3 * site + random.integers(0, 3, n),
    }


def write(path, found):
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(found)
        for row in zip(*found.values(), strict=True):
            writer.writerow(["" if isinstance(cell, float) and math.isnan(cell) else cell for cell in row])


@pytest.fixture(scope="module")
def rows():
    return columns()


@pytest.fixture(scope="module")
def plan():
    return read_plan(ROOT / "examples" / "analysis" / "estimators.toml")


@pytest.fixture(scope="module")
def sites(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("estimators") / "cohort.csv"
    write(path, rows)
    return read_sites(path, "site")


@pytest.fixture(scope="module")
def rehearsal(plan, sites):
    return rehearse(plan, sites)


def table_of(rehearsal, title):
    return next(table for table in rehearsal.federated.tables if table.title == title)


def cells(rehearsal, title, *keys):
    """Rows of a table by their first cells."""
    table = table_of(rehearsal, title)
    return {
        tuple(row[: len(keys)]) if len(keys) > 1 else row[0]: dict(zip(table.columns, row, strict=True))
        for row in table.rows
    }


SAME = [
    "Correlation", "Readings before and after", "Smokers among the treated", "Readers on the stage",
    "Readers on the volume", "Reliability", "Concordance", "Death", "Death, lasso", "Volume, clustered",
    "Visits", "Death and discharge", "Published risk", "Treatment, weighted", "All tests", "Examinations",
]  # fmt: skip
"""Estimators whose federated numbers are those of all rows in one table."""


@pytest.mark.parametrize("title", SAME)
def test_federated_is_pooled(rehearsal, title):
    ours = table_of(rehearsal, title)
    theirs = next(table for table in rehearsal.pooled.tables if table.title == title)
    assert ours.rows, (ours.notes, ours.withheld)
    assert ours.withheld == ()
    assert len(ours.sites) == SITES
    for mine, other in zip(ours.rows, theirs.rows, strict=True):
        for a, b in zip(mine, other, strict=True):
            assert a == (pytest.approx(b, rel=1e-9, abs=1e-12) if isinstance(b, float) else b)


def test_every_estimator_gives_a_table(rehearsal, plan):
    for item, table in zip(plan.estimators, rehearsal.federated.tables, strict=True):
        assert table.rows, (item.title, table.notes, table.withheld)
        assert table.sites


def test_models_equal_the_library_on_the_pooled_rows(rehearsal, rows):
    found = cells(rehearsal, "Volume, clustered", "term")
    x = sm.add_constant(np.column_stack([rows["age"], rows["male"]]))
    oracle = sm.OLS(rows["volume_ml"], x).fit(cov_type="cluster", cov_kwds={"groups": rows["scanner"]})
    assert found["age"]["estimate"] == pytest.approx(oracle.params[1], rel=1e-8)
    assert found["age"]["standard error"] == pytest.approx(oracle.bse[1], rel=1e-6)
    death = cells(rehearsal, "Death", "term")
    assert set(death) == {"(intercept)", "age", "age~1", "male", "smoker:male", "smoker"}


def test_agreement_equals_the_library(rehearsal, rows):
    levels = ["I", "II", "III"]
    table = np.array(
        [[np.sum((rows["stage"] == a) & (rows["second_stage"] == b)) for b in levels] for a in levels]
    )
    oracle = cohens_kappa(table, wt="quadratic")
    found = cells(rehearsal, "Readers on the stage", "measure")["kappa (quadratic weights)"]
    assert found["value"] == pytest.approx(oracle.kappa)
    limits = cells(rehearsal, "Readers on the volume", "measure")
    assert limits["bias"]["value"] == pytest.approx(np.mean(rows["volume_ml"] - rows["second_ml"]))


def test_weights_and_pairs_estimate_the_planted_effect(rehearsal, rows):
    weighted = cells(rehearsal, "Treatment, weighted", "part", "name")
    x = sm.add_constant(np.column_stack([rows["age"], rows["smoker"]]))
    chance = sm.GLM(rows["treated"], x, family=sm.families.Binomial()).fit(tol=1e-13).predict()
    weights = np.where(rows["treated"] == 1, 1 / chance, 1 / (1 - chance))
    model = sm.WLS(rows["died"], sm.add_constant(rows["treated"]), weights=weights).fit(cov_type="HC0")
    found = weighted["effect", "risk difference"]
    assert found["value"] == pytest.approx(model.params[1], rel=1e-7)
    half = 1.959963984540054 * model.bse[1]
    assert found["high"] - found["value"] == pytest.approx(half, rel=1e-6)
    assert (
        abs(weighted["balance", "age: SMD after"]["value"])
        < 0.02
        < abs(weighted["balance", "age: SMD before"]["value"])
    )
    odds = weighted["effect", "odds ratio"]
    assert odds["low"] < math.exp(-0.4) < odds["high"]
    matched = cells(rehearsal, "Treatment, matched", "part", "name")
    assert abs(matched["balance", "age: SMD after"]["value"]) < 0.05
    effect = matched["effect", "mean difference"]
    assert effect["low"] < 0 < effect["high"]  # the treatment does nothing to the volume
    assert table_of(rehearsal, "Treatment, matched").notes == ("Pairs were made within each site.",)


def test_site_effects_harmonisation_and_imputation(rehearsal, rows):
    mixed = cells(rehearsal, "Volume, site effect", "term")
    assert mixed["age"]["low"] < -10 < mixed["age"]["high"]
    assert mixed["variance between sites"]["estimate"] > 0
    assert len(table_of(rehearsal, "Volume, site effect").per_site) == SITES
    death = cells(rehearsal, "Death, site effect", "term")
    assert death["smoker"]["ratio low"] < math.exp(0.7) < death["smoker"]["ratio high"]
    assert death["SD of the sites"]["estimate"] < 0.5
    combat = table_of(rehearsal, "ComBat")
    assert len(combat.rows) == SITES * 3
    assert all("after harmonisation" in note for note in combat.notes[:-1])
    harmonised = cells(rehearsal, "Death, harmonised", "term")
    assert harmonised["smoker"]["ratio low"] < math.exp(0.7) < harmonised["smoker"]["ratio high"]
    assert "fat_h" in harmonised
    imputed = cells(rehearsal, "Volume, imputed", "term")
    known = np.isfinite(rows["liver"])
    stages = [rows["stage"] == level for level in ("II", "III")]
    design = sm.add_constant(np.column_stack([rows["age"], rows["liver"], *stages]))[known]
    complete = sm.OLS(rows["volume_ml"][known], design.astype(float)).fit()
    assert imputed["age"]["estimate"] == pytest.approx(complete.params[1], abs=complete.bse[1])
    assert imputed["age"]["standard error"] < 1.1 * complete.bse[1]
    notes = table_of(rehearsal, "Volume, imputed").notes
    assert "3 imputations at the sites, seed 11, combined by Rubin's rules." in notes
    assert notes[-1].startswith(f"{ROWS} rows")


def test_meta_analysis_multiplicity_and_time(rehearsal):
    meta = cells(rehearsal, "Smoking by site", "effect")
    assert {"site-0", "pooled", "prediction interval", "without site-3"} <= set(meta)
    assert meta["pooled"]["ratio low"] < math.exp(0.7) < meta["pooled"]["ratio high"]
    adjusted = table_of(rehearsal, "All tests")
    assert all(row[3] >= row[2] for row in adjusted.rows)
    assert len(adjusted.rows) == 4
    drop = cells(rehearsal, "Examinations", "part")["relative level change, per cent"]
    assert drop["value"] < 0
    incidence = cells(rehearsal, "Death and discharge", "group", "cause")
    assert incidence["treated", "death"]["events"] > 0
    hazard = cells(rehearsal, "Hazard, ventilation in time", "term")["after(ventilated_day)"]
    assert hazard["ratio low"] < 1 < hazard["ratio high"]


def test_the_comorbidome_stands_on_the_reference_subjects(rehearsal):
    found = cells(rehearsal, "Comorbidome", "part", "name")
    assert 0.5 < found["predicted age", "correlation with age"]["value"] < 1
    assert found["prevalence", "smoker"]["value"] == pytest.approx(0.5, abs=0.05)
    assert found["pair: odds ratio", "smoker, died"]["low"] > 1
    assert abs(found["age gap, years", "all"]["value"]) < 2


def test_every_note_and_reason_is_said_in_german_too(rehearsal):
    for table in rehearsal.federated.tables:
        for text in (*table.notes, *(reason for _, reason in table.withheld)):
            assert sentence(text, "de") != text, text


def test_figures_are_drawings(rehearsal, tmp_path):
    files = write_results(rehearsal, tmp_path)
    drawings = [path for path in files if path.suffix == ".svg"]
    kinds = ("roc", "calibration", "decision", "incidence", "funnel", "time-series", "prevalence", "network")
    for kind in kinds:
        assert any(path.stem.endswith(kind) for path in drawings), kind
    for path in drawings:
        ET.parse(path)


def federated(plan, sites, policy):
    """Run the federated side alone; also returns everything that left a site."""
    tables = {
        name: SiteTable(name, derive(plan, table), EstimateGate(policy)) for name, table in sites.items()
    }
    book, left = Book(tuple(sorted(tables))), []
    while not isinstance(found := advance(plan, book), Analysis):
        for site, questions in found.items():
            answers = judge(compute_answers(plan, questions, tables[site].columns), tables[site].gate)
            for question, given in zip(questions, answers, strict=True):
                # What crosses the wall is JSON.
                answer = Answer.from_dict(json.loads(json.dumps(given.to_dict())))
                if answer.value is not None:
                    check_answer(plan, question, answer)
                    left.append(answer.value)
                book = book.with_answers(question, {site: answer})
    return found, left


def cells_of(value, key=""):
    """All counts of subjects in a released value."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from cells_of(part, name)
    elif isinstance(value, list):
        for part in value:
            yield from cells_of(part, key)
    elif key in COUNTS and isinstance(value, int):
        yield value


COUNTS = {"cells", "positive", "negative", "events", "censored", "n", "missing", "left_out"}


def test_a_tiny_site_is_refused_everywhere_and_no_order_matters(plan, sites, rehearsal):
    tiny = {name: values[:4] for name, values in sites["site-0"].items()}
    turned = {
        site: {name: values[::-1] for name, values in table.items()}
        for site, table in reversed(list(sites.items()))
    }
    found, left = federated(plan, {"tiny": tiny, **turned}, DisclosurePolicy())
    counts = [count for value in left for count in cells_of(value)]
    assert len(counts) > 1000
    assert not any(0 < count < DisclosurePolicy().minimum_cell for count in counts)
    for ours, without in zip(found.tables, rehearsal.federated.tables, strict=True):
        assert "tiny" not in ours.sites, ours.title
        assert "tiny" in {site for site, _ in ours.withheld}, ours.title
        for mine, other in zip(ours.rows, without.rows, strict=True):
            for a, b in zip(mine, other, strict=True):
                assert a == (pytest.approx(b, rel=1e-9, abs=1e-12) if isinstance(b, float) else b), ours.title


def test_a_stricter_site_refuses_what_it_wants(plan, sites):
    strict, _ = federated(plan, sites, DisclosurePolicy(minimum_cell=600))
    assert all(table.rows == () for table in strict.tables)
    reasons = {reason for table in strict.tables for _, reason in table.withheld}
    assert reasons
    assert not any(character.isdigit() for reason in reasons for character in reason)


def test_a_plan_without_later_parts_keeps_its_hash(plan):
    document = plan.to_dict()
    plain = next(item for item in document["estimators"] if item["title"] == "Death")
    assert "lasso" not in plain
    assert parse_plan(document).hash == plan.hash

"""ROC, calibration and decision curves against their definitions on single rows."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from racoon.science.statistics import FixedBins
from racoon.science.statistics.description import CountTable
from racoon.science.statistics.prediction import (
    ScoreTable,
    brier_score,
    calibration,
    decision_curve,
    net_reclassification,
    roc,
    wilson,
)
from racoon.science.statistics.risk_table import RiskTable


def cohort(n=800, seed=1):
    random = np.random.default_rng(seed)
    risk = random.beta(2, 4, n)
    return risk, random.binomial(1, risk).astype(float)


def delong(scores, outcomes):
    """Area and variance by comparing every pair of rows."""
    events, others = scores[outcomes == 1], scores[outcomes == 0]
    psi = (events[:, None] > others) + 0.5 * (events[:, None] == others)
    variance = np.var(psi.mean(axis=1), ddof=1) / len(events) + np.var(psi.mean(axis=0), ddof=1) / len(others)
    return psi.mean(), variance


def test_area_and_its_variance_equal_all_pairs_of_binned_scores():
    scores, outcomes = cohort()
    found = roc(ScoreTable.of(scores, outcomes))
    area, variance = delong(np.floor(scores * 100), outcomes)
    assert found.auc.value == pytest.approx(area, rel=1e-12)
    logit = np.log(area / (1 - area))
    reach = 1.959963985 * np.sqrt(variance) / (area * (1 - area))
    assert found.auc.low == pytest.approx(1 / (1 + np.exp(-(logit - reach))), rel=1e-8)
    exact, _ = delong(scores, outcomes)
    assert found.auc_low <= exact <= found.auc_high
    assert found.auc_high - found.auc_low < 0.03
    assert np.trapezoid(found.sensitivity, found.false_positive_rate) == pytest.approx(area, rel=1e-12)


@given(st.integers(0, 10_000), st.sampled_from([0.01, 0.05, 0.25]))
def test_the_area_of_the_rows_lies_within_the_bounds(seed, width):
    scores, outcomes = cohort(40, seed)
    if 0 < outcomes.sum() < 40:
        found = roc(ScoreTable.of(scores, outcomes, FixedBins(0.0, 1.0, width)))
        assert found.auc_low - 1e-12 <= delong(scores, outcomes)[0] <= found.auc_high + 1e-12


def test_calibration_compares_means_of_the_rows():
    scores, outcomes = cohort()
    groups = calibration(ScoreTable.of(scores, outcomes), groups=5)
    assert sum(group.observed.n for group in groups) == 800
    assert 4 <= len(groups) <= 5
    cut = np.sort(np.floor(scores * 100))[groups[0].observed.n - 1]
    first = np.floor(scores * 100) <= cut
    assert groups[0].predicted == pytest.approx(scores[first].mean(), rel=1e-12)
    assert groups[0].observed.value == pytest.approx(outcomes[first].mean(), rel=1e-12)
    assert sum(group.observed.low <= group.predicted <= group.observed.high for group in groups) >= 4


def test_brier_score_is_exact():
    scores, outcomes = cohort()
    table = ScoreTable.of(scores, outcomes)
    assert brier_score(table) == pytest.approx(np.mean((scores - outcomes) ** 2), rel=1e-12)


def test_decision_curve_equals_its_definition_at_every_threshold():
    scores, outcomes = cohort()
    curve = decision_curve(ScoreTable.of(scores, outcomes))
    assert len(curve) == 99
    for point in curve:
        treated = scores >= point.threshold
        odds = point.threshold / (1 - point.threshold)
        benefit = (treated & (outcomes == 1)).mean() - (treated & (outcomes == 0)).mean() * odds
        assert point.model == pytest.approx(benefit, abs=1e-12)
        assert point.treat_all == pytest.approx(outcomes.mean() - (1 - outcomes.mean()) * odds, abs=1e-12)


def test_reclassification_of_the_published_example():
    # Pencina and others 2008, table II: events and non-events by risk class (< 6, 6-20, > 20 %) without and with HDL.
    classes = ("low", "middle", "high")
    events = CountTable(classes, classes, ((39, 15, 0), (4, 87, 14), (0, 3, 21)))
    others = CountTable(classes, classes, ((1959, 142, 0), (148, 703, 31), (1, 25, 74)))
    found = net_reclassification(events, others)
    assert round(found.events.value, 3) == 0.120  # 22 of 183
    assert round(found.others.value, 4) == 0.0003  # 1 of 3083
    assert round(found.total.value, 3) == 0.121
    assert found.p < 0.001


def test_wilson_interval_of_a_textbook():
    # Newcombe 1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E, table I: 81 of 263.
    found = wilson(81, 263)
    assert (round(found.low, 4), round(found.high, 4)) == (0.2553, 0.3662)


@given(st.permutations(range(40)), st.integers(0, 40))
def test_score_tables_add_up(order, cut):
    scores, outcomes = (part[list(order)] for part in cohort(40))
    parts = [ScoreTable.of(scores[:cut], outcomes[:cut]), ScoreTable.of(scores[cut:], outcomes[cut:])]
    whole = ScoreTable.of(*cohort(40))
    assert ScoreTable.merge(parts) == ScoreTable.merge(parts[::-1]) == whole
    assert ScoreTable.from_dict(json.loads(json.dumps(whole.to_dict()))) == whole


def test_one_outcome_alone_has_no_curve():
    with pytest.raises(ValueError, match="both outcomes"):
        roc(ScoreTable.of([0.1, 0.2], [0, 0]))


def test_published_cuts_give_what_the_binned_scores_give():
    random = np.random.default_rng(3)
    score = random.random(400)
    outcome = (random.random(400) < score).astype(float)
    cuts = (0.2, 0.4, 0.6, 0.8)
    parts = [RiskTable.of(score[s::7], outcome[s::7], cuts) for s in range(7)]
    merged = RiskTable.merge(parts[::-1])
    assert merged == RiskTable.of(score, outcome, cuts)
    assert RiskTable.from_dict(merged.to_dict()) == merged
    cells = np.searchsorted(cuts, score, side="right")
    u = mannwhitneyu(cells[outcome == 1], cells[outcome == 0]).statistic
    events, others = int(outcome.sum()), int((1 - outcome).sum())
    found = roc(merged)
    assert found.auc.value == pytest.approx(u / (events * others))
    exact = mannwhitneyu(score[outcome == 1], score[outcome == 0]).statistic / (events * others)
    assert found.auc_low <= exact <= found.auc_high
    assert brier_score(merged) == pytest.approx(((score - outcome) ** 2).mean())
    first = decision_curve(merged)[0]
    above = score >= 0.2
    benefit = outcome[above].sum() / 400 - (1 - outcome[above]).sum() / 400 * 0.25
    assert (first.threshold, first.model) == pytest.approx((0.2, benefit))
    with pytest.raises(ValueError, match="from 0 to 1"):
        RiskTable.of([1.2], [1], cuts)

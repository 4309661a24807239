"""The comorbidome from sums against direct least squares on the pooled reference subjects."""

import numpy as np
import pytest

from racoon.science.comorbidome import AgeGap
from racoon.science.statistics.comorbidity import Expectation, edge_of, learn
from racoon.science.statistics.description import CountTable
from racoon.science.statistics.sums import CrossProducts

NAMES = ("liver", "fat", "bone")


def rows(n=240):
    random = np.random.default_rng(6)
    age = random.uniform(20, 90, n)
    values = np.column_stack([1500 - 4 * age, 100 + 0.8 * age, 200 - 1.1 * age]) + random.normal(
        0, [90, 12, 18], (n, 3)
    )
    return age, values


def test_what_is_learnt_is_least_squares_of_the_pooled_rows():
    age, values = rows()
    table = np.column_stack([age, values])
    learnt = learn(
        CrossProducts.merge(CrossProducts.of(("age", *NAMES), table[s::5]) for s in range(5)), NAMES, "t"
    )
    for place, line in enumerate(learnt.lines):
        slope, intercept = np.polyfit(age, values[:, place], 1)
        rest = values[:, place] - intercept - slope * age
        assert (line.intercept, line.slope_per_year) == pytest.approx((intercept, slope), rel=1e-9)
        assert line.residual_sd == pytest.approx(np.sqrt((rest**2).sum() / (len(age) - 2)), rel=1e-9)
    design = np.column_stack([np.ones(len(age)), values])
    weights = np.linalg.lstsq(design, age, rcond=None)[0]
    np.testing.assert_allclose((learnt.intercept, *learnt.weights), weights, rtol=1e-7)
    direct = AgeGap.fit(design @ weights, age)
    assert (learnt.gap.slope, learnt.gap.intercept) == pytest.approx(
        (direct.slope, direct.intercept), rel=1e-7
    )
    assert learnt.gap.residual_sd == pytest.approx(direct.residual_sd, rel=1e-6)
    assert learnt.gap.correlation == pytest.approx(direct.correlation, rel=1e-9)
    scores, gaps = Expectation.apply(learnt.numbers, values, age)
    np.testing.assert_allclose(scores.std(axis=0, ddof=2), 1, rtol=1e-9)
    np.testing.assert_allclose(gaps[3], direct.corrected(float(design[3] @ weights), age[3]), rtol=1e-6)
    assert abs(np.corrcoef(gaps, age)[0, 1]) < 1e-9
    with pytest.raises(ValueError, match="do not belong"):
        Expectation.apply(learnt.numbers[:-1], values, age)


def test_an_edge_by_hand():
    edge = edge_of(CountTable(("no", "yes"), ("no", "yes"), ((40, 10), (20, 30))))
    assert edge.odds_ratio.value == pytest.approx(6.0)
    reach = 1.959963985 * np.sqrt(1 / 40 + 1 / 10 + 1 / 20 + 1 / 30)
    assert edge.odds_ratio.high == pytest.approx(6 * np.exp(reach))
    flags = np.repeat([[0, 0], [0, 1], [1, 0], [1, 1]], [40, 10, 20, 30], axis=0)
    assert edge.phi == pytest.approx(np.corrcoef(flags.T)[0, 1])
    assert (edge.both, edge.n) == (30, 100)


def test_too_few_or_dependent_columns_are_refused():
    age, values = rows(n=12)
    with pytest.raises(ValueError, match="too few"):
        learn(CrossProducts.of(("age", *NAMES), np.column_stack([age, values])[:5]), NAMES, "t")
    values[:, 2] = 2 * values[:, 0]
    with pytest.raises(ValueError, match="depends on the others"):
        learn(CrossProducts.of(("age", *NAMES), np.column_stack([age, values])), NAMES, "t")

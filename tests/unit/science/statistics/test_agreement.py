"""Agreement against published tables and an independent implementation; the same in one table or over many sites."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats import inter_rater

from racoon.science.statistics.agreement import (
    bland_altman,
    cohen_kappa,
    concordance_correlation,
    fleiss_kappa,
    intraclass_correlation,
    paired,
    rating_table,
)
from racoon.science.statistics.sums import CrossProducts

# Shrout and Fleiss 1979, table 2: six targets rated by four judges.
JUDGES = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float
)

# Bland and Altman 1986, table 1: first readings of peak flow in l/min, Wright and mini Wright meter.
WRIGHT = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]

tables = st.lists(st.lists(st.integers(0, 30), min_size=4, max_size=4), min_size=4, max_size=4).map(np.array)


def test_intraclass_correlations_of_the_classic_paper():
    found = intraclass_correlation(CrossProducts.of("abcd", JUDGES))
    single = [found.one_way.value, found.two_way.value, found.consistency.value]
    mean = [found.one_way_mean.value, found.two_way_mean.value, found.consistency_mean.value]
    assert [round(value, 2) for value in single] == [0.17, 0.29, 0.71]
    assert [round(value, 2) for value in mean] == [0.44, 0.62, 0.91]
    # Limits as commonly printed for this table (95 %).
    assert (round(found.one_way.low, 2), round(found.one_way.high, 2)) == (-0.13, 0.72)
    assert (round(found.two_way.low, 2), round(found.two_way.high, 2)) == (0.02, 0.76)
    assert (round(found.consistency.low, 2), round(found.consistency.high, 2)) == (0.34, 0.95)


def test_repeatability_follows_from_the_mean_square_within():
    rows = np.random.default_rng(2).normal(50, 10, (400, 1)) + np.random.default_rng(3).normal(0, 2, (400, 2))
    found = intraclass_correlation(CrossProducts.of("ab", rows))
    by_hand = math.sqrt(np.mean(np.diff(rows, axis=1) ** 2) / 2)
    assert found.within_subject_sd == pytest.approx(by_hand, rel=1e-12)
    assert found.repeatability_coefficient == pytest.approx(1.96 * math.sqrt(2) * by_hand, rel=1e-12)


def test_limits_of_agreement_of_the_classic_paper():
    found = bland_altman(paired(WRIGHT, MINI))
    assert round(found.bias.value, 1) == -2.1
    assert round(found.sd, 1) == 38.8
    # The paper takes 2 SD of the rounded numbers: -79.7 and 75.5.
    assert round(round(found.bias.value, 1) - 2 * round(found.sd, 1), 1) == -79.7
    assert round(round(found.bias.value, 1) + 2 * round(found.sd, 1), 1) == 75.5
    assert (round(found.bias.low, 1), round(found.bias.high, 1)) == (-22.0, 17.8)


def test_proportional_bias_shows_as_slope():
    truth = np.linspace(10, 100, 60)
    noise = np.random.default_rng(1).normal(0, 0.5, 60)
    found = bland_altman(paired(1.1 * truth + noise, truth))
    assert found.slope.low < 0.1 / 1.05 < found.slope.high
    differences, means = 0.1 * truth + noise, (2.1 * truth + noise) / 2
    assert found.slope.value == pytest.approx(np.polyfit(means, differences, 1)[0], rel=1e-9)


@pytest.mark.parametrize("weights", ["none", "linear", "quadratic"])
@given(table=tables)
def test_kappa_equals_statsmodels(weights, table):
    if table.sum() == 0 or (table.sum(axis=0) * table.sum(axis=1)).sum() >= table.sum() ** 2:
        return
    with np.errstate(invalid="ignore", divide="ignore"):  # a variance of 0, or of −1e-14, is no harm here
        oracle = inter_rater.cohens_kappa(
            table, wt={"none": None, "linear": "linear", "quadratic": "quadratic"}[weights]
        )
    found = cohen_kappa(table, weights=weights)
    if not math.isnan(found.value):
        assert found.value == pytest.approx(oracle.kappa, abs=1e-12)
        if found.low > -1 and found.high < 1:
            spread = (found.high - found.low) / (2 * 1.959963985)
            assert spread**2 == pytest.approx(oracle.var_kappa, rel=1e-7, abs=1e-12)


def test_fleiss_kappa_equals_statsmodels():
    random = np.random.default_rng(11)
    counts = random.multinomial(6, [0.2, 0.5, 0.3], size=80)
    counts[:40] = random.multinomial(6, [0.9, 0.05, 0.05], size=40)
    found = fleiss_kappa(CrossProducts.of("abc", counts))
    assert found.value == pytest.approx(inter_rater.fleiss_kappa(counts), rel=1e-12)
    with pytest.raises(ValueError, match="same number of readers"):
        fleiss_kappa(CrossProducts.of("ab", [[2, 1], [1, 1]]))


def test_concordance_equals_its_definition_and_covers_the_truth():
    random = np.random.default_rng(5)
    truth, inside = 0.5 * 2 / (1 + 1 + 0.25) * 1.0, 0
    # x, y standard normal with correlation 0.5 and a shift of 0.5.
    for _ in range(200):
        x = random.normal(size=80)
        y = 0.5 * x + math.sqrt(0.75) * random.normal(size=80) + 0.5
        found = concordance_correlation(paired(x, y))
        by_hand = 2 * np.cov(x, y, bias=True)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
        assert found.value == pytest.approx(by_hand, rel=1e-11)
        inside += found.low <= truth <= found.high
    assert 182 <= inside <= 199  # 95 of 100, give or take three standard errors


@given(st.permutations(range(17)), st.integers(0, 17))
def test_sites_give_what_one_table_gives(order, cut):
    rows = np.column_stack([WRIGHT, MINI])[list(order)]
    parts = [paired(rows[:cut, 0], rows[:cut, 1]), paired(rows[cut:, 0], rows[cut:, 1])]
    merged, whole = CrossProducts.merge(parts), paired(WRIGHT, MINI)
    assert bland_altman(merged) == bland_altman(whole)
    assert concordance_correlation(merged) == concordance_correlation(whole)
    assert intraclass_correlation(merged) == intraclass_correlation(whole)


def test_ratings_are_counted_by_category():
    table = rating_table(["a", "b", "b"], ["a", "a", "b"], ["a", "b"])
    assert table.tolist() == [[1, 0], [1, 1]]
    with pytest.raises(ValueError, match="categories"):
        rating_table(["c"], ["a"], ["a", "b"])


def test_what_says_nothing_is_not_a_number():
    assert math.isnan(cohen_kappa([[7, 0], [0, 0]]).value)
    assert math.isnan(cohen_kappa(np.zeros((2, 2))).value)
    assert math.isnan(concordance_correlation(paired([1, 1, 1], [1, 2, 3])).value)
    with pytest.raises(ValueError, match="three subjects"):
        bland_altman(paired([1, 2], [1, 2]))


def test_perfect_agreement_is_one():
    found = intraclass_correlation(CrossProducts.of("ab", [[1, 1], [2, 2], [5, 5]]))
    assert found.one_way.value == found.two_way.value == found.consistency.value == 1.0
    assert concordance_correlation(paired([1, 2, 5], [1, 2, 5])).value == 1.0

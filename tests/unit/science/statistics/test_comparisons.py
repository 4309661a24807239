"""Tests against scipy and statsmodels on the pooled values."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats import contingency_tables, multitest

from racoon.science.statistics import FixedBins, Moments
from racoon.science.statistics.comparisons import (
    adjust_p_values,
    chi_square,
    fisher_exact,
    mann_whitney,
    mcnemar,
    paired_t_test,
    t_test,
)

numbers = st.lists(st.integers(-40, 40).map(lambda value: value / 4), min_size=3, max_size=60)
cells = st.integers(0, 40)


@pytest.mark.parametrize("equal", [True, False])
@given(numbers, numbers)
def test_t_test_equals_scipy(equal, first, second):
    if np.var(first) == 0 or np.var(second) == 0:
        return
    found = t_test(Moments.of(first), Moments.of(second), equal_variances=equal)
    oracle = stats.ttest_ind(first, second, equal_var=equal)
    interval = oracle.confidence_interval()
    assert found.statistic == pytest.approx(oracle.statistic, rel=1e-9, abs=1e-12)
    assert found.freedom == pytest.approx(oracle.df, rel=1e-9)
    assert found.p == pytest.approx(oracle.pvalue, rel=1e-7, abs=1e-300)
    assert (found.effect.low, found.effect.high) == pytest.approx(
        (interval.low, interval.high), rel=1e-7, abs=1e-9
    )


def test_paired_t_test_equals_scipy():
    before, after = np.random.default_rng(1).normal([[10], [11]], 2, (2, 30))
    found = paired_t_test(Moments.of(before - after))
    oracle = stats.ttest_rel(before, after)
    assert (found.statistic, found.p) == pytest.approx((oracle.statistic, oracle.pvalue), rel=1e-9)


def test_equal_values_are_said_in_words():
    assert "equal" in t_test(Moments.of([1.0, 1.0]), Moments.of([1.0, 1.0])).notes[0]


@given(numbers, numbers, st.sampled_from([0.25, 1.0, 5.0]))
def test_rank_test_holds_the_exact_one_within_its_bounds(first, second, width):
    if len({*first, *second}) < 2:
        return
    bins = FixedBins(-10.0, 10.0, width)
    found = mann_whitney(bins.count_values(first), bins.count_values(second))
    exact = stats.mannwhitneyu(first, second, method="asymptotic")
    assert found.u_low <= exact.statistic <= found.u_high
    assert found.p_low <= exact.pvalue * (1 + 1e-9) + 1e-300
    assert exact.pvalue <= found.p_high * (1 + 1e-9)
    binned = [bins.cells(values) for values in (first, second)]
    if len({*binned[0], *binned[1]}) > 1:
        oracle = stats.mannwhitneyu(*binned, method="asymptotic")
        assert (found.u, found.p) == pytest.approx((oracle.statistic, oracle.pvalue), rel=1e-9)


@given(st.lists(st.tuples(cells, cells, cells), min_size=2, max_size=4), st.booleans())
def test_chi_square_equals_scipy(table, correction):
    counts = np.array(table)
    kept = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]
    if min(kept.shape) < 2:
        with pytest.raises(ValueError, match="two rows"):
            chi_square(counts)
        return
    found = chi_square(counts, continuity_correction=correction)
    oracle = stats.chi2_contingency(kept, correction=correction)
    assert (found.statistic, found.freedom) == pytest.approx(
        (oracle.statistic, oracle.dof), rel=1e-9, abs=1e-12
    )
    assert found.p == pytest.approx(oracle.pvalue, rel=1e-7)


def test_small_expectations_are_said_in_words():
    assert "Fisher" in chi_square([[1, 2], [3, 1]]).notes[0]
    assert chi_square([[20, 20], [30, 15]]).notes == ()


@given(cells, cells, cells, cells)
def test_fisher_equals_scipy(a, b, c, d):
    found, oracle = fisher_exact([[a, b], [c, d]]), stats.fisher_exact([[a, b], [c, d]])
    assert found.p == pytest.approx(oracle.pvalue, rel=1e-9)
    if not math.isnan(found.statistic) and not math.isnan(oracle.statistic):
        assert found.statistic == pytest.approx(oracle.statistic)


@given(st.integers(0, 60), st.integers(0, 60), st.booleans())
def test_mcnemar_equals_statsmodels(b, c, exact):
    if b + c == 0:
        assert mcnemar(b, c).p == 1.0
        return
    found = mcnemar(b, c, exact=exact)
    oracle = contingency_tables.mcnemar([[3, b], [c, 4]], exact=exact, correction=True)
    if exact or b != c:  # the library corrects |b - c| = 0 to 1
        assert found.p == pytest.approx(oracle.pvalue, rel=1e-9)


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=12),
    st.sampled_from(
        [
            ("bonferroni", "bonferroni"),
            ("holm", "holm"),
            ("hochberg", "simes-hochberg"),
            ("benjamini-hochberg", "fdr_bh"),
            ("benjamini-yekutieli", "fdr_by"),
        ]
    ),
)
def test_adjusted_p_values_equal_statsmodels(p_values, names):
    ours, theirs = names
    oracle = multitest.multipletests(p_values, method=theirs)[1]
    assert adjust_p_values(p_values, ours) == pytest.approx(oracle, rel=1e-9, abs=1e-15)

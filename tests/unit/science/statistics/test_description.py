"""Tables about a cohort: what sites add is what one table of all rows says."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from racoon.science.statistics import FixedBins, Moments
from racoon.science.statistics.description import (
    Baseline,
    CountTable,
    NumberSummary,
    correlation,
    merge_tables,
    standardised_difference,
    standardised_difference_of_shares,
)
from racoon.science.statistics.sums import CrossProducts

BINS = FixedBins(0.0, 100.0, 2.0)
rows = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0, math.nan]), st.sampled_from([0.0, 1.0, 2.0])), max_size=60
)


def test_number_summary_of_sites_is_that_of_all_rows():
    values = np.random.default_rng(4).uniform(0, 100, 1000)
    values[::7] = np.nan
    whole = NumberSummary.of(values, BINS)
    assert NumberSummary.of(values[600:], BINS) + NumberSummary.of(values[:600], BINS) == whole
    assert whole.missing == 143
    assert whole.moments.mean == pytest.approx(np.nanmean(values), rel=1e-12)
    median = whole.quantile(0.5)
    assert median.low <= np.nanquantile(values, 0.5, method="inverted_cdf") <= median.high
    assert NumberSummary.from_dict(json.loads(json.dumps(whole.to_dict()))) == whole


@given(rows, st.integers(0, 60))
def test_count_tables_add_up(data, cut):
    table = np.array(data, float).reshape(-1, 2)
    parts = [
        CountTable.of(["f", "m"], ["a", "b", "c"], part[:, 0], part[:, 1])
        for part in (table[:cut], table[cut:])
    ]
    whole = CountTable.of(["f", "m"], ["a", "b", "c"], table[:, 0], table[:, 1])
    assert merge_tables(parts) == merge_tables(parts[::-1]) == whole
    assert int(whole.counts.sum()) + whole.missing == len(data)
    assert CountTable.from_dict(json.loads(json.dumps(whole.to_dict()))) == whole


def test_counts_equal_the_library():
    frame = pd.DataFrame({"a": np.tile([0, 1, 1], 10), "b": np.tile([0, 1, 2, 1, 0], 6)})
    found = CountTable.of(["x", "y"], ["p", "q", "r"], frame["a"], frame["b"])
    assert found.counts.tolist() == pd.crosstab(frame["a"], frame["b"]).to_numpy().tolist()


def test_a_missing_cell_stays_missing():
    table = CountTable(("x",), ("p", "q"), ((3, None),)) + CountTable(("x",), ("p", "q"), ((4, 9),))
    assert table.cells == ((7, None),)
    with pytest.raises(ValueError, match="held back"):
        _ = table.counts
    assert math.isnan(Baseline("sex", counts=table).smd)


def test_standardised_differences():
    # Two groups one SD apart; shares of 50 % and 30 %.
    first, second = Moments.of([1.0, 2.0, 3.0]), Moments.of([2.0, 3.0, 4.0])
    assert standardised_difference(first, second) == pytest.approx(-1.0)
    by_hand = 0.2 / math.sqrt((0.25 + 0.21) / 2)
    assert standardised_difference_of_shares([50, 50], [70, 30]) == pytest.approx(by_hand)
    assert standardised_difference_of_shares([10, 20, 30], [20, 40, 60]) == pytest.approx(0.0)
    baseline = Baseline("age", (NumberSummary.of([1.0, 2, 3]), NumberSummary.of([2.0, 3, 4])))
    assert baseline.smd == pytest.approx(1.0)
    assert Baseline("age", (NumberSummary.of([1.0, 2.0]),)).smd is None


def test_correlation_equals_scipy():
    table = np.random.default_rng(8).multivariate_normal([5, 500], [[1, 8], [8, 100]], 300)
    found = correlation(CrossProducts.of("ab", table), 0, 1)
    oracle = stats.pearsonr(table[:, 0], table[:, 1])
    assert found.value == pytest.approx(oracle.statistic, rel=1e-10)
    assert (found.low, found.high) == pytest.approx(tuple(oracle.confidence_interval()), rel=1e-9)

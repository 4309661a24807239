"""Exact column sums: any order, any split, bit for bit; products without rounding."""

import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from racoon.science.statistics.sums import CrossProducts, exact_column_sums, exact_product_sums, to_fraction

finite = st.floats(allow_nan=False, allow_infinity=False, width=64)
# Products of numbers in this range and their errors stay normal doubles.
moderate = st.one_of(st.just(0.0), st.floats(1e-100, 1e100), st.floats(-1e100, -1e-100))


@given(st.lists(finite, max_size=40))
def test_a_column_sum_is_exact_over_the_whole_range_of_doubles(values):
    (found,) = exact_column_sums(np.array(values, float).reshape(-1, 1))
    assert to_fraction(found) == sum((Fraction(value) for value in values), start=Fraction(0))


@given(st.lists(st.tuples(moderate, moderate), max_size=30))
def test_a_product_sum_is_exact(pairs):
    table = np.array(pairs, float).reshape(-1, 2)
    (found,) = exact_product_sums(table[:, :1], table[:, 1:])
    assert to_fraction(found) == sum((Fraction(a) * Fraction(b) for a, b in pairs), start=Fraction(0))


@given(arrays(float, (30, 3), elements=moderate), st.permutations(range(30)), st.integers(0, 30))
def test_order_and_split_change_no_bit(rows, order, cut):
    whole = CrossProducts.of("abc", rows)
    shuffled = rows[list(order)]
    parts = [CrossProducts.of("abc", shuffled[cut:]), CrossProducts.of("abc", shuffled[:cut])]
    assert CrossProducts.merge(parts) == CrossProducts.merge(parts[::-1]) == whole
    assert CrossProducts.from_dict(json.loads(json.dumps(whole.to_dict()))) == whole


def test_covariance_and_correlation_equal_numpy_in_many_blocks():
    rows = np.random.default_rng(3).normal([1e6, -2, 0.5], [3, 1, 20], (70_000, 3))
    found = CrossProducts.of("abc", rows)
    np.testing.assert_allclose(found.covariance, np.cov(rows.T), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.correlation, np.corrcoef(rows.T), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.means, rows.mean(axis=0), rtol=1e-13)


def test_what_cannot_be_summed_is_refused():
    with pytest.raises(ValueError, match="finite"):
        exact_column_sums([[1.0], [float("nan")]])
    with pytest.raises(ValueError, match="1e150"):
        exact_product_sums([[1e200]], [[1e200]])
    with pytest.raises(ValueError, match="different columns"):
        CrossProducts.merge([CrossProducts.of("a", [[1.0]]), CrossProducts.of("b", [[1.0]])])
    with pytest.raises(ValueError, match="nothing"):
        CrossProducts.merge([])

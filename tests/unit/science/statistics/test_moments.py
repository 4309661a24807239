"""Exact sums: any order, any split, bit for bit; and equal to the textbook to the last digit."""

import json
import math
import statistics
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from racoon.science.statistics import Dyadic, Moments

finite = st.floats(allow_nan=False, allow_infinity=False, width=64)
lists = st.lists(finite, max_size=40)


@given(lists, st.randoms(use_true_random=False), st.data())
def test_order_and_split_change_no_bit(values, random, data):
    whole = Moments.of(values)
    shuffled = list(values)
    random.shuffle(shuffled)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(values)), max_size=5)))
    parts = [
        Moments.of(shuffled[low:high]) for low, high in zip([0, *cuts], [*cuts, len(values)], strict=True)
    ]
    random.shuffle(parts)
    assert Moments.merge(parts) == whole
    assert Moments.merge(parts).to_dict() == whole.to_dict()


@given(st.lists(finite, min_size=1, max_size=40))
def test_sum_and_squares_are_exact(values):
    found = Moments.of(values)
    exact = [Fraction(value) for value in values]
    assert Fraction(found.sum.mantissa) * Fraction(2) ** found.sum.exponent == sum(exact)
    squares = found.sum_of_squares
    assert Fraction(squares.mantissa) * Fraction(2) ** squares.exponent == sum(value**2 for value in exact)


@given(st.lists(st.floats(-1e150, 1e150), min_size=1, max_size=40))
def test_mean_equals_fsum(values):
    exact = float(sum(Fraction(value) for value in values) / len(values))
    assert Moments.of(values).mean == exact
    assert float(Moments.of(values).sum) == math.fsum(values)


@given(st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=60))
def test_sd_equals_the_library(values):
    assert Moments.of(values).sd == pytest.approx(statistics.stdev(values), rel=1e-12)


@given(lists)
def test_json_round_trip(values):
    found = Moments.of(values)
    assert Moments.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_agrees_with_numpy_on_many_values():
    values = np.random.default_rng(5).normal(-700, 80, 100_000)
    found = Moments.of(values)
    assert found.mean == pytest.approx(values.mean(), rel=1e-12)
    assert found.sd == pytest.approx(values.std(ddof=1), rel=1e-12)
    assert found.n == values.size


def test_nothing_cancels_far_from_zero():
    values = np.array([1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16])
    assert Moments.of(values).variance == 30.0


def test_block_limits_of_the_fast_path_are_exact():
    # Largest mantissas, both signs, more values than one block: the 64-bit parts must not overflow.
    values = np.full((1 << 20) + 3, np.nextafter(2.0, 0.0))
    values[::2] *= -1
    found = Moments.of(values)
    # An odd count of values: one negative more than positives.
    assert float(found.sum) == -float(np.nextafter(2.0, 0.0))
    assert Fraction(found.sum_of_squares.mantissa) * Fraction(2) ** found.sum_of_squares.exponent == Fraction(
        np.nextafter(2.0, 0.0)
    ) ** 2 * len(values)


def test_no_values_have_no_mean():
    assert math.isnan(Moments().mean)
    assert math.isnan(Moments.of([3.0]).sd)
    assert Moments.of([3.0]).mean == 3.0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_missing_values_are_never_added(value):
    with pytest.raises(ValueError, match="finite"):
        Moments.of([1.0, value])
    with pytest.raises(ValueError, match="finite"):
        Dyadic.from_float(value)


@pytest.mark.parametrize(
    "document",
    [
        {"n": -1, "sum": "0p0", "sum_of_squares": "0p0"},
        {"n": 0, "sum": "1p0", "sum_of_squares": "1p0"},
        {"n": 2, "sum": "4p0", "sum_of_squares": "7p0"},
        {"n": 2, "sum": "4", "sum_of_squares": "8p0"},
        {"n": 2, "sum": "1_0p0", "sum_of_squares": "8p99999"},
        {"n": 2, "sum": "1" * 2000 + "p0", "sum_of_squares": "8p0"},
    ],
)
def test_impossible_moments_are_refused(document):
    with pytest.raises(ValueError, match=r"count|sum|number|exponent"):
        Moments.from_dict(document)


@given(finite, finite)
def test_dyadic_addition_is_exact_and_text_round_trips(first, second):
    total = Dyadic.from_float(first) + Dyadic.from_float(second)
    assert Fraction(total.mantissa) * Fraction(2) ** total.exponent == Fraction(first) + Fraction(second)
    assert Dyadic.from_text(str(total)) == total

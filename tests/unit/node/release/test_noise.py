"""The exact sampler has the right distribution, and small counts say nothing."""

import math
import random
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racoon.node.release.noise import discrete_laplace, protect_count
from racoon.node.release.policy import DisclosurePolicy


@pytest.mark.parametrize("epsilon", [Fraction("0.28"), Fraction(1), Fraction(3, 2)])
def test_sampler_follows_the_discrete_laplace_law(epsilon):
    source = random.Random(20)
    draws = 20_000
    found = Counter(discrete_laplace(epsilon, source.randrange) for _ in range(draws))
    decay = math.exp(-float(epsilon))
    norm = (1 - decay) / (1 + decay)
    chi_square = sum(
        (found[z] - draws * norm * decay ** abs(z)) ** 2 / (draws * norm * decay ** abs(z))
        for z in range(-6, 7)
    )
    assert chi_square < 34.5  # 13 cells, p = 0.001
    assert abs(sum(z * count for z, count in found.items()) / draws) < 0.15


@given(st.integers(0, 500), st.integers(0, 2**32))
def test_shown_counts_are_rounded_and_never_small(count, seed):
    found = protect_count(count, DisclosurePolicy(), random.Random(seed).randrange)
    if found.value is None:
        assert found.text == "< 10"
    else:
        assert found.value >= 10
        assert found.value % 10 == 0


def test_no_count_is_certain_to_be_small_or_certain_not_to_be():
    """A sharp border at the true count would be an oracle: nine people he knows and the target, asked once, tell."""
    source = random.Random(5)
    shown = [
        sum(protect_count(count, DisclosurePolicy(), source.randrange).value is not None for _ in range(3000))
        / 3000
        for count in (9, 10)
    ]
    assert shown[0] > 0.3
    # One subject changes the probability by a factor of at most exp(epsilon).
    assert shown[1] / shown[0] < math.exp(0.28) * 1.1


def test_the_operating_system_is_the_default_source():
    assert abs(protect_count(10_000, DisclosurePolicy()).value - 10_000) < 500


@pytest.mark.parametrize("rounding", [1, 5, 7])
def test_rounding_is_to_the_nearest_multiple(rounding):
    policy = DisclosurePolicy(count_rounding=rounding, epsilon="10")
    found = protect_count(1003, policy, random.Random(3).randrange)
    assert found.value % rounding == 0
    assert abs(found.value - 1003) <= rounding


def test_senseless_input_is_refused():
    with pytest.raises(ValueError, match="negative"):
        protect_count(-1, DisclosurePolicy())
    with pytest.raises(ValueError, match="positive"):
        discrete_laplace(Fraction(0))

"""Weights and pairs from propensities against direct computations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from racoon.science.statistics.propensity import effective_size, match_pairs, treatment_weights


def test_weights_by_hand():
    chance, treated = [0.2, 0.5, 0.2, 0.999], [1, 0, 0, 1]
    np.testing.assert_allclose(treatment_weights(chance, treated, "ate"), [5, 2, 1.25, 1 / 0.99])
    np.testing.assert_allclose(treatment_weights(chance, treated, "att"), [1, 1, 0.25, 1])
    assert effective_size([1, 1, 1, 0]) == pytest.approx(3)


def brute(scores, treated, caliper):
    """Take the closest pair of all, again and again."""
    free = set(range(len(scores)))
    found = []
    while True:
        candidates = [
            (abs(scores[i] - scores[j]), scores[i], i, j)
            for i in free
            for j in free
            if treated[i] and not treated[j] and abs(scores[i] - scores[j]) <= caliper
        ]
        if not candidates:
            return found
        _, _, i, j = min(candidates)
        found.append((i, j))
        free -= {i, j}


@given(st.integers(0, 10_000), st.integers(2, 18), st.floats(0.05, 2))
@settings(max_examples=15)
def test_pairs_are_the_closest_ones_and_within_the_caliper(seed, n, caliper):
    random = np.random.default_rng(seed)
    scores, treated = random.normal(size=n), random.integers(0, 2, n)
    found = match_pairs(scores, treated, caliper)
    assert sorted(map(tuple, found.tolist())) == sorted(brute(scores, treated, caliper))
    shuffled = random.permutation(n)
    again = shuffled[match_pairs(scores[shuffled], treated[shuffled], caliper)]
    assert {frozenset(pair) for pair in again.tolist()} == {frozenset(pair) for pair in found.tolist()}

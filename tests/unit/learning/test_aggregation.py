"""The exact mean: any order, any arrival, the same bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from racoon.learning.aggregation import MAXIMUM_TOTAL, ExactMean
from racoon.learning.weights import MAXIMUM_MAGNITUDE, BadWeights

SHAPES = {"a": (2, 3), "b": (4,)}

tensors = st.fixed_dictionaries(
    {
        name: arrays(np.float32, shape, elements=st.floats(-1000, 1000, width=32))
        for name, shape in SHAPES.items()
    }
)
contributions = st.lists(st.tuples(tensors, st.integers(1, 5000)), min_size=1, max_size=6)


@given(contributions, st.randoms(use_true_random=False))
def test_mean_does_not_depend_on_the_order_of_sites(given_sites, random) -> None:
    sites = [(f"S{number}", weights, cases) for number, (weights, cases) in enumerate(given_sites)]
    shuffled = list(sites)
    random.shuffle(shuffled)
    results = []
    for order in (sites, shuffled):
        mean = ExactMean(SHAPES)
        for site, weights, cases in order:
            mean.add(site, weights, cases)
        results.append(mean.mean())
    for name in SHAPES:
        assert results[0][name].tobytes() == results[1][name].tobytes()


@given(contributions)
def test_mean_is_the_weighted_mean(given_sites) -> None:
    mean = ExactMean(SHAPES)
    for number, (weights, cases) in enumerate(given_sites):
        mean.add(f"S{number}", weights, cases)
    counts = [cases for _, cases in given_sites]
    for name in SHAPES:
        stacked = np.stack([weights[name].astype(np.float64) for weights, _ in given_sites])
        np.testing.assert_allclose(
            mean.mean()[name], np.average(stacked, axis=0, weights=counts), rtol=1e-6, atol=1e-9
        )


@given(
    arrays(np.float32, (5,), elements=st.floats(-1, 1, width=32, allow_subnormal=False)), st.integers(1, 1000)
)
def test_mean_of_one_site_is_that_site_to_fixed_point_resolution(tensor, cases) -> None:
    mean = ExactMean({"a": (5,)})
    mean.add("ALPHA", {"a": tensor}, cases)
    np.testing.assert_allclose(mean.mean()["a"], tensor, rtol=6e-8, atol=2.0**-33)


@pytest.mark.parametrize(
    "weights",
    [
        {"a": np.zeros((2, 3), np.float32)},
        {"a": np.zeros((3, 2), np.float32), "b": np.zeros(4, np.float32)},
        {"a": np.full((2, 3), np.nan, np.float32), "b": np.zeros(4, np.float32)},
        {"a": np.full((2, 3), np.inf, np.float32), "b": np.zeros(4, np.float32)},
        {"a": np.full((2, 3), 2 * MAXIMUM_MAGNITUDE, np.float32), "b": np.zeros(4, np.float32)},
        {"a": np.zeros((2, 3), np.float32), "b": np.zeros(4, np.float32), "c": np.zeros(1, np.float32)},
    ],
)
def test_bad_contribution_is_refused_and_leaves_no_trace(weights) -> None:
    mean = ExactMean(SHAPES)
    with pytest.raises(BadWeights):
        mean.add("ALPHA", weights, 5)
    good = {name: np.ones(shape, np.float32) for name, shape in SHAPES.items()}
    mean.add("ALPHA", good, 5)
    assert mean.contributors == {"ALPHA": 5}
    np.testing.assert_array_equal(mean.mean()["b"], good["b"])


def test_second_answer_of_a_site_and_absurd_counts_are_refused() -> None:
    mean = ExactMean({"a": (1,)})
    one = {"a": np.ones(1, np.float32)}
    mean.add("ALPHA", one, 3)
    for site, cases in (("ALPHA", 3), ("BRAVO", 0), ("BRAVO", -2), ("BRAVO", MAXIMUM_TOTAL)):
        with pytest.raises(BadWeights):
            mean.add(site, one, cases)
    assert mean.total == 3


def test_mean_of_nothing_is_refused() -> None:
    with pytest.raises(BadWeights):
        ExactMean(SHAPES).mean()

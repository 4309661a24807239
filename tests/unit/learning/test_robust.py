"""Robust aggregates: no order, no single site decides; the check for membership; doubt as a number."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from racoon.domain.plan import TrainingPlan
from racoon.domain.training import Strategy
from racoon.learning.aggregation import ExactMean
from racoon.learning.files_inference import most_uncertain_first
from racoon.learning.membership import membership_check
from racoon.learning.robust import RobustAggregate, make_aggregate
from racoon.learning.weights import BadWeights
from racoon.learning.windows import uncertainty
from tests.unit.learning.making import PLAN

SHAPES = {"a": (3, 2), "b": (4,)}


def _weights(seed: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {name: generator.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}


def _aggregate(trim: float, sites: list[tuple[str, dict[str, np.ndarray]]]) -> dict[str, np.ndarray]:
    collected = RobustAggregate(SHAPES, trim)
    for name, weights in sites:
        collected.add(name, weights, 1)
    return collected.take()


@given(st.permutations(range(5)), st.sampled_from([0.1, 0.2, 0.34, 0.5]))
def test_the_order_of_the_sites_changes_no_bit(order: list[int], trim: float) -> None:
    straight = _aggregate(trim, [(str(site), _weights(site)) for site in range(5)])
    turned = _aggregate(trim, [(str(site), _weights(site)) for site in order])
    assert all(straight[name].tobytes() == turned[name].tobytes() for name in SHAPES)


@pytest.mark.parametrize("sites", [1, 2, 3, 4, 5, 8])
def test_median_and_trimmed_mean_are_those_of_the_textbook(sites: int) -> None:
    drawn = [(str(site), _weights(site)) for site in range(sites)]
    stacked = np.stack([weights["a"] for _, weights in drawn]).astype(np.float64)
    np.testing.assert_allclose(_aggregate(0.5, drawn)["a"], np.median(stacked, axis=0), rtol=1e-6)
    cut = int(0.25 * sites)
    kept = np.sort(stacked, axis=0)[cut : sites - cut]
    np.testing.assert_allclose(_aggregate(0.25, drawn)["a"], kept.mean(axis=0), rtol=1e-6)


@pytest.mark.parametrize(("trim", "wrong"), [(0.5, 2), (0.2, 1)])
def test_wrong_sites_cannot_pull_the_aggregate_out_of_the_range_of_the_right_ones(
    trim: float, wrong: int
) -> None:
    right = [(str(site), _weights(site)) for site in range(5 - wrong)]
    pulled = {name: np.full(shape, 900.0, np.float32) for name, shape in SHAPES.items()}
    found = _aggregate(trim, [*right, *((f"wrong-{site}", pulled) for site in range(wrong))])
    for name in SHAPES:
        stacked = np.stack([weights[name] for _, weights in right])
        assert (found[name] >= stacked.min(axis=0)).all()
        assert (found[name] <= stacked.max(axis=0)).all()


def test_bad_contributions_are_refused_like_those_of_the_mean() -> None:
    collected = RobustAggregate(SHAPES, 0.5)
    collected.add("A", _weights(1), 3)
    bad = {"a": np.full((3, 2), np.nan, np.float32), "b": _weights(1)["b"]}
    for site, weights, cases in (("A", _weights(2), 3), ("B", bad, 3), ("C", _weights(2), 0), ("D", {}, 1)):
        with pytest.raises(BadWeights):
            collected.add(site, weights, cases)
    assert collected.contributors == {"A": 3}
    with pytest.raises(BadWeights):
        RobustAggregate(SHAPES, 0.5).take()


def test_a_plan_chooses_its_aggregate_and_old_plans_keep_their_hash() -> None:
    assert isinstance(make_aggregate(PLAN), ExactMean)
    assert "aggregate" not in PLAN.strategy.to_dict()
    for strategy in (Strategy(aggregate="median"), Strategy(aggregate="trimmed", trim=0.2)):
        plan = replace(PLAN, strategy=strategy)
        assert isinstance(make_aggregate(plan), RobustAggregate)
        assert TrainingPlan.from_dict(plan.to_dict()) == plan
        assert plan.hash != PLAN.hash
    for wrong in (
        {"aggregate": "krum"},
        {"trim": 0.2},
        {"aggregate": "trimmed"},
        {"aggregate": "trimmed", "trim": 0.5},
    ):
        with pytest.raises(ValueError, match=r"aggregate|trim"):
            Strategy(**wrong)


def test_membership_is_chance_for_equal_scores_and_certain_for_separate_ones() -> None:
    same = membership_check([0.5, 0.6, 0.7], [0.5, 0.6, 0.7])
    assert same is not None
    assert same["auc"] == 0.5
    assert same["lower"] < 0.5 < same["upper"]
    told = membership_check([0.9, 0.95, 0.99], [0.1, None, 0.3])
    assert told == {"auc": 1.0, "lower": 1.0, "upper": 1.0, "members": 3, "others": 2}
    assert membership_check([0.9], [0.1, 0.2]) is None
    drawn = np.random.default_rng(1).normal(size=(2, 400))
    found = membership_check((drawn[0] + 1.0).tolist(), drawn[1].tolist())
    assert found is not None
    # Two normal distributions one standard deviation apart: Φ(1 / √2).
    assert found["auc"] == pytest.approx(0.7602, abs=0.03)
    assert found["lower"] < 0.7602 < found["upper"]


def test_doubt_is_none_for_a_sure_network_and_whole_for_a_guess_or_for_nothing_found() -> None:
    sure = np.zeros((2, 1, 4, 4), np.float32)
    sure[0] = 1.0
    assert uncertainty(sure) == 1.0
    sure[:, 0, 1, 1] = (0.0, 1.0)
    assert uncertainty(sure) == pytest.approx(0.0, abs=1e-6)
    assert uncertainty(np.full((2, 1, 4, 4), 0.5, np.float32)) == pytest.approx(1.0)
    border = sure.copy()
    border[:, 0, 1, 2] = (0.5, 0.5)
    assert uncertainty(border) == pytest.approx(0.5)
    rows = {
        "a": {"uncertainty": 0.1},
        "b": {"uncertainty": 0.9},
        "c": {"state": "refused"},
        "d": {"uncertainty": 0.1},
    }
    assert most_uncertain_first(rows) == ["b", "a", "d"]

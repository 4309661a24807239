"""Measures of classes and numbers against values worked out by other means."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from racoon.science.statistics.readings import class_measures, number_measures


def test_a_worked_example_of_two_classes() -> None:
    truth = [0, 0, 0, 1, 1]
    second = np.array([0.1, 0.4, 0.7, 0.35, 0.9])
    found = class_measures(truth, np.stack([1 - second, second], axis=1))
    # Told: 0 0 1 0 1; so 2 of 3, and 1 of 2.
    assert [row["mean"] for row in found["sensitivity"]] == pytest.approx([2 / 3, 1 / 2])
    assert [row["mean"] for row in found["specificity"]] == pytest.approx([1 / 2, 2 / 3])
    assert found["accuracy"]["mean"] == pytest.approx(3 / 5)
    assert found["balanced_accuracy"]["mean"] == pytest.approx(7 / 12)
    # Pairs won: 0.35 beats 0.1 alone, 0.9 beats all three.
    assert found["auc"]["mean"] == pytest.approx(4 / 6)
    errors = [0.1, 0.4, 0.7, 0.65, 0.1]
    assert found["brier"]["mean"] == pytest.approx(2 * sum(e * e for e in errors) / 5)
    # Bins of the largest share: 0.6 (0.6 right), 0.65 (wrong), 0.7 (wrong), 0.9 twice (both right).
    assert found["ece"]["mean"] == pytest.approx((abs(0.6 + 0.65 - 1) + 0.7 + 0.2) / 5)
    for name in ("auc", "accuracy", "brier"):
        assert found[name]["lower"] <= found[name]["mean"] <= found[name]["upper"]


def test_measures_of_a_worked_regression() -> None:
    truth, read = [1.0, 2.0, 3.0, 4.0], [1.5, 2.0, 2.5, 5.0]
    found = number_measures(truth, read)
    assert found["mae"]["mean"] == pytest.approx(0.5)
    assert found["rmse"]["mean"] == pytest.approx((1.5 / 4) ** 0.5)
    assert found["bias"]["mean"] == pytest.approx(0.25)
    assert found["r2"]["mean"] == pytest.approx(1 - 1.5 / 5)


def test_saying_the_mean_explains_nothing_and_a_coin_has_half_the_area() -> None:
    truth = np.arange(50.0)
    assert number_measures(truth, np.full(50, truth.mean()))["r2"]["mean"] == pytest.approx(0.0)
    blind = class_measures([0, 1] * 20, np.full((40, 2), 0.5))
    assert blind["auc"]["mean"] == pytest.approx(0.5)
    assert blind["brier"]["mean"] == pytest.approx(0.5)
    assert blind["ece"]["mean"] == pytest.approx(0.0)


def test_the_area_is_the_share_of_pairs_that_the_rank_test_counts() -> None:
    generator = np.random.default_rng(3)
    truth = generator.integers(0, 3, 60)
    shares = generator.dirichlet((1, 1, 1), 60).round(1)
    areas = []
    for k in range(3):
        own, others = shares[truth == k, k], shares[truth != k, k]
        areas.append(mannwhitneyu(own, others).statistic / (len(own) * len(others)))
    assert class_measures(truth.tolist(), shares)["auc"]["mean"] == pytest.approx(np.mean(areas))


def test_what_is_not_defined_has_no_value() -> None:
    one = class_measures([0], [[0.9, 0.1]])
    assert one["auc"]["mean"] is None
    assert one["accuracy"] == {"n": 1, "mean": 1.0, "lower": None, "upper": None}
    assert one["sensitivity"][1]["mean"] is None
    assert number_measures([2.0, 2.0], [1.0, 3.0])["r2"]["mean"] is None

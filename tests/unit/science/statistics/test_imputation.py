"""Multiple imputation: Rubin's rules by hand, draws that belong to rows, and estimates that come back unbiased."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from racoon.science.statistics.imputation import Column, combine, impute


def rows(n=300, seed=1, share=0.3):
    random = np.random.default_rng(seed)
    age = random.normal(60, 10, n)
    volume = 5 + 0.3 * age + random.normal(0, 2, n)
    sick = (random.random(n) < 1 / (1 + np.exp(-(age - 60) / 5))).astype(float)
    stage = np.clip(np.floor((age - 40) / 12 + random.normal(0, 0.4, n)), 0, 3)
    # Missing more often in the old: known rows alone are biased.
    for column in (volume, sick, stage):
        column[random.random(n) < share * 2 / (1 + np.exp(-(age - 60) / 8))] = np.nan
    return {"age": Column(age), "volume": Column(volume), "sick": Column(sick, 2), "stage": Column(stage, 4)}


def test_rubins_rules_by_hand():
    found = combine([1.0, 2.0, 3.0], [0.5, 0.5, 0.5], 90)
    total = 0.25 + (1 + 1 / 3) * 1.0
    assert found.estimate.value == 2.0
    assert found.standard_error == pytest.approx(math.sqrt(total))
    assert found.freedom == pytest.approx(2 * (1 + 0.25 / (4 / 3)) ** 2)
    assert found.missing_information == pytest.approx((4 / 3) / total)
    same = combine([2.0, 2.0], [0.5, 0.5], 90)
    assert (same.standard_error, same.freedom) == (0.5, math.inf)
    with pytest.raises(ValueError, match="two or more"):
        combine([1.0], [1.0], 9)


def test_imputed_means_are_those_of_the_full_rows():
    truth, found, known = [], [], []
    for seed in range(8):
        full = {name: column.values for name, column in rows(seed=seed, share=0.0).items()}
        holes = rows(seed=seed)
        known.append(np.nanmean(holes["volume"].values) - full["volume"].mean())
        drawn = [impute(holes, 7, number) for number in (1, 2)]
        found.append(np.mean([part["volume"].mean() for part in drawn]) - full["volume"].mean())
        truth.append(np.mean([part["sick"].mean() for part in drawn]) - full["sick"].mean())
        assert all(np.isfinite(part[name]).all() for part in drawn for name in part)
        assert set(np.unique(drawn[0]["stage"])) <= {0.0, 1.0, 2.0, 3.0}
    assert abs(np.mean(found)) < 0.15 < abs(np.mean(known))
    assert abs(np.mean(truth)) < 0.03


@given(st.integers(0, 99))
@settings(max_examples=3)
def test_a_draw_belongs_to_its_row_and_seed(seed):
    columns = rows(n=60)
    order = np.random.default_rng(seed).permutation(60)
    turned = {name: Column(column.values[order], column.levels) for name, column in columns.items()}
    first, again = impute(columns, 3, 1), impute(turned, 3, 1)
    for name in columns:
        np.testing.assert_array_equal(first[name][order], again[name])
    assert any((first[name] != impute(columns, 3, 2)[name]).any() for name in columns)
    assert any((first[name] != impute(columns, 4, 1)[name]).any() for name in columns)


def test_too_few_known_values_stay_missing():
    columns = {"a": Column(np.arange(12.0)), "b": Column(np.array([1.0, 2.0] + [np.nan] * 10))}
    assert np.isnan(impute(columns, 1, 1)["b"]).sum() == 10

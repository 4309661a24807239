"""The gate for analyses: what is too small, too rare or too many stays, with a reason that says no number."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from racoon.node.release.estimates import (
    check_analysis_sites,
    check_columns,
    check_model,
    check_risk_sums,
    check_scores,
    check_subgroup,
    check_sums,
    check_survival,
    protect_numbers,
    protect_table,
)
from racoon.node.release.policy import DisclosurePolicy
from racoon.science.statistics import FixedBins
from racoon.science.statistics.description import CountTable, NumberSummary
from racoon.science.statistics.prediction import ScoreTable
from racoon.science.statistics.regression import Design, ModelQuestion, compute_step
from racoon.science.statistics.survival import SurvivalRows, SurvivalTable, TimeGrid, compute_risk_sums

POLICY = DisclosurePolicy()
STRICT = DisclosurePolicy(minimum_cell=10, group_minimum=50, parameters_per_observation=0.05)
BINS = FixedBins(0.0, 100.0, 5.0)


def codes(suppressed):
    return [item.reason_code for item in suppressed]


def test_the_larger_number_of_sites_wins():
    assert check_analysis_sites("x", sites=3, minimum=3, policy=POLICY) == ()
    assert codes(check_analysis_sites("x", sites=3, minimum=5, policy=POLICY)) == ["release.analysis_sites"]
    assert codes(check_analysis_sites("x", sites=2, minimum=1, policy=POLICY)) == ["release.analysis_sites"]


def test_numbers_of_a_large_group_leave_as_they_are():
    values = np.repeat(np.arange(2.5, 100, 5), 8)
    summary = NumberSummary.of(values, BINS)
    assert protect_numbers("age", values, summary, POLICY) == (summary, ())


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([50.0, 60.0, 70.0], "release.minimum_cell"),
        ([50.0] * 20, "release.no_variation"),
        ([1.0] * 10 + [100.0], "release.dominance"),
    ],
)
def test_numbers_that_would_tell_stay(values, reason):
    found, suppressed = protect_numbers("age", values, NumberSummary.of(values), POLICY)
    assert found is None
    assert codes(suppressed) == [reason]


def test_a_small_number_of_missing_values_is_not_told():
    values = [*np.linspace(20, 90, 40), float("nan")]
    found, suppressed = protect_numbers("age", values, NumberSummary.of(values), POLICY)
    assert found.missing == 0
    assert codes(suppressed) == ["release.small_cells"]


@given(st.lists(st.floats(0, 100), max_size=60), st.sampled_from([POLICY, STRICT]))
def test_no_released_cell_is_small(values, policy):
    found, _ = protect_numbers("age", values, NumberSummary.of(values, BINS), policy)
    if found is not None and found.histogram is not None:
        cells = [cell for cell in found.histogram.cells if cell]
        assert all(cell >= policy.minimum_cell for cell in cells)
    if found is not None:
        assert found.moments.n >= policy.minimum_cell


tables = st.lists(st.lists(st.integers(0, 15), min_size=2, max_size=2), min_size=3, max_size=3)


@given(tables, st.sampled_from([POLICY, STRICT]))
def test_a_table_of_two_variables_leaves_whole_or_not_at_all(cells, policy):
    table = CountTable(("a", "b", "c"), ("p", "q"), tuple(map(tuple, cells)))
    found, suppressed = protect_table("x", table, policy)
    small = any(0 < cell < policy.minimum_cell for row in cells for cell in row)
    if small or sum(map(sum, cells)) < policy.minimum_cell:
        assert found is None
        assert suppressed
    else:
        assert found == table


def test_one_variable_hides_the_small_cell_and_what_would_reveal_it():
    table = CountTable(("a", "b", "c", "d"), ("all",), ((40,), (3,), (12,), (50,)), missing=2)
    found, suppressed = protect_table("x", table, POLICY)
    assert found.cells == ((40,), (None,), (None,), (50,))
    assert found.missing == 0
    assert codes(suppressed) == ["release.small_cells", "release.small_cells"]


def model(n=100, events=40, width=3):
    random = np.random.default_rng(1)
    names = [f"x{i}" for i in range(width)]
    design = Design.of(names, random.normal(size=(n, width)), np.arange(n) < events)
    return compute_step(design, ModelQuestion("binomial", design.names, (0.0,) * (width + 1)))


@pytest.mark.parametrize(
    ("step", "policy", "reason"),
    [
        (model(), POLICY, None),
        (model(n=9, events=5, width=1), POLICY, "release.minimum_cell"),
        (model(n=100, width=33), POLICY, "release.parameters"),
        (model(n=60), STRICT, "release.parameters"),
        (model(events=4), POLICY, "release.few_events"),
        (model(events=97), POLICY, "release.few_events"),
    ],
)
def test_models_need_rows_events_and_few_parameters(step, policy, reason):
    assert codes(check_model("m", step, policy, has_events=True)) == ([reason] if reason else [])


def test_a_covariate_that_singles_out_a_few_is_refused():
    flag = np.zeros(100)
    assert check_columns("m", [flag, np.ones(100)], POLICY) == ()
    flag[:4] = 1
    assert codes(check_columns("m", [flag], POLICY)) == ["release.rare_value"]
    flag[:5] = 1
    assert check_columns("m", [flag], POLICY) == ()
    flag[0] = 1000
    assert codes(check_columns("m", [flag], POLICY)) == ["release.dominance"]


def test_survival_needs_events_in_every_interval():
    grid = TimeGrid((10.0, 20.0))
    times, events = np.repeat([5.0, 15.0], 20), np.tile([0, 1], 20)
    table = SurvivalTable.of(grid, times, events)
    assert check_survival("s", table, POLICY) == ()
    assert codes(check_survival("s", table, STRICT)) == ["release.minimum_cell"]
    lonely = SurvivalTable.of(grid, [*times, 5.0], [*events, 0])
    assert check_survival("s", lonely, POLICY) == ()
    last = SurvivalTable.of(TimeGrid((10.0, 20.0, 30.0)), [*times, 25.0], [*events, 0])
    assert codes(check_survival("s", last, POLICY)) == ["release.few_events"]
    rows = SurvivalRows.of(["x"], np.random.default_rng(1).normal(size=(40, 1)), times, events)
    question = ModelQuestion("cox", ("x",), (0.0,))
    assert check_risk_sums("c", compute_risk_sums(rows, grid, question), POLICY) == ()
    finer = compute_risk_sums(rows, TimeGrid((10.0, 20.0, 30.0)), question)
    assert codes(check_risk_sums("c", finer, POLICY)) == ["release.few_events"]


def test_scores_need_full_cells():
    scores = np.repeat([0.1, 0.6], 20)
    assert check_scores("r", ScoreTable.of(scores, np.tile([0, 1], 20)), POLICY) == ()
    assert codes(check_scores("r", ScoreTable.of([*scores, 0.9], [*np.tile([0, 1], 20), 1]), POLICY)) == [
        "release.small_cells"
    ]


def test_subtracting_two_subgroups_gives_nobody_away():
    everybody, half = np.ones(100, bool), np.arange(100) < 50
    assert check_subgroup("s", half, [everybody], POLICY) == ()
    assert check_subgroup("s", everybody, [everybody], POLICY) == ()
    assert codes(check_subgroup("s", np.arange(100) > 0, [everybody], POLICY)) == ["release.differencing"]
    assert codes(check_subgroup("s", np.arange(100) < 54, [everybody, half], POLICY)) == [
        "release.differencing"
    ]


def test_sums_of_products_need_rows_few_columns_and_no_small_cell():
    random = np.random.default_rng(2)
    columns = np.vstack([random.normal(50, 9, 60), np.arange(60) % 2, np.arange(60) < 30]).astype(float)

    def found(matrix, policy=POLICY, **extra):
        given = {"parameters": 3, "cells": (), **extra}
        return codes(check_sums("m", matrix, policy=policy, **given))

    assert found(columns) == []
    assert found(columns[:, :9]) == ["release.minimum_cell"]
    assert found(columns, parameters=20) == ["release.parameters"]
    assert found(columns, cells=(30, 3)) == ["release.few_events"]
    assert found(columns, cells=(30, 0)) == []
    # Two rare flags that meet in three subjects: their product is that count.
    columns[1] = np.arange(60) < 20
    columns[2] = np.arange(60) >= 17
    assert found(columns) == ["release.few_events"]

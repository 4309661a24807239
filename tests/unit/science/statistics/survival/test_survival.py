"""Survival against lifelines and statsmodels on the pooled rows over the same grid."""

import json
import math
import warnings

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from lifelines import KaplanMeierFitter
    from lifelines.statistics import multivariate_logrank_test

from racoon.science.statistics.regression import Options, fit_model
from racoon.science.statistics.survival import (
    Episodes,
    EpisodeSites,
    GriddedSites,
    StratifiedSites,
    SurvivalRows,
    SurvivalTable,
    TimeGrid,
    common_edges,
    cumulative_incidence,
    kaplan_meier,
    log_rank,
    supported_edges,
)

GRID = TimeGrid.regular(60.0, 3.0)
NAMES = ("effusion", "age", "muscle")


def cohort(n=900, seed=1):
    """Exponential survival with planted hazard ratios, censored at random."""
    random = np.random.default_rng(seed)
    x = np.column_stack([random.integers(0, 2, n), random.normal(60, 10, n), random.normal(0, 1, n)])
    hazard = 0.02 * np.exp(math.log(2.2) * x[:, 0] + 0.03 * (x[:, 1] - 60) - 0.5 * x[:, 2])
    time, censoring = random.exponential(1 / hazard), random.uniform(1, 59, n)
    return x, np.minimum(time, censoring), (time <= censoring).astype(float)


def on_grid(times, events, grid=GRID):
    places, kinds = grid.place(times, events)
    return np.array(grid.edges)[places], kinds


def split(x, t, e, sites, seed=0):
    place = np.random.default_rng(seed).integers(0, sites, len(t))
    return [SurvivalRows.of(NAMES, x[place == s], t[place == s], e[place == s]) for s in range(sites)]


def test_kaplan_meier_equals_lifelines_on_the_grid():
    _, t, e = cohort()
    parts = [SurvivalTable.of(GRID, t[k::7], e[k::7]) for k in range(7)]
    curve = kaplan_meier(SurvivalTable.merge(parts))
    gridded, events = on_grid(t, e)
    oracle = KaplanMeierFitter().fit(gridded, events)
    np.testing.assert_allclose(curve.value, oracle.predict(list(GRID.edges)), rtol=1e-12)
    limits = oracle.confidence_interval_.loc[list(GRID.edges)].to_numpy()
    np.testing.assert_allclose(np.column_stack([curve.low, curve.high]), limits, rtol=1e-9)
    assert curve.median() == oracle.median_survival_time_
    np.testing.assert_array_equal(curve.at_risk, oracle.event_table.loc[list(GRID.edges), "at_risk"])
    assert curve.at(31.0).value == curve.value[9]
    assert curve.at(1.0).value == 1.0


def test_log_rank_equals_lifelines_on_the_grid():
    x, t, e = cohort()
    groups = np.digitize(x[:, 1], [55, 65])
    gridded, events = on_grid(t, e)
    for codes in (x[:, 0], groups):
        tables = [SurvivalTable.of(GRID, t[codes == g], e[codes == g]) for g in np.unique(codes)]
        oracle = multivariate_logrank_test(gridded, codes, events)
        found = log_rank(tables)
        assert (found.statistic, found.p) == pytest.approx((oracle.test_statistic, oracle.p_value), rel=1e-8)


def test_cumulative_incidence_sums_to_the_events_of_all_causes():
    _, t, e = cohort()
    e = e * np.random.default_rng(2).integers(1, 3, len(e))
    table = SurvivalTable.of(GRID, t, e, causes=2)
    first, second = cumulative_incidence(table, 1), cumulative_incidence(table, 2)
    np.testing.assert_allclose(first.value + second.value, 1 - kaplan_meier(table).value, atol=1e-12)
    # With one cause it is one minus Kaplan–Meier, limits included.
    single = SurvivalTable.of(GRID, t, (e > 0).astype(float))
    curve, survival = cumulative_incidence(single), kaplan_meier(single)
    np.testing.assert_allclose(curve.value, 1 - survival.value, atol=1e-12)
    np.testing.assert_allclose(curve.low, 1 - survival.high, atol=2e-3)
    assert (first.low <= first.value).all()
    assert (first.value <= first.high).all()


@pytest.mark.parametrize(("ties", "sites"), [("breslow", 5), ("efron", 1), ("efron", 38)])
def test_cox_on_a_grid_equals_statsmodels_on_the_same_grid(ties, sites):
    x, t, e = cohort()
    found = fit_model(GriddedSites(split(x, t, e, sites), GRID, ties), "cox", NAMES)
    gridded, events = on_grid(t, e)
    oracle = sm.PHReg(gridded, x, status=events, ties=ties).fit(disp=0)
    assert found.has_converged
    np.testing.assert_allclose(found.coefficients, oracle.params, rtol=1e-6)
    np.testing.assert_allclose(found.standard_errors, oracle.bse, rtol=1e-6)
    assert found.log_likelihood == pytest.approx(oracle.llf, rel=1e-9)


def test_a_grid_costs_little():
    x, t, e = cohort()
    gridded = fit_model(GriddedSites(split(x, t, e, 5), GRID, "efron"), "cox", NAMES)
    exact = sm.PHReg(t, x, status=e, ties="efron").fit(disp=0)
    shift = np.abs(gridded.coefficients - exact.params) / exact.bse
    assert shift.max() < 0.3  # of a standard error, with intervals of a twentieth of the follow-up
    never = np.full((len(t), 0), np.nan)
    episodes = EpisodeSites([Episodes.of(NAMES, x, never, t, e)])
    with pytest.raises(ValueError, match="no robust variance"):
        fit_model(episodes, "cox", NAMES, Options(variance="robust"))
    assert gridded.ratio("effusion").low < 2.2 < gridded.ratio("effusion").high


@pytest.mark.parametrize("ties", ["breslow", "efron"])
def test_cox_stratified_by_site_equals_statsmodels(ties):
    x, t, e = cohort()
    t = np.ceil(t)  # ties
    sites = split(x, t, e, 4)
    found = fit_model(StratifiedSites(sites, ties), "cox", NAMES)
    strata = np.concatenate([np.full(rows.times.size, s) for s, rows in enumerate(sites)])
    stacked = np.concatenate([rows.columns.T for rows in sites])
    oracle = sm.PHReg(
        np.concatenate([rows.times for rows in sites]),
        stacked,
        status=np.concatenate([rows.events for rows in sites]),
        strata=strata,
        ties=ties,
    ).fit(disp=0)
    np.testing.assert_allclose(found.coefficients, oracle.params, rtol=1e-6)
    np.testing.assert_allclose(found.standard_errors, oracle.bse, rtol=1e-6)
    turned = [SurvivalRows.of(NAMES, s.columns.T[::-1], s.times[::-1], s.events[::-1]) for s in sites[::-1]]
    assert fit_model(StratifiedSites(turned, ties), "cox", NAMES).coefficients.tobytes() == (
        found.coefficients.tobytes()
    )


@given(st.permutations(range(60)), st.integers(1, 5))
@settings(max_examples=10)
def test_order_and_split_change_no_bit(order, sites):
    x, t, e = cohort(60)
    whole = fit_model(GriddedSites([SurvivalRows.of(NAMES, x, t, e)], GRID), "cox", NAMES)
    order = list(order)
    parts = fit_model(GriddedSites(split(x[order], t[order], e[order], sites)[::-1], GRID), "cox", NAMES)
    assert parts.coefficients.tobytes() == whole.coefficients.tobytes()
    assert parts.covariance.tobytes() == whole.covariance.tobytes()


def test_monotone_likelihood_is_said_in_words():
    x, t, e = cohort(300)
    e[x[:, 0] == 0] = 0
    found = fit_model(GriddedSites(split(x, t, e, 3), GRID), "cox", NAMES)
    assert "Separation: effusion" in found.notes[0]
    assert fit_model(GriddedSites(split(x, t, e, 3), GRID), "cox", NAMES, Options(ridge=1.0)).has_converged


def test_sites_agree_on_the_finest_grid_each_can_show():
    _, t, e = cohort()
    fine = TimeGrid.regular(60.0, 1.0)
    parts = [(t[k::3], e[k::3]) for k in range(3)]
    shared = common_edges([supported_edges(fine, *part, minimum=5) for part in parts])
    assert len(shared.edges) > 5
    for times, events in parts:
        table = SurvivalTable.of(shared, times, events)
        assert min(table.events[0]) >= 5
    assert common_edges([(3.0, 6.0), ()]) is None
    assert supported_edges(fine, [1.0, 2.0], [1, 0], minimum=5) == ()


@given(st.lists(st.tuples(st.floats(0, 80), st.integers(0, 1)), min_size=1, max_size=60), st.integers(0, 60))
def test_tables_add_up(rows, cut):
    table = np.array(rows)
    parts = [SurvivalTable.of(GRID, part[:, 0], part[:, 1]) for part in (table[:cut], table[cut:])]
    whole = SurvivalTable.of(GRID, table[:, 0], table[:, 1])
    assert SurvivalTable.merge(parts) == SurvivalTable.merge(parts[::-1]) == whole
    assert whole.n == len(rows)
    assert SurvivalTable.from_dict(json.loads(json.dumps(whole.to_dict()))) == whole


def test_bad_grids_and_rows_are_refused():
    with pytest.raises(ValueError, match="ascending"):
        TimeGrid((3.0, 3.0))
    with pytest.raises(ValueError, match="whole number of steps"):
        TimeGrid.regular(10.0, 3.0)
    with pytest.raises(ValueError, match="not negative"):
        SurvivalTable.of(GRID, [-1.0], [1])
    with pytest.raises(ValueError, match="announced"):
        SurvivalTable.of(GRID, [1.0], [2])

"""Robust and clustered variance of Cox models against statsmodels and a plain loop over subjects."""

import numpy as np
import pytest
import statsmodels.api as sm

from racoon.science.statistics.regression import ModelQuestion, Options, fit_model
from racoon.science.statistics.survival import (
    GriddedSites,
    RiskSums,
    StratifiedSites,
    SurvivalRows,
    TimeGrid,
    compute_risk_sums,
    grid_residuals,
    own_residuals,
    risk_path,
)

GRID = TimeGrid.regular(60.0, 5.0)
NAMES = ("a", "b")


def cohort(n=240, seed=4):
    random = np.random.default_rng(seed)
    clusters = np.arange(n) // 4
    shared = random.normal(0, 0.7, clusters.max() + 1)[clusters]
    x = np.column_stack([random.integers(0, 2, n), random.normal(0, 1, n)])
    time = random.exponential(1 / (0.02 * np.exp(0.7 * x[:, 0] - 0.4 * x[:, 1] + shared)))
    censoring = random.uniform(1, 59, n)
    return x, np.minimum(time, censoring), (time <= censoring).astype(float), clusters


def split(x, t, e, clusters, sites):
    place = clusters % sites  # a cluster lies within one site
    return [
        SurvivalRows.of(NAMES, *(part[place == site] for part in (x, t, e, clusters)))
        for site in range(sites)
    ]


def on_grid(t, e):
    places, kinds = GRID.place(t, e)
    return np.array(GRID.edges)[places], kinds


@pytest.mark.parametrize("sites", [1, 7])
@pytest.mark.parametrize("variance", ["robust", "clustered"])
def test_on_a_grid_equals_statsmodels(sites, variance):
    x, t, e, clusters = cohort()
    gridded, events = on_grid(t, e)
    groups = clusters if variance == "clustered" else np.arange(len(t))
    oracle = sm.PHReg(gridded, x, status=events, ties="breslow").fit(disp=0, groups=groups)
    parts = GriddedSites(split(x, t, e, clusters, sites), GRID, "breslow")
    found = fit_model(parts, "cox", NAMES, Options(variance=variance))
    np.testing.assert_allclose(found.coefficients, oracle.params, rtol=1e-6)
    np.testing.assert_allclose(found.standard_errors, oracle.bse, rtol=1e-6)


@pytest.mark.parametrize("variance", ["robust", "clustered"])
def test_stratified_by_site_equals_statsmodels(variance):
    x, t, e, clusters = cohort()
    groups = clusters if variance == "clustered" else np.arange(len(t))
    oracle = sm.PHReg(t, x, status=e, strata=clusters % 3, ties="breslow").fit(disp=0, groups=groups)
    sites = StratifiedSites(split(x, t, e, clusters, 3), "breslow")
    found = fit_model(sites, "cox", NAMES, Options(variance=variance))
    np.testing.assert_allclose(found.coefficients, oracle.params, rtol=1e-6)
    np.testing.assert_allclose(found.standard_errors, oracle.bse, rtol=1e-6)


def plain_residuals(x, t, e, beta):
    """Efron's score residuals, subject by subject and death by death."""
    w, found = np.exp(x @ beta), np.zeros_like(x)
    for time in np.unique(t[e == 1]):
        dying = [i for i in range(len(t)) if t[i] == time and e[i] == 1]
        for number in range(len(dying)):
            share = number / len(dying)
            count = {i: w[i] * (1 - share if i in dying else 1) for i in range(len(t)) if t[i] >= time}
            total = sum(count.values())
            mean = sum(part * x[i] for i, part in count.items()) / total
            for i, part in count.items():
                found[i] -= part * (x[i] - mean) / total
            for i in dying:
                found[i] += (x[i] - mean) / len(dying)
    return found


def test_efrons_residuals_are_the_plain_ones_and_add_up_to_the_score():
    x, t, e, clusters = cohort(80)
    gridded, events = on_grid(t, e)
    beta = np.array([0.3, -0.2])
    question = ModelQuestion("cox", NAMES, tuple(beta))
    plain = plain_residuals(x, gridded, events, beta).T
    rows = SurvivalRows.of(NAMES, x, t, e)
    sums = compute_risk_sums(rows, GRID, question)
    np.testing.assert_allclose(
        grid_residuals(rows, GRID, question, risk_path(sums, "efron")), plain, atol=1e-12
    )
    own = SurvivalRows.of(NAMES, x, gridded, events)
    np.testing.assert_allclose(own_residuals(own, question, "efron"), plain, atol=1e-12)
    score = [float(value) for value in StratifiedSites([own]).ask_step(question).score]
    np.testing.assert_allclose(plain.sum(axis=1), score, atol=1e-10)
    # Each site squares its own residuals over the risk sets of all.
    parts = split(x, t, e, clusters, 4)
    path = risk_path(RiskSums.merge(compute_risk_sums(part, GRID, question) for part in parts), "efron")
    joined = np.hstack([grid_residuals(part, GRID, question, path) for part in parts])
    order = np.argsort(clusters % 4, kind="stable")
    np.testing.assert_allclose(joined, plain[:, order], atol=1e-12)


def test_a_path_over_another_grid_is_refused():
    x, t, e, _ = cohort(40)
    rows, question = SurvivalRows.of(NAMES, x, t, e), ModelQuestion("cox", NAMES, (0.0, 0.0))
    with pytest.raises(ValueError, match="risk path"):
        grid_residuals(rows, GRID, question, (1.0, 2.0))

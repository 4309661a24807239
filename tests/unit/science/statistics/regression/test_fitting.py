"""Models against statsmodels on the pooled rows, on random splits into 1 to 38 sites."""

import json
import math
import warnings

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from patsy import dmatrix

from racoon.science.statistics.regression import (
    Design,
    ModelQuestion,
    ModelStep,
    Options,
    SitesInProcess,
    compute_step,
    fit_model,
    restricted_cubic_spline,
)

NAMES = ("age", "effusion", "site_type")
FAMILIES = {
    "gaussian": sm.families.Gaussian(),
    "binomial": sm.families.Binomial(),
    "poisson": sm.families.Poisson(),
}


def cohort(family, n=600, seed=1):
    """Covariates in awkward units, an outcome of the family."""
    random = np.random.default_rng(seed)
    x = np.column_stack([random.normal(62, 12, n), random.gamma(2, 150, n), random.integers(0, 2, n)])
    eta = -2.0 + 0.02 * x[:, 0] + 0.002 * x[:, 1] - 0.4 * x[:, 2]
    if family == "gaussian":
        return x, eta + random.normal(0, 0.7, n)
    if family == "binomial":
        return x, random.binomial(1, 1 / (1 + np.exp(-eta))).astype(float)
    if family == "poisson":
        return x, random.poisson(np.exp(eta)).astype(float)
    return x, random.negative_binomial(1.5, 1.5 / (1.5 + np.exp(eta + 1))).astype(float)


def split(x, y, sites, seed, **extra):
    """Rows to sites at random; some sites may be tiny."""
    place = np.random.default_rng(seed).integers(0, sites, len(y))
    return [
        Design.of(NAMES, x[place == s], y[place == s], **{k: v[place == s] for k, v in extra.items()})
        for s in range(sites)
    ]


def fit(designs, family, **options):
    return fit_model(SitesInProcess(designs), family, designs[0].names, Options(**options))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("sites", [1, 3, 38])
def test_fit_equals_statsmodels(family, sites):
    x, y = cohort(family)
    found = fit(split(x, y, sites, sites), family)
    oracle = sm.GLM(y, sm.add_constant(x), family=FAMILIES[family]).fit(tol=1e-13, maxiter=100)
    assert found.has_converged
    assert found.notes == ()
    np.testing.assert_allclose(found.coefficients, oracle.params, rtol=1e-6)
    np.testing.assert_allclose(found.standard_errors, oracle.bse, rtol=1e-6)
    if family != "gaussian":
        assert found.log_likelihood == pytest.approx(oracle.llf, rel=1e-10)
        np.testing.assert_allclose(found.p_values, oracle.pvalues, rtol=1e-5)
    else:
        ols = sm.OLS(y, sm.add_constant(x)).fit()
        np.testing.assert_allclose(found.p_values, ols.pvalues, rtol=1e-6)
        assert found.log_likelihood == pytest.approx(ols.llf, rel=1e-10)
        interval = found.estimate("age")
        assert (interval.low, interval.high) == pytest.approx(tuple(ols.conf_int()[1]), rel=1e-6)


def test_negative_binomial_equals_statsmodels():
    x, y = cohort("negative-binomial", n=900)
    found = fit(split(x, y, 5, 2), "negative-binomial")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scaled = x / [10, 100, 1]
        oracle = sm.NegativeBinomial(y, sm.add_constant(scaled)).fit(
            method="newton", maxiter=200, disp=0, tol=1e-12
        )
        given_alpha = sm.GLM(
            y, sm.add_constant(x), family=sm.families.NegativeBinomial(alpha=found.dispersion)
        ).fit(tol=1e-13, maxiter=100)
    assert found.has_converged
    assert found.dispersion == pytest.approx(oracle.params[-1], rel=1e-6)
    np.testing.assert_allclose(found.coefficients * [1, 10, 100, 1], oracle.params[:-1], rtol=1e-6)
    np.testing.assert_allclose(found.standard_errors, given_alpha.bse, rtol=1e-6)
    assert found.log_likelihood == pytest.approx(oracle.llf, rel=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
def test_robust_and_clustered_variance_equal_statsmodels(family):
    x, y = cohort(family)
    clusters = np.arange(len(y)) // 4
    place = clusters % 7  # a cluster lies within one site
    designs = [
        Design.of(NAMES, x[place == s], y[place == s], clusters=clusters[place == s]) for s in range(7)
    ]
    model = sm.GLM(y, sm.add_constant(x), family=FAMILIES[family])
    robust = model.fit(cov_type="HC0", tol=1e-13, maxiter=100)
    if family == "gaussian":
        robust = sm.OLS(y, sm.add_constant(x)).fit(cov_type="HC1")
    grouped = model.fit(cov_type="cluster", cov_kwds={"groups": clusters}, tol=1e-13, maxiter=100)
    np.testing.assert_allclose(fit(designs, family, variance="robust").standard_errors, robust.bse, rtol=1e-6)
    np.testing.assert_allclose(
        fit(designs, family, variance="clustered").standard_errors, grouped.bse, rtol=1e-6
    )


def test_weights_and_offset_equal_statsmodels():
    x, y = cohort("poisson")
    random = np.random.default_rng(9)
    weights, offset = random.uniform(0.5, 3, len(y)), np.log(random.uniform(1, 5, len(y)))
    found = fit(split(x, y, 4, 1, weights=weights, offset=offset), "poisson")
    oracle = sm.GLM(
        y, sm.add_constant(x), family=sm.families.Poisson(), freq_weights=weights, offset=offset
    ).fit(tol=1e-13)
    np.testing.assert_allclose(found.coefficients, oracle.params, rtol=1e-6)
    np.testing.assert_allclose(found.standard_errors, oracle.bse, rtol=1e-6)


def test_ridge_of_a_linear_model_is_the_closed_form():
    x, y = cohort("gaussian")
    full = sm.add_constant(x)
    by_hand = np.linalg.solve(full.T @ full + np.diag([0, 50.0, 50.0, 50.0]), full.T @ y)
    found = fit(split(x, y, 3, 5), "gaussian", ridge=50.0)
    np.testing.assert_allclose(found.coefficients, by_hand, rtol=1e-8)


@given(st.permutations(range(60)), st.integers(1, 6), st.sampled_from([*FAMILIES, "negative-binomial"]))
@settings(max_examples=15)
def test_order_and_split_change_no_bit_of_the_fit(order, sites, family):
    x, y = cohort(family, n=60, seed=3)
    whole = fit([Design.of(NAMES, x, y)], family)
    parts = fit(split(x[list(order)], y[list(order)], sites, 4)[::-1], family)
    assert parts.coefficients.tobytes() == whole.coefficients.tobytes()
    assert parts.covariance.tobytes() == whole.covariance.tobytes()


def test_separation_is_said_in_words():
    x, y = cohort("binomial", n=300)
    x[:, 2] = y
    found = fit(split(x, y, 3, 1), "binomial")
    assert not found.has_converged
    assert "Separation: site_type" in found.notes[0]
    assert np.isnan(found.coefficients).all()
    assert fit(split(x, y, 3, 1), "binomial", ridge=1.0).has_converged


def test_a_level_without_events_is_separation_too():
    x, y = cohort("poisson", n=300)
    y[x[:, 2] == 1] = 0
    assert "Separation: site_type" in fit(split(x, y, 3, 1), "poisson").notes[0]


def test_collinearity_is_said_in_words():
    x, y = cohort("binomial")
    x[:, 2] = 3 * x[:, 0] - 1
    found = fit(split(x, y, 3, 1), "binomial")
    assert found.notes[0].startswith("Linearly dependent")
    assert "age" in found.notes[0]
    assert "site_type" in found.notes[0]
    assert "effusion" not in found.notes[0]
    x[:, 2] = 0
    assert fit(split(x, y, 3, 1), "binomial").notes == (
        "Linearly dependent, leave one of them out: site_type.",
    )


def test_no_convergence_is_said_in_words():
    x, y = cohort("binomial")
    assert "No convergence within 2 rounds" in fit([Design.of(NAMES, x, y)], "binomial", rounds=2).notes[0]


def test_rows_with_missing_values_are_left_out_and_counted():
    x, y = cohort("binomial", n=100)
    x[3, 0], y[7] = math.nan, math.nan
    found = fit(split(x, y, 2, 1), "binomial")
    assert (found.n, found.left_out) == (98, 2)


def test_answers_survive_the_wire():
    x, y = cohort("binomial", n=50)
    design = Design.of(NAMES, x, y)
    step = compute_step(design, ModelQuestion("binomial", design.names, (0.1, 0.0, 0.0, 0.2)))
    assert ModelStep.from_dict(json.loads(json.dumps(step.to_dict()))) == step
    with pytest.raises(ValueError, match="other columns"):
        compute_step(design, ModelQuestion("binomial", ("x",), (0.0,)))
    with pytest.raises(ValueError, match="0 or 1"):
        compute_step(Design.of(NAMES, x, y + 1), ModelQuestion("binomial", design.names, (0.0,) * 4))


def test_odds_ratio_is_the_exponential():
    x, y = cohort("binomial")
    found = fit([Design.of(NAMES, x, y)], "binomial")
    ratio, log = found.ratio("site_type"), found.estimate("site_type")
    assert (ratio.value, ratio.low, ratio.high) == tuple(math.exp(v) for v in (log.value, log.low, log.high))


def test_spline_spans_the_space_of_the_library():
    x = np.random.default_rng(2).uniform(20, 90, 200)
    ours = sm.add_constant(restricted_cubic_spline(x, [30, 50, 65, 80]))
    theirs = np.asarray(
        dmatrix("cr(x, knots=(50, 65), lower_bound=30, upper_bound=80) - 1", {"x": np.clip(x, 30, 80)})
    )
    inside = (x >= 30) & (x <= 80)
    residual = theirs[inside] - ours[inside] @ np.linalg.lstsq(ours[inside], theirs[inside], rcond=None)[0]
    assert np.abs(residual).max() < 1e-9
    tail = restricted_cubic_spline([90.0, 100.0, 110.0], [30, 50, 65, 80])
    np.testing.assert_allclose(np.diff(tail, n=2, axis=0), 0, atol=1e-9)

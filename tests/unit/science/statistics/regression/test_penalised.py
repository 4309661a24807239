"""Lasso and elastic net against statsmodels on the pooled rows."""

import numpy as np
import pytest
import statsmodels.api as sm

from racoon.science.statistics.regression import INTERCEPT, Design, SitesInProcess, fit_lasso

NAMES = ("a", "b", "c", "d", "e")


def cohort(family, n=400):
    random = np.random.default_rng(4)
    x = random.normal(size=(n, 5))
    x[:, 1] += 0.5 * x[:, 0]
    eta = 0.2 + 0.8 * x[:, 0] - 0.5 * x[:, 1]
    if family == "gaussian":
        return x, eta + random.normal(size=n)
    if family == "binomial":
        return x, (random.random(n) < 1 / (1 + np.exp(-eta))).astype(float)
    return x, random.poisson(np.exp(eta)).astype(float)


def fit(x, y, family, sites, **penalties):
    designs = [Design.of(NAMES, x[s::sites], y[s::sites]) for s in range(sites)]
    return fit_lasso(SitesInProcess(designs), family, (INTERCEPT, *NAMES), **penalties)


@pytest.mark.parametrize("family", ["gaussian", "binomial", "poisson"])
@pytest.mark.parametrize("ridge", [0.0, 6.0])
def test_estimates_equal_statsmodels(family, ridge):
    x, y = cohort(family)
    found = fit(x, y, family, 6, lasso=25.0, ridge=ridge)
    kinds = {
        "gaussian": sm.families.Gaussian(),
        "binomial": sm.families.Binomial(),
        "poisson": sm.families.Poisson(),
    }
    alpha = (25.0 + ridge) / len(y)
    oracle = sm.GLM(y, sm.add_constant(x), family=kinds[family]).fit_regularized(
        alpha=alpha * np.array([0, 1, 1, 1, 1, 1]),
        L1_wt=25.0 / (25.0 + ridge),
        cnvrg_tol=1e-13,
        maxiter=2000,
        zero_tol=1e-12,
    )
    assert found.has_converged
    np.testing.assert_allclose(found.coefficients, oracle.params, atol=2e-6)
    assert (found.coefficients == 0).sum() == (np.abs(oracle.params) < 1e-9).sum()
    assert np.isnan(found.covariance).all()


def test_split_changes_no_bit_and_what_is_kept_is_said():
    x, y = cohort("binomial")
    one, many = (fit(x, y, "binomial", sites, lasso=25.0) for sites in (1, 11))
    assert one.coefficients.tobytes() == many.coefficients.tobytes()
    kept = int((one.coefficients[1:] != 0).sum())
    assert 0 < kept < 5
    assert one.notes == (f"Lasso: {kept} of 5 columns kept; penalised estimates have no standard errors.",)


def test_separated_data_have_a_lasso_estimate():
    x, y = cohort("binomial")
    x[:, 2] = y
    assert fit(x, y, "binomial", 3, lasso=5.0).has_converged

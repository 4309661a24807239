"""Interrupted time series against statsmodels, and by planted drops."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.linalg import toeplitz

from racoon.science.statistics.time_series import add_series, interrupted_time_series, segmented_design


def series(seed, drop=-0.35, rho=0.4, n=84, start=48):
    """Seven years of monthly counts with season, trend and correlated errors; the drop is one of the logarithm."""
    random = np.random.default_rng(seed)
    noise = np.zeros(n)
    noise[0] = random.normal(0, 0.08 / np.sqrt(1 - rho**2))
    for t in range(1, n):
        noise[t] = rho * noise[t - 1] + random.normal(0, 0.08)
    time = np.arange(n)
    mean = 6 + 0.003 * time + drop * (time >= start) + 0.1 * np.sin(2 * np.pi * time / 12)
    return np.exp(mean + noise)


def test_generalised_least_squares_equals_statsmodels():
    values = series(3)
    found = interrupted_time_series(values, 48, log_scale=True, season=12)
    _, x = segmented_design(84, 48, season=12)
    oracle = sm.GLS(np.log(values), x, sigma=toeplitz(found.autocorrelation ** np.arange(84))).fit()
    np.testing.assert_allclose(found.coefficients, oracle.params, rtol=1e-7)
    np.testing.assert_allclose(found.standard_errors, oracle.bse, rtol=1e-7)
    np.testing.assert_allclose(found.p_values, oracle.pvalues, rtol=1e-5, atol=1e-30)


def test_newey_west_equals_statsmodels():
    values = series(4)
    found = interrupted_time_series(values, 48, season=12, errors="newey-west", lags=4)
    _, x = segmented_design(84, 48, season=12)
    oracle = sm.OLS(values, x).fit(
        cov_type="HAC", cov_kwds={"maxlags": 4, "use_correction": True}, use_t=True
    )
    np.testing.assert_allclose(found.coefficients, oracle.params, rtol=1e-8)
    np.testing.assert_allclose(found.standard_errors, oracle.bse, rtol=1e-8)
    np.testing.assert_allclose(found.p_values, oracle.pvalues, rtol=1e-6, atol=1e-30)


def test_a_planted_drop_lies_in_its_interval_in_95_of_100_simulations():
    hits = 0
    for seed in range(400):
        found = interrupted_time_series(series(seed), 48, log_scale=True, season=12)
        hits += found.level_change.low <= -0.35 <= found.level_change.high
    # 380 of 400 expected; the binomial's three standard errors are 13.
    assert 367 <= hits <= 393


def test_what_would_have_been():
    found = interrupted_time_series(series(1), 48, log_scale=True, season=12)
    assert found.relative_change.low < 100 * np.expm1(-0.35) < found.relative_change.high
    assert found.fitted[48] / found.expected[48] == pytest.approx(1 + found.relative_change.value / 100)
    np.testing.assert_array_equal(found.expected[:48], found.fitted[:48])


def test_periods_of_sites_add_up():
    assert add_series([[5, None, 7], [6, 6, 6]]) == (11, None, 13)
    with pytest.raises(ValueError, match="same periods"):
        add_series([[1], [1, 2]])


def test_too_short_or_impossible_series_are_refused():
    with pytest.raises(ValueError, match="8 periods"):
        interrupted_time_series(np.ones(20), 15)
    with pytest.raises(ValueError, match="positive values"):
        interrupted_time_series(np.zeros(40), 20, log_scale=True)

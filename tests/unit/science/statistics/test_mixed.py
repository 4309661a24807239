"""The mixed model with a site intercept against statsmodels' MixedLM on the pooled rows."""

import warnings

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from racoon.science.statistics.mixed import fit_mixed
from racoon.science.statistics.sums import CrossProducts

NAMES = ("age", "male", "outcome")


def cohort(n=500, sites=9, spread=1.5):
    random = np.random.default_rng(8)
    site = random.integers(0, sites, n)
    x = np.column_stack([random.normal(60, 12, n), random.integers(0, 2, n)])
    y = 3 + 0.05 * x[:, 0] - 0.7 * x[:, 1] + random.normal(0, spread, sites)[site] + random.normal(0, 1, n)
    return site, np.column_stack([x, y])


def parts(site, rows):
    return {f"s{s}": CrossProducts.of(NAMES, rows[site == s]) for s in np.unique(site)}


@pytest.mark.parametrize("likelihood", ["reml", "ml"])
def test_fit_equals_statsmodels(likelihood):
    site, rows = cohort()
    found = fit_mixed(parts(site, rows), likelihood=likelihood)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = sm.MixedLM(rows[:, 2], sm.add_constant(rows[:, :2]), groups=site)
        oracle = model.fit(reml=likelihood == "reml", method=["lbfgs", "bfgs"], gtol=1e-12)
    # The library's search stops short of the top (see the next test), so its variances carry fewer digits.
    np.testing.assert_allclose(found.coefficients, oracle.fe_params, rtol=1e-6)
    np.testing.assert_allclose(np.sqrt(np.diag(found.covariance)), oracle.bse_fe, rtol=2e-4)
    assert found.within == pytest.approx(oracle.scale, rel=1e-4)
    assert found.between == pytest.approx(float(np.asarray(oracle.cov_re)[0, 0]), rel=2e-3)
    assert found.log_likelihood >= oracle.llf - 1e-9
    assert found.log_likelihood == pytest.approx(oracle.llf, abs=1e-5)
    ours = [found.site_effects[f"s{s}"] for s in np.unique(site)]
    theirs = [float(np.asarray(oracle.random_effects[s])[0]) for s in np.unique(site)]
    np.testing.assert_allclose(ours, theirs, atol=1e-3)
    assert 0.3 < found.intraclass_correlation < 0.9


def test_the_estimate_is_at_the_top_of_the_dense_likelihood():
    site, rows = cohort(n=120, sites=4)
    found = fit_mixed(parts(site, rows))

    def likelihood(between, within):
        x, y = sm.add_constant(rows[:, :2]), rows[:, 2]
        v = between * (site[:, None] == site) + within * np.eye(len(y))
        inverse = np.linalg.inv(v)
        gram = x.T @ inverse @ x
        rest = y - x @ np.linalg.solve(gram, x.T @ inverse @ y)
        if within == found.within and between == found.between:
            errors = np.sqrt(np.diag(np.linalg.inv(gram)))
            np.testing.assert_allclose(np.sqrt(np.diag(found.covariance)), errors, rtol=1e-9)
            np.testing.assert_allclose(
                found.coefficients, np.linalg.solve(gram, x.T @ inverse @ y), rtol=1e-9
            )
        return -0.5 * (np.linalg.slogdet(v)[1] + np.linalg.slogdet(gram)[1] + rest @ inverse @ rest)

    top = likelihood(found.between, found.within)
    for factor in (0.99, 1.01):
        assert likelihood(found.between * factor, found.within) < top
        assert likelihood(found.between, found.within * factor) < top
    np.testing.assert_allclose(top - (120 - 3) / 2 * np.log(2 * np.pi), found.log_likelihood, rtol=1e-10)


def test_sites_that_do_not_differ_have_no_variance():
    site, rows = cohort(spread=0.0, sites=3)
    rows[:, 2] -= np.array([rows[site == s, 2].mean() for s in range(3)])[site]
    found = fit_mixed(parts(site, rows))
    assert found.between == 0.0
    assert "do not differ" in found.notes[0]


@given(st.permutations(range(5)), st.integers(0, 99))
@settings(max_examples=6)
def test_order_of_sites_and_rows_changes_no_bit(order, seed):
    site, rows = cohort(n=80, sites=5)
    shuffled = np.random.default_rng(seed).permutation(80)
    whole, again = parts(site, rows), parts(site[shuffled], rows[shuffled])
    names = list(whole)
    turned = {names[place]: again[names[place]] for place in order}
    assert fit_mixed(whole).coefficients.tobytes() == fit_mixed(turned).coefficients.tobytes()


def test_dependent_columns_and_a_single_site_are_refused():
    site, rows = cohort(n=60, sites=3)
    with pytest.raises(ValueError, match="two sites"):
        fit_mixed({"one": CrossProducts.of(NAMES, rows)})
    rows[:, 1] = 2 * rows[:, 0]
    with pytest.raises(ValueError, match=r"linearly dependent.*age"):
        fit_mixed(parts(site, rows))

"""Meta-analysis against the BCG vaccine trials to the printed digits, and against statsmodels."""

import math

import numpy as np
import pytest
from statsmodels.stats import meta_analysis as oracle

from racoon.science.statistics.meta_analysis import Effect, funnel_test, leave_one_out, synthesise

# Thirteen trials of the BCG vaccine against tuberculosis: cases and non-cases, vaccinated then control.
# Colditz and others 1994, doi:10.1001/jama.1994.03510330076038, as tabulated in Berkey and others 1995,
# doi:10.1002/sim.4780140406.
BCG = {
    "Aronson 1948": (4, 119, 11, 128),
    "Ferguson & Simes 1949": (6, 300, 29, 274),
    "Rosenthal 1960": (3, 228, 11, 209),
    "Hart & Sutherland 1977": (62, 13536, 248, 12619),
    "Frimodt-Moller 1973": (33, 5036, 47, 5761),
    "Stein & Aronson 1953": (180, 1361, 372, 1079),
    "Vandiviere 1973": (8, 2537, 10, 619),
    "TPT Madras 1980": (505, 87886, 499, 87892),
    "Coetzee & Berjak 1968": (29, 7470, 45, 7232),
    "Rosenthal 1961": (17, 1699, 65, 1600),
    "Comstock 1974": (186, 50448, 141, 27197),
    "Comstock & Webster 1969": (5, 2493, 3, 2338),
    "Comstock 1976": (27, 16886, 29, 17825),
}
TRIALS = [Effect.log_risk_ratio(name, cells) for name, cells in BCG.items()]


def rounded(*values, digits=4):
    return tuple(round(value, digits) for value in values)


def test_restricted_likelihood_of_the_vaccine_trials():
    # Viechtbauer 2010, doi:10.18637/jss.v036.i03, section 3: random-effects model of these data.
    found = synthesise(TRIALS, "reml")
    assert rounded(found.tau2, found.tau2_error) == (0.3132, 0.1664)
    assert rounded(found.i2, found.h2, digits=2) == (92.22, 12.86)
    assert rounded(found.q) == (152.2330,)
    assert rounded(found.pooled.value, found.standard_error) == (-0.7145, 0.1798)
    assert rounded(found.pooled.value / found.standard_error) == (-3.9744,)
    assert rounded(found.pooled.low, found.pooled.high) == (-1.0669, -0.3622)
    assert found.p < 0.0001
    assert found.q_p < 0.0001


def test_fixed_and_moment_estimates_of_the_vaccine_trials():
    fixed, moments = synthesise(TRIALS, "fixed"), synthesise(TRIALS, "dersimonian-laird")
    assert rounded(fixed.pooled.value, fixed.pooled.low, fixed.pooled.high) == (-0.4303, -0.5097, -0.3509)
    assert rounded(moments.pooled.value, moments.tau2) == (-0.7141, 0.3088)
    assert rounded(math.exp(moments.pooled.value), digits=2) == (0.49,)
    assert math.isnan(fixed.prediction.low)


@pytest.mark.parametrize("knapp", [False, True])
def test_moment_estimate_equals_statsmodels(knapp):
    result = oracle.combine_effects(
        np.array([effect.value for effect in TRIALS]),
        np.array([effect.variance for effect in TRIALS]),
        method_re="chi2",
        row_names=list(BCG),
        use_t=knapp,
    )
    found = synthesise(TRIALS, "dersimonian-laird", hartung_knapp=knapp)
    assert found.tau2 == pytest.approx(result.tau2, rel=1e-9)
    assert found.pooled.value == pytest.approx(result.mean_effect_re, rel=1e-9)
    error = math.sqrt(result.var_hksj_re) if knapp else result.sd_eff_w_re
    assert found.standard_error == pytest.approx(error, rel=1e-9)
    assert found.q == pytest.approx(result.q, rel=1e-9)
    np.testing.assert_allclose(found.weights, 100 * result.weights_rel_re, rtol=1e-9)


def test_restricted_likelihood_is_at_its_top():
    found = synthesise(TRIALS, "reml")
    y, v = np.array([e.value for e in TRIALS]), np.array([e.variance for e in TRIALS])

    def likelihood(tau2):
        w = 1 / (v + tau2)
        centre = w @ y / w.sum()
        return -0.5 * (np.log(v + tau2).sum() + np.log(w.sum()) + w @ (y - centre) ** 2)

    assert likelihood(found.tau2) > max(likelihood(found.tau2 - 1e-4), likelihood(found.tau2 + 1e-4))


def test_prediction_interval_is_wider_than_the_confidence_interval():
    found = synthesise(TRIALS, "reml")
    by_hand = 2.200985 * math.sqrt(found.tau2 + found.standard_error**2)
    assert found.prediction.high - found.pooled.value == pytest.approx(by_hand, rel=1e-6)
    assert found.prediction.low < found.pooled.low < found.pooled.high < found.prediction.high


def test_leaving_one_out():
    rows = leave_one_out(TRIALS, "dersimonian-laird")
    assert [name for name, _ in rows] == list(BCG)
    assert rows[0][1] == synthesise(TRIALS[1:], "dersimonian-laird")


def test_sites_without_heterogeneity_pool_like_a_fixed_effect():
    effects = [Effect(str(index), 0.5 + 0.01 * (-1) ** index, 0.04) for index in range(6)]
    assert synthesise(effects, "reml").tau2 == 0.0
    assert synthesise(effects, "reml").pooled == synthesise(effects, "fixed").pooled


def test_a_funnel_that_leans_is_seen():
    errors = np.linspace(0.1, 0.6, 15)
    noise = np.random.default_rng(1).normal(0, 0.02, 15)
    leaning = [
        Effect(str(i), 0.2 + 1.5 * e + n, e**2) for i, (e, n) in enumerate(zip(errors, noise, strict=True))
    ]
    assert funnel_test(leaning).p < 0.001
    assert funnel_test(leaning).intercept.low < 1.5 < funnel_test(leaning).intercept.high
    # Egger's test of the vaccine trials, ordinary least squares.
    assert 0.05 < funnel_test(TRIALS).p < 1


def test_empty_cells_get_one_half():
    assert Effect.log_odds_ratio("x", (0, 10, 5, 5)).value == pytest.approx(
        math.log(0.5 * 5.5 / (10.5 * 5.5))
    )
    with pytest.raises(ValueError, match="positive variance"):
        Effect("x", 1.0, 0.0)

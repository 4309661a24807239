"""Cox models with covariates that switch on in time against statsmodels' PHReg with entry times."""

import math

import numpy as np
import pytest
import statsmodels.api as sm

from racoon.science.statistics.regression import ModelQuestion, fit_model
from racoon.science.statistics.survival import (
    Episodes,
    EpisodeSites,
    StratifiedSites,
    SurvivalRows,
    compute_episode_step,
)

NAMES = ("age", "muscle", "after(ventilated)")


def cohort(n=500, seed=2, truth=2.2):
    """Survival with a hazard that is multiplied by ``truth`` from the day of ventilation on."""
    random = np.random.default_rng(seed)
    x = np.column_stack([random.normal(60, 10, n), random.integers(0, 2, n)])
    switch = np.where(random.random(n) < 0.5, np.round(random.exponential(20, n), 1) + 0.05, np.nan)
    hazard = 0.02 * np.exp(0.02 * (x[:, 0] - 60) + 0.5 * x[:, 1])
    need = random.exponential(1, n)
    turn = np.where(np.isnan(switch), np.inf, switch)
    time = np.where(
        need < hazard * turn, need / hazard, turn + (need - hazard * np.minimum(turn, 1e9)) / (hazard * truth)
    )
    censoring = random.uniform(5, 80, n)
    return x, switch, np.ceil(np.minimum(time, censoring)), (time <= censoring).astype(float)


def split(data, sites):
    x, switch, time, event = data
    return [
        Episodes.of(NAMES, x[s::sites], switch[s::sites, None], time[s::sites], event[s::sites])
        for s in range(sites)
    ]


@pytest.mark.parametrize("ties", ["breslow", "efron"])
def test_fit_equals_statsmodels(ties):
    parts = split(cohort(), 4)
    found = fit_model(EpisodeSites(parts, ties), "cox", NAMES)
    strata = np.concatenate([np.full(part.stops.size, place) for place, part in enumerate(parts)])
    oracle = sm.PHReg(
        np.concatenate([part.stops for part in parts]),
        np.hstack([part.columns for part in parts]).T,
        status=np.concatenate([part.events for part in parts]),
        entry=np.concatenate([part.starts for part in parts]).clip(0),  # the first episode begins before 0
        strata=strata,
        ties=ties,
    ).fit()
    # The library counts who enters at an event time as at risk, we don't: here nobody does.
    np.testing.assert_allclose(found.coefficients, oracle.params, rtol=1e-6)
    np.testing.assert_allclose(found.standard_errors, oracle.bse, rtol=1e-6)
    ratio = found.ratio("after(ventilated)")
    assert ratio.low < 2.2 < ratio.high


def test_without_a_switch_it_is_the_stratified_model():
    x, switch, time, event = cohort(n=200)
    never = np.full_like(switch, np.nan)
    parts = split((x, np.where(np.arange(200) < 100, 0.0, never), time, event), 2)
    fixed = (np.arange(200) < 100).astype(float)
    rows = [
        SurvivalRows.of(NAMES, np.column_stack([x, fixed])[s::2], time[s::2], event[s::2]) for s in range(2)
    ]
    one, other = (fit_model(sites, "cox", NAMES) for sites in (EpisodeSites(parts), StratifiedSites(rows)))
    np.testing.assert_allclose(one.coefficients, other.coefficients, rtol=1e-9)
    assert parts[0].subjects == 100


def test_order_of_the_subjects_changes_nothing():
    data = cohort(n=80)
    order = np.random.default_rng(1).permutation(80)
    question = ModelQuestion("cox", NAMES, (0.01, 0.2, 0.5))
    one, again = (
        compute_episode_step(split(part, 1)[0], question, "efron")
        for part in (data, tuple(values[order] for values in data))
    )
    assert one == again
    assert one.n == 80


def test_bad_rows_are_refused_and_missing_ones_left_out():
    x, switch, time, event = cohort(n=30)
    x[3, 0] = math.nan
    assert split((x, switch, time, event), 1)[0].left_out == 1
    with pytest.raises(ValueError, match="0 or 1"):
        split((x, switch, time, event + 1), 1)

"""ComBat from sums against the published algorithm on the pooled rows."""

import numpy as np
import pytest

from racoon.science.statistics.harmonisation import fit_combat
from racoon.science.statistics.sums import CrossProducts

FEATURES = tuple(f"feature{i}" for i in range(12))
COVARIATES = ("age", "sex")


def cohort(seed=1, sites=4):
    random = np.random.default_rng(seed)
    batch = random.integers(0, sites, 300)
    x = np.column_stack([random.normal(60, 10, 300), random.integers(0, 2, 300)])
    effect = random.normal(0, [[0.02], [0.5]], (2, 12))
    y = 100 + x @ effect + random.normal(0, 2, (300, 12)) * random.uniform(0.6, 1.7, (sites, 12))[batch]
    return batch, x, y + random.normal(0, 3, (sites, 12))[batch]


def pooled_combat(batch, x, y, tolerance=1e-4):
    """The steps of Johnson 2007 and Fortin 2017 on a table of all rows, with a dummy per site and loops."""
    sites = np.unique(batch)
    dummies = (batch[:, None] == sites).astype(float)
    coefficients = np.linalg.lstsq(np.hstack([dummies, x]), y, rcond=None)[0]
    counts = dummies.sum(axis=0)
    grand = counts / counts.sum() @ coefficients[: len(sites)]
    variance = ((y - np.hstack([dummies, x]) @ coefficients) ** 2).mean(axis=0)
    kept = grand + x @ coefficients[len(sites) :]
    z = (y - kept) / np.sqrt(variance)
    out = np.empty_like(y)
    for site in sites:
        rows = z[batch == site]
        gamma, delta = rows.mean(axis=0), rows.var(axis=0, ddof=1)
        gamma_bar, tau = gamma.mean(), gamma.var(ddof=1)
        m, s = delta.mean(), delta.var(ddof=1)
        a, b = (2 * s + m**2) / s, (m * s + m**3) / s
        g, d, change = gamma, delta, 1.0
        while change > tolerance:
            new_g = (len(rows) * tau * gamma + d * gamma_bar) / (len(rows) * tau + d)
            new_d = (0.5 * ((rows - new_g) ** 2).sum(axis=0) + b) / (len(rows) / 2 + a - 1)
            change = max(np.max(np.abs(new_g - g) / np.abs(g)), np.max(np.abs(new_d - d) / d))
            g, d = new_g, new_d
        out[batch == site] = (rows - g) / np.sqrt(d)
    return out * np.sqrt(variance) + kept


def answers(batch, x, y):
    return {
        f"site{site}": CrossProducts.of(
            COVARIATES + FEATURES, np.hstack([x[batch == site], y[batch == site]])
        )
        for site in np.unique(batch)
    }


def test_sums_give_what_all_rows_give():
    batch, x, y = cohort()
    fitted = fit_combat(answers(batch, x, y), FEATURES)
    oracle = pooled_combat(batch, x, y)
    for site in np.unique(batch):
        here = batch == site
        np.testing.assert_allclose(fitted.apply(f"site{site}", x[here], y[here]), oracle[here], rtol=1e-9)


def test_the_reference_implementation_gives_the_same_values():
    # neuroCombat 0.2.12 (Fortin and others 2018, doi:10.1016/j.neuroimage.2017.11.024) of this cohort: features in
    # rows, batch and the two continuous covariates, default settings.
    published = {(0, 0): 99.6410730954625, (0, 5): 94.90602354182082, (100, 3): 105.03807240679781,
                 (150, 11): 100.50644523342133, (299, 7): 99.33412573791551}  # fmt: skip
    batch, x, y = cohort()
    fitted = fit_combat(answers(batch, x, y), FEATURES)
    for (row, feature), value in published.items():
        found = fitted.apply(f"site{batch[row]}", x[[row]], y[[row]])[0, feature]
        assert found == pytest.approx(value, rel=2e-9)


def test_site_effects_go_and_covariates_stay():
    batch, x, y = cohort()
    fitted = fit_combat(answers(batch, x, y), FEATURES)
    after = np.empty_like(y)
    for site in np.unique(batch):
        after[batch == site] = fitted.apply(f"site{site}", x[batch == site], y[batch == site])
    before_spread = np.std([y[batch == s].mean(axis=0) for s in range(4)], axis=0).mean()
    after_spread = np.std([after[batch == s].mean(axis=0) for s in range(4)], axis=0).mean()
    assert after_spread < 0.15 * before_spread
    np.testing.assert_allclose(
        fit_combat(answers(batch, x, after), FEATURES).slopes, fitted.slopes, atol=0.25
    )
    rows = fitted.report()
    assert len(rows) == 4 * 12
    assert {"site", "feature", "shift", "sd_factor"} == set(rows[0])


def test_without_covariates():
    batch, _, y = cohort()
    parts = {f"site{s}": CrossProducts.of(FEATURES, y[batch == s]) for s in np.unique(batch)}
    fitted = fit_combat(parts, FEATURES)
    oracle = pooled_combat(batch, np.zeros((300, 0)), y)
    np.testing.assert_allclose(
        fitted.apply("site2", np.zeros(((batch == 2).sum(), 0)), y[batch == 2]), oracle[batch == 2], rtol=1e-9
    )


def test_what_cannot_be_harmonised_is_refused():
    batch, x, y = cohort()
    parts = answers(batch, x, y)
    with pytest.raises(ValueError, match="two sites"):
        fit_combat({"site0": parts["site0"]}, FEATURES)
    with pytest.raises(ValueError, match="three rows"):
        fit_combat(
            {**parts, "tiny": CrossProducts.of(COVARIATES + FEATURES, np.hstack([x, y])[:2])}, FEATURES
        )


def test_the_report_of_changes_is_what_the_harmonised_rows_say():
    batch, x, y = cohort()
    parts = answers(batch, x, y)
    fitted = fit_combat(parts, FEATURES)
    changes = fitted.changes(parts)
    for change in changes:
        here = batch == int(change.site[-1])
        place = FEATURES.index(change.feature)
        after = fitted.apply(change.site, x[here], y[here])[:, place]
        assert (change.mean_before, change.sd_before) == pytest.approx(
            (y[here, place].mean(), y[here, place].std(ddof=1)), rel=1e-9
        )
        assert (change.mean_after, change.sd_after) == pytest.approx(
            (after.mean(), after.std(ddof=1)), rel=1e-8
        )
    assert all(after < 0.5 * before for _, before, after in fitted.spread_of_means(changes))

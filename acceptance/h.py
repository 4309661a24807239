"""Issue H, analysis across hospitals: what the pooled rows would have said, without any row leaving."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
from bench.bench_analysis import COVARIATES, SITES, measure

from racoon.science.statistics.comorbidity import learn
from racoon.science.statistics.mixed import fit_mixed
from racoon.science.statistics.regression import INTERCEPT, Design, SitesInProcess, fit_lasso, fit_model
from racoon.science.statistics.sums import CrossProducts
from racoon.science.statistics.time_series import interrupted_time_series
from tools.acceptance import Figures, Step

TITLE = "statistics across sites: federated, exact, protected"


def million_rows(_folder: Path) -> Figures:
    """A logistic model with 20 covariates over 38 sites and a million rows, in one process."""
    random = np.random.default_rng(9)
    rows, width, sites = 1_000_000, 20, 38
    truth = np.linspace(-0.3, 0.3, width)
    x = random.normal(size=(rows, width))
    y = (random.random(rows) < 1 / (1 + np.exp(-(x @ truth)))).astype(float)
    names = [f"x{place}" for place in range(width)]
    designs = [Design.of(names, x[site::sites], y[site::sites]) for site in range(sites)]
    started = time.monotonic()
    found = fit_model(SitesInProcess(designs), "binomial", designs[0].names)
    seconds = time.monotonic() - started
    assert found.has_converged
    assert seconds <= 60, f"{seconds:.0f} s"
    distance = np.abs(found.coefficients[1:] - truth) / found.standard_errors[1:]
    assert math.sqrt(float((distance**2).mean())) < 2
    return {"rows": rows, "sites": sites, "seconds": round(seconds, 1), "rounds": found.rounds}


def random_splits(_folder: Path) -> Figures:
    """Estimators from sums on random splits into 1 to 38 sites against the pooled rows."""
    random = np.random.default_rng(17)
    rows = 4000
    x = random.normal(size=(rows, 4))
    y = (random.random(rows) < 1 / (1 + np.exp(-(x @ [0.8, -0.5, 0.0, 0.0])))).astype(float)
    names = ("a", "b", "c", "d")
    whole = fit_lasso(SitesInProcess([Design.of(names, x, y)]), "binomial", (INTERCEPT, *names), 40.0)
    ages = 60 + 10 * x[:, 0]
    table = np.column_stack([ages, 100 - ages + 9 * x[:, 1], 50 + 7 * x[:, 2]])
    learnt = learn(CrossProducts.of(("age", "one", "two"), table), ("one", "two"), "all")
    largest = 0.0
    for sites in range(1, 39):
        place = random.integers(0, sites, rows)
        chosen = [place == site for site in range(sites)]
        designs = [Design.of(names, x[own], y[own]) for own in chosen]
        found = fit_lasso(SitesInProcess(designs), "binomial", (INTERCEPT, *names), 40.0)
        assert found.coefficients.tobytes() == whole.coefficients.tobytes(), sites
        parts = {
            f"s{site:02d}": CrossProducts.of(("age", "one", "two"), table[own])
            for site, own in enumerate(chosen)
        }
        assert learn(CrossProducts.merge(parts.values()), ("one", "two"), "all") == learnt, sites
        if sites > 1:
            fitted = fit_mixed(parts)
            design = np.column_stack([np.ones(rows), table[:, :2]])
            v = {
                site: fitted.between / (fitted.within + fitted.between * own.sum())
                for site, own in enumerate(chosen)
            }
            gram, right = design.T @ design, design.T @ table[:, 2]
            for site, own in enumerate(chosen):
                gram -= v[site] * np.outer(design[own].sum(axis=0), design[own].sum(axis=0))
                right -= v[site] * design[own].sum(axis=0) * table[own, 2].sum()
            direct = np.linalg.solve(gram, right)
            largest = max(largest, float(np.max(np.abs(fitted.coefficients / direct - 1))))
    assert largest < 1e-6, largest
    return {"splits": 38, "largest relative distance of the mixed model": largest}


def planted_drops(_folder: Path) -> Figures:
    """How many intervals of a thousand simulated series hold the planted drop."""
    hits = 0
    for seed in range(1000):
        random = np.random.default_rng(seed)
        noise = np.zeros(84)
        for period in range(1, 84):
            noise[period] = 0.4 * noise[period - 1] + random.normal(0, 0.08)
        time = np.arange(84)
        values = np.exp(6 + 0.003 * time - 0.35 * (time >= 48) + 0.1 * np.sin(2 * np.pi * time / 12) + noise)
        found = interrupted_time_series(values, 48, log_scale=True, season=12).level_change
        hits += found.low <= -0.35 <= found.high
    # 950 expected; the binomial's three standard errors are 21.
    assert 929 <= hits <= 971, hits
    return {"simulations": 1000, "intervals that hold the drop": hits}


def network_of_38(folder: Path) -> Figures:
    """The same over the real protocol; CENTRAL's memory does not follow the rows."""
    (folder / "small").mkdir(parents=True)
    small = measure(100_000, SITES, COVARIATES, folder / "small")
    (folder / "large").mkdir()
    large = measure(1_000_000, SITES, COVARIATES, folder / "large")
    assert large["seconds"] <= 60, f"{large['seconds']} s"
    assert large["sites"] == SITES
    # More rows may need a round more; what travels in one is the same.
    per_round = [run["bytes"] / run["rounds"] for run in (small, large)]
    assert per_round[1] < 1.2 * per_round[0], f"what travels in a round grows with the rows: {per_round}"
    assert large["central_grows_mb"] < small["central_grows_mb"] + 20
    return large


_STATISTICS = "tests/unit/science/statistics"
_SUMS = ("test_sums", "test_moments", "test_histogram", "test_pooling", "test_description")

STEPS = [
    Step(
        "sums",
        "sums, moments, histograms and tables: exact, and order and split change no bit",
        tests=tuple(f"{_STATISTICS}/{name}.py" for name in _SUMS),
    ),
    Step(
        "oracles",
        "every estimator against its pooled oracle and published tables; order and split change no bit",
        tests=(_STATISTICS, *(f"--ignore={_STATISTICS}/{name}.py" for name in _SUMS)),
    ),
    Step(
        "plans",
        "plans as data, and the expression language",
        tests=("tests/unit/domain/analysis",),
    ),
    Step(
        "paper",
        "a paper's tables and figures with planted effects in one command, and what the gate withholds",
        tests=("tests/unit/node/analysing/test_rehearsal.py", "tests/unit/node/release/test_estimates.py"),
    ),
    Step(
        "estimators",
        "one plan with every estimator behind the gates of four sites: the pooled numbers, figures, and refusals",
        tests=("tests/unit/node/analysing/test_estimators.py",),
    ),
    Step(
        "splits",
        "random splits into 1 to 38 sites: mixed model, lasso, ComBat and comorbidome against the pooled rows",
        action=random_splits,
    ),
    Step(
        "interrupted",
        "a planted drop lies in its interval in 95 of 100 simulated series",
        action=planted_drops,
    ),
    Step(
        "across-hospitals",
        "a plan over the real protocol is the pooled fit; kills, dropouts, strict sites; no small cell on the wire",
        tests=(
            "tests/contract/central/test_analysing.py",
            "tests/contract/central/test_analysis_client.py",
            "tests/contract/central/test_analysis_pages.py",
        ),
    ),
    Step(
        "site",
        "a round at a node: its own rows and gate, the ledger over two plans, coefficients that single out",
        tests=("tests/unit/node/analysing/test_job.py", "tests/unit/node/analysing/test_kills.py"),
    ),
    Step(
        "harmonised",
        "harmonised values feed later estimators: the oracle's harmonised rows, and mixtures a gate refuses",
        tests=("tests/unit/node/analysing/test_harmonised.py",),
    ),
    Step(
        "squares-ledger",
        "robust and clustered Cox models; hazards that somebody crafts, in one round or several, get no answer",
        tests=("tests/unit/node/analysing/test_robust_cox.py",),
    ),
    Step(
        "in-german",
        "problems of plans, reasons of sites and words of tables are in the German catalogue, each of them",
        tests=("tests/unit/central/analyses",),
    ),
    Step(
        "figures",
        "figures against pictures that people have looked at, Parquet tables, pages of points and clinical outcomes",
        tests=(
            "tests/unit/web/test_charts.py",
            "tests/unit/web/test_figures.py",
            "tests/unit/node/analysing/test_pages.py",
            "tests/unit/node/analysing/test_clinical.py",
        ),
    ),
    Step(
        "examples",
        "notebook, workflows and plans of the examples run as they stand",
        tests=("tests/unit/node/analysing/test_examples.py",),
    ),
    Step("network-of-38", "38 nodes over the protocol, a million rows, 60 seconds", action=network_of_38),
    Step("million-rows", "38 sites, a million rows, 20 covariates in 60 seconds", action=million_rows),
]

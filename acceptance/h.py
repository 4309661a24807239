"""Issue H, analysis across hospitals: what the pooled rows would have said, without any row leaving."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np

from racoon.science.statistics.regression import Design, SitesInProcess, fit_model
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


STEPS = [
    Step(
        "oracles",
        "every estimator against its pooled oracle and published tables; order and split change no bit",
        tests=("tests/unit/science/statistics",),
    ),
    Step(
        "plans",
        "plans as data, and the expression language",
        tests=("tests/unit/domain/analysis",),
    ),
    Step(
        "paper",
        "a paper's tables and figures with planted effects in one command, and what the gate withholds",
        tests=("tests/unit/node/analysing", "tests/unit/node/release/test_estimates.py"),
    ),
    Step(
        "across-hospitals",
        "a plan over the real protocol is the pooled fit; kills, dropouts, strict sites; no small cell on the wire",
        tests=("tests/contract/central/test_analysing.py", "tests/contract/central/test_analysis_client.py"),
    ),
    Step(
        "site",
        "a round at a node: its own rows and gate, the ledger over two plans, coefficients that single out",
        tests=("tests/unit/node/analysing/test_job.py",),
    ),
    Step("million-rows", "38 sites, a million rows, 20 covariates in 60 seconds", action=million_rows),
]

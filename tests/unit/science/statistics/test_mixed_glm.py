"""Random site intercepts of logistic and Poisson models against direct numerical integration of the likelihood."""

import math

import numpy as np
import pytest
from scipy import integrate, optimize, special

from racoon.science.statistics.mixed_glm import compute_site_step, fit_site_glm
from racoon.science.statistics.regression import INTERCEPT, Design, ModelStep

NAMES = ("age", "male")


def cohort(family, sites=8, n=480, spread=0.8):
    random = np.random.default_rng(3)
    place = np.arange(n) % sites
    x = np.column_stack([random.normal(0, 1, n), random.integers(0, 2, n)])
    eta = -0.4 + x @ [0.5, -0.6] + random.normal(0, spread, sites)[place]
    y = random.random(n) < special.expit(eta) if family == "binomial" else random.poisson(np.exp(eta))
    return [Design.of(NAMES, x[place == s], y[place == s].astype(float)) for s in range(sites)]


class InProcess:
    def __init__(self, designs):
        self.designs = designs

    def ask_step(self, question):
        return ModelStep.merge(
            compute_site_step(design, question.family, question.coefficients) for design in self.designs
        )


def direct(design, family, coefficients):
    """Marginal log-likelihood of a site by adaptive integration of scipy."""
    spread = coefficients[-1]
    eta, y = design.columns.T @ np.array(coefficients[:-1]), design.outcome

    def log_density(z):
        own = eta + spread * z
        rows = (
            y * own - np.logaddexp(0, own)
            if family == "binomial"
            else y * own - np.exp(own) - special.gammaln(y + 1)
        )
        return rows.sum() - 0.5 * z**2 - 0.5 * math.log(2 * math.pi)

    top = optimize.minimize_scalar(lambda z: -log_density(z), bounds=(-8, 8), method="bounded")
    area = integrate.quad(
        lambda z: math.exp(log_density(z) + top.fun), top.x - 6, top.x + 6, epsabs=0, epsrel=1e-11
    )
    return math.log(area[0]) - top.fun


@pytest.mark.parametrize("family", ["binomial", "poisson"])
def test_likelihood_and_derivatives_are_those_of_direct_integration(family):
    design = cohort(family)[2]
    at = np.array([-0.3, 0.4, -0.5, 0.7])
    step = compute_site_step(design, family, tuple(at))
    assert float(step.rest[0]) == pytest.approx(direct(design, family, at), rel=1e-9)
    for place in range(4):
        shift = np.zeros(4)
        shift[place] = 1e-4
        ends = [compute_site_step(design, family, tuple(at + sign * shift)) for sign in (1, -1)]
        slope = (float(ends[0].rest[0]) - float(ends[1].rest[0])) / 2e-4
        assert float(step.score[place]) == pytest.approx(slope, rel=1e-5, abs=1e-5)
        bend = (float(ends[0].score[3]) - float(ends[1].score[3])) / 2e-4
        last = {0: 3, 1: 6, 2: 8, 3: 9}[place]  # where the pair with the SD stands in the upper triangle
        assert float(step.information[last]) == pytest.approx(-bend, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("family", ["binomial", "poisson"])
def test_fit_is_the_top_of_the_direct_likelihood(family):
    designs = cohort(family)
    found = fit_site_glm(InProcess(designs), family, (INTERCEPT, *NAMES))
    assert found.has_converged
    top = np.append(found.coefficients, found.site_sd)

    def loss(at):
        return -sum(direct(design, family, at) for design in designs)

    assert found.log_likelihood == pytest.approx(-loss(top), rel=1e-9)
    for place in range(4):
        shift = np.zeros(4)
        shift[place] = 1e-3
        up, down = loss(top + shift), loss(top - shift)
        assert abs(up - down) / 2e-3 < 1e-4  # the slope at the top
    assert 0.3 < found.site_sd < 1.6
    errors = np.sqrt(np.diag(found.covariance))
    assert (np.abs(found.coefficients[1:] - [0.5, -0.6]) < 3 * errors[1:]).all()


def test_order_changes_no_bit_and_sites_alike_have_no_variance():
    designs = cohort("binomial")
    again = [
        Design.of(NAMES, design.columns[1:, ::-1].T, design.outcome[::-1]) for design in reversed(designs)
    ]
    first, second = (
        fit_site_glm(InProcess(part), "binomial", (INTERCEPT, *NAMES)) for part in (designs, again)
    )
    assert first.coefficients.tobytes() == second.coefficients.tobytes()
    alike = fit_site_glm(InProcess([designs[0]] * 6), "binomial", (INTERCEPT, *NAMES))
    assert alike.site_sd == 0.0
    assert "do not differ" in alike.notes[0]


def test_dependent_columns_and_wrong_questions_are_said():
    designs = cohort("binomial")
    doubled = [
        Design.of(NAMES, np.column_stack([design.columns[1], 2 * design.columns[1]]), design.outcome)
        for design in designs
    ]
    found = fit_site_glm(InProcess(doubled), "binomial", (INTERCEPT, *NAMES))
    assert not found.has_converged
    assert "depend on each other" in found.notes[0]
    with pytest.raises(ValueError, match="one coefficient per column"):
        compute_site_step(designs[0], "binomial", (0.0,))

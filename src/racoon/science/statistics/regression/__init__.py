"""Linear, logistic, Poisson and negative binomial models from sums over the rows of each site.

A site answers a question (coefficients) with score and information; CENTRAL adds the answers and asks again.
Every answer is exact, so the fit is the pooled fit to the last bit, whatever the split into sites.
Not here: which rows may take part (the site's approvals) and what may leave (``node.release``).
"""

from racoon.science.statistics.regression.design import INTERCEPT, Design, restricted_cubic_spline
from racoon.science.statistics.regression.families import Family
from racoon.science.statistics.regression.fitting import (
    FittedModel,
    Options,
    Sites,
    SitesInProcess,
    fit_model,
)
from racoon.science.statistics.regression.penalised import fit_lasso
from racoon.science.statistics.regression.steps import (
    Meat,
    ModelQuestion,
    ModelStep,
    cluster_sums,
    compute_meat,
    compute_step,
)

__all__ = [
    "INTERCEPT",
    "Design",
    "Family",
    "FittedModel",
    "Meat",
    "ModelQuestion",
    "ModelStep",
    "Options",
    "Sites",
    "SitesInProcess",
    "cluster_sums",
    "compute_meat",
    "compute_step",
    "fit_lasso",
    "fit_model",
    "restricted_cubic_spline",
]

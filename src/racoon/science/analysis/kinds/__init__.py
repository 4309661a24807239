"""Every estimator a plan may name: what a site computes for it, the form of an answer, what CENTRAL makes of them.

A new estimator is a class in ``domain.analysis.estimators``, its check beside it, and an entry here.
Not here: the arithmetic (``science.statistics``) and what may leave a site (``node.release``).
"""

from __future__ import annotations

from collections.abc import Mapping

from racoon.domain.analysis import Comparison, CoxModel, Description, Model, SurvivalCurves
from racoon.domain.analysis import estimators as plans
from racoon.domain.analysis.estimators import Estimator
from racoon.science.analysis.asking import Inquiry
from racoon.science.analysis.kind import Kind
from racoon.science.analysis.kinds.comorbidity import COMORBIDITIES
from racoon.science.analysis.kinds.curves import CUMULATIVE_INCIDENCE, SURVIVAL
from racoon.science.analysis.kinds.describing import COMPARISON, DESCRIPTION
from racoon.science.analysis.kinds.models import COX, MODEL
from racoon.science.analysis.kinds.periods import TIME_SERIES
from racoon.science.analysis.kinds.predicting import PREDICTIONS
from racoon.science.analysis.kinds.relations import AGREEMENTS, CORRELATIONS
from racoon.science.analysis.kinds.sites import COMBAT, MIXED_MODEL
from racoon.science.analysis.kinds.synthesis import META_ANALYSIS, multiplicity
from racoon.science.analysis.kinds.weighing import PROPENSITIES
from racoon.science.analysis.results import ResultTable


def _conclude(inquiry: Inquiry, item: Estimator) -> ResultTable:
    return KINDS[type(item)].conclude(inquiry, item)


KINDS: Mapping[type[Estimator], Kind] = {
    Description: DESCRIPTION,
    Comparison: COMPARISON,
    Model: MODEL,
    SurvivalCurves: SURVIVAL,
    CoxModel: COX,
    plans.Correlation: CORRELATIONS,
    plans.Agreement: AGREEMENTS,
    plans.Incidence: CUMULATIVE_INCIDENCE,
    plans.MixedModel: MIXED_MODEL,
    plans.Prediction: PREDICTIONS,
    plans.Propensity: PROPENSITIES,
    plans.Meta: META_ANALYSIS,
    plans.Multiplicity: multiplicity(_conclude),
    plans.TimeSeries: TIME_SERIES,
    plans.Harmonisation: COMBAT,
    plans.Comorbidome: COMORBIDITIES,
}
"""By class of the plan."""

__all__ = ["KINDS"]

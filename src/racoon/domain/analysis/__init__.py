"""Analysis plans: variables, derivations and estimators as data that is hashed, shown, approved and refused.

No code travels: derivations are expressions of a small language that ends and reaches nothing.
Not here: computing (``science``), what may leave a site (``node.release``) and when it runs (the job protocol).
"""

from racoon.domain.analysis.checks import PlanDefect
from racoon.domain.analysis.estimators import Comparison, CoxModel, Description, Model, SurvivalCurves
from racoon.domain.analysis.expression import Expression, ExpressionDefect, parse_expression
from racoon.domain.analysis.plan import AnalysisPlan, Subgroup, Variable, parse_plan

__all__ = [
    "AnalysisPlan",
    "Comparison",
    "CoxModel",
    "Description",
    "Expression",
    "ExpressionDefect",
    "Model",
    "PlanDefect",
    "Subgroup",
    "SurvivalCurves",
    "Variable",
    "parse_expression",
    "parse_plan",
]

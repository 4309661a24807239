"""Plans: what a study wants computed at each site, as data that can be hashed, shown, approved and refused.

A plan names only things that are already installed at the site (biomarkers, architectures); no code travels.
Not here: the parts of a training plan that say how sites' updates become one model (``domain.training``).
"""

from racoon.domain.plan.measuring import (
    IRREGULAR,
    AgreementPair,
    Bins,
    Measurement,
    MeasuringPlan,
    PromotionRule,
    SeriesRule,
    agreement_pairs,
)
from racoon.domain.plan.target import CLASSIFICATION, REGRESSION, SEGMENTATION, TASKS, BadTarget, Target
from racoon.domain.plan.training import LOSSES, POSTPROCESSING, TrainingPlan

__all__ = [
    "CLASSIFICATION",
    "IRREGULAR",
    "LOSSES",
    "POSTPROCESSING",
    "REGRESSION",
    "SEGMENTATION",
    "TASKS",
    "AgreementPair",
    "BadTarget",
    "Bins",
    "Measurement",
    "MeasuringPlan",
    "PromotionRule",
    "SeriesRule",
    "Target",
    "TrainingPlan",
    "agreement_pairs",
]

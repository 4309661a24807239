"""A subject's biomarkers and conditions together: z-scores, missingness, frailty, biological age, what goes with what.

No diagnosis and no standard formula: every number carries how many values it rests on, and models say how far they are
off.  Not here: reading tables (``cli``) and measuring (``science.biomarkers``).
"""

from racoon.science.comorbidome.age import BiologicalAge, Calibration
from racoon.science.comorbidome.describing import (
    Comorbidome,
    Subject,
    deficit_name,
    describe_group,
    fitting_features,
)
from racoon.science.comorbidome.network import Condition, Link, Network, network_of
from racoon.science.comorbidome.scores import (
    AgeGap,
    FrailtyIndex,
    ReferenceLine,
    frailty_index,
    z_scores,
)

__all__ = [
    "AgeGap",
    "BiologicalAge",
    "Calibration",
    "Comorbidome",
    "Condition",
    "FrailtyIndex",
    "Link",
    "Network",
    "ReferenceLine",
    "Subject",
    "deficit_name",
    "describe_group",
    "fitting_features",
    "frailty_index",
    "network_of",
    "z_scores",
]

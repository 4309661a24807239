"""Agreement of readers, methods and repetitions: kappa, intraclass and concordance correlation, Bland–Altman.

Everything continuous follows from :class:`CrossProducts` of the ratings, everything categorical from a table of
counts; both are exact sums, so several sites add theirs and get what one table of all rows would give.
"""

from racoon.science.statistics.agreement.categories import (
    Weights,
    agreement_weights,
    cohen_kappa,
    fleiss_kappa,
    rating_table,
)
from racoon.science.statistics.agreement.measurements import (
    IntraclassCorrelation,
    LimitsOfAgreement,
    bland_altman,
    concordance_correlation,
    intraclass_correlation,
    paired,
    paired_from_moments,
)

__all__ = [
    "IntraclassCorrelation",
    "LimitsOfAgreement",
    "Weights",
    "agreement_weights",
    "bland_altman",
    "cohen_kappa",
    "concordance_correlation",
    "fleiss_kappa",
    "intraclass_correlation",
    "paired",
    "paired_from_moments",
    "rating_table",
]

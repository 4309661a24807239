"""Statistics that several sites compute together and that come out the same in any order.

Sums are exact (integers times powers of two), histograms have fixed bins, so a merge is associative,
commutative and bit-identical however the values were split.  Pooling uses only what the sites released.
Not here: who may see a number (``node.release``) and how it travels (``protocol``).
"""

from racoon.science.statistics.counts import CountRange, pool_counts
from racoon.science.statistics.exact import Dyadic
from racoon.science.statistics.histogram import FixedBins, Histogram, Quantile
from racoon.science.statistics.moments import Moments
from racoon.science.statistics.pooling import Pooled, SiteSummary, pool

__all__ = [
    "CountRange",
    "Dyadic",
    "FixedBins",
    "Histogram",
    "Moments",
    "Pooled",
    "Quantile",
    "SiteSummary",
    "pool",
    "pool_counts",
]

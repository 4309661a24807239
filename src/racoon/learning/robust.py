"""Aggregates that a few wrong sites cannot pull away: median and trimmed mean of each weight over the sites.

They look at all sites' weights at once, so memory grows with their number, unlike the exact mean's; and every site has
one vote, whatever its number of cases.  A plan chooses them; nothing changes for one that does not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from racoon.domain.plan import TrainingPlan
from racoon.learning.aggregation import ExactMean
from racoon.learning.masking import MaskedSum
from racoon.learning.strategies import exchanged_shapes
from racoon.learning.weights import BadWeights, Weights, check_weights


class RobustAggregate:
    """Accumulates contributions of one round.

    Parameters
    ----------
    shapes
        Tensor name → shape of the architecture.
    trim
        Share of the sites left out at either end of each weight; 0.5 is the median (doi:10.48550/arXiv.1803.01498).
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], trim: float) -> None:
        self._shapes = dict(shapes)
        self._trim = trim
        self.contributors: dict[str, int] = {}
        self._weights: dict[str, Weights] = {}

    def add(self, site: str, weights: Mapping[str, npt.NDArray[np.float32]], cases: int) -> None:
        """Accept one site's weights; the number of cases is kept for the account and has no weight.

        Raises
        ------
        BadWeights
            For tensors of another architecture, absurd values, a bad count or a repeated site.
        """
        if site in self.contributors:
            raise BadWeights("A site answered twice in one round.", details={"site": site})
        if cases < 1:
            raise BadWeights(
                "A site's number of cases is out of range.", details={"site": site, "cases": cases}
            )
        check_weights(weights, self._shapes)
        self._weights[site] = {name: np.array(weights[name], dtype=np.float32) for name in self._shapes}
        self.contributors[site] = cases

    def take(self) -> Weights:
        """Compute the aggregate and end the round; the order in which sites answered changes no bit.

        Raises
        ------
        BadWeights
            If nothing was accepted.
        """
        if not self._weights:
            raise BadWeights("No site contributed to the round.")
        count = len(self._weights)
        # At least one value stays, two where the middle lies between them.
        left_out = min(math.floor(self._trim * count), (count - 1) // 2)
        taken: Weights = {}
        for name in self._shapes:
            values = np.sort(np.stack([own.pop(name) for own in self._weights.values()]), axis=0)
            middle = values[left_out : count - left_out].astype(np.float64)
            taken[name] = middle.mean(axis=0).astype(np.float32)
        self._weights = {}
        return taken


def make_aggregate(
    plan: TrainingPlan, participants: Sequence[str] = (), folder: Path | None = None
) -> ExactMean | RobustAggregate | MaskedSum:
    """Return what collects one round of a plan.

    Parameters
    ----------
    plan
        Its strategy decides.
    participants
        Who must answer, of a secure sum.
    folder
        Where the sums of an exact mean lie while the round lasts; ``None`` keeps them in memory.
    """
    kind, shapes = plan.strategy.aggregate, exchanged_shapes(plan)
    if plan.strategy.secure_sum:
        return MaskedSum(shapes, participants)
    if kind == "mean":
        return ExactMean(shapes, folder)
    return RobustAggregate(shapes, 0.5 if kind == "median" else plan.strategy.trim)

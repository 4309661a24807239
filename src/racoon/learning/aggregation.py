"""Exact weighted mean of network weights: independent of the order and the time in which sites answer.

Each weight is turned into a fixed-point integer; integers add associatively, so any order gives the same
bits, and the accumulator needs one 64-bit array per tensor however many sites take part.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from racoon.learning.weights import PIECE, BadWeights, Weights, check_weights

FRACTION_BITS = 32
"""Resolution 2**-33 after rounding: below half a float32 step for every magnitude above 2**-9."""

MAXIMUM_TOTAL = 2 ** (62 - FRACTION_BITS - 10)
"""Largest sum of case counts: with ``weights.MAXIMUM_MAGNITUDE`` (2**10) the sums stay below 2**62."""


def to_fixed(tensor: npt.NDArray[np.float32], cases: int) -> npt.NDArray[np.int64]:
    """Return a site's share of the sum: its weights on the fixed-point grid, times its cases."""
    scaled = np.empty(tensor.shape, np.float64)
    np.multiply(tensor, 2.0**FRACTION_BITS, out=scaled)
    fixed: npt.NDArray[np.int64] = np.rint(scaled, out=scaled).astype(np.int64)
    fixed *= np.int64(cases)
    return fixed


class ExactMean:
    """Accumulates contributions of one round.

    Parameters
    ----------
    shapes
        Tensor name → shape of the architecture; anything else is refused.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.shapes = dict(shapes)
        self.contributors: dict[str, int] = {}
        self._sums: dict[str, npt.NDArray[np.int64]] = {}
        self._is_taken = False

    @property
    def total(self) -> int:
        """Sum of the case counts accepted so far."""
        return sum(self.contributors.values())

    def add(self, site: str, weights: Mapping[str, npt.NDArray[np.float32]], cases: int) -> None:
        """Accept one site's weights.

        Parameters
        ----------
        site
            Site code; a second contribution of the same site in a round is refused.
        weights
            Tensors after local training.
        cases
            Number of training cases at the site, its share in the mean.

        Raises
        ------
        BadWeights
            For tensors of another architecture, non-finite or absurd values, a bad count or a repeated site.
        """
        if site in self.contributors:
            raise BadWeights("A site answered twice in one round.", details={"site": site})
        if not 0 < cases <= MAXIMUM_TOTAL - self.total:
            raise BadWeights(
                "A site's number of cases is out of range.", details={"site": site, "cases": cases}
            )
        if self._is_taken:
            raise BadWeights("The round is over; its mean was taken.")
        check_weights(weights, self.shapes)
        for name, shape in self.shapes.items():
            if name not in self._sums:
                self._sums[name] = np.zeros(math.prod(shape), dtype=np.int64)
            sums, tensor = self._sums[name], np.asarray(weights[name]).reshape(-1)
            # Piece by piece: a whole tensor as float64 and as int64 would double the memory of a large one.
            for start in range(0, sums.size, PIECE):
                piece = slice(start, start + PIECE)
                sums[piece] += to_fixed(tensor[piece], cases)
        self.contributors[site] = cases

    def mean(self) -> Weights:
        """Compute the case-weighted mean of what was accepted.

        Raises
        ------
        BadWeights
            If nothing was accepted.
        """
        scale = self._scale()
        return {
            name: (self._sums[name] / scale).astype(np.float32).reshape(shape)
            for name, shape in self.shapes.items()
        }

    def take(self) -> Weights:
        """Compute the mean in the accumulator's own memory and end the round: nothing is held twice.

        Raises
        ------
        BadWeights
            If nothing was accepted, or the mean was taken before.
        """
        scale = self._scale()
        taken: Weights = {}
        for name, shape in self.shapes.items():
            sums = self._sums.pop(name)
            narrow = sums.view(np.float32)
            for start in range(0, sums.size, PIECE):
                stop = min(start + PIECE, sums.size)
                # Written from the left at half the width, so always behind what is still to be read.
                narrow[start:stop] = (sums[start:stop] / scale).astype(np.float32)
            taken[name] = narrow[: sums.size].reshape(shape)
        self._is_taken = True
        return taken

    def _scale(self) -> float:
        if self._is_taken:
            raise BadWeights("The round is over; its mean was taken.")
        if not self.contributors:
            raise BadWeights("No site contributed to the round.")
        return float(self.total) * 2.0**FRACTION_BITS

"""What stands between a site's rows and a sum over the sites."""

# ruff: noqa: ARG002 - an open gate has the arguments of every gate and looks at none

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from racoon.science.statistics.description import CountTable, NumberSummary
from racoon.science.statistics.regression import ModelStep
from racoon.science.statistics.survival import RiskSums, SurvivalTable

Reasons = tuple[str, ...]
"""Why something stays, in words without a number; empty when it may leave."""


class Gate(Protocol):
    """Decides for one site what may leave."""

    def least_sites(self, minimum: int) -> int:
        """Return the fewest sites among which sums may be added, given what the plan says."""

    def subgroup(self, item: str, chosen: NDArray[np.bool_], earlier: Sequence[NDArray[np.bool_]]) -> Reasons:
        """Decide whether some rows may be computed besides earlier choices of rows."""

    def numbers(
        self, item: str, values: ArrayLike, summary: NumberSummary
    ) -> tuple[NumberSummary | None, Reasons]:
        """Protect the summary of a numeric variable."""

    def table(self, item: str, table: CountTable) -> tuple[CountTable | None, Reasons]:
        """Protect a table of counts."""

    def model(
        self, item: str, columns: ArrayLike, weights: ArrayLike, step: ModelStep, *, has_events: bool
    ) -> tuple[ModelStep | None, Reasons]:
        """Protect a model's answer."""

    def survival(self, item: str, table: SurvivalTable) -> Reasons:
        """Decide whether counts over a time grid may leave."""

    def risk_sums(
        self, item: str, columns: ArrayLike, weights: ArrayLike, sums: RiskSums
    ) -> tuple[RiskSums | None, Reasons]:
        """Protect risk-set sums."""

    def sums(
        self, item: str, columns: ArrayLike, weights: ArrayLike, *, parameters: int, cells: Sequence[int] = ()
    ) -> Reasons:
        """Decide whether sums of columns, and of products of columns, may leave."""


class OpenGate:
    """Lets everything through: for the pooled twin, where all rows lie in one place already."""

    def least_sites(self, minimum: int) -> int:
        """Ask for any."""
        return 1

    def subgroup(self, item: str, chosen: NDArray[np.bool_], earlier: Sequence[NDArray[np.bool_]]) -> Reasons:
        """Let through."""
        return ()

    def numbers(
        self, item: str, values: ArrayLike, summary: NumberSummary
    ) -> tuple[NumberSummary | None, Reasons]:
        """Let through."""
        return summary, ()

    def table(self, item: str, table: CountTable) -> tuple[CountTable | None, Reasons]:
        """Let through."""
        return table, ()

    def model(
        self, item: str, columns: ArrayLike, weights: ArrayLike, step: ModelStep, *, has_events: bool
    ) -> tuple[ModelStep | None, Reasons]:
        """Let through."""
        return step, ()

    def survival(self, item: str, table: SurvivalTable) -> Reasons:
        """Let through."""
        return ()

    def risk_sums(
        self, item: str, columns: ArrayLike, weights: ArrayLike, sums: RiskSums
    ) -> tuple[RiskSums | None, Reasons]:
        """Let through."""
        return sums, ()

    def sums(
        self, item: str, columns: ArrayLike, weights: ArrayLike, *, parameters: int, cells: Sequence[int] = ()
    ) -> Reasons:
        """Let through."""
        return ()

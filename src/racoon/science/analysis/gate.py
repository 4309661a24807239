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

    def sites(self, item: str, count: int, minimum: int) -> Reasons:
        """Decide whether enough sites take part."""

    def subgroup(self, item: str, chosen: NDArray[np.bool_], earlier: Sequence[NDArray[np.bool_]]) -> Reasons:
        """Decide whether some rows may be computed besides earlier choices of rows."""

    def numbers(
        self, item: str, values: ArrayLike, summary: NumberSummary
    ) -> tuple[NumberSummary | None, Reasons]:
        """Protect the summary of a numeric variable."""

    def table(self, item: str, table: CountTable) -> tuple[CountTable | None, Reasons]:
        """Protect a table of counts."""

    def model(self, item: str, columns: ArrayLike, step: ModelStep, *, has_events: bool) -> Reasons:
        """Decide whether a model may be answered."""

    def survival(self, item: str, table: SurvivalTable) -> Reasons:
        """Decide whether counts over a time grid may leave."""

    def risk_sums(self, item: str, columns: ArrayLike, sums: RiskSums) -> Reasons:
        """Decide whether risk-set sums may leave."""


class OpenGate:
    """Lets everything through: for the pooled twin, where all rows lie in one place already."""

    def sites(self, item: str, count: int, minimum: int) -> Reasons:
        """Ask for any."""
        return () if count else ("No site has rows.",)

    def subgroup(self, item: str, chosen: NDArray[np.bool_], earlier: Sequence[NDArray[np.bool_]]) -> Reasons:
        """Let through."""
        return ()

    def numbers(
        self,
        item: str,
        values: ArrayLike,
        summary: NumberSummary,
    ) -> tuple[NumberSummary | None, Reasons]:
        """Let through."""
        return summary, ()

    def table(self, item: str, table: CountTable) -> tuple[CountTable | None, Reasons]:
        """Let through."""
        return table, ()

    def model(
        self,
        item: str,
        columns: ArrayLike,
        step: ModelStep,
        *,
        has_events: bool,
    ) -> Reasons:
        """Let through."""
        return ()

    def survival(self, item: str, table: SurvivalTable) -> Reasons:
        """Let through."""
        return ()

    def risk_sums(self, item: str, columns: ArrayLike, sums: RiskSums) -> Reasons:
        """Let through."""
        return ()

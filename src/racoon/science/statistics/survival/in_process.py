"""Sites in one process: for pooled fits, tests and analyses on one machine."""

from __future__ import annotations

from collections.abc import Sequence

from racoon.science.statistics.regression.steps import Meat, ModelQuestion, ModelStep
from racoon.science.statistics.survival.cox import (
    RiskSums,
    SurvivalRows,
    Ties,
    compute_own_step,
    compute_risk_sums,
    step_of,
)
from racoon.science.statistics.survival.grid import TimeGrid
from racoon.science.statistics.survival.robust import grid_residuals, own_residuals, risk_path, robust_meat


class GriddedSites:
    """Sites in one process that answer on a common grid; CENTRAL sees the added sums only."""

    def __init__(self, sites: Sequence[SurvivalRows], grid: TimeGrid, ties: Ties = "efron") -> None:
        self._sites, self._grid, self._ties = sites, grid, ties

    def ask_step(self, question: ModelQuestion) -> ModelStep:
        """Ask every site, add, and turn the sums into a step."""
        return step_of(self._added(question), self._ties)

    def ask_meat(self, question: ModelQuestion, *, by_cluster: bool) -> Meat:
        """Ask every site for its squared score residuals over the common risk sets, and add."""
        path = risk_path(self._added(question), self._ties)
        return Meat.merge(
            robust_meat(rows, grid_residuals(rows, self._grid, question, path), by_cluster=by_cluster)
            for rows in self._sites
        )

    def _added(self, question: ModelQuestion) -> RiskSums:
        return RiskSums.merge(compute_risk_sums(rows, self._grid, question) for rows in self._sites)


class StratifiedSites:
    """Sites in one process of a model stratified by site: each answers with its own step."""

    def __init__(self, sites: Sequence[SurvivalRows], ties: Ties = "efron") -> None:
        self._sites, self._ties = sites, ties

    def ask_step(self, question: ModelQuestion) -> ModelStep:
        """Ask every site and add the steps."""
        return ModelStep.merge(compute_own_step(rows, question, self._ties) for rows in self._sites)

    def ask_meat(self, question: ModelQuestion, *, by_cluster: bool) -> Meat:
        """Ask every site for its squared score residuals, and add."""
        return Meat.merge(
            robust_meat(rows, own_residuals(rows, question, self._ties), by_cluster=by_cluster)
            for rows in self._sites
        )

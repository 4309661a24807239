"""Time to an event across sites: Kaplan–Meier, cumulative incidence, log-rank and Cox models.

What leaves a site is counts and sums per interval of a published time grid, never the time of a person; a Cox model
stratified by site needs no grid, because each site works out its own risk sets.
Not here: which intervals a site may show (``node.release``).
"""

from racoon.science.statistics.survival.cox import (
    RiskSums,
    SurvivalRows,
    compute_own_step,
    compute_risk_sums,
    step_of,
)
from racoon.science.statistics.survival.episodes import Episodes, EpisodeSites, compute_episode_step
from racoon.science.statistics.survival.grid import TimeGrid, common_edges, supported_edges
from racoon.science.statistics.survival.in_process import GriddedSites, StratifiedSites
from racoon.science.statistics.survival.robust import (
    grid_residuals,
    own_residuals,
    path_width,
    risk_path,
    robust_meat,
)
from racoon.science.statistics.survival.tables import (
    Curve,
    SurvivalTable,
    cumulative_incidence,
    kaplan_meier,
    log_rank,
)

__all__ = [
    "Curve",
    "EpisodeSites",
    "Episodes",
    "GriddedSites",
    "RiskSums",
    "StratifiedSites",
    "SurvivalRows",
    "SurvivalTable",
    "TimeGrid",
    "common_edges",
    "compute_episode_step",
    "compute_own_step",
    "compute_risk_sums",
    "cumulative_incidence",
    "grid_residuals",
    "kaplan_meier",
    "log_rank",
    "own_residuals",
    "path_width",
    "risk_path",
    "robust_meat",
    "step_of",
    "supported_edges",
]

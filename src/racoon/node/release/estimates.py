"""The rules of the gate for analyses: which sums, tables and answers of a model may leave.  Pure.

Each function takes what a site computed and its policy, and returns what holds it back; empty means it may leave.  One
row is one subject here; a plan over several rows per subject is reduced to one before.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from racoon.node.release.model import MeasuredAggregate, Suppression, apply_rules
from racoon.node.release.policy import DisclosurePolicy
from racoon.node.release.suppression import suppress_cells
from racoon.science.statistics import FixedBins, Histogram, Moments
from racoon.science.statistics.description import CountTable, NumberSummary
from racoon.science.statistics.prediction import ScoreTable
from racoon.science.statistics.regression import ModelStep
from racoon.science.statistics.survival import RiskSums, SurvivalTable

_NO_BINS = FixedBins(0.0, 1.0, 1.0)
"""Stands in where a plan asked for no histogram."""


def check_analysis_sites(
    item: str, *, sites: int, minimum: int, policy: DisclosurePolicy
) -> tuple[Suppression, ...]:
    """Refuse an analysis with fewer sites than the plan or this site's policy wants; the larger number wins."""
    if sites < max(minimum, policy.training_minimum_sites):
        return (Suppression.because("release.analysis_sites", item, "all"),)
    return ()


def check_subgroup(
    item: str,
    chosen: NDArray[np.bool_],
    earlier: Sequence[NDArray[np.bool_]],
    policy: DisclosurePolicy,
) -> tuple[Suppression, ...]:
    """Refuse a subgroup that differs from an earlier one, or from all rows, in a few subjects.

    Sums are exact: whoever subtracts two of them gets those of the difference.
    """
    for other in earlier:
        if 0 < int((chosen != other).sum()) < policy.minimum_cell:
            return (Suppression.because("release.differencing", item, "all"),)
    return ()


def protect_numbers(
    item: str, values: ArrayLike, summary: NumberSummary, policy: DisclosurePolicy
) -> tuple[NumberSummary | None, tuple[Suppression, ...]]:
    """Decide what of a numeric variable may leave, by the rules that hold for measurements.

    Parameters
    ----------
    item
        Name of the variable and group.
    values
        The values behind the summary, NaN where missing: for dominance only.
    summary
        What the site computed.
    policy
        Limits of this site.

    Returns
    -------
    tuple
        The summary with coarser or missing cells, or ``None``; and what was held back.
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    histogram = summary.histogram or _NO_BINS.count_values(np.zeros(0))
    ends = np.cumsum([0, *(cell or 0 for cell in histogram.cells)])
    released = apply_rules(
        MeasuredAggregate(
            key=item,
            description={},
            moments=summary.moments,
            subjects=summary.moments.n,
            largest_share=_largest_share(known),
            histogram=histogram,
            cell_subjects=tuple(frozenset(range(low, high)) for low, high in itertools.pairwise(ends)),
            not_valid={"missing": summary.missing} if summary.missing else {},
        ),
        policy,
    )
    payload = released.payload
    reasons = released.suppressed
    if summary.histogram is None:
        reasons = tuple(reason for reason in reasons if reason.part not in {"histogram", "cells"})
    if payload["moments"] is None:
        return None, reasons
    shown = Histogram.from_dict(payload["histogram"]) if payload["histogram"] else None
    missing = (payload["not_valid"] or {}).get("missing", 0)
    return (
        NumberSummary(
            Moments.from_dict(payload["moments"]), missing, shown if summary.histogram is not None else None
        ),
        reasons,
    )


def _largest_share(values: NDArray[np.float64]) -> float:
    sizes = np.abs(values)
    total = float(sizes.sum())
    return float(sizes.max()) / total if total > 0 else 0.0


def protect_table(
    item: str, table: CountTable, policy: DisclosurePolicy
) -> tuple[CountTable | None, tuple[Suppression, ...]]:
    """Decide what of a table of counts may leave.

    One variable: small cells and those that would reveal them are held back.  Two variables: the margins stand in other
    tables of the same plan, so one small cell keeps the whole table here.
    """
    cells = [[cell or 0 for cell in row] for row in table.cells]
    flat = [cell for row in cells for cell in row]
    if sum(flat) < policy.minimum_cell:
        return None, (Suppression.because("release.minimum_cell", item, "all"),)
    missing = table.missing if table.missing == 0 or table.missing >= policy.minimum_cell else 0
    reasons = (
        () if missing == table.missing else (Suppression.because("release.small_cells", item, "not_valid"),)
    )
    hidden = suppress_cells(flat, flat, policy.minimum_cell)
    if not any(hidden):
        return CountTable(table.rows, table.columns, table.cells, missing), reasons
    if len(table.columns) > 1:
        return None, (Suppression.because("release.small_table", item, "all"),)
    shown = tuple((None if hide else cell,) for cell, hide in zip(flat, hidden, strict=True))
    reason = Suppression.because("release.small_cells", item, "cells")
    return CountTable(table.rows, table.columns, shown, missing), (*reasons, reason)


def check_columns(item: str, columns: ArrayLike, policy: DisclosurePolicy) -> tuple[Suppression, ...]:
    """Refuse covariates that single out a few subjects.

    Parameters
    ----------
    item
        Name of the model.
    columns
        Shape (columns, rows).
    policy
        Limits of this site.

    Notes
    -----
    A column that is 0 but for one row puts that row's outcome into the score; one whose sum is mostly one row's puts
    its value there.
    """
    found = []
    for column in np.asarray(columns, dtype=np.float64):
        if column.size == 0:
            continue
        _, counts = np.unique(column, return_counts=True)
        apart = column.size - int(counts.max())
        if 0 < apart < policy.minimum_cell:
            found.append(Suppression.because("release.rare_value", item, "all"))
            break
        if apart and _largest_share(column) > policy.dominance_limit:
            found.append(Suppression.because("release.dominance", item, "all"))
            break
    return tuple(found)


def check_weights(item: str, weights: ArrayLike, policy: DisclosurePolicy) -> tuple[Suppression, ...]:
    """Refuse coefficients under which a few subjects carry the sums.

    Parameters
    ----------
    item
        Name of the model.
    weights
        What each row weighs in the sums at the asked coefficients, shape (kinds, rows).
    policy
        Limits of this site.

    Notes
    -----
    Whoever asks may choose the coefficients, and extreme ones leave one row in the sum.  The number of rows that count
    is Kish's: the squared sum of the weights over the sum of their squares.
    """
    for row in np.abs(np.atleast_2d(np.asarray(weights, dtype=np.float64))):
        largest = float(row.max(initial=0.0))
        if largest > 0:
            scaled = row / largest
            if float(scaled.sum()) ** 2 < policy.minimum_cell * float((scaled**2).sum()):
                return (Suppression.because("release.dominance", item, "all"),)
    return ()


def check_model(
    item: str, step: ModelStep, policy: DisclosurePolicy, *, has_events: bool
) -> tuple[Suppression, ...]:
    """Refuse a model's answer with too few rows, events, or too many parameters for them.

    Parameters
    ----------
    item
        Name of the model.
    step
        What the site would answer.
    policy
        Limits of this site.
    has_events
        True for logistic and Cox models: rows with and without the event both count as cells.
    """
    if step.n < policy.group_minimum:
        return (Suppression.because("release.minimum_cell", item, "all"),)
    if len(step.names) > policy.parameters_per_observation * step.n:
        return (Suppression.because("release.parameters", item, "all"),)
    if has_events and min(step.positive, step.n - step.positive) < policy.minimum_cell:
        return (Suppression.because("release.few_events", item, "all"),)
    return ()


def check_survival(item: str, table: SurvivalTable, policy: DisclosurePolicy) -> tuple[Suppression, ...]:
    """Refuse counts over a grid with a small cell: the curve would show a single subject's interval."""
    if table.n < policy.group_minimum:
        return (Suppression.because("release.minimum_cell", item, "all"),)
    if _has_small([*table.censored, *(count for row in table.events for count in row)], policy):
        return (Suppression.because("release.few_events", item, "all"),)
    return ()


def check_risk_sums(item: str, sums: RiskSums, policy: DisclosurePolicy) -> tuple[Suppression, ...]:
    """Refuse risk-set sums unless every interval of the grid holds enough events at this site."""
    if sums.n < policy.group_minimum:
        return (Suppression.because("release.minimum_cell", item, "all"),)
    if len(sums.names) > policy.parameters_per_observation * sums.n:
        return (Suppression.because("release.parameters", item, "all"),)
    if min(sums.events) < policy.minimum_cell:
        return (Suppression.because("release.few_events", item, "all"),)
    return ()


def check_scores(item: str, table: ScoreTable, policy: DisclosurePolicy) -> tuple[Suppression, ...]:
    """Refuse a score table with a small cell for either outcome."""
    if _has_small([cell or 0 for cell in (*table.positive.cells, *table.negative.cells)], policy):
        return (Suppression.because("release.small_cells", item, "all"),)
    return ()


def check_sums(
    item: str, columns: ArrayLike, *, parameters: int, cells: Sequence[int], policy: DisclosurePolicy
) -> tuple[Suppression, ...]:
    """Refuse sums of products with too few rows, a small cell, or too many columns for the rows.

    Parameters
    ----------
    item
        Name of the estimator.
    columns
        What is summed, shape (columns, rows).
    parameters
        Numbers of a model that could be fitted to the sums.
    cells
        Counts that stand in the sums or follow from them.
    policy
        Limits of this site.

    Notes
    -----
    The product of two columns of 0 and 1 is the count of a cell, so such pairs are cells too.
    """
    matrix = np.asarray(columns, dtype=np.float64)
    rows = matrix.shape[1]
    if rows < policy.group_minimum:
        return (Suppression.because("release.minimum_cell", item, "all"),)
    if parameters > policy.parameters_per_observation * rows:
        return (Suppression.because("release.parameters", item, "all"),)
    flags = matrix[np.isin(matrix, (0.0, 1.0)).all(axis=1)]
    both = flags @ flags.T
    ones = flags.sum(axis=1)
    pairs = np.concatenate(
        [part.ravel() for part in (both, ones[:, None] - both, rows - ones[:, None] - ones + both)]
    )
    if _has_small([*cells, *(int(count) for count in pairs)], policy):
        return (Suppression.because("release.few_events", item, "all"),)
    return ()


def _has_small(counts: Sequence[int], policy: DisclosurePolicy) -> bool:
    return any(0 < count < policy.minimum_cell for count in counts)


class EstimateGate:
    """The gate of one site as an analysis sees it: the rules above, with reasons in words.

    Parameters
    ----------
    policy
        Limits of this site.

    Attributes
    ----------
    held
        Everything held back so far, each once, for ledger and audit.
    """

    def __init__(self, policy: DisclosurePolicy) -> None:
        self._policy = policy
        self.held: dict[Suppression, None] = {}

    def least_sites(self, minimum: int) -> int:
        """Return the larger of the plan's and this site's number of sites."""
        return max(minimum, self._policy.training_minimum_sites)

    def subgroup(
        self, item: str, chosen: NDArray[np.bool_], earlier: Sequence[NDArray[np.bool_]]
    ) -> tuple[str, ...]:
        """Decide whether a subgroup may be computed besides earlier ones."""
        return self._words(check_subgroup(item, chosen, earlier, self._policy))

    def numbers(
        self, item: str, values: ArrayLike, summary: NumberSummary
    ) -> tuple[NumberSummary | None, tuple[str, ...]]:
        """Protect the summary of a numeric variable."""
        shown, reasons = protect_numbers(item, values, summary, self._policy)
        return shown, self._words(reasons)

    def table(self, item: str, table: CountTable) -> tuple[CountTable | None, tuple[str, ...]]:
        """Protect a table of counts."""
        shown, reasons = protect_table(item, table, self._policy)
        return shown, self._words(reasons)

    def model(
        self, item: str, columns: ArrayLike, weights: ArrayLike, step: ModelStep, *, has_events: bool
    ) -> tuple[ModelStep | None, tuple[str, ...]]:
        """Protect a model's answer: all or nothing, without its small counts."""
        reasons = (
            check_model(item, step, self._policy, has_events=has_events)
            or check_columns(item, columns, self._policy)
            or check_weights(item, weights, self._policy)
        )
        shown = None if reasons else _without_small_counts(step, self._policy)
        return shown, self._words(reasons)

    def survival(self, item: str, table: SurvivalTable) -> tuple[str, ...]:
        """Decide whether counts over a time grid may leave."""
        return self._words(check_survival(item, table, self._policy))

    def risk_sums(
        self, item: str, columns: ArrayLike, weights: ArrayLike, sums: RiskSums
    ) -> tuple[RiskSums | None, tuple[str, ...]]:
        """Protect risk-set sums: all or nothing, without a small count of rows left out."""
        reasons = (
            check_risk_sums(item, sums, self._policy)
            or check_columns(item, columns, self._policy)
            or check_weights(item, weights, self._policy)
        )
        is_small = 0 < sums.left_out < self._policy.minimum_cell
        shown = None if reasons else replace(sums, left_out=0) if is_small else sums
        return shown, self._words(reasons)

    def sums(
        self, item: str, columns: ArrayLike, weights: ArrayLike, *, parameters: int, cells: Sequence[int] = ()
    ) -> tuple[str, ...]:
        """Decide whether sums of columns and of their products may leave."""
        return self._words(
            check_sums(item, columns, parameters=parameters, cells=cells, policy=self._policy)
            or check_columns(item, columns, self._policy)
            or check_weights(item, weights, self._policy)
        )

    def _words(self, reasons: Sequence[Suppression]) -> tuple[str, ...]:
        self.held |= dict.fromkeys(reasons)
        return tuple(dict.fromkeys(reason.public_reason for reason in reasons))


def _without_small_counts(step: ModelStep, policy: DisclosurePolicy) -> ModelStep:
    """Leave out counts that tell of few subjects and that no estimate needs."""
    is_rare = 0 < min(step.positive, step.n - step.positive) < policy.minimum_cell
    is_small = 0 < step.left_out < policy.minimum_cell
    return replace(
        step,
        positive=0 if is_rare or 0 < step.positive < policy.minimum_cell else step.positive,
        left_out=0 if is_small else step.left_out,
    )

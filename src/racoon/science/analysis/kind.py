"""What an estimator of a plan consists of: the sites' part, the form of an answer, and CENTRAL's part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from racoon.domain.analysis import AnalysisPlan
from racoon.science.analysis.asking import Inquiry
from racoon.science.analysis.columns import Columns
from racoon.science.analysis.computed import Computed
from racoon.science.analysis.questions import Question
from racoon.science.analysis.results import Cell, ResultTable, SiteLine


@dataclass(frozen=True)
class Kind:
    """One estimator.

    Parameters
    ----------
    compute
        A site's part, unprotected: plan, estimator, question, columns.
    check
        Raises ValueError for a value that can't answer the question: plan, estimator, question, value.
    conclude
        CENTRAL's part; it may ask on and then waits.
    sort
        Where coefficients decide who is counted where: by cell, which rows.  Two nearly equal cells tell about the few
        subjects that differ, so the site's ledger has to know them.
    scores
        Where squares of scores are asked for at coefficients and hazards: the score of each row, or of each cluster at
        its first row, shape (columns, rows).  The difference of two such sums tells about those whose scores differ.
    """

    compute: Callable[[AnalysisPlan, Any, Question, Columns], Computed]
    check: Callable[[AnalysisPlan, Any, Question, Mapping[str, Any]], None]
    conclude: Callable[[Inquiry, Any], ResultTable]
    sort: Callable[[AnalysisPlan, Any, Question, Columns], Mapping[str, NDArray[np.bool_]]] | None = None
    scores: Callable[[AnalysisPlan, Any, Question, Columns], NDArray[np.float64]] | None = None


def refused(inquiry: Inquiry, title: str, columns: tuple[str, ...], reasons: tuple[str, ...]) -> ResultTable:
    """Make a table that only says why there is none."""
    return ResultTable(
        title, inquiry.subgroup, columns, (), reasons, inquiry.withheld, (), rounds=inquiry.rounds
    )


def table(
    inquiry: Inquiry,
    title: str,
    columns: tuple[str, ...],
    rows: list[tuple[Cell, ...]],
    notes: tuple[str, ...] = (),
    lines: tuple[SiteLine, ...] = (),
    **drawings: Any,
) -> ResultTable:
    """Make a table of what was found, with who counts and what stayed."""
    return ResultTable(
        title,
        inquiry.subgroup,
        columns,
        tuple(rows),
        notes,
        inquiry.withheld,
        inquiry.sites,
        per_site=lines,
        rounds=inquiry.rounds,
        **drawings,
    )


def values_of(answers: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Take the released values, by site."""
    return {site: answer.value for site, answer in answers.items() if answer.value is not None}

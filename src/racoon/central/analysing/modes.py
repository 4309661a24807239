"""The three ways of one plan: sums of all sites together, the rows of the pool, each site alone with a meta-analysis.

All three ask the same questions through the same gates and differ only in whose answers are added.  Pure; apart from
``model`` because it loads the estimators.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from racoon.central.analysing.model import Mode
from racoon.domain.analysis import AnalysisPlan
from racoon.science.analysis import Analysis, Book, Question, advance
from racoon.science.analysis.asking import TOO_FEW_SITES
from racoon.science.analysis.results import Cell, ResultTable, SiteLine
from racoon.science.statistics.estimate import z_of
from racoon.science.statistics.meta_analysis import Effect, synthesise

Open = Mapping[str, tuple[Question, ...]]

COMBINED = (
    "term", "estimate", "low", "high", "ratio", "ratio low", "ratio high", "standard error", "p",
    "sites", "I² %", "prediction low", "prediction high",
)  # fmt: skip
"""Header of what a meta-analysis says about the sites' own estimates."""


def carry_on(plan: AnalysisPlan, book: Book, mode: Mode, hospitals: int) -> Analysis | Open:
    """Carry an analysis of any mode as far as its answers reach.

    Parameters
    ----------
    plan
        Checked plan.
    book
        Answers so far.
    mode
        How answers come together.
    hospitals
        Sites whose subjects take part: those of the book, or those whose approved rows lie in the pool.

    Returns
    -------
    Analysis or mapping
        All results, or what is asked next, of whom.
    """
    if mode is Mode.FEDERATED:
        return advance(plan, book)
    found = {site: advance(plan, _alone(book, site)) for site in book.sites}
    waiting = {
        site: questions
        for site, own in found.items()
        if not isinstance(own, Analysis)
        for questions in own.values()
    }
    if waiting:
        return waiting
    analyses = {site: own for site, own in found.items() if isinstance(own, Analysis)}
    least = max(
        (answer.least_sites for answers in book.answers.values() for answer in answers.values()),
        default=plan.minimum_sites,
    )
    if hospitals < least:
        return Analysis(plan.hash, tuple(_refuse(table) for table in next(iter(analyses.values())).tables))
    if mode is Mode.POOL:
        return next(iter(analyses.values()))
    return combine(analyses)


def _alone(book: Book, site: str) -> Book:
    """Take one site's answers; among how many sites it wants to be is asked for all of them together."""
    answers = {
        question: {site: replace(own[site], least_sites=1)}
        for question, own in book.answers.items()
        if site in own
    }
    left = {site: book.left[site]} if site in book.left else {}
    return Book((site,), answers, left)


def _refuse(table: ResultTable) -> ResultTable:
    return ResultTable(
        table.title, table.subgroup, table.columns, (), (TOO_FEW_SITES,), table.withheld, rounds=table.rounds
    )


def combine(analyses: Mapping[str, Analysis]) -> Analysis:
    """Put the sites' own results together by meta-analysis.

    Parameters
    ----------
    analyses
        By site; all of one plan.

    Returns
    -------
    Analysis
        A row per term for models, with heterogeneity and prediction interval (REML, Hartung–Knapp from three sites);
        means and differences likewise; everything else stands site by site.
    """
    first = next(iter(analyses.values()))
    tables = []
    for place, pattern in enumerate(first.tables):
        own = {site: analysis.tables[place] for site, analysis in sorted(analyses.items())}
        tables.append(_combine(pattern, own))
    return Analysis(first.plan_hash, tuple(tables))


def _combine(pattern: ResultTable, own: Mapping[str, ResultTable]) -> ResultTable:
    withheld = tuple(sorted({item for table in own.values() for item in table.withheld}))
    notes = tuple(
        f"{site}: {note}" for site, table in own.items() for note in table.notes if not table.withheld
    )
    lines: list[SiteLine] = []
    effects: dict[str, list[Effect]] = {}
    ratios: set[str] = set()
    for site, table in own.items():
        rows = _size_of(table)
        for name, value, error, is_ratio in _effects(table):
            half = z_of(0.95) * error
            lines.append(SiteLine(site, name, rows, value, value - half, value + half))
            effects.setdefault(name, []).append(Effect(site, value, error**2))
            if is_ratio:
                ratios.add(name)
    found = tuple(_row(name, parts, is_ratio=name in ratios) for name, parts in effects.items())
    return ResultTable(
        pattern.title,
        pattern.subgroup,
        COMBINED if found else pattern.columns,
        found,
        notes,
        withheld,
        tuple(site for site, table in own.items() if table.sites),
        per_site=tuple(lines) if found else tuple(line for table in own.values() for line in table.per_site),
        rounds=max(table.rounds for table in own.values()),
    )


def _effects(table: ResultTable) -> list[tuple[str, float, float, bool]]:
    """Read estimates with their standard errors: coefficients of models, and means by group."""
    found = []
    for cells in table.rows:
        row = dict(zip(table.columns, cells, strict=False))
        if "term" in row:
            value, error = _number(row.get("estimate")), _number(row.get("standard error"))
            found.append((str(row["term"]), value, error, row.get("ratio") is not None))
        elif "variable" in row and (n := _number(row.get("n"))) is not None and n > 1:
            group = "" if row["group"] == "all" else f": {row['group']}"
            spread = _number(row.get("sd"))
            error = None if spread is None else spread / math.sqrt(n)
            found.append((f"{row['variable']}{group}", _number(row.get("mean")), error, False))
    return [
        (name, value, error, is_ratio)
        for name, value, error, is_ratio in found
        if value is not None and error is not None and error > 0
    ]


def _size_of(table: ResultTable) -> int:
    return max((line.n for line in table.per_site), default=0)


def _row(name: str, effects: Sequence[Effect], *, is_ratio: bool) -> tuple[Cell, ...]:
    if len(effects) == 1:
        only = effects[0]
        error = math.sqrt(only.variance)
        half = z_of(0.95) * error
        limits = (only.value, only.value - half, only.value + half)
        return (name, *limits, *_ratios(limits, is_ratio=is_ratio), error, None, 1, None, None, None)
    summary = synthesise(effects, "reml", hartung_knapp=len(effects) > 2)
    pooled, prediction = summary.pooled, summary.prediction
    limits = (pooled.value, pooled.low, pooled.high)
    return (
        name, *limits, *_ratios(limits, is_ratio=is_ratio), summary.standard_error, summary.p, len(effects),
        summary.i2, prediction.low, prediction.high,
    )  # fmt: skip


def _ratios(limits: tuple[float, float, float], *, is_ratio: bool) -> tuple[float | None, ...]:
    return (
        tuple(math.exp(value) if abs(value) < 700 else None for value in limits) if is_ratio else (None,) * 3
    )


def _number(value: Cell) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None

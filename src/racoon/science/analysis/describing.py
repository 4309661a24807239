"""Table 1 and simple comparisons of a plan, from what the sites' gates let through."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from racoon.domain.analysis import AnalysisPlan, Comparison, Description
from racoon.science.analysis.asking import Inquiry
from racoon.science.analysis.columns import groups_of
from racoon.science.analysis.questions import Answer
from racoon.science.analysis.results import Cell, ResultTable, Shape, SiteLine
from racoon.science.statistics import Histogram, Moments, Pooled, SiteSummary, pool
from racoon.science.statistics.comparisons import (
    chi_square,
    fisher_exact,
    mann_whitney,
    mcnemar,
    paired_t_test,
    t_test,
)
from racoon.science.statistics.description import (
    Baseline,
    CountTable,
    NumberSummary,
    merge_tables,
)
from racoon.science.statistics.estimate import Outcome

TABLE_ONE = ("variable", "level", "group", "n", "missing", "mean", "sd", "median", "percent", "smd")


@dataclass(frozen=True)
class GroupParts:
    """What the sites released about a numeric variable in one group."""

    parts: dict[str, NumberSummary]

    @property
    def moments(self) -> Moments:
        """Sum over the sites."""
        return Moments.merge(part.moments for part in self.parts.values())

    @property
    def pooled(self) -> Pooled:
        """Moments, histogram and quantiles of all sites together."""
        return pool([SiteSummary(site, part.moments, part.histogram) for site, part in self.parts.items()])


def _parts(answers: Mapping[str, Answer], place: int) -> dict[str, Mapping[str, Any]]:
    return {
        site: answer.value["variables"][place]
        for site, answer in answers.items()
        if answer.value is not None and answer.value["variables"][place] is not None
    }


def _number_groups(parts: Mapping[str, Mapping[str, Any]], groups: int, inquiry: Inquiry) -> list[GroupParts]:
    found: list[dict[str, NumberSummary]] = [{} for _ in range(groups)]
    for site, value in parts.items():
        for group, document in enumerate(value["groups"]):
            if document is not None:
                found[group][site] = NumberSummary.from_dict(document)
                inquiry.counted.add(site)
    return [GroupParts(part) for part in found]


def _count_tables(parts: Mapping[str, Mapping[str, Any]], inquiry: Inquiry) -> dict[str, CountTable]:
    tables = {
        site: CountTable.from_dict(value["table"])
        for site, value in parts.items()
        if value["table"] is not None
    }
    inquiry.counted |= set(tables)
    return tables


def describe(inquiry: Inquiry, item: Description) -> ResultTable:
    """Make Table 1."""
    plan = inquiry.plan
    answers = inquiry.first()
    rows: list[tuple[Cell, ...]] = []
    shapes: list[Shape] = []
    lines: list[SiteLine] = []
    notes: list[str] = []
    for place, name in enumerate(item.variables):
        labels = groups_of(plan, item.by)
        if plan.variable(name).kind == "number":
            groups = _number_groups(_parts(answers, place), len(labels), inquiry)
            rows += _number_rows(name, labels, groups)
            shapes += _shapes(plan, name, labels, groups)
            lines += _number_lines(name, labels, groups)
            notes += _quantile_notes(name, labels, groups)
        else:
            tables = _count_tables(_parts(answers, place), inquiry)
            rows += _level_rows(name, item.by, tables)
            lines += _level_lines(name, tables)
    reasons = inquiry.too_few()
    return ResultTable(
        item.title,
        inquiry.subgroup,
        TABLE_ONE,
        () if reasons else tuple(rows),
        reasons or tuple(notes),
        inquiry.withheld,
        inquiry.sites,
        shapes=() if reasons else tuple(shapes),
        per_site=() if reasons else tuple(lines),
        rounds=inquiry.rounds,
    )


def _number_rows(name: str, labels: Sequence[str], groups: Sequence[GroupParts]) -> list[tuple[Cell, ...]]:
    baseline = Baseline(name, tuple(NumberSummary(group.moments, 0) for group in groups))
    rows: list[tuple[Cell, ...]] = []
    for label, group in zip(labels, groups, strict=True):
        moments, quantiles = group.moments, group.pooled.quantiles
        median = quantiles[0.5].value if 0.5 in quantiles else None
        missing = sum(part.missing for part in group.parts.values())
        mean, sd = _known(moments.mean), _known(moments.sd)
        rows.append((name, "", label, moments.n, missing, mean, sd, median, None, _known(baseline.smd)))
    return rows


def _quantile_notes(name: str, labels: Sequence[str], groups: Sequence[GroupParts]) -> list[str]:
    """Say quartiles with the largest error the bins leave; nothing where one of them is open."""
    notes = []
    for label, group in zip(labels, groups, strict=True):
        found = []
        for probability in (0.5, 0.25, 0.75):
            quantile = group.pooled.quantiles.get(probability)
            if quantile is None or quantile.low is None or quantile.high is None:
                break
            middle, error = (quantile.low + quantile.high) / 2, (quantile.high - quantile.low) / 2
            found.append(f"{_plain(middle, 4)} ± {_plain(error, 3)}")
        if len(found) == 3:
            title = name if len(labels) == 1 else f"{name} ({label})"
            notes.append(
                f"{title}: median {found[0]}, quartiles {found[1]} and {found[2]}; the bins cost these errors."
            )
    return notes


def _plain(value: float, digits: int) -> str:
    """Write so many significant digits, large numbers without an exponent."""
    return f"{float(f'{value:.{digits}g}'):.12g}"


def _shapes(
    plan: AnalysisPlan, name: str, labels: Sequence[str], groups: Sequence[GroupParts]
) -> list[Shape]:
    found = []
    for label, group in zip(labels, groups, strict=True):
        histogram = group.pooled.histogram
        if histogram is not None:
            title = name if len(labels) == 1 else f"{name}: {label}"
            unit = plan.variable(name).unit
            found.append(Shape(title, unit, histogram.to_dict()))
            found += [
                Shape(title, unit, part.histogram.to_dict(), site)
                for site, part in sorted(group.parts.items())
                if part.histogram is not None
            ]
    return found


def _number_lines(name: str, labels: Sequence[str], groups: Sequence[GroupParts]) -> list[SiteLine]:
    lines = []
    for label, group in zip(labels, groups, strict=True):
        title = name if len(labels) == 1 else f"{name}: {label}"
        for site, part in sorted(group.parts.items()):
            mean, sd = part.moments.mean, _known(part.moments.sd) or 0.0
            lines.append(SiteLine(site, title, part.moments.n, mean, mean - sd, mean + sd))
    return lines


def _level_rows(name: str, by: str | None, tables: Mapping[str, CountTable]) -> list[tuple[Cell, ...]]:
    if not tables:
        return [(name, "", "", None, None, None, None, None, None, None)]
    table = merge_tables(tables.values())
    smd = _known(Baseline(name, counts=table).smd) if by else None
    rows: list[tuple[Cell, ...]] = []
    for column, label in enumerate(table.columns):
        cells = [row[column] for row in table.cells]
        total = None if None in cells else sum(cell or 0 for cell in cells)
        for level, cell in zip(table.rows, cells, strict=True):
            percent = 100 * cell / total if cell is not None and total else None
            rows.append((name, level, label, cell, table.missing, None, None, None, percent, smd))
    return rows


def _level_lines(name: str, tables: Mapping[str, CountTable]) -> list[SiteLine]:
    """Share of each level but the first, over all groups, where a site showed all its cells."""
    lines = []
    for site, table in sorted(tables.items()):
        if table.is_complete:
            totals = table.counts.sum(axis=1)
            n = int(totals.sum())
            lines += [
                SiteLine(site, f"{name}: {level}", n, float(count) / n)
                for level, count in zip(table.rows[1:], totals[1:], strict=True)
                if n
            ]
    return lines


def _known(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value


COMPARISON = ("test", "statistic", "df", "p", "difference", "low", "high")


def compare(inquiry: Inquiry, item: Comparison) -> ResultTable:
    """Test a variable between groups."""
    parts = _parts(inquiry.first(), 0)
    outcome: Outcome | None = None
    notes: tuple[str, ...] = ()
    lines: list[SiteLine] = []
    try:
        if item.test in {"chi-square", "fisher", "mcnemar"}:
            tables = _count_tables(parts, inquiry)
            lines = _level_lines(item.variable, tables)
            outcome = _table_outcome(item, tables)
        else:
            labels = groups_of(inquiry.plan, None if item.test == "paired-t" else item.by)
            groups = _number_groups(parts, len(labels), inquiry)
            lines = _number_lines(item.variable, labels, groups)
            outcome = _number_outcome(item, groups, inquiry)
    except ValueError as error:
        notes = (f"Not computed: {error}.",)
    rows: tuple[tuple[Cell, ...], ...] = ()
    if reasons := inquiry.too_few():
        notes, lines = reasons, []
    elif outcome is not None:
        effect = outcome.effect
        limits = (effect.value, effect.low, effect.high) if effect else (None, None, None)
        rows = ((outcome.name, outcome.statistic, _known(outcome.freedom), outcome.p, *limits),)
        notes = outcome.notes
    return ResultTable(
        item.title,
        inquiry.subgroup,
        COMPARISON,
        rows,
        notes,
        inquiry.withheld,
        inquiry.sites,
        per_site=tuple(lines),
        rounds=inquiry.rounds,
    )


def _table_outcome(item: Comparison, tables: Mapping[str, CountTable]) -> Outcome:
    if not tables:
        raise ValueError("no site may show its table")
    table = merge_tables(tables.values())
    if item.test == "chi-square":
        return chi_square(table.counts)
    if item.test == "mcnemar":
        return mcnemar(int(table.counts[1, 0]), int(table.counts[0, 1]))
    return fisher_exact([[int(cell) for cell in row] for row in table.counts])


def _number_outcome(item: Comparison, groups: Sequence[GroupParts], inquiry: Inquiry) -> Outcome:
    if item.test == "paired-t":
        return paired_t_test(groups[0].moments)
    first, second = groups
    shared = first.parts.keys() & second.parts.keys()
    if item.test != "mann-whitney":
        one, two = (
            Moments.merge(group.parts[site].moments for site in sorted(shared)) for group in (first, second)
        )
        return t_test(one, two, equal_variances=item.test == "t")
    return _rank_outcome(first, second, shared, inquiry)


def _rank_outcome(first: GroupParts, second: GroupParts, shared: set[str], inquiry: Inquiry) -> Outcome:
    pairs: list[tuple[Histogram, Histogram]] = []
    for site in sorted(shared):
        one, two = first.parts[site].histogram, second.parts[site].histogram
        if one is not None and two is not None and one.is_complete and two.is_complete:
            pairs.append((one, two))
        else:
            inquiry.refused.add((site, "A bin is too small for a rank test."))
            inquiry.counted.discard(site)
    if not pairs:
        raise ValueError("no site may show all of its bins")
    width = math.lcm(*(round(h.bins.width / _finest(pairs)) for pair in pairs for h in pair))
    wanted = width * _finest(pairs)
    merged = [
        Histogram.merge(h.coarsened(round(wanted / h.bins.width)) for h in side)
        for side in zip(*pairs, strict=True)
    ]
    found = mann_whitney(merged[0], merged[1])
    note = f"p lies between {found.p_low:.3g} and {found.p_high:.3g} whatever the values inside the bins."
    return Outcome("Mann–Whitney test", found.u, math.nan, found.p, found.superiority, (note,))


def _finest(pairs: Sequence[tuple[Histogram, Histogram]]) -> float:
    return min(histogram.bins.width for pair in pairs for histogram in pair)

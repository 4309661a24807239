"""Table 1 and simple comparisons of a plan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from racoon.domain.analysis import AnalysisPlan, Comparison, Description, Variable
from racoon.science.analysis.columns import SiteTable, codes_of, groups_of
from racoon.science.analysis.results import Cell, ResultTable
from racoon.science.statistics import FixedBins, Histogram, Moments, SiteSummary, pool
from racoon.science.statistics.comparisons import chi_square, fisher_exact, mann_whitney, t_test
from racoon.science.statistics.description import (
    Baseline,
    CountTable,
    NumberSummary,
    merge_tables,
)
from racoon.science.statistics.estimate import Outcome

TABLE_ONE = ("variable", "level", "group", "n", "missing", "mean", "sd", "median", "percent", "smd")


@dataclass
class Refusals:
    """Sites whose part stayed, and those whose part counts."""

    item: str
    refused: list[tuple[str, str]] = field(default_factory=list)
    counted: set[str] = field(default_factory=set)

    def note(self, site: str, reasons: Sequence[str]) -> None:
        """Remember why something of a site stayed; each reason once."""
        for reason in reasons:
            if (site, reason) not in self.refused:
                self.refused.append((site, reason))

    def too_few(self, sites: Sequence[SiteTable], count: int, minimum: int) -> tuple[str, ...]:
        """Ask every site's gate whether enough sites take part; the strictest wins."""
        if not sites:
            return ("No site may take part.",)
        for site in sites:
            if reasons := site.gate.sites(self.item, count, minimum):
                return reasons
        return ()


def bins_of(variable: Variable) -> FixedBins | None:
    """Bins of the plan as the estimators know them."""
    if variable.bins is None:
        return None
    return FixedBins(variable.bins.lower, variable.bins.upper, variable.bins.width)


@dataclass(frozen=True)
class GroupParts:
    """What the sites released about a numeric variable in one group."""

    parts: dict[str, NumberSummary]

    @property
    def moments(self) -> Moments:
        """Sum over the sites."""
        return Moments.merge(part.moments for part in self.parts.values())


def number_groups(
    plan: AnalysisPlan,
    variable: str,
    by: str | None,
    sites: Sequence[SiteTable],
    refusals: Refusals,
) -> list[GroupParts]:
    """Ask every site for a numeric variable by group."""
    groups = groups_of(plan, by)
    found: list[dict[str, NumberSummary]] = [{} for _ in groups]
    for site in sites:
        values, codes = site.columns[variable], codes_of(by, site.columns)
        for place in range(len(groups)):
            own = values[codes == place]
            summary = NumberSummary.of(own, bins_of(plan.variable(variable)))
            shown, reasons = site.gate.numbers(f"{refusals.item}: {variable}", own, summary)
            refusals.note(site.site, reasons)
            if shown is not None:
                found[place][site.site] = shown
                refusals.counted.add(site.site)
    return [GroupParts(parts) for parts in found]


def count_groups(
    plan: AnalysisPlan, variable: str, by: str | None, sites: Sequence[SiteTable], refusals: Refusals
) -> CountTable | None:
    """Ask every site for a table of levels by group; ``None`` when nobody released one."""
    levels, groups = groups_of(plan, variable), groups_of(plan, by)
    parts = []
    for site in sites:
        table = CountTable.of(levels, groups, site.columns[variable], codes_of(by, site.columns))
        shown, reasons = site.gate.table(f"{refusals.item}: {variable}", table)
        refusals.note(site.site, reasons)
        if shown is not None:
            parts.append(shown)
            refusals.counted.add(site.site)
    return merge_tables(parts) if parts else None


def describe(plan: AnalysisPlan, item: Description, subgroup: str, sites: Sequence[SiteTable]) -> ResultTable:
    """Make Table 1."""
    refusals = Refusals(item.title)
    if reasons := refusals.too_few(sites, len(sites), plan.minimum_sites):
        return ResultTable(item.title, subgroup, TABLE_ONE, (), reasons)
    rows: list[tuple[Cell, ...]] = []
    for name in item.variables:
        if plan.variable(name).kind == "number":
            rows += _number_rows(plan, name, item.by, sites, refusals)
        else:
            rows += _level_rows(plan, name, item.by, sites, refusals)
    return ResultTable(
        item.title,
        subgroup,
        TABLE_ONE,
        tuple(rows),
        (),
        tuple(sorted(refusals.refused)),
        tuple(sorted(refusals.counted)),
    )


def _number_rows(
    plan: AnalysisPlan, name: str, by: str | None, sites: Sequence[SiteTable], refusals: Refusals
) -> list[tuple[Cell, ...]]:
    groups = number_groups(plan, name, by, sites, refusals)
    baseline = Baseline(name, tuple(NumberSummary(group.moments, 0) for group in groups))
    rows: list[tuple[Cell, ...]] = []
    for label, group in zip(groups_of(plan, by), groups, strict=True):
        moments = group.moments
        pooled = pool([SiteSummary(site, part.moments, part.histogram) for site, part in group.parts.items()])
        median = pooled.quantiles[0.5].value if 0.5 in pooled.quantiles else None
        missing = sum(part.missing for part in group.parts.values())
        mean, sd = _known(moments.mean), _known(moments.sd)
        rows.append((name, "", label, moments.n, missing, mean, sd, median, None, _known(baseline.smd)))
    return rows


def _level_rows(
    plan: AnalysisPlan, name: str, by: str | None, sites: Sequence[SiteTable], refusals: Refusals
) -> list[tuple[Cell, ...]]:
    table = count_groups(plan, name, by, sites, refusals)
    if table is None:
        return [(name, "", "", None, None, None, None, None, None, None)]
    smd = _known(Baseline(name, counts=table).smd) if by else None
    rows: list[tuple[Cell, ...]] = []
    for column, label in enumerate(table.columns):
        cells = [row[column] for row in table.cells]
        total = None if None in cells else sum(cell or 0 for cell in cells)
        for level, cell in zip(table.rows, cells, strict=True):
            percent = 100 * cell / total if cell is not None and total else None
            rows.append((name, level, label, cell, table.missing, None, None, None, percent, smd))
    return rows


def _known(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value


COMPARISON = ("test", "statistic", "df", "p", "difference", "low", "high")


def compare(plan: AnalysisPlan, item: Comparison, subgroup: str, sites: Sequence[SiteTable]) -> ResultTable:
    """Test a variable between groups."""
    refusals = Refusals(item.title)
    outcome: Outcome | None = None
    notes: tuple[str, ...] = ()
    try:
        outcome = _outcome(plan, item, sites, refusals)
    except ValueError as error:
        notes = (f"Not computed: {error}.",)
    reasons = refusals.too_few(sites, len(refusals.counted), plan.minimum_sites)
    rows: tuple[tuple[Cell, ...], ...] = ()
    if reasons:
        notes = reasons
    elif outcome is not None:
        effect = outcome.effect
        limits = (effect.value, effect.low, effect.high) if effect else (None, None, None)
        rows = ((outcome.name, outcome.statistic, _known(outcome.freedom), outcome.p, *limits),)
        notes = outcome.notes
    return ResultTable(
        item.title,
        subgroup,
        COMPARISON,
        rows,
        notes,
        tuple(sorted(refusals.refused)),
        tuple(sorted(refusals.counted)),
    )


def _outcome(plan: AnalysisPlan, item: Comparison, sites: Sequence[SiteTable], refusals: Refusals) -> Outcome:
    if item.test in {"chi-square", "fisher"}:
        table = count_groups(plan, item.variable, item.by, sites, refusals)
        if table is None:
            raise ValueError("no site may show its table")
        if item.test == "chi-square":
            return chi_square(table.counts)
        return fisher_exact([[int(cell) for cell in row] for row in table.counts])
    first, second = number_groups(plan, item.variable, item.by, sites, refusals)
    shared = first.parts.keys() & second.parts.keys()
    if item.test != "mann-whitney":
        one, two = (
            Moments.merge(group.parts[site].moments for site in sorted(shared)) for group in (first, second)
        )
        return t_test(one, two, equal_variances=item.test == "t")
    return _rank_outcome(first, second, shared, refusals)


def _rank_outcome(first: GroupParts, second: GroupParts, shared: set[str], refusals: Refusals) -> Outcome:
    pairs: list[tuple[Histogram, Histogram]] = []
    for site in sorted(shared):
        one, two = first.parts[site].histogram, second.parts[site].histogram
        if one is not None and two is not None and one.is_complete and two.is_complete:
            pairs.append((one, two))
        else:
            refusals.note(site, ("A bin is too small for a rank test.",))
            refusals.counted.discard(site)
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

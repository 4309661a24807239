"""The comorbidome: expected values learnt from reference subjects, then z-scores, prevalences, pairs and age gaps."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from racoon.domain.analysis import AnalysisPlan
from racoon.domain.analysis.estimators import Comorbidome
from racoon.science.analysis.asking import Inquiry
from racoon.science.analysis.columns import Columns
from racoon.science.analysis.computed import Computed, Counts, Numbers, Several
from racoon.science.analysis.kind import Kind, refused, table, values_of
from racoon.science.analysis.kinds.relations import check_products, cross_products
from racoon.science.analysis.questions import Question
from racoon.science.analysis.results import Cell, Plot, ResultTable, Series, Shape, SiteLine
from racoon.science.statistics import FixedBins, Moments
from racoon.science.statistics.comorbidity import Expectation, edge_of, learn
from racoon.science.statistics.description import CountTable, NumberSummary, merge_tables
from racoon.science.statistics.estimate import z_of
from racoon.science.statistics.prediction import wilson
from racoon.science.statistics.sums import CrossProducts

_Z_BINS = FixedBins(-8.0, 8.0, 1.0)
_ANSWERS = ("no", "yes")


def _nodes(item: Comorbidome) -> tuple[str, ...]:
    """What the network joins: abnormal biomarkers, then conditions."""
    return (*(f"abnormal {name}" for name in item.biomarkers), *item.conditions)


def _compute(_plan: AnalysisPlan, item: Comorbidome, question: Question, columns: Columns) -> Computed:
    if question.part == "sums":
        chosen = columns[item.reference] == 1
        return cross_products(item.title, (item.age, *item.biomarkers), columns, chosen)
    matrix = np.column_stack([columns[name] for name in item.biomarkers])
    scores, gaps = Expectation.apply(question.coefficients, matrix, columns[item.age])
    with np.errstate(invalid="ignore"):
        abnormal = np.where(np.isnan(scores), np.nan, (np.abs(scores) > item.limit).astype(np.float64))
    nodes = [*abnormal.T, *(columns[name] for name in item.conditions)]
    parts: list[Computed] = [
        Numbers(f"{item.title}: {name}", [(own, NumberSummary.of(own, _Z_BINS))])
        for name, own in zip(item.biomarkers, scores.T, strict=True)
    ]
    for name, values in (("all", np.ones(gaps.size)), *((name, columns[name]) for name in item.conditions)):
        own = gaps[values == 1]
        parts.append(Numbers(f"{item.title}: age gap, {name}", [(own, NumberSummary.of(own))]))
    for name, flags in zip(_nodes(item), nodes, strict=True):
        parts.append(Counts(f"{item.title}: {name}", CountTable.of(_ANSWERS, ("all",), flags)))
    for first, second in itertools.combinations(range(len(nodes)), 2):
        counts = CountTable.of(_ANSWERS, _ANSWERS, nodes[first], nodes[second])
        parts.append(Counts(f"{item.title}: {_nodes(item)[first]}, {_nodes(item)[second]}", counts))
    return Several(parts)


def _sizes(item: Comorbidome) -> tuple[int, int, int, int]:
    """Parts of an answer: z-scores, age gaps, prevalences, pairs."""
    nodes = len(_nodes(item))
    return len(item.biomarkers), 1 + len(item.conditions), nodes, nodes * (nodes - 1) // 2


def _check(_plan: AnalysisPlan, item: Comorbidome, question: Question, value: Mapping[str, Any]) -> None:
    if question.part == "sums":
        check_products((item.age, *item.biomarkers), value)
        return
    numbers, gaps, nodes, pairs = _sizes(item)
    parts = value["variables"]
    if len(parts) != numbers + gaps + nodes + pairs:
        raise ValueError("an answer about other biomarkers or conditions")
    for part in parts[: numbers + gaps]:
        (document,) = part["groups"]
        if document is not None:
            NumberSummary.from_dict(document)
    for place, part in enumerate(parts[numbers + gaps :]):
        if part["table"] is not None:
            counts = CountTable.from_dict(part["table"])
            if (counts.rows, counts.columns) != (_ANSWERS, ("all",) if place < nodes else _ANSWERS):
                raise ValueError("an answer for other levels")


COMORBIDOME = ("part", "name", "value", "low", "high", "n")


def _conclude(inquiry: Inquiry, item: Comorbidome) -> ResultTable:
    own = {site: CrossProducts.from_dict(dict(value)) for site, value in values_of(inquiry.first()).items()}
    inquiry.counted |= set(own)
    if reasons := inquiry.too_few():
        return refused(inquiry, item.title, COMORBIDOME, reasons)
    try:
        source = f"reference subjects of {len(own)} sites"
        learnt = learn(CrossProducts.merge(own.values()), item.biomarkers, source)
    except ValueError as error:
        return table(inquiry, item.title, COMORBIDOME, [], (f"Not computed: {error}.",))
    # Everybody is asked: a site without enough reference subjects of its own uses those of the others.
    values = values_of(inquiry.first(learnt.numbers, part="second"))
    for site, value in values.items():
        parts = [
            document for part in value["variables"] for document in part.get("groups", [part.get("table")])
        ]
        if any(document is not None for document in parts):
            inquiry.counted.add(site)
    least = max(inquiry.least, 1)
    found = _Parts(item, values, least)
    rows: list[tuple[Cell, ...]] = []
    for line, name in zip(learnt.lines, item.biomarkers, strict=True):
        rows.append(
            ("expected at age 60", name, line.intercept + 60 * line.slope_per_year, None, None, line.subjects)
        )
        rows.append(("SD around the expected", name, line.residual_sd, None, None, line.subjects))
    rows.append(
        (
            "predicted age",
            "correlation with age",
            learnt.gap.correlation,
            None,
            None,
            learnt.lines[0].subjects,
        )
    )
    rows += [*found.means(), *found.prevalences()]
    pairs, plot = found.network()
    notes = ["The age gap is corrected for its trend with age; it is no diagnosis."]
    if found.hidden:
        notes.append(f"{found.hidden} parts stand on too few sites and are left out.")
    return table(
        inquiry,
        item.title,
        COMORBIDOME,
        rows + pairs,
        tuple(notes),
        found.lines(),
        shapes=found.shapes(),
        plots=found.plots(plot),
    )


class _Parts:
    """The sites' second answers, part by part; a part needs enough sites of its own."""

    def __init__(self, item: Comorbidome, values: Mapping[str, Mapping[str, Any]], least: int) -> None:
        self._item, self._values, self._least = item, values, least
        self._shares: list[Series] = []
        self.hidden = 0

    def _numbers(self, place: int) -> dict[str, NumberSummary]:
        found = {}
        for site, value in sorted(self._values.items()):
            document = value["variables"][place]["groups"][0]
            if document is not None:
                found[site] = NumberSummary.from_dict(document)
        return found

    def _counts(self, place: int) -> dict[str, CountTable]:
        found = {}
        for site, value in sorted(self._values.items()):
            document = value["variables"][place]["table"]
            if document is not None and CountTable.from_dict(document).is_complete:
                found[site] = CountTable.from_dict(document)
        return found

    def _is_enough(self, parts: Mapping[str, Any]) -> bool:
        if len(parts) >= self._least:
            return True
        self.hidden += 1
        return False

    def means(self) -> list[tuple[Cell, ...]]:
        """Mean z-score per biomarker, and mean age gap by condition."""
        rows: list[tuple[Cell, ...]] = []
        numbers, gaps, _, _ = _sizes(self._item)
        names = [("z-score", name) for name in self._item.biomarkers]
        names += [("age gap, years", name) for name in ("all", *self._item.conditions)]
        for place, (part, name) in enumerate(names):
            own = self._numbers(place)
            if self._is_enough(own):
                moments = Moments.merge(summary.moments for summary in own.values())
                reach = z_of(0.95) * moments.standard_error
                rows.append((part, name, moments.mean, moments.mean - reach, moments.mean + reach, moments.n))
        assert len(names) == numbers + gaps, "one name per part"
        return rows

    def prevalences(self) -> list[tuple[Cell, ...]]:
        """Share of each node."""
        rows: list[tuple[Cell, ...]] = []
        numbers, gaps, _, _ = _sizes(self._item)
        for place, name in enumerate(_nodes(self._item)):
            own = self._counts(numbers + gaps + place)
            if self._is_enough(own):
                counts = merge_tables(own.values()).counts
                share = wilson(int(counts[1, 0]), int(counts.sum()))
                rows.append(("prevalence", name, share.value, share.low, share.high, share.n))
                self._shares.append(
                    Series(
                        name,
                        (float(len(self._shares) + 1),),
                        (share.value,),
                        (share.low,),
                        (share.high,),
                        is_line=False,
                    )
                )
        return rows

    def plots(self, network: Plot | None) -> tuple[Plot, ...]:
        """Prevalences with their intervals, and the network."""
        shares = (Plot("prevalence", "", "share", tuple(self._shares)),) if self._shares else ()
        return (*shares, *((network,) if network else ()))

    def network(self) -> tuple[list[tuple[Cell, ...]], Plot | None]:
        """Odds ratio and correlation of each pair, and what to draw."""
        rows: list[tuple[Cell, ...]] = []
        series = []
        nodes = _nodes(self._item)
        start = sum(_sizes(self._item)[:3])
        angles = [2 * math.pi * place / max(len(nodes), 1) for place in range(len(nodes))]
        for place, (first, second) in enumerate(itertools.combinations(range(len(nodes)), 2)):
            own = self._counts(start + place)
            if not self._is_enough(own):
                continue
            edge = edge_of(merge_tables(own.values()))
            name = f"{nodes[first]}, {nodes[second]}"
            ratio = edge.odds_ratio
            rows.append(("pair: odds ratio", name, ratio.value, ratio.low, ratio.high, edge.n))
            if not math.isnan(edge.phi):
                rows.append(("pair: correlation", name, edge.phi, None, None, edge.n))
                ends = [angles[first], angles[second]]
                series.append(
                    Series(
                        name,
                        tuple(math.cos(angle) for angle in ends),
                        tuple(math.sin(angle) for angle in ends),
                        (edge.phi,),
                    )
                )
        names = Series(
            "|".join(nodes), tuple(map(math.cos, angles)), tuple(map(math.sin, angles)), is_line=False
        )
        return rows, Plot("network", "", "", (*series, names)) if series else None

    def lines(self) -> tuple[SiteLine, ...]:
        """Mean z-score and age gap of each site."""
        found = []
        names = [f"z-score, {name}" for name in self._item.biomarkers] + ["age gap, years"]
        for place, name in enumerate(names):
            for site, summary in self._numbers(place).items():
                moments = summary.moments
                sd = moments.sd if moments.n > 1 else 0.0
                found.append(
                    SiteLine(site, name, moments.n, moments.mean, moments.mean - sd, moments.mean + sd)
                )
        return tuple(found)

    def shapes(self) -> tuple[Shape, ...]:
        """Distribution of each z-score, where sites show theirs in the same bins."""
        found = []
        for place, name in enumerate(self._item.biomarkers):
            own = [summary.histogram for summary in self._numbers(place).values()]
            whole = [histogram for histogram in own if histogram is not None and histogram.bins == _Z_BINS]
            if len(whole) >= self._least:
                merged = whole[0]
                for histogram in whole[1:]:
                    merged = merged + histogram
                found.append(Shape(f"z-score, {name}", "1", merged.to_dict()))
        return tuple(found)


def _sort(
    _plan: AnalysisPlan, item: Comorbidome, question: Question, columns: Columns
) -> dict[str, NDArray[np.bool_]]:
    if question.part == "sums":
        return {}
    matrix = np.column_stack([columns[name] for name in item.biomarkers])
    scores, _ = Expectation.apply(question.coefficients, matrix, columns[item.age])
    found = {}
    for name, own in zip(item.biomarkers, scores.T, strict=True):
        known = np.isfinite(own)
        cells = np.full(own.size, -1, np.intp)
        cells[known] = _Z_BINS.cells(own[known])
        found[f"abnormal {name}"] = known & (np.abs(np.where(known, own, 0.0)) > item.limit)
        found |= {f"{name} bin {cell}": cells == cell for cell in range(_Z_BINS.count + 2)}
    return found


COMORBIDITIES = Kind(_compute, _check, _conclude, _sort)

"""A plan over its sites: replayed from the answers that are there, until no question is open."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from racoon.domain.analysis import AnalysisPlan
from racoon.science.analysis.answering import compute_answers, judge
from racoon.science.analysis.asking import Book, Inquiry, SiteLeft, Waiting
from racoon.science.analysis.columns import SiteTable
from racoon.science.analysis.harmonising import Harmony, harmony_of
from racoon.science.analysis.kinds import KINDS
from racoon.science.analysis.questions import Question
from racoon.science.analysis.results import Analysis, ResultTable

Open = Mapping[str, tuple[Question, ...]]
"""By site: what it is asked next."""


def advance(plan: AnalysisPlan, book: Book) -> Analysis | Open:
    """Carry an analysis as far as its answers reach.

    Parameters
    ----------
    plan
        Checked plan.
    book
        Answers so far.

    Returns
    -------
    Analysis or mapping
        All results; or what is asked next, of whom: everything that can be asked now, in one round.

    Notes
    -----
    A site that leaves is left out of the estimators it has not finished, as if it had never taken part in them; what it
    finished stays.
    """
    tables: list[ResultTable] = []
    waiting: dict[str, dict[Question, None]] = {}
    kept: dict[int, Harmony | None] = {}

    def harmony(place: int) -> Harmony | None:
        if place not in kept:
            kept[place] = harmony_of(plan, place, book)
        return kept[place]

    for subgroup in ("", *(group.name for group in plan.subgroups)):
        for place in range(len(plan.estimators)):
            try:
                tables.append(_estimate(plan, place, subgroup, book, harmony))
            except Waiting as wait:
                for question, sites in wait.questions.items():
                    for site in sites:
                        waiting.setdefault(site, {})[question] = None
    if waiting:
        return {site: tuple(questions) for site, questions in sorted(waiting.items())}
    return Analysis(plan.hash, tuple(tables))


def run_plan(plan: AnalysisPlan, sites: Sequence[SiteTable]) -> Analysis:
    """Compute everything a plan asks for, with all sites in one process.

    Parameters
    ----------
    plan
        Checked plan.
    sites
        Their tables; the result does not depend on their order.

    Returns
    -------
    Analysis
        What was refused stands in it with its reason; the rest comes.
    """
    by_site = {table.site: table for table in sites}
    book = Book(tuple(sorted(by_site)))
    while not isinstance(found := advance(plan, book), Analysis):
        for site, questions in found.items():
            table = by_site[site]
            answers = judge(compute_answers(plan, questions, table.columns), table.gate)
            for question, answer in zip(questions, answers, strict=True):
                book = book.with_answers(question, {site: answer})
    return found


def _estimate(
    plan: AnalysisPlan,
    place: int,
    subgroup: str,
    book: Book,
    harmony: Callable[[int], Harmony | None],
) -> ResultTable:
    """Compute one estimator; when a site leaves it on the way, again without that site."""
    without: dict[str, str] = {}
    while True:
        try:
            return _compute(Inquiry(plan, place, subgroup, book, dict(without), harmony=harmony))
        except SiteLeft as left:
            without |= left.reasons


def _compute(inquiry: Inquiry) -> ResultTable:
    item = inquiry.plan.estimators[inquiry.place]
    return KINDS[type(item)].conclude(inquiry, item)

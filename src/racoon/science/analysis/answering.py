"""The site's part: compute what is asked over its own rows, then let its gate decide what of it may leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from racoon.domain.analysis import AnalysisPlan, parse_expression
from racoon.domain.analysis.estimators import Estimator
from racoon.domain.canonical import content_hash
from racoon.science.analysis.columns import Columns
from racoon.science.analysis.computed import Computed, Guarded, Impossible, Sums
from racoon.science.analysis.gate import Gate, Reasons
from racoon.science.analysis.harmonising import with_harmonised
from racoon.science.analysis.kinds import KINDS
from racoon.science.analysis.questions import Answer, Question
from racoon.science.statistics.derivation import evaluate

Rows = NDArray[np.bool_]


@dataclass(frozen=True)
class SiteWork:
    """Everything a site computed for some questions, unprotected.

    Parameters
    ----------
    plan
        Whose questions.
    chosen
        By subgroup: which rows it has, shape (rows,); all rows under the empty name.  In the plan's order.
    computed
        One per question.
    sorted
        By question: the cells into which its coefficients sort rows, by a name; shape (rows,) each.
    scores
        By question: the scores whose squares it asks for, shape (columns, rows of the site).
    """

    plan: AnalysisPlan
    chosen: Mapping[str, Rows]
    computed: tuple[tuple[Question, Computed], ...]
    sorted: Mapping[Question, Mapping[str, Rows]] = field(default_factory=dict)
    scores: Mapping[Question, NDArray[np.float64]] = field(default_factory=dict)

    def names(self, question: Question) -> tuple[str, ...]:
        """Names under which the ledger may hold a question back: its subgroup, its cells, its squares."""
        squares = (squares_name(question),) if question in self.scores else ()
        return (question.subgroup, *self.sorted.get(question, {}), *squares)


def squares_name(question: Question) -> str:
    """Name the squares that a question asks for; two questions of one estimator are told apart."""
    return f"{_name(question)} squares"


def _name(question: Question) -> str:
    return f"{question.subgroup} {question.place} {content_hash(question.to_dict())[:12]}"


def compute_answers(plan: AnalysisPlan, questions: Sequence[Question], columns: Columns) -> SiteWork:
    """Compute what is asked, without any protection yet.

    Parameters
    ----------
    plan
        Checked plan.
    questions
        Of this plan.
    columns
        All variables of the plan over the site's rows, shape (rows,) each.

    Raises
    ------
    ValueError
        If a question is about something the plan does not have.
    """
    chosen = choose_rows(plan, columns)
    parts: dict[str, Columns] = {}
    found: list[tuple[Question, Computed]] = []
    cells: dict[Question, dict[str, Rows]] = {}
    scores: dict[Question, NDArray[np.float64]] = {}
    for question in questions:
        if question.place >= len(plan.estimators) or question.subgroup not in chosen:
            raise ValueError("the plan has no such estimator or subgroup")
        if question.subgroup not in parts:
            rows = chosen[question.subgroup]
            parts[question.subgroup] = {name: values[rows] for name, values in columns.items()}
        item, part = plan.estimators[question.place], parts[question.subgroup]
        guard: Sums | None = None
        try:
            part, guard = with_harmonised(plan, question.place, question.harmony, part)
        except ValueError as error:
            found.append((question, Impossible(f"Not computed: {error}.")))
            continue
        computed = _compute(plan, item, question, part)
        found.append((question, computed if guard is None else Guarded(guard, computed)))
        cells[question] = _sort(plan, item, question, part, chosen[question.subgroup])
        if question.part == "meat" and not isinstance(computed, Impossible):
            scores[question] = _scores(plan, item, question, part, chosen[question.subgroup])
    return SiteWork(plan, chosen, tuple(found), cells, scores)


def choose_rows(plan: AnalysisPlan, columns: Columns) -> dict[str, Rows]:
    """Choose the rows of each subgroup; an unknown condition does not hold."""
    levels = {item.name: item.levels for item in plan.variables if item.levels}
    rows = next(iter(columns.values())).size
    chosen = {"": np.ones(rows, np.bool_)}
    for group in plan.subgroups:
        chosen[group.name] = evaluate(parse_expression(group.condition), columns, levels) == 1
    return chosen


def judge(work: SiteWork, gate: Gate, held: Mapping[str, Reasons] | None = None) -> list[Answer]:
    """Let the site's gate decide on everything that was computed.

    Parameters
    ----------
    work
        Unprotected.
    gate
        The site's own.
    held
        Subgroups, and cells into which coefficients sort rows, that something else than the plan holds back, with the
        reason.

    Returns
    -------
    list of Answer
        In the questions' order.
    """
    refused = dict(held or {})
    earlier: list[Rows] = []
    for name, rows in work.chosen.items():
        if reasons := refused.get(name) or (gate.subgroup(name, rows, earlier) if name else ()):
            refused[name] = reasons
        else:
            earlier.append(rows)
    least = gate.least_sites(work.plan.minimum_sites)
    answers = []
    for question, computed in work.computed:
        reasons = next((refused[name] for name in work.names(question) if name in refused), ())
        if reasons:
            answers.append(Answer(None, reasons, least))
        else:
            value, reasons = computed.pass_through(gate)
            answers.append(Answer(value, reasons, least))
    return answers


def _compute(plan: AnalysisPlan, item: Estimator, question: Question, columns: Columns) -> Computed:
    try:
        return KINDS[type(item)].compute(plan, item, question, columns)
    except ValueError as error:
        return Impossible(f"Not computed: {error}.")


def _sort(
    plan: AnalysisPlan, item: Estimator, question: Question, columns: Columns, chosen: Rows
) -> dict[str, Rows]:
    """Name the cells into which a question's coefficients sort all rows of the site."""
    sort = KINDS[type(item)].sort
    if sort is None:
        return {}
    try:
        cells = sort(plan, item, question, columns)
    except ValueError:  # then nothing was computed either
        return {}
    found = {}
    for name, rows in cells.items():
        found[f"{_name(question)} {name}"] = whole = np.zeros(chosen.size, np.bool_)
        whole[chosen] = rows
    return found


def _scores(
    plan: AnalysisPlan, item: Estimator, question: Question, columns: Columns, chosen: Rows
) -> NDArray[np.float64]:
    """Put the scores whose squares are asked for at their places among all rows of the site."""
    compute = KINDS[type(item)].scores
    assert compute is not None, "whoever answers with squares says what they are squares of"
    own = compute(plan, item, question, columns)
    found = np.zeros((own.shape[0], chosen.size))
    found[:, chosen] = own
    return found


def check_answer(plan: AnalysisPlan, question: Question, answer: Answer) -> None:
    """Check that an answer has the form its question wants, before it is added to others.

    Raises
    ------
    ValueError
        If it can't be an answer to this question.
    """
    if answer.value is None:
        return
    item = plan.estimators[question.place]
    try:
        KINDS[type(item)].check(plan, item, question, dict(answer.value))
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError("an answer of another form") from error

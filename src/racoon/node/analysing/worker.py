"""Job handler of ``analyse``: one round of an approved plan over the frozen dataset."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

from racoon.domain.analysis import AnalysisPlan, parse_plan
from racoon.domain.dataset import DatasetManifest
from racoon.node.analysing.model import BadAnalysisJob, DerivedTable, SubjectTable
from racoon.node.analysing.service import derive_table
from racoon.node.approvals.model import StudyAtSite
from racoon.node.jobs.model import Handler, Outcome, Progress
from racoon.protocol.messages import JobOffer

LoadTable = Callable[[AnalysisPlan, DatasetManifest], SubjectTable]
"""The rows of a frozen dataset with the columns of a plan."""


def analyse_handler(
    load_manifest: Callable[[str, str], DatasetManifest],
    load_table: LoadTable,
    standing: Callable[[], Hashable] = object,
) -> Handler:
    """Build the handler of ``analyse``; parameters ``plan``, ``dataset_hash``, ``round``, ``sites``, ``questions``.

    Parameters
    ----------
    load_manifest
        ``(study_id, dataset_hash)`` → the frozen dataset.
    load_table
        Its rows.
    standing
        Changes whenever somebody's rows may have to go, e.g. the number of the newest withdrawal with the day; by
        default it always does.
    """
    kept: dict[Hashable, DerivedTable] = {}

    def rows_of(offer: JobOffer, plan: AnalysisPlan, manifest: DatasetManifest) -> DerivedTable:
        # Rounds of one run are about the same rows; reading them anew each time would take most of a round.
        key = (offer.run_id.rsplit(".", 1)[0], plan.hash, manifest.series, standing())
        if key not in kept:
            table = derive_table(plan, load_table(plan, manifest))
            kept.clear()
            kept[key] = table
        return kept[key]

    def handle(offer: JobOffer, study: StudyAtSite | None, report: Progress) -> Outcome:
        if study is None or study.dataset_hash is None:
            raise BadAnalysisJob("This site has frozen no dataset for the study.")
        plan = parse_plan(offer.parameters["plan"])
        manifest = load_manifest(offer.study_id, study.dataset_hash)
        aggregate = compute_round(plan, rows_of(offer, plan, manifest), offer.parameters)
        report(1, 1, "")
        return Outcome({**aggregate, "plan_hash": plan.hash, "dataset_hash": manifest.hash})

    return handle


def compute_round(
    plan: AnalysisPlan, table: SubjectTable | DerivedTable, parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """Compute what a round asks, unprotected, for ``release``.

    Parameters
    ----------
    plan
        The approved plan.
    table
        The site's rows.
    parameters
        ``questions`` and ``sites`` of the job.

    Raises
    ------
    BadAnalysisJob
        When the questions can't be read or don't belong to the plan.
    """
    from racoon.science.analysis import Question, compute_answers  # noqa: PLC0415 - scipy,
    from racoon.science.analysis.answering import squares_name  # noqa: PLC0415 - only to analyse

    rows = derive_table(plan, table) if isinstance(table, SubjectTable) else table
    try:
        questions = [Question.from_dict(document) for document in parameters["questions"]]
        sites = int(parameters["sites"])
        work = compute_answers(plan, questions, rows.columns)
    except (KeyError, TypeError, ValueError) as error:
        raise BadAnalysisJob(f"This round can't be computed here: {error}.") from error

    def members(chosen: Mapping[str, Any]) -> dict[str, frozenset[str]]:
        return {
            name: frozenset(subject for subject, is_in in zip(rows.subjects, own, strict=True) if is_in)
            for name, own in chosen.items()
        }

    cells = [(question, members(own)) for question, own in work.sorted.items() if own]
    scores = [
        (squares_name(question), question, dict(zip(rows.subjects, map(tuple, own.T.tolist()), strict=True)))
        for question, own in work.scores.items()
    ]
    return {
        "work": work,
        "populations": members(work.chosen),
        "cells": cells,
        "scores": scores,
        "sites": sites,
    }

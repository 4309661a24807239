"""From the rounds of a run to the book of its answers, and from the book to the result that is kept.

Pure; apart from ``model`` because it loads the estimators.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from racoon import __version__
from racoon.central.analysing.code import code_hash
from racoon.central.orchestration.model import OPEN_STATES, JobState
from racoon.domain.analysis import AnalysisPlan
from racoon.domain.canonical import canonical_json, content_hash
from racoon.science.analysis import Analysis, Answer, Book, Question
from racoon.science.analysis.answering import check_answer

UNUSABLE = "What the site answered can't be used."


def round_number(run_id: str) -> int:
    """Read the number of a round from its run's id."""
    return int(run_id.rsplit("-", 1)[-1])


def book_of(plan: AnalysisPlan, datasets: Mapping[str, str], rounds: Sequence[Mapping[str, Any]]) -> Book:
    """Collect what the sites have answered.

    Parameters
    ----------
    plan
        As it is run.
    datasets
        Site → hash of its frozen dataset.
    rounds
        Runs with their jobs, in any order.

    Returns
    -------
    Book
        A site whose job ended without a usable result has left; what it answered before stays.
    """
    book = Book(tuple(sorted(datasets)))
    left: dict[str, str] = {}
    plan_hash = plan.hash
    for run in sorted(rounds, key=lambda row: round_number(row["run_id"])):
        number = round_number(run["run_id"])
        for job in run["jobs"]:
            site, state = job["site"], JobState(job["state"])
            if state in OPEN_STATES:
                continue
            if state is not JobState.SUCCEEDED:
                reason = job["public_reason"] or "No answer."
                left.setdefault(site, f"Left in round {number}: {reason}")
                continue
            try:
                answers = _answers(plan, plan_hash, datasets[site], job)
            except ValueError:
                left.setdefault(site, f"Left in round {number}: {UNUSABLE}")
                continue
            for question, answer in answers.items():
                book = book.with_answers(question, {site: answer})
    return Book(book.sites, book.answers, left)


def _answers(
    plan: AnalysisPlan, plan_hash: str, dataset_hash: str, job: Mapping[str, Any]
) -> dict[Question, Answer]:
    payload = (job["result"] or {}).get("payload", {})
    if payload.get("plan_hash") != plan_hash or payload.get("dataset_hash") != dataset_hash:
        raise ValueError("an answer about another plan or dataset")
    asked = {Question.from_dict(document) for document in job["parameters"]["questions"]}
    answers: dict[Question, Answer] = {}
    try:
        for document in payload["answers"]:
            question, answer = Question.from_dict(document["question"]), Answer.from_dict(document)
            check_answer(plan, question, answer)
            answers[question] = answer
    except (KeyError, TypeError) as error:
        raise ValueError("answers of another form") from error
    if set(answers) != asked:
        raise ValueError("answers to other questions")
    return answers


def result_document(
    row: Mapping[str, Any], analysis: Analysis, book: Book, rounds: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Write down a result with everything it came from.

    Parameters
    ----------
    row
        The stored analysis.
    analysis
        What was found.
    book, rounds
        What it was found from.

    Returns
    -------
    dict
        JSON.  ``result_hash`` covers plan, program, datasets, policies and tables, not when and under which id it
        ran: the same analysis again has the same hash.
    """
    sites = [_site(site, dataset, book, rounds) for site, dataset in sorted(row["datasets"].items())]
    core = {
        "plan": row["plan"],
        "plan_hash": row["plan_hash"],
        "software": f"racoon {__version__}",
        "code_hash": code_hash(),
        "mode": row["mode"],
        "seeds": _seeds(row["plan"]),
        "subjects": dict(sorted((row["subjects"] or {}).items())),
        "datasets": dict(sorted(row["datasets"].items())),
        "policies": {entry["site"]: entry["policy_versions"] for entry in sites},
        "left": dict(sorted(book.left.items())),
        "tables": _finite(analysis.to_dict()["tables"]),
    }
    return {
        **core,
        "result_hash": content_hash(core),
        "run_id": row["run_id"],
        "study_id": row["study_id"],
        "study_hash": row["study_hash"],
        "sites": sites,
        "held_back": _held_back(rounds),
        "rounds": len(rounds),
        "bytes": sum(_size(job) for run in rounds for job in run["jobs"]),
    }


def _seeds(plan: Mapping[str, Any]) -> dict[str, int]:
    """Return the seed of each estimator that draws at random; plans leave the usual one out."""
    return {
        item["title"]: int(item.get("seed", 1))
        for item in plan["estimators"]
        if item.get("imputations") or "seed" in item
    }


def _site(site: str, dataset_hash: str, book: Book, rounds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    results = [
        job["result"]
        for run in sorted(rounds, key=lambda row: round_number(row["run_id"]))
        for job in run["jobs"]
        if job["site"] == site and job["result"]
    ]
    return {
        "site": site,
        "dataset_hash": dataset_hash,
        "answers": sum(site in answers for answers in book.answers.values()),
        "release_ids": [result.get("release_id", "") for result in results],
        "policy_versions": sorted({result.get("policy_version", "") for result in results}),
        "left": book.left.get(site),
    }


def _held_back(rounds: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    found = {
        (job["site"], entry["part"], entry["code"], entry["public_reason"])
        for run in rounds
        for job in run["jobs"]
        if job["result"]
        for entry in job["result"].get("suppressed", ())
    }
    return [
        {"site": site, "part": part, "code": code, "public_reason": reason}
        for site, part, code, reason in sorted(found)
    ]


def _size(job: Mapping[str, Any]) -> int:
    payload = (job["result"] or {}).get("payload")
    return len(canonical_json(payload)) if payload else 0


def _finite(value: Any) -> Any:
    """Write what is no number as unknown; JSON has no other word for it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value

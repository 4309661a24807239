"""What each job kind may let out: from the handler's unprotected aggregate to a payload and reasons.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from racoon.node.release.model import (
    Released,
    Suppression,
    apply_rules_to_all,
    check_training,
    check_update,
)
from racoon.node.release.noise import protect_count
from racoon.node.release.policy import DisclosurePolicy

Protect = Callable[[Mapping[str, Any], DisclosurePolicy], Released]


def protect_feasibility(aggregate: Mapping[str, Any], policy: DisclosurePolicy) -> Released:
    """Protect a feasibility count: noise, rounding, threshold.  Keys: ``cohort_hash``, ``count``."""
    answer = protect_count(int(aggregate["count"]), policy)
    return Released({"cohort_hash": aggregate["cohort_hash"], "count": answer.to_dict()})


def protect_freeze(aggregate: Mapping[str, Any], policy: DisclosurePolicy) -> Released:
    """Protect the size of a frozen dataset: its hash, and counts unless too few subjects stand behind them.

    Keys: ``dataset_hash``, ``subjects``, ``series``, ``instances``.
    """
    counts = {key: int(aggregate[key]) for key in ("subjects", "series", "instances")}
    if 0 < counts["subjects"] < policy.minimum_cell:
        hidden = dict.fromkeys(counts)
        reason = Suppression.because("release.minimum_cell", "dataset", "all")
        return Released({"dataset_hash": aggregate["dataset_hash"], **hidden}, (reason,))
    return Released({"dataset_hash": aggregate["dataset_hash"], **counts})


def protect_measuring(aggregate: Mapping[str, Any], policy: DisclosurePolicy) -> Released:
    """Protect all measurements of a plan.

    Keys: ``dataset_hash``, ``aggregates`` (sequence of ``MeasuredAggregate``), ``software``.
    """
    released = apply_rules_to_all(aggregate["aggregates"], policy)
    payload = {
        **released.payload,
        "dataset_hash": aggregate["dataset_hash"],
        "software": aggregate["software"],
    }
    return Released(payload, released.suppressed)


def protect_training(aggregate: Mapping[str, Any], policy: DisclosurePolicy) -> Released:
    """Decide whether what a training gave may leave.

    Keys: ``plan_hash``, ``cases``, ``rounds`` (facts per round), and for weights that travel as a file ``tensors``
    (sequence of ``TensorFacts``) and ``expected_shapes``.  The file leaves only if nothing is held back.
    """
    name = "training"
    reasons = check_training(
        name, sites=policy.training_minimum_sites, cases=aggregate["cases"], policy=policy
    )
    if aggregate.get("tensors") is not None:
        reasons += check_update(name, aggregate["tensors"], aggregate["expected_shapes"], policy)
    payload: dict[str, Any] = {
        "plan_hash": aggregate["plan_hash"],
        "cases": None,
        "rounds": [],
        "is_released": False,
    }
    if reasons:
        return Released(payload, reasons)
    rounds = [
        {key: fact[key] for key in ("round", "loss", "steps") if isinstance(fact.get(key), (int, float))}
        for fact in aggregate["rounds"]
    ]
    return Released({**payload, "cases": int(aggregate["cases"]), "rounds": rounds, "is_released": True})


def protect_evaluation(aggregate: Mapping[str, Any], policy: DisclosurePolicy) -> Released:
    """Protect the scores of models on this site's cases: sums over enough cases, never a single case.

    Keys: ``plan_hash``, ``cases``, ``baseline`` (name of the best trivial model), ``models``: name → ``mean_dice`` and
    ``labels``, a list of ``n``, ``sum``, ``sum_of_squares`` in the plan's order.
    """
    payload: dict[str, Any] = {
        "plan_hash": aggregate["plan_hash"],
        "cases": None,
        "baseline": aggregate["baseline"],
        "models": {},
    }
    if aggregate["cases"] < policy.minimum_cell:
        return Released(payload, (Suppression.because("release.minimum_cell", "evaluation", "all"),))
    payload["cases"] = int(aggregate["cases"])
    reasons: list[Suppression] = []
    for model, score in sorted(aggregate["models"].items()):
        labels = [label if label["n"] >= policy.minimum_cell else None for label in score["labels"]]
        if None in labels:
            reasons.append(Suppression.because("release.minimum_cell", model, "moments"))
        # The mean over labels would give a held-back label away.
        payload["models"][model] = {
            "mean_dice": None if None in labels else score["mean_dice"],
            "labels": labels,
        }
    return Released(payload, tuple(reasons))


def protect_analysis(aggregate: Mapping[str, Any], policy: DisclosurePolicy) -> Released:
    """Decide what of a round of an analysis may leave; see :func:`racoon.node.release.rounds.protect_round`."""
    from racoon.node.release.rounds import protect_round  # noqa: PLC0415 - scipy is loaded by those who analyse

    return protect_round(aggregate, policy)


PROTECT: Mapping[str, Protect] = {
    "count": protect_feasibility,
    "freeze": protect_freeze,
    "measure": protect_measuring,
    "analyse": protect_analysis,
    "train.local": protect_training,
    "train.federated": protect_training,
    "evaluate": protect_evaluation,
}
"""Deny by default: a job kind that is not here releases nothing."""

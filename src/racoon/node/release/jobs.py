"""What each job kind may let out: from the handler's unprotected aggregate to a payload and reasons.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from racoon.node.release.model import (
    MeasuredAggregate,
    Released,
    Suppression,
    apply_rules_to_all,
    check_training,
    check_update,
)
from racoon.node.release.noise import protect_count
from racoon.node.release.policy import DisclosurePolicy
from racoon.science.statistics import Moments

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

    Keys: ``dataset_hash``, ``aggregates`` (sequence of :class:`MeasuredAggregate`), ``software``.
    """
    released = apply_rules_to_all(aggregate["aggregates"], policy)
    payload = {**released.payload, "dataset_hash": aggregate["dataset_hash"], "software": aggregate["software"]}
    return Released(payload, released.suppressed)


def protect_training(aggregate: Mapping[str, Any], policy: DisclosurePolicy) -> Released:
    """Decide whether trained weights may leave.

    Keys: ``plan`` (name), ``sites`` (number in the run), ``cases``, ``tensors`` (sequence of ``TensorFacts``),
    ``expected_shapes``, ``curve`` (mean loss per round).  The weights travel as the file ``weights`` only if nothing
    is held back.
    """
    name = str(aggregate["plan"])
    reasons = check_training(name, sites=aggregate["sites"], cases=aggregate["cases"], policy=policy)
    if aggregate.get("tensors") is not None:
        reasons += check_update(name, aggregate["tensors"], aggregate["expected_shapes"], policy)
    if reasons:
        return Released({"plan": name, "cases": None, "curve": None, "is_released": False}, reasons)
    curve = [float(value) for value in aggregate.get("curve", ())]
    return Released({"plan": name, "cases": int(aggregate["cases"]), "curve": curve, "is_released": True})


def protect_evaluation(aggregate: Mapping[str, Any], policy: DisclosurePolicy) -> Released:
    """Protect the scores of models on this site's cases: mean and SD over enough subjects, never a single case.

    Keys: ``plan`` (name), ``dataset_hash``, ``scores``: model name → label key → list of one Dice per subject.
    """
    rows: list[dict[str, Any]] = []
    reasons: list[Suppression] = []
    for model, labels in sorted(aggregate["scores"].items()):
        for label, values in sorted(labels.items()):
            moments = Moments.of(values)
            row: dict[str, Any] = {"model": model, "label": label, "moments": None}
            if moments.n < policy.minimum_cell:
                reasons.append(Suppression.because("release.minimum_cell", f"{model} {label}", "moments"))
            else:
                row["moments"] = moments.to_dict()
            rows.append(row)
    payload = {"plan": aggregate["plan"], "dataset_hash": aggregate["dataset_hash"], "scores": rows}
    return Released(payload, tuple(reasons))


PROTECT: Mapping[str, Protect] = {
    "count": protect_feasibility,
    "freeze": protect_freeze,
    "measure": protect_measuring,
    "train.local": protect_training,
    "train.federated": protect_training,
    "evaluate": protect_evaluation,
}
"""Deny by default: a job kind that is not here releases nothing."""

__all__ = ["PROTECT", "MeasuredAggregate", "Protect"]

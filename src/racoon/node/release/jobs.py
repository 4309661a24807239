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
    """Protect a feasibility count: noise, rounding, threshold.

    Keys: ``cohort_hash``, ``count``, and ``is_linked`` where persons of several sites are counted at one of them.
    """
    answer = protect_count(int(aggregate["count"]), policy)
    said = {"is_linked": True} if aggregate.get("is_linked") else {}
    return Released({"cohort_hash": aggregate["cohort_hash"], "count": answer.to_dict(), **said})


def protect_freeze(aggregate: Mapping[str, Any], policy: DisclosurePolicy) -> Released:
    """Protect the size of a frozen dataset: its hash, and counts unless too few subjects stand behind them.

    Keys: ``dataset_hash``, ``subjects``, ``series``, ``instances``; of a matched one ``matching`` too, see
    :func:`protect_matching`.
    """
    if aggregate.get("matching") is not None:
        return protect_matching(aggregate, policy)
    counts = {key: int(aggregate[key]) for key in ("subjects", "series", "instances")}
    if 0 < counts["subjects"] < policy.minimum_cell:
        hidden = dict.fromkeys(counts)
        reason = Suppression.because("release.minimum_cell", "dataset", "all")
        return Released({"dataset_hash": aggregate["dataset_hash"], **hidden}, (reason,))
    return Released({"dataset_hash": aggregate["dataset_hash"], **counts})


MATCHED_ROUNDING = 0.05
"""Standardised differences leave in steps of this: enough to see a balance of 0.1, too coarse to work back from."""


def protect_matching(aggregate: Mapping[str, Any], policy: DisclosurePolicy) -> Released:
    """Protect a matched dataset: sizes of its groups, and how alike they are.

    Keys: those of a freeze, and ``matching`` with ``groups`` (pseudonyms of ``cases``, ``pool``, ``matched`` and
    ``controls``), ``balance`` (``covariate``, ``before``, ``after``), and in ``held`` the groups of which numbers left
    that differ in few subjects.

    Notes
    -----
    The groups lie inside each other: a few cases without a control would be the difference of two sizes.  So sizes
    leave where each group, and each remainder, is empty or large enough; else only the dataset's hash does.
    """
    matching = aggregate["matching"]
    groups = matching["groups"]
    sizes = {name: len(members) for name, members in groups.items()}
    remainders = {"cases": sizes["cases"] - sizes["matched"], "pool": sizes["pool"] - sizes["controls"]}
    hidden: dict[str, Any] = {"dataset_hash": aggregate["dataset_hash"]}
    hidden |= dict.fromkeys(("subjects", "series", "instances"))
    small = [count for count in (*sizes.values(), *remainders.values()) if 0 < count < policy.minimum_cell]
    if small:
        reason = Suppression.because("release.minimum_cell", "matching", "all")
        return Released({**hidden, "matching": None}, (reason,))
    counts = {key: int(aggregate[key]) for key in ("subjects", "series", "instances")}
    reasons = []
    balance = None
    if min(sizes.values()) < policy.group_minimum:
        reasons.append(Suppression.because("release.minimum_cell", "matching", "moments"))
    elif matching.get("held"):
        reasons.append(Suppression.because("release.earlier_population", "matching", "moments"))
    else:
        balance = [
            {"covariate": item["covariate"], **{key: _coarse(item[key]) for key in ("before", "after")}}
            for item in matching["balance"]
        ]
    payload = {**hidden, **counts, "matching": {**sizes, "balance": balance}}
    return Released(payload, tuple(reasons))


def _coarse(value: float | None) -> float | None:
    return None if value is None else round(round(value / MATCHED_ROUNDING) * MATCHED_ROUNDING, 2)


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
        {
            key: fact[key]
            for key in ("round", "loss", "steps", "epsilon")
            if isinstance(fact.get(key), (int, float))
        }
        for fact in aggregate["rounds"]
    ]
    return Released({**payload, "cases": int(aggregate["cases"]), "rounds": rounds, "is_released": True})


def protect_evaluation(aggregate: Mapping[str, Any], policy: DisclosurePolicy) -> Released:
    """Protect the scores of models on this site's cases: sums over enough cases, never a single case.

    Keys: ``plan_hash``, ``cases``, ``baseline`` (name of the best trivial model), ``models``: name → ``mean_dice`` (of
    whole images ``mean`` and its ``metric``) and ``labels``, a list of ``n``, ``sum``, ``sum_of_squares`` in the plan's
    order, and ``interval``: the bootstrap interval of the mean over cases.
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
            **_mean(score, is_held_back=None in labels),
            "labels": labels,
            "interval": _interval(score, policy, is_held_back=None in labels),
        }
    return Released(payload, tuple(reasons))


def _mean(score: Mapping[str, Any], *, is_held_back: bool) -> dict[str, Any]:
    if "mean_dice" in score:
        return {"mean_dice": None if is_held_back else score["mean_dice"]}
    return {"metric": str(score["metric"]), "mean": None if is_held_back else score["mean"]}


def _interval(
    score: Mapping[str, Any], policy: DisclosurePolicy, *, is_held_back: bool
) -> dict[str, float | int] | None:
    """Return a bootstrap interval over enough cases; it would give a held-back label away, too."""
    names = ("n", "mean", "lower", "upper")
    found = score.get("interval") or {}
    if is_held_back or any(found.get(name) is None for name in names) or found["n"] < policy.minimum_cell:
        return None
    return {name: found[name] for name in names}


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

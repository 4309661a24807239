"""What one round of an analysis may let out.  Pure; apart from ``jobs`` because it loads the estimators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from racoon.node.release.estimates import EstimateGate
from racoon.node.release.model import Released, Suppression
from racoon.node.release.policy import DisclosurePolicy
from racoon.science.analysis import judge


def protect_round(aggregate: Mapping[str, Any], policy: DisclosurePolicy) -> Released:
    """Decide what of the answers to one round of an analysis may leave.

    Keys: ``work`` (``science.analysis.SiteWork``, unprotected), ``plan_hash``, ``dataset_hash``, ``sites`` (how many
    sites are asked), and ``held``: the subgroups, the cells into which coefficients sort subjects, and the squared
    scores that the ledger holds back, with the rule's code.
    """
    work = aggregate["work"]
    gate = EstimateGate(policy)
    held = {
        name: Suppression.because(code, name if name in work.chosen and name else work.plan.name, "all")
        for name, code in aggregate.get("held", {}).items()
    }
    if aggregate["sites"] < gate.least_sites(work.plan.minimum_sites):
        held = dict.fromkeys(
            work.chosen, Suppression.because("release.analysis_sites", work.plan.name, "all")
        )
    answers = judge(work, gate, {name: (reason.public_reason,) for name, reason in held.items()})
    asked = [question.to_dict() for question, _ in work.computed]
    payload = {
        "plan_hash": aggregate["plan_hash"],
        "dataset_hash": aggregate["dataset_hash"],
        "answers": [
            {"question": question, **answer.to_dict()}
            for question, answer in zip(asked, answers, strict=True)
        ],
    }
    concerned = {name for question, _ in work.computed for name in work.names(question)}
    reasons = [reason for name, reason in held.items() if name in concerned]
    return Released(payload, tuple(dict.fromkeys([*reasons, *gate.held])))

"""The flow diagram of a count: how many are left after each step, from what the sites let out.  Pure.

A site answers with one protected count for each set that a step leaves out, and one for the cohort.  The numbers
between the steps are sums of these, from the end backwards: they never rise, and no sum is a question of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from racoon.central.cohorts.model import DEFAULT_THRESHOLD, read_answer
from racoon.central.cohorts.wording import group_of
from racoon.domain.cohort import CohortDefinition
from racoon.domain.cohort_flow import FlowStep, flow_of
from racoon.science.statistics import CountRange, pool_counts


@dataclass(frozen=True)
class DrawnStep:
    """One step of the diagram.

    Parameters
    ----------
    step
        What is asked for.
    left, left_out
        How many are left after it, and how many it leaves out, over all answering sites; the first leaves nobody out.
    """

    step: FlowStep
    left: CountRange
    left_out: CountRange | None


def draw_flow(
    definition: CohortDefinition, payloads: Sequence[tuple[str, Mapping[str, Any]]]
) -> list[DrawnStep]:
    """Add the sites' flows.

    Parameters
    ----------
    definition
        The cohort that was asked for.
    payloads
        Site and released payload; a site without a whole flow that fits the cohort is left out.

    Returns
    -------
    list of DrawnStep
        Empty when no site answered.
    """
    steps = flow_of(definition)
    asked = [step.left_out.hash for step in steps if step.left_out is not None]
    whole = []
    for site, payload in payloads:
        flow = payload.get("flow")
        if not isinstance(flow, list) or not all(isinstance(found, Mapping) for found in flow):
            continue
        if payload.get("count") is None or [found.get("cohort_hash") for found in flow] != asked:
            continue
        whole.append([read_answer(site, found) for found in (*flow, payload)])
    if not whole:
        return []
    threshold = max((answer.threshold for own in whole for answer in own), default=DEFAULT_THRESHOLD)
    sets = [
        pool_counts([answer.value for answer in column], threshold=threshold)
        for column in zip(*whole, strict=True)
    ]
    drawn = []
    for number, step in enumerate(steps):
        rest = sets[number:]
        left = CountRange(
            lower=sum(one.lower for one in rest),
            upper=sum(one.upper for one in rest),
            sites=len(whole),
            small_sites=sum(one.small_sites for one in rest),
            shows_sites=rest[-1].shows_sites,
        )
        drawn.append(DrawnStep(step, left, sets[number - 1] if number else None))
    return drawn


def flow_to_dict(drawn: Sequence[DrawnStep]) -> list[dict[str, Any]]:
    """Return the JSON form."""
    return [
        {
            "side": item.step.side,
            "criteria": [criterion.to_dict() for criterion in item.step.group],
            "left": {"lower": item.left.lower, "upper": item.left.upper},
            "left_out": item.left_out and {"lower": item.left_out.lower, "upper": item.left_out.upper},
        }
        for item in drawn
    ]


def flow_in_words(drawn: Sequence[DrawnStep], language: str) -> list[dict[str, Any]]:
    """Return the diagram for the page: words, ranges, and the width of each bar as a share of the first."""
    most = max((item.left.upper for item in drawn), default=0) or 1
    return [
        {
            "side": item.step.side,
            "words": group_of(item.step.group, item.step.side, language),
            "left": item.left,
            "left_out": item.left_out,
            "width": round(item.left.upper / most, 4),
            "sure": round(item.left.lower / most, 4),
        }
        for item in drawn
    ]

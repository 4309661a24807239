"""The flow of a cohort: who is left out at which criterion, as disjoint questions of the same language.

Each step leaves a set out.  The sets of one flow, and the cohort itself, share nobody, so that all of them together
tell about one subject as much as two counts do, however many steps there are: a change of that subject's data moves it
from one set to another.  The numbers between the steps are sums of the sets' answers and no questions of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

from racoon.domain.cohort import CohortDefinition, Criterion, parse_cohort

SETS_OF_A_SUBJECT = 2
"""How many of a flow's disjoint sets a change of one subject's data can touch: the one it leaves, the one it enters."""


@dataclass(frozen=True)
class FlowStep:
    """One step.

    Parameters
    ----------
    side
        ``"include"`` or ``"exclude"``.
    group
        Of an inclusion one criterion has to hold; who meets all of an exclusion is left out.
    left_out
        Whom the step leaves out of those who came so far; ``None`` for the first inclusion, with which a flow begins.
    """

    side: str
    group: tuple[Criterion, ...]
    left_out: CohortDefinition | None


def flow_of(definition: CohortDefinition) -> tuple[FlowStep, ...]:
    """Split a cohort into its steps, in canonical order: the same cohort, written otherwise, has the same flow.

    Parameters
    ----------
    definition
        The cohort.

    Returns
    -------
    tuple of FlowStep
        Inclusions first, then exclusions.
    """
    canonical = parse_cohort(definition.to_dict())
    included, excluded = canonical.inclusion, canonical.exclusion
    steps = [FlowStep("include", included[0], None)]
    for number, group in enumerate(included[1:], start=1):
        # Nobody of the group's criteria holds: each is an exclusion of its own.
        none_holds = tuple((criterion,) for criterion in group)
        steps.append(FlowStep("include", group, CohortDefinition(included[:number], none_holds)))
    for number, group in enumerate(excluded):
        all_hold = tuple((criterion,) for criterion in group)
        steps.append(FlowStep("exclude", group, CohortDefinition((*included, *all_hold), excluded[:number])))
    return tuple(steps)

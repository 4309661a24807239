"""The rules of the gate, pure: what was computed goes in, what may leave comes out, with reasons.

A reason never carries a count, a value or an identifier; it says which rule, not how far from it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from racoon.node.release.policy import DisclosurePolicy
from racoon.node.release.suppression import suppress_cells
from racoon.science.statistics import Histogram, Moments

REASONS: Mapping[str, tuple[str, str]] = {
    "release.minimum_cell": (
        "Zu wenige Personen hinter diesem Ergebnis.",
        "Too few subjects stand behind this result.",
    ),
    "release.not_available": (
        "Nicht verfügbar.",
        "Not available.",
    ),
    "release.dominance": (
        "Eine einzelne Person würde die Summe beherrschen.",
        "A single subject would dominate the sum.",
    ),
    "release.no_variation": (
        "Alle Werte sind gleich; das Ergebnis würde jeden einzelnen verraten.",
        "All values are equal; the result would reveal each of them.",
    ),
    "release.small_cells": (
        "Zellen mit zu wenigen Personen und ihre Nachbarn wurden zurückgehalten.",
        "Cells with too few subjects and those that would reveal them were withheld.",
    ),
    "release.coarser_bins": (
        "Klassen wurden zusammengelegt, damit keine zu klein ist.",
        "Bins were merged so that none is too small.",
    ),
    "release.minimum_sites": (
        "Zu wenige Standorte nehmen an diesem Training teil.",
        "Too few sites take part in this training.",
    ),
    "release.analysis_sites": (
        "Zu wenige Standorte nehmen an dieser Auswertung teil.",
        "Too few sites take part in this analysis.",
    ),
    "release.differencing": (
        "Diese Teilgruppe unterscheidet sich in zu wenigen Personen von einer anderen.",
        "This subgroup differs from another one in too few subjects.",
    ),
    "release.earlier_population": (
        "Diese Auswahl unterscheidet sich in zu wenigen Personen von einer, die schon ausgewertet wurde.",
        "This choice of subjects differs in too few of them from one that was analysed before.",
    ),
    "release.earlier_squares": (
        "Zusammen mit früheren quadrierten Scores verriete dieser Wert etwas über wenige Personen.",
        "Together with earlier squared scores this would tell about a few subjects.",
    ),
    "release.parameters": (
        "Das Modell hat zu viele Parameter für die Zahl der Personen.",
        "The model has too many parameters for the number of subjects.",
    ),
    "release.few_events": (
        "Zu wenige Ereignisse in einem Intervall oder in einer Gruppe.",
        "Too few events in an interval or a group.",
    ),
    "release.rare_value": (
        "Eine Einflussgröße unterscheidet zu wenige Personen von den übrigen.",
        "A covariate sets too few subjects apart from the others.",
    ),
    "release.small_table": (
        "Eine Zelle der Tabelle enthält zu wenige Personen; die Tabelle bleibt ganz hier.",
        "A cell of the table holds too few subjects; the whole table stays here.",
    ),
    "release.minimum_cases": (
        "Zu wenige Trainingsfälle an diesem Standort.",
        "Too few training cases at this site.",
    ),
    "release.not_finite": (
        "Das Modell enthält Werte, die keine Zahlen sind.",
        "The model holds values that are not numbers.",
    ),
    "release.norm": (
        "Die Modelländerung ist größer, als die Richtlinie erlaubt.",
        "The model update is larger than the policy allows.",
    ),
    "release.unexpected_shape": (
        "Das Modell hat nicht die Form, die der Plan nennt.",
        "The model does not have the shape the plan names.",
    ),
}
"""Public words for each rule: German, English."""


@dataclass(frozen=True)
class Suppression:
    """One part that was held back, and which rule did it.

    Parameters
    ----------
    reason_code
        Key of :data:`REASONS`.
    public_reason, public_reason_de
        The same in words; safe to show to anybody.
    item
        Key of the measurement (or name of the plan) concerned.
    part
        What was held back: ``all``, ``moments``, ``histogram``, ``cells``, ``not_valid`` or ``model``.
    """

    reason_code: str
    public_reason: str
    public_reason_de: str
    item: str
    part: str

    @classmethod
    def because(cls, reason_code: str, item: str, part: str) -> Suppression:
        """Make one with the catalogue's words."""
        german, english = REASONS[reason_code]
        return cls(reason_code, english, german, item, part)

    def to_dict(self) -> dict[str, str]:
        """Return the JSON form."""
        return {
            "reason_code": self.reason_code,
            "public_reason": self.public_reason,
            "public_reason_de": self.public_reason_de,
            "item": self.item,
            "part": self.part,
        }


@dataclass(frozen=True)
class Released:
    """What may leave.

    Parameters
    ----------
    payload
        JSON document for CENTRAL; holds nothing that a rule held back.
    suppressed
        What was held back.
    """

    payload: dict[str, Any]
    suppressed: tuple[Suppression, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"payload": self.payload, "suppressed": [item.to_dict() for item in self.suppressed]}


@dataclass(frozen=True)
class MeasuredAggregate:
    """One measurement over a site's dataset, before the gate; it never leaves as it is.

    Parameters
    ----------
    key
        Name of the measurement in its plan.
    description
        What CENTRAL already knows: biomarker, version, label, unit.  Copied to the payload.
    moments
        Exact moments of all valid values.
    subjects
        Distinct subjects behind them; two series of one subject protect nobody.
    largest_share
        Largest share of one subject in the sum of absolute values, 0 … 1.
    histogram
        Counts of values per cell, complete.
    cell_subjects
        Subjects per cell, same length as ``histogram.cells``; numbered 0 … subjects - 1, so that merging
        cells counts a subject with two series once.
    not_valid
        Subjects without a valid value, by reason code of the definition.
    """

    key: str
    description: Mapping[str, Any]
    moments: Moments
    subjects: int
    largest_share: float
    histogram: Histogram
    cell_subjects: tuple[frozenset[int], ...]
    not_valid: Mapping[str, int] = field(default_factory=dict)


def apply_rules(aggregate: MeasuredAggregate, policy: DisclosurePolicy) -> Released:
    """Decide what of one measurement may leave.

    Parameters
    ----------
    aggregate
        The measurement with what the rules need to know.
    policy
        Limits of this site.

    Returns
    -------
    Released
        ``payload`` has the keys of ``description`` and ``key``, ``subjects``, ``moments``, ``histogram`` and
        ``not_valid``; what was held back is ``None`` there.

    Notes
    -----
    ``(n, sum, sum of squares)`` is one unit: all or none.  There is no minimum, maximum or single value.
    """
    payload: dict[str, Any] = {
        **aggregate.description,
        "key": aggregate.key,
        "subjects": None,
        "moments": None,
        "histogram": None,
        "not_valid": None,
    }
    suppressed: list[Suppression] = []
    if aggregate.subjects < policy.minimum_cell:
        # No values at all looks the same as too few: a refusal is no oracle.
        return Released(payload, (Suppression.because("release.minimum_cell", aggregate.key, "all"),))
    unit_reason = _unit_reason(aggregate, policy)
    if unit_reason:
        suppressed.append(Suppression.because(unit_reason, aggregate.key, "moments"))
    else:
        payload["moments"] = aggregate.moments.to_dict()
        payload["subjects"] = aggregate.subjects
    histogram, histogram_reasons = _histogram(aggregate, policy)
    payload["histogram"] = histogram.to_dict() if histogram else None
    suppressed += histogram_reasons
    not_valid, hidden = _not_valid(aggregate.not_valid, policy)
    payload["not_valid"] = not_valid
    if hidden:
        suppressed.append(Suppression.because("release.small_cells", aggregate.key, "not_valid"))
    return Released(payload, tuple(suppressed))


def apply_rules_to_all(aggregates: Iterable[MeasuredAggregate], policy: DisclosurePolicy) -> Released:
    """Apply the rules to every measurement of a plan; one refused measurement does not stop the others.

    Returns
    -------
    Released
        ``payload``: ``{"kind": "measuring", "policy_version": …, "measurements": […]}``.
    """
    released = [apply_rules(aggregate, policy) for aggregate in aggregates]
    return Released(
        {
            "kind": "measuring",
            "policy_version": policy.version,
            "measurements": [item.payload for item in released],
        },
        tuple(reason for item in released for reason in item.suppressed),
    )


def largest_share(contributions: Mapping[str, float]) -> float:
    """Largest share of one subject in the sum of absolute contributions; 0 when there is nothing to share.

    Parameters
    ----------
    contributions
        Sum of absolute values per subject.
    """
    total = math.fsum(contributions.values())
    return max(contributions.values()) / total if total > 0 else 0.0


def _unit_reason(aggregate: MeasuredAggregate, policy: DisclosurePolicy) -> str:
    if aggregate.moments.n < policy.minimum_cell:
        return "release.minimum_cell"
    if aggregate.moments.variance == 0.0:
        return "release.no_variation"
    if aggregate.largest_share > policy.dominance_limit:
        return "release.dominance"
    return ""


def _histogram(
    aggregate: MeasuredAggregate, policy: DisclosurePolicy
) -> tuple[Histogram | None, list[Suppression]]:
    """Release the finest histogram that still shows at least half of the values."""
    bins = aggregate.histogram.bins
    for factor in (number for number in range(1, bins.count + 1) if bins.count % number == 0):
        counts = aggregate.histogram.coarsened(factor)
        subjects = _merged(aggregate.cell_subjects, factor)
        hidden = suppress_cells([cell or 0 for cell in counts.cells], subjects, policy.minimum_cell)
        shown = Histogram(
            counts.bins,
            tuple(None if hide else cell for cell, hide in zip(counts.cells, hidden, strict=True)),
        )
        if 2 * shown.known >= counts.known > 0:
            reasons = []
            if factor > 1:
                reasons.append(Suppression.because("release.coarser_bins", aggregate.key, "histogram"))
            if any(hidden):
                reasons.append(Suppression.because("release.small_cells", aggregate.key, "cells"))
            return shown, reasons
    return None, [Suppression.because("release.small_cells", aggregate.key, "histogram")]


def _merged(cells: Sequence[frozenset[int]], factor: int) -> list[int]:
    """Distinct subjects per cell after merging each ``factor`` inner cells."""
    inner = cells[1:-1]
    groups = [inner[start : start + factor] for start in range(0, len(inner), factor)]
    return [len(cells[0]), *(len(frozenset().union(*group)) for group in groups), len(cells[-1])]


def _not_valid(counts: Mapping[str, int], policy: DisclosurePolicy) -> tuple[dict[str, int] | None, bool]:
    """Release how many subjects have no valid value, unless one of the numbers is too small."""
    present = {reason: count for reason, count in sorted(counts.items()) if count > 0}
    if any(count < policy.minimum_cell for count in present.values()):
        return None, True
    return present, False


@dataclass(frozen=True)
class TensorFacts:
    """What the gate needs to know of one tensor of a model update; not its values.

    Parameters
    ----------
    name
        Name of the parameter.
    shape
        Shape.
    is_finite
        True when no element is NaN or infinite.
    l2_norm
        Euclidean norm of the difference to the model the round started from.
    """

    name: str
    shape: tuple[int, ...]
    is_finite: bool
    l2_norm: float


def check_training(name: str, *, sites: int, cases: int, policy: DisclosurePolicy) -> tuple[Suppression, ...]:
    """Decide whether this site may take part in a training; empty means yes.

    Parameters
    ----------
    name
        Name of the plan.
    sites
        Sites in the round.
    cases
        Training cases (subjects) at this site.
    policy
        Limits of this site.
    """
    reasons = []
    if sites < policy.training_minimum_sites:
        reasons.append(Suppression.because("release.minimum_sites", name, "model"))
    if cases < policy.training_minimum_cases:
        reasons.append(Suppression.because("release.minimum_cases", name, "model"))
    return tuple(reasons)


def check_update(
    name: str,
    tensors: Sequence[TensorFacts],
    expected_shapes: Mapping[str, tuple[int, ...]],
    policy: DisclosurePolicy,
) -> tuple[Suppression, ...]:
    """Decide whether a model update may leave; empty means yes.

    Parameters
    ----------
    name
        Name of the plan.
    tensors
        Facts of every tensor in the update.
    expected_shapes
        Shapes of the architecture the plan names; anything else could carry data out.
    policy
        Limits of this site.
    """
    codes = []
    if {tensor.name: tensor.shape for tensor in tensors} != dict(expected_shapes) or len(tensors) != len(
        expected_shapes
    ):
        codes.append("release.unexpected_shape")
    if not all(tensor.is_finite and math.isfinite(tensor.l2_norm) for tensor in tensors):
        codes.append("release.not_finite")
    elif math.hypot(*(tensor.l2_norm for tensor in tensors)) > policy.maximum_update_norm:
        codes.append("release.norm")
    return tuple(Suppression.because(code, name, "model") for code in codes)

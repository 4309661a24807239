"""The truth of whole images at a site: what other rooms know of a series, brought to what a plan learns.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from racoon.domain.dataset import DatasetManifest
from racoon.domain.plan import BadTarget, Target
from racoon.errors import Refused

NO_VALUE, SEVERAL_VALUES, UNUSABLE = "no label", "labels that contradict each other", "unusable label"
"""Why a series is not among the cases, beside the reasons of its image; counted, so they name no value."""


class NoTruths(Refused):
    """A plan's target that this site cannot look up."""

    code: ClassVar[str] = "compute.no_labels"


@dataclass(frozen=True)
class Truth:
    """One value that a source has for a series.

    Parameters
    ----------
    value
        A code or a number.
    unit
        UCUM, where the source knows it.
    """

    value: str | float
    unit: str = ""


LoadTruths = Callable[[str, Target, DatasetManifest], Mapping[str, Sequence[Truth]]]
"""``(study_id, target, dataset)`` → what is known of each series; of several readers, each one's answer."""


def encode_truths(target: Target, truths: Sequence[Truth]) -> tuple[float | None, str]:
    """Return what a plan learns of a series, or why nothing.

    Parameters
    ----------
    target
        Of the plan.
    truths
        What the source has; several must come to the same class or number.

    Returns
    -------
    tuple
        The target, and an empty reason; or ``None`` and the reason.
    """
    if not truths:
        return None, NO_VALUE
    try:
        found = {target.encode(truth.value, truth.unit) for truth in truths}
    except BadTarget:
        return None, UNUSABLE
    if len(found) > 1:
        return None, SEVERAL_VALUES
    return found.pop(), ""

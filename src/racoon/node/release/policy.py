"""The limits of disclosure control as one document: a network sets them, a site may only tighten."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from typing import Any

from racoon.domain.canonical import content_hash
from racoon.errors import Defect


class BadPolicy(Defect):
    """A disclosure policy that makes no sense; the node does not start with it."""

    code = "release.bad_policy"


@dataclass(frozen=True)
class DisclosurePolicy:
    """Limits for everything that leaves a site; the version stands in every answer.

    Parameters
    ----------
    version
        Version of the document, shown with every release.
    minimum_cell
        Smallest number of subjects behind any released count, cell, mean or SD.
    feasibility_minimum
        A feasibility count whose noisy value is smaller is shown as "fewer than".
    count_rounding
        Feasibility counts are rounded to multiples of this.
    epsilon
        Privacy loss of one feasibility count, as exact decimal text.
    dominance_limit
        Largest share of a sum that one subject may contribute.
    group_minimum
        Smallest group for which quantiles of a single site may be shown.
    parameters_per_observation
        Largest number of fitted parameters per observation.
    training_minimum_sites, training_minimum_cases
        Smallest number of sites in a training round, and of training cases at this site.
    counts_per_minute, counts_per_week
        Distinct feasibility counts that one requester may ask; the same question again is free.
    epsilon_per_week
        Privacy loss that one requester, and one project, may cause in a week, as exact decimal text.
    near_duplicates_per_day
        More counts of a project in a day that nearly repeat an earlier one are held for a person to look at.
    maximum_update_norm
        Largest L2 norm of a model update; a larger one is refused, not clipped silently.

    Notes
    -----
    Defaults are the network's rules for feasibility (1, 2), analysis (6) and federated learning (7).
    """

    version: str = "1"
    minimum_cell: int = 5
    feasibility_minimum: int = 10
    count_rounding: int = 10
    epsilon: str = "0.28"
    dominance_limit: float = 0.75
    group_minimum: int = 10
    parameters_per_observation: float = 0.33
    training_minimum_sites: int = 3
    training_minimum_cases: int = 20
    maximum_update_norm: float = 1e4
    counts_per_minute: int = 3
    counts_per_week: int = 50
    epsilon_per_week: str = "14"
    near_duplicates_per_day: int = 5

    def __post_init__(self) -> None:
        for name in _AT_LEAST:
            smallest = 2 if name in {"minimum_cell", "training_minimum_sites"} else 1
            if getattr(self, name) < smallest:
                raise BadPolicy(f"The disclosure policy needs {name} of at least {smallest}.")
        if not 0 < self.dominance_limit <= 1 or not 0 < self.parameters_per_observation <= 1:
            raise BadPolicy("Shares in the disclosure policy lie above 0 and not above 1.")
        if not 0 < self.maximum_update_norm < float("inf"):
            raise BadPolicy("The disclosure policy needs a finite, positive maximum_update_norm.")
        if min(self.counts_per_minute, self.counts_per_week, self.near_duplicates_per_day) < 0:
            raise BadPolicy("Numbers of counts in the disclosure policy are not negative.")
        if re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,6})?", self.epsilon_per_week) is None:
            raise BadPolicy('The disclosure policy needs epsilon_per_week as decimal text such as "14".')
        if (
            re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,6})?", self.epsilon) is None
            or not 0 < Fraction(self.epsilon) <= 10
        ):
            raise BadPolicy('The disclosure policy needs epsilon as decimal text such as "0.28", at most 10.')

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical document."""
        return content_hash(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> DisclosurePolicy:
        """Read the JSON or TOML form; a key that does not exist is refused.

        Raises
        ------
        BadPolicy
            For unknown keys, wrong types or senseless limits.
        """
        known = {field.name: field for field in fields(cls)}
        for key, value in document.items():
            if key not in known:
                raise BadPolicy(f"The disclosure policy has no key {key[:40]!r}.")
            expected = {"int": int, "float": (int, float), "str": str}[str(known[key].type)]
            if not isinstance(value, expected) or isinstance(value, bool):  # type: ignore[arg-type]  # a type or a pair of types, both are allowed
                raise BadPolicy(f"{key} in the disclosure policy has the wrong type.")
        return cls(**document)


_AT_LEAST = (
    "minimum_cell",
    "feasibility_minimum",
    "count_rounding",
    "group_minimum",
    "training_minimum_sites",
    "training_minimum_cases",
)
"""Limits for which larger is stricter."""

_AT_MOST = (
    "dominance_limit",
    "parameters_per_observation",
    "maximum_update_norm",
    "counts_per_minute",
    "counts_per_week",
    "near_duplicates_per_day",
)
"""Limits for which smaller is stricter."""

_AT_MOST_TEXT = ("epsilon", "epsilon_per_week")
"""The same, kept as exact decimal text."""


def tighten(base: DisclosurePolicy, site: DisclosurePolicy) -> DisclosurePolicy:
    """Combine the network's policy with a site's: for each limit the stricter one.

    A site that writes a looser limit keeps the network's; nothing a site writes can loosen anything.

    Returns
    -------
    DisclosurePolicy
        Its version names both, unless they are the same document.
    """
    limits: dict[str, Any] = {name: max(getattr(base, name), getattr(site, name)) for name in _AT_LEAST}
    limits |= {name: min(getattr(base, name), getattr(site, name)) for name in _AT_MOST}
    limits |= {name: min(getattr(base, name), getattr(site, name), key=Fraction) for name in _AT_MOST_TEXT}
    version = base.version if base == site else f"{base.version}+site.{site.version}"
    return DisclosurePolicy(version=version, **limits)


def is_at_least_as_strict(policy: DisclosurePolicy, base: DisclosurePolicy) -> bool:
    """Tell whether no limit of a policy is looser than the base's."""
    return (
        all(getattr(policy, name) >= getattr(base, name) for name in _AT_LEAST)
        and all(getattr(policy, name) <= getattr(base, name) for name in _AT_MOST)
        and all(Fraction(getattr(policy, name)) <= Fraction(getattr(base, name)) for name in _AT_MOST_TEXT)
    )

"""The ledger against differencing: about whom sums have left, over all plans and studies of this site.  Pure.

Sums are exact, so whoever holds those of two nearly equal choices of subjects holds those of the few that differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from racoon.domain.canonical import content_hash
from racoon.node.release.policy import DisclosurePolicy

RULE = "release.earlier_population"
"""Reason code of a choice of subjects that is too like an earlier one."""


def population_hash(members: Iterable[str]) -> str:
    """Name a choice of subjects, whatever its order."""
    return content_hash(sorted(members))


def near_duplicates(
    wanted: Mapping[str, frozenset[str]],
    released: Mapping[str, frozenset[str]],
    policy: DisclosurePolicy,
) -> dict[str, str]:
    """Find the choices that differ from an earlier one in fewer subjects than the smallest cell.

    Parameters
    ----------
    wanted
        By subgroup: pseudonyms.
    released
        By hash: pseudonyms about whom sums have left before.
    policy
        Limits of this site.

    Returns
    -------
    dict
        By subgroup: code of the rule.  The very same choice may be asked again: there is nothing to subtract.
    """
    found = {}
    for name, members in wanted.items():
        if population_hash(members) in released:
            continue
        if any(0 < len(members ^ other) < policy.minimum_cell for other in released.values()):
            found[name] = RULE
    return found

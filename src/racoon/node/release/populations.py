"""The ledger against differencing: about whom sums have left, over all plans and studies of this site.  Pure.

Sums are exact, so whoever holds those of two nearly equal choices of subjects holds those of the few that differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from racoon.domain.canonical import content_hash
from racoon.node.release.policy import DisclosurePolicy

RULE = "release.earlier_population"
"""Reason code of a choice of subjects that is too like an earlier one."""


SQUARES_RULE = "release.earlier_squares"
"""Reason code of squared scores that tell about a few subjects together with earlier ones."""

Scores = Mapping[str, tuple[float, ...]]
"""By subject: what it adds to the scores of a model; a cluster stands at one of its subjects."""


def too_like_earlier_squares(
    scores: Scores, earlier: Iterable[Scores], same: int, policy: DisclosurePolicy
) -> bool:
    """Tell whether squared scores give few subjects away together with those that have left before.

    Parameters
    ----------
    scores
        Whose squares are asked for.
    earlier
        Whose squares have left.
    same
        How many different ones have left for the same model of the same subjects.
    policy
        Limits of this site.

    Notes
    -----
    Whoever asks chooses coefficients and hazards, and a model's squared scores may be asked for again, say after a
    site has left.  Each product of two scores is one sum over the subjects; the difference to an earlier sum must not
    rest on few of them (Kish's number, as for all weights).  All such sums of one model count as its parameters.
    """
    counted = sum(any(own) for own in scores.values())
    width = max((len(own) for own in scores.values()), default=0)
    if same and (same + 1) * width > policy.parameters_per_observation * counted:
        return True
    return any(_differs_in_few(scores, other, policy) for other in earlier)


def _differs_in_few(scores: Scores, other: Scores, policy: DisclosurePolicy) -> bool:
    subjects = sorted(scores.keys() | other.keys())
    widths = {len(own) for own in (*scores.values(), *other.values())}
    if len(widths) != 1:
        return False  # another number of columns: sums of other products
    none = (0.0,) * widths.pop()
    ours, theirs = (np.array([part.get(name, none) for name in subjects]).T for part in (scores, other))
    for first, a in enumerate(ours):
        sizes = np.abs(a * ours[first:] - theirs[first] * theirs[first:])
        largest = sizes.max(axis=1)
        scaled = sizes[largest > 0] / largest[largest > 0, None]
        if (scaled.sum(axis=1) ** 2 < policy.minimum_cell * (scaled**2).sum(axis=1)).any():
            return True
    return False


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

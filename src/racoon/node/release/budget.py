"""What counts may cost: budgets per requester and project, and the hand that is raised when questions are too alike.

Only a budget bounds what many questions tell together; noise, rounding and thresholds do not.  Likeness is used to
raise an alarm, never to choose the answer: an answer that depends on other answers tells about their sets.  Pure.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from math import ceil

from racoon.node.release.noise import RandomBelow, discrete_laplace
from racoon.node.release.policy import DisclosurePolicy

MINUTE, DAY, WEEK = timedelta(minutes=1), timedelta(days=1), timedelta(days=7)

REMEMBERED = timedelta(days=30)
"""How long the members of an answered count are kept, to see whether a later one is nearly the same."""

MEMBER_BYTES = 8
"""Of each subject's hash: two of a million subjects agree with probability 3e-8."""


@dataclass(frozen=True)
class Spent:
    """One answered count.

    Parameters
    ----------
    requester, project
        Who asked, as CENTRAL coded the name, and for which study.
    epsilon
        Privacy loss, exact decimal text.
    answered_at
        When.
    near
        Whether it nearly repeats an earlier count of the project.
    """

    requester: str
    project: str
    epsilon: str
    answered_at: datetime
    near: bool


def refusal(
    spent: Sequence[Spent],
    requester: str,
    project: str,
    policy: DisclosurePolicy,
    now: datetime,
    *,
    counts: int = 1,
) -> str:
    """Return which limit further counts would break, empty for none.

    Parameters
    ----------
    spent
        Counts of the last week, by anybody.
    requester, project
        Who asks, and for which study.
    policy
        Limits of this site.
    now
        When.
    counts
        How many are charged together.

    Returns
    -------
    str
        ``minute``, ``week``, ``requester`` or ``project``: for the site's own eyes, never for the one who asks.
    """
    # Of a flow's disjoint sets only two are charged; the others are in the ledger for their likeness only.
    own = [item for item in spent if item.requester == requester and Fraction(item.epsilon) > 0]
    # What is charged together was asked at once: it is one question to the limit of a minute, before it is answered.
    if sum(item.answered_at > now - MINUTE for item in own) >= policy.counts_per_minute:
        return "minute"
    week = [item for item in own if item.answered_at > now - WEEK]
    if len(week) + counts > policy.counts_per_week:
        return "week"
    limit, cost = Fraction(policy.epsilon_per_week), counts * Fraction(policy.epsilon)
    if sum((Fraction(item.epsilon) for item in week), Fraction(0)) + cost > limit:
        return "requester"
    same = [item for item in spent if item.project == project and item.answered_at > now - WEEK]
    if sum((Fraction(item.epsilon) for item in same), Fraction(0)) + cost > limit:
        return "project"
    return ""


def is_suspicious(spent: Iterable[Spent], project: str, policy: DisclosurePolicy, now: datetime) -> bool:
    """Tell whether a project asked nearly the same too often within a day."""
    near = sum(item.near for item in spent if item.project == project and item.answered_at > now - DAY)
    return near > policy.near_duplicates_per_day


def pack(members: Iterable[str]) -> bytes:
    """Write a set of subjects as sorted hashes; nobody is named in it."""
    digests = {hashlib.sha256(name.encode()).digest()[:MEMBER_BYTES] for name in members}
    return b"".join(sorted(digests))


def difference(first: bytes, second: bytes) -> int:
    """Count the subjects that are in one of two packed sets only."""
    return len(_unpack(first) ^ _unpack(second))


def nearest(members: bytes, earlier: Iterable[bytes], within: int) -> int:
    """Return in how many subjects a set differs from the earlier one it is most like; ``within`` when from all in more.

    An equal set counts: were it left out, raising a hand would tell that two questions do not have the same answer.
    """
    reach = within * MEMBER_BYTES
    found = (difference(members, other) for other in earlier if abs(len(members) - len(other)) < reach)
    return min(found, default=within)


def is_near(distance: int, policy: DisclosurePolicy, random_below: RandomBelow = secrets.randbelow) -> bool:
    """Tell whether two questions count as nearly the same.

    Noise lies on the distance as on a count.  A sharp border would be an oracle: who prepares two questions that differ
    in one subject less than the border, and one that may or may not be counted, sees from the hold which it is.
    """
    return distance + discrete_laplace(Fraction(policy.epsilon), random_below) < policy.feasibility_minimum


def reach_of(policy: DisclosurePolicy) -> int:
    """Return the distance behind which nothing is near, whatever the noise: once in some 10^9 draws at most."""
    return policy.feasibility_minimum + ceil(20 / Fraction(policy.epsilon))


def _unpack(packed: bytes) -> set[bytes]:
    return {packed[start : start + MEMBER_BYTES] for start in range(0, len(packed), MEMBER_BYTES)}

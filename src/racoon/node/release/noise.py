"""Protected feasibility counts: discrete Laplace noise drawn exactly, then rounded, then "fewer than".

The sampler uses integers only, because floating-point noise leaks through its low bits.  The caller stores
the answer under the canonical query and repeats it; asking again must never draw again.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from racoon.node.release.policy import DisclosurePolicy

RandomBelow = Callable[[int], int]
"""Uniform integer in [0, n); the default is the operating system's."""


@dataclass(frozen=True)
class ProtectedCount:
    """A count as it may leave the site.

    Parameters
    ----------
    value
        Multiple of the rounding base; ``None`` means "fewer than ``threshold``".
    threshold
        The policy's feasibility minimum.
    policy_version
        Version of the policy that was applied.
    """

    value: int | None
    threshold: int
    policy_version: str

    @property
    def text(self) -> str:
        """``"< 10"`` or ``"≈ 120"``."""
        return f"< {self.threshold}" if self.value is None else f"≈ {self.value}"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"value": self.value, "threshold": self.threshold, "policy_version": self.policy_version}


def protect_count(
    count: int, policy: DisclosurePolicy, random_below: RandomBelow = secrets.randbelow
) -> ProtectedCount:
    """Apply the feasibility rules to a number of subjects.

    Parameters
    ----------
    count
        True number of subjects, >= 0.
    policy
        Limits of this site.
    random_below
        Source of randomness; only tests pass one.

    Notes
    -----
    The noise is drawn for every count, small ones too, so that the time tells nothing.  Only the noisy count decides
    whether it is "fewer than": were the true one asked too, a number would prove that it is not below the threshold,
    and who pads one person with nine others he knows would need a handful of questions.
    """
    if count < 0:
        raise ValueError("a count can't be negative")
    noisy = count + discrete_laplace(Fraction(policy.epsilon), random_below)
    base = policy.count_rounding
    rounded = (2 * noisy + base) // (2 * base) * base
    small = min(noisy, rounded) < policy.feasibility_minimum
    return ProtectedCount(None if small else rounded, policy.feasibility_minimum, policy.version)


def discrete_laplace(epsilon: Fraction, random_below: RandomBelow = secrets.randbelow) -> int:
    """Draw an integer z with probability proportional to ``exp(-epsilon·|z|)``, exactly.

    Parameters
    ----------
    epsilon
        Positive rational; the privacy loss for a count that one subject changes by at most one.
    random_below
        Uniform integers.

    Notes
    -----
    Canonne, Kamath, Steinke 2020, The Discrete Gaussian for Differential Privacy, algorithm 2,
    arXiv:2004.00010.
    """
    if epsilon <= 0:
        raise ValueError("epsilon must be positive")
    scale, step = epsilon.denominator, epsilon.numerator
    while True:
        offset = random_below(scale)
        if not _happens_with_exp(Fraction(offset, scale), random_below):
            continue
        whole = 0
        while _happens_with_exp(Fraction(1), random_below):
            whole += 1
        magnitude = (offset + scale * whole) // step
        negative = random_below(2) == 1
        # Zero would be drawn twice, once per sign.
        if negative and magnitude == 0:
            continue
        return -magnitude if negative else magnitude


def _happens_with_exp(gamma: Fraction, random_below: RandomBelow) -> bool:
    """Return true with probability ``exp(-gamma)`` for 0 <= gamma <= 1 (same paper, algorithm 1)."""
    rounds = 1
    while random_below(gamma.denominator * rounds) < gamma.numerator:
        rounds += 1
    return rounds % 2 == 1

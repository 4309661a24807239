"""Words and rules of the line: back-off, and what a received envelope may be.  Pure."""

from __future__ import annotations

import random
from typing import ClassVar

from racoon.errors import Unavailable

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 60.0
"""A CENTRAL that comes back after a weekend is found within a minute, without 38 nodes knocking at once."""


class CentralUnreachable(Unavailable):
    """CENTRAL does not answer; the line tries again by itself."""

    code: ClassVar[str] = "link.central_unreachable"


def next_delay_s(failures: int, jitter: random.Random) -> float:
    """Compute how long to wait after so many failures in a row: exponential, capped, with full jitter.

    Parameters
    ----------
    failures
        At least 1.
    jitter
        Source of randomness.
    """
    ceiling = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(failures - 1, 10))
    return ceiling / 2 + jitter.uniform(0, ceiling / 2)

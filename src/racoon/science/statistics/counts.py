"""Pooling of protected counts: what a network may say about how many subjects fit a question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class CountRange:
    """A total as a range, because sites below the threshold answered only "fewer than".

    Parameters
    ----------
    lower, upper
        Total with the small sites as 0, and with each of them as just below its threshold.
    sites
        Sites that answered.
    small_sites
        Sites that answered "fewer than".
    shows_sites
        False below three answering sites: then only the total may be shown, no table by site.
    """

    lower: int
    upper: int
    sites: int
    small_sites: int
    shows_sites: bool


FEWEST_SITES_IN_A_TABLE = 3
"""With two sites each could subtract its own number from the total."""


def pool_counts(answers: Sequence[int | None], *, threshold: int = 10) -> CountRange:
    """Add protected counts.

    Parameters
    ----------
    answers
        One per answering site; ``None`` means "fewer than the threshold".
    threshold
        The threshold the sites used.
    """
    known = sum(answer for answer in answers if answer is not None)
    small = sum(answer is None for answer in answers)
    return CountRange(
        lower=known,
        upper=known + small * (threshold - 1),
        sites=len(answers),
        small_sites=small,
        shows_sites=len(answers) >= FEWEST_SITES_IN_A_TABLE,
    )

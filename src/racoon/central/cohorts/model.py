"""What may be said about counts.  Pure; rules 5.3.1 and 5.3.2 of the network's disclosure rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from racoon.science.statistics import CountRange, pool_counts

DEFAULT_THRESHOLD = 10
"""Below it a site answers only "fewer than"."""


@dataclass(frozen=True)
class ProtectedAnswer:
    """One site's answer, as protected by the site.

    Parameters
    ----------
    site
        Site code.
    value
        Rounded, noisy count; ``None`` means "fewer than the threshold".
    threshold
        The site's threshold.
    """

    site: str
    value: int | None
    threshold: int = DEFAULT_THRESHOLD


@dataclass(frozen=True)
class Feasibility:
    """The network's answer to a count.

    Parameters
    ----------
    total
        Range of the total.
    answers
        By site; empty when too few sites answered for a table.
    asked, silent
        Number of sites asked, and codes of those without an answer (refused, failed, silent or still
        counting).
    """

    total: CountRange
    answers: tuple[ProtectedAnswer, ...]
    asked: int
    silent: tuple[str, ...]


def read_answer(site: str, payload: Mapping[str, Any]) -> ProtectedAnswer:
    """Read a released count; anything unreadable counts as "fewer than", never as a number."""
    entry = payload.get("count", payload)
    fields = entry if isinstance(entry, Mapping) else {"value": entry}
    value, threshold = fields.get("value"), fields.get("threshold", DEFAULT_THRESHOLD)
    is_number = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    is_threshold = isinstance(threshold, int) and not isinstance(threshold, bool) and threshold > 0
    return ProtectedAnswer(
        site, value if is_number else None, threshold if is_threshold else DEFAULT_THRESHOLD
    )


def combine(answers: list[ProtectedAnswer], asked: list[str]) -> Feasibility:
    """Add the sites' answers.

    Parameters
    ----------
    answers
        One per answering site.
    asked
        Codes of all sites asked.
    """
    threshold = max((answer.threshold for answer in answers), default=DEFAULT_THRESHOLD)
    total = pool_counts([answer.value for answer in answers], threshold=threshold)
    ordered = tuple(sorted(answers, key=lambda answer: answer.site)) if total.shows_sites else ()
    silent = sorted(set(asked) - {answer.site for answer in answers})
    return Feasibility(total, ordered, len(asked), tuple(silent))


def to_dict(feasibility: Feasibility) -> dict[str, Any]:
    """Return the JSON form."""
    total = feasibility.total
    return {
        "total": {"lower": total.lower, "upper": total.upper},
        "sites_asked": feasibility.asked,
        "sites_answered": total.sites,
        "small_sites": total.small_sites if total.shows_sites else None,
        "sites": [
            {
                "site": answer.site,
                "value": answer.value,
                "text": f"< {answer.threshold}" if answer.value is None else f"≈ {answer.value}",
            }
            for answer in feasibility.answers
        ],
        "silent_sites": list(feasibility.silent),
        "table_withheld": not total.shows_sites,
    }

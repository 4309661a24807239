"""What may be said about counts.  Pure; rules 5.3.1 and 5.3.2 of the network's disclosure rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from racoon.science.statistics import CountRange, pool_counts

DEFAULT_THRESHOLD = 10
"""Below it a site answers only "fewer than"."""


Linkage = Literal["none", "some", "all"]

LINKAGE_TEXTS: Mapping[Linkage, str] = {
    "none": "Nothing was linked between sites: a person known at two sites counts twice.",
    "some": "Some of the answering sites used the study's record linkage: a person known at two of them counts once, at"
    " the others twice.",
    "all": "The answering sites used the study's record linkage: a person known at two sites counts once, at the site"
    " that was drawn; one who fits the cohort only at the other site is not counted.",
}
"""What every count says about persons of several sites."""


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
    is_linked
        Whether the site left out whom another site of a linkage counts.
    """

    site: str
    value: int | None
    threshold: int = DEFAULT_THRESHOLD
    is_linked: bool = False


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
    linkage
        ``none``: a person known at two sites counts twice; ``all`` or ``some``: of so many answering sites a linkage
        was used, and its persons count once.
    """

    total: CountRange
    answers: tuple[ProtectedAnswer, ...]
    asked: int
    silent: tuple[str, ...]
    linkage: Linkage = "none"


def read_answer(site: str, payload: Mapping[str, Any]) -> ProtectedAnswer:
    """Read a released count; anything unreadable counts as "fewer than", never as a number."""
    entry = payload.get("count", payload)
    fields = entry if isinstance(entry, Mapping) else {"value": entry}
    value, threshold = fields.get("value"), fields.get("threshold", DEFAULT_THRESHOLD)
    is_number = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    is_threshold = isinstance(threshold, int) and not isinstance(threshold, bool) and threshold > 0
    return ProtectedAnswer(
        site,
        value if is_number else None,
        threshold if is_threshold else DEFAULT_THRESHOLD,
        payload.get("is_linked") is True,
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
    linked = sum(answer.is_linked for answer in answers)
    linkage: Linkage = "none" if not linked else "all" if linked == len(answers) else "some"
    return Feasibility(total, ordered, len(asked), tuple(silent), linkage)


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
        "linkage": feasibility.linkage,
        "linkage_text": LINKAGE_TEXTS[feasibility.linkage],
    }

"""When a site that decides is reminded, and when its decision is overdue: the same rules at CENTRAL and at the site.

No mail is sent: a reminder is a signed message to the site's node, where it stands in front of the person whose turn
it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from racoon.domain.governance.site_track import RELEASED_STATES, SITE_TRACK_PATH

REMIND_AFTER = timedelta(days=14)
"""A site whose decision waits this long is reminded, and again after :data:`REMIND_AGAIN`."""

REMIND_AGAIN = timedelta(days=7)

OVERDUE_AFTER = timedelta(days=28)
"""A decision that waits this long, or longer than the study's deadline for votes, is overdue."""

WAITING_STATES = frozenset(SITE_TRACK_PATH) - RELEASED_STATES - {"opted_in"} | {
    "conditions_open",
    "conditions_met",
}
"""States in which it is the site's turn; an opted-in site waits for the freeze that CENTRAL starts."""

VOTING_STATES = frozenset({"requested", "diz_check", "uac_vote", "conditions_open", "conditions_met"})
"""States of a site that the study's deadline for votes is about."""


@dataclass(frozen=True)
class Wait:
    """How long a decision of a site waits.

    Parameters
    ----------
    days
        Days in its present state.
    is_overdue
        Whether it waits longer than :data:`OVERDUE_AFTER`, or beyond the deadline for votes.
    """

    days: float
    is_overdue: bool


def wait_of(state: str, since: datetime, now: datetime, deadline: date | None = None) -> Wait | None:
    """Say how long a site's decision waits; ``None`` when it is not its turn.

    Parameters
    ----------
    state, since
        Where the site stands, and since when (aware).
    now
        Aware time.
    deadline
        Last day for votes, where the study names one.
    """
    if state not in WAITING_STATES:
        return None
    waited = now - since
    is_late = deadline is not None and state in VOTING_STATES and now.date() > deadline
    return Wait(waited.total_seconds() / 86_400, waited >= OVERDUE_AFTER or is_late)


def is_reminder_due(state: str, since: datetime, reminded_at: datetime | None, now: datetime) -> bool:
    """Tell whether a site's decision waits so long that a reminder is due.

    Parameters
    ----------
    state, since
        Where the site stands, and since when (aware).
    reminded_at
        Last reminder in this state, if any.
    now
        Aware time.
    """
    if state not in WAITING_STATES or now - since < REMIND_AFTER:
        return False
    return reminded_at is None or now - reminded_at >= REMIND_AGAIN

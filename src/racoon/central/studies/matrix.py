"""The site × step matrix: where each site stands, how long each step took, and what is overdue.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from racoon.central.studies.model import SiteTrack
from racoon.domain.governance.reminding import wait_of
from racoon.domain.governance.site_track import RELEASED_STATES


@dataclass(frozen=True)
class MatrixRow:
    """One site in the site × step matrix.

    Parameters
    ----------
    site, state, since, public_reason
        Where the site stands.
    days
        Days spent in each state, in the order they were entered.
    can_run, blocked
        Whether work may run there now, and the site's reason if not; ``None`` and empty before it said so.
    last_days
        Approvals that end: kind → last day.
    reminded_at
        Last reminder.
    waits_days, is_overdue
        How long the site's own decision waits, and whether too long (``domain.governance.reminding``); ``None`` when
        it is not the site's turn.
    """

    site: str
    state: str
    since: datetime
    public_reason: str
    days: Mapping[str, float]
    can_run: bool | None = None
    blocked: str = ""
    last_days: Mapping[str, str] = field(default_factory=dict)
    reminded_at: datetime | None = None
    waits_days: float | None = None
    is_overdue: bool = False


def current_tracks(tracks: Iterable[SiteTrack], study_hash: str, others: Collection[str]) -> list[SiteTrack]:
    """Take one track per site: that of the version in force, else the newest before it.

    Parameters
    ----------
    tracks
        By site and then by age.
    study_hash
        Version in force.
    others
        Versions that are only on their way.
    """
    chosen: dict[str, SiteTrack] = {}
    for track in tracks:
        kept = chosen.get(track.site)
        if track.study_hash not in others and (kept is None or kept.study_hash != study_hash):
            chosen[track.site] = track
    return list(chosen.values())


def matrix(
    tracks: Iterable[SiteTrack],
    events: Iterable[tuple[str, str, datetime]],
    now: datetime,
    deadline: date | None = None,
) -> list[MatrixRow]:
    """Compute the site × step matrix.

    Parameters
    ----------
    tracks
        Present states.
    events
        ``(site, entered state, when)``, oldest first per site.
    now
        End of the present state's span.
    deadline
        Last day for votes, where the study names one.

    Returns
    -------
    list of MatrixRow
        By site; days as decimal numbers.
    """
    history: dict[str, list[tuple[str, datetime]]] = {}
    for site, state, moment in events:
        history.setdefault(site, []).append((state, moment))
    rows = []
    for track in sorted(tracks, key=lambda item: item.site):
        days: dict[str, float] = {}
        entered = history.get(track.site, [])
        for (state, start), (_, end) in zip(entered, [*entered[1:], ("", now)], strict=True):
            days[state] = days.get(state, 0.0) + (end - start).total_seconds() / 86_400
        standing = track.standing or {}
        wait = wait_of(track.state, track.since, now, deadline)
        rows.append(
            MatrixRow(
                track.site,
                track.state,
                track.since,
                track.public_reason,
                days,
                can_run=standing.get("can_run"),
                blocked=_why_blocked(track),
                last_days={
                    approval["kind"]: approval["valid_until"]
                    for approval in standing.get("approvals", ())
                    if approval["valid_until"]
                },
                reminded_at=track.reminded_at,
                waits_days=wait.days if wait else None,
                is_overdue=wait is not None and wait.is_overdue,
            )
        )
    return rows


def _why_blocked(track: SiteTrack) -> str:
    """The site's reason why nothing runs, once it had taken part: before, the state itself says enough."""
    standing = track.standing or {}
    if standing.get("can_run", True) or track.state not in (*RELEASED_STATES, "stopped", "declined"):
        return ""
    return str(standing["public_reason"])

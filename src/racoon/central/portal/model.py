"""What a person should do next.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from racoon.central.studies.model import Amendment, SiteTrack, Study
from racoon.domain.governance.amendment import OPEN_AMENDMENT_STATES
from racoon.domain.governance.site_track import RELEASED_STATES

STUDY_PATH = (
    "concept",
    "submitted",
    "formal_check",
    "ethics",
    "site_voting",
    "contracting",
    "preparing",
    "active",
    "analysis",
    "closed",
    "archived",
)
"""The usual way of a study, drawn as a line; the other states are side steps."""

SIDE_STEPS = frozenset({"rework", "rejected", "data_hold", "withdrawn"})


@dataclass(frozen=True)
class Task:
    """One thing that waits for this person.

    Parameters
    ----------
    kind
        ``step``, ``site`` or ``alert``.
    path
        Page where it is done.
    subject
        Study title or site.
    target
        State, or what is the matter.
    """

    kind: str
    path: str
    subject: str
    target: str


def study_tasks(studies: Iterable[tuple[str, str, Sequence[Mapping[str, Any]]]]) -> list[Task]:
    """Find the steps this person can take now and that lead on.

    Parameters
    ----------
    studies
        ``(study id, title, next steps)``.
    """
    return [
        Task("step", f"/studies/{study_id}", title, step["target"])
        for study_id, title, steps in studies
        for step in steps
        if step["obstacle"] is None and step["target"] not in SIDE_STEPS
    ]


@dataclass(frozen=True)
class Reached:
    """Cases at the sites against the target of the application.

    Parameters
    ----------
    cases
        Subjects in the frozen datasets, as far as sites said how many.
    target
        Wanted number; ``None`` when the application names none.
    by_site
        Subjects by site; ``None`` where the number was too small to be said.
    """

    cases: int
    target: int | None
    by_site: Mapping[str, int | None]

    @property
    def share(self) -> float | None:
        """Reached part of the target, at most 1."""
        return min(1.0, self.cases / self.target) if self.target else None


def recruitment(study: Study, frozen: Mapping[str, Mapping[str, Any]]) -> Reached:
    """Compute cases against target.

    Parameters
    ----------
    study
        Its application may name ``target_cases``.
    frozen
        What each site said about its newest frozen dataset.
    """
    counts = {site: payload.get("subjects") for site, payload in frozen.items()}
    by_site = {site: count if isinstance(count, int) else None for site, count in counts.items()}
    target = study.definition.application.get("target_cases")
    is_number = isinstance(target, int) and not isinstance(target, bool) and target > 0
    return Reached(sum(count or 0 for count in by_site.values()), target if is_number else None, by_site)


@dataclass(frozen=True)
class PortfolioRow:
    """One study in the portfolio."""

    study: Study
    asked: int
    released: int
    blocked: int
    reached: Reached
    amendment: str


def portfolio_row(
    study: Study,
    tracks: Sequence[SiteTrack],
    frozen: Mapping[str, Mapping[str, Any]],
    amendments: Sequence[Amendment],
) -> PortfolioRow:
    """Sum a study up in one line: sites asked, released and blocked, cases, an amendment on its way."""
    released = [track for track in tracks if track.state in RELEASED_STATES]
    return PortfolioRow(
        study=study,
        asked=len(tracks),
        released=len(released),
        blocked=sum((track.standing or {}).get("can_run") is False for track in released),
        reached=recruitment(study, frozen),
        amendment=next((item.state for item in amendments if item.state in OPEN_AMENDMENT_STATES), ""),
    )


def artefacts_of(form: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Take the artefacts a step needs out of a submitted form."""
    return {name: form[name].strip() for name in names if form.get(name, "").strip()}

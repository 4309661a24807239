"""What a person should do next.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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


def artefacts_of(form: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Take the artefacts a step needs out of a submitted form."""
    return {name: form[name].strip() for name in names if form.get(name, "").strip()}

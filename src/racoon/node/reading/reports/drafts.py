"""Words of templates that are written here: drafts, signatures of experts, release, quality level."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from racoon.errors import Defect, Refused

DRAFT, RELEASED = "draft", "released"

GROUP = 2
"""How many experts besides the authors sign before a version is released."""

LEVELS = ("draft", "signed by one expert", "released by an expert group")
"""Quality levels of a template; shipped ones are drafts until a group at the site has signed them."""


class NoSuchDraft(Refused):
    """There is no such template to work on."""

    code = "reading.no_such_draft"
    status = 404


class TemplateIsFixed(Refused):
    """A released version is never changed."""

    code = "reading.template_is_fixed"
    status = 409


class TemplateChanged(Refused):
    """The draft was changed since it was looked at."""

    code = "reading.template_changed"
    status = 409


class NotAnExpert(Refused):
    """Authors do not sign their own template, and nobody signs twice."""

    code = "reading.not_an_expert"
    status = 409


class UnreadableTemplate(Defect):
    """A text that is no Questionnaire at all."""

    code = "reading.unreadable_template"


@dataclass(frozen=True)
class Signature:
    """One expert's; ``at`` is ISO 8601."""

    person: str
    at: str
    sha256: str


@dataclass(frozen=True)
class Draft:
    """A version of a template written at this node.

    Parameters
    ----------
    text
        The Questionnaire as canonical JSON.
    authors
        Everybody who changed it.
    notes
        Lint report of its import, as JSON.
    """

    url: str
    version: str
    text: str
    sha256: str
    state: str
    revision: int
    authors: tuple[str, ...]
    changed_at: datetime
    signatures: tuple[Signature, ...] = ()
    notes: tuple[dict[str, Any], ...] = ()
    released_at: datetime | None = None

    @property
    def level(self) -> str:
        """Quality level, one of :data:`LEVELS`."""
        if self.state == RELEASED:
            return LEVELS[2]
        return LEVELS[1] if self.signatures else LEVELS[0]

    def level_at(self, moment: datetime) -> str:
        """Return the quality level that the template had at a moment: later signatures say nothing of it."""
        before = sum(datetime.fromisoformat(item.at) <= moment for item in self.signatures)
        return LEVELS[min(before, GROUP)]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form without the text."""
        return {
            "url": self.url,
            "version": self.version,
            "sha256": self.sha256,
            "state": self.state,
            "level": self.level,
            "revision": self.revision,
            "authors": list(self.authors),
            "signatures": [{"person": item.person, "at": item.at} for item in self.signatures],
            "notes": list(self.notes),
            "changed_at": self.changed_at.isoformat(),
            "released_at": self.released_at.isoformat() if self.released_at else None,
        }

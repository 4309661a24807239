"""Words of a job's life at this site.  Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from racoon.domain.identity import Pseudonym
from racoon.node.approvals.model import StudyAtSite
from racoon.protocol.messages import JobOffer


class JobState(StrEnum):
    """Where a job is."""

    ACCEPTED = "accepted"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL = frozenset({JobState.SUCCEEDED, JobState.REFUSED, JobState.FAILED, JobState.CANCELLED})


TRAINING = "train."
"""What the kinds of training jobs begin with."""


@dataclass(frozen=True)
class JobRecord:
    """A job as the site remembers it."""

    offer: JobOffer
    state: JobState
    received_at: datetime
    finished_at: datetime | None
    code: str
    public_reason: str
    done: int
    total: int
    note: str = ""
    paused_at: datetime | None = None

    @property
    def shown_state(self) -> str:
        """The state for people: a paused job is neither waiting nor running."""
        return "paused" if self.paused_at is not None and self.state not in FINAL else self.state.value

    @property
    def can_pause(self) -> bool:
        """Whether this is a training that has not ended."""
        return self.offer.kind.startswith(TRAINING) and self.state not in FINAL


@dataclass(frozen=True)
class Outcome:
    """What a handler wants to leave the site; ``release`` decides what does.

    Parameters
    ----------
    aggregate
        Unprotected aggregate of the form its kind has in ``release``.
    files
        Files to travel beside, by name (model weights).
    consent_number
        Newest withdrawal the work knew of; who withdrew later may still be in it.
    subjects
        Whom it is about; None when it may be anybody.
    """

    aggregate: dict[str, Any]
    files: dict[str, bytes] = field(default_factory=dict)
    consent_number: int | None = None
    subjects: frozenset[Pseudonym] | None = None


Progress = Callable[[int, int, str], None]
"""``(done, total, public note)``."""

Handler = Callable[[JobOffer, StudyAtSite | None, Progress], Outcome]
"""Does the work of one job kind; restartable at any moment, raises ``RacoonError``."""

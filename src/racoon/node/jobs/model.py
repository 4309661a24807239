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

"""Words of fetching from a PACS: how far an accession number is, when fetching may run, what a PACS answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time
from enum import StrEnum

from racoon.errors import Refused, Unavailable


class PullState(StrEnum):
    """Where an accession number of the work list stands."""

    WAITING = "waiting"
    FETCHED = "fetched"
    PARTIAL = "partial"
    REFUSED = "refused"


class BadAccession(Refused):
    """A text that is no single accession number."""

    code = "pull.bad_accession"
    status = 400


class PullNotConfigured(Refused):
    """No PACS is configured to fetch from."""

    code = "pull.not_configured"
    status = 400


class PacsUnavailable(Unavailable):
    """The PACS cannot be reached, or stopped answering."""

    code = "pull.pacs_unavailable"


class PacsRefused(Refused):
    """The PACS said no to one request."""

    code = "pull.pacs_refused"


REASONS: Mapping[str, str] = {
    "": "",
    "not_found": "The PACS knows no examination with this accession number.",
    "unavailable": "The PACS did not answer; it is asked again.",
    "destination_unknown": "The PACS does not know this node as a destination; enter its AE title there.",
    "failed_objects": "The PACS could not send some objects; fetch again, then ask its administrator.",
    "fewer_objects": "Fewer objects came than the PACS announced; fetch again.",
    "refused": "The PACS refused the request.",
}
"""Plain words of each reason."""

_ACCESSION = re.compile(r"[^*?\\\x00-\x1f\x7f]{1,16}")


def check_accession(text: str) -> str:
    """Return an accession number without blanks around it.

    Raises
    ------
    BadAccession
        If it is empty, longer than 16 characters (PS3.5, SH), or holds ``*``, ``?`` or a backslash: a PACS would
        take these as "any" and send what nobody asked for.
    """
    stripped = text.strip()
    if _ACCESSION.fullmatch(stripped) is None:
        raise BadAccession(
            "An accession number has 1 to 16 characters and no '*', '?' or backslash. Mend the list and add it again."
        )
    return stripped


@dataclass(frozen=True)
class PullItem:
    """One line of the work list.

    Parameters
    ----------
    expected, received
        Objects the PACS announced (None when it did not say) and sent.
    attempts
        How often it was tried.
    reason
        Code of :data:`REASONS`.
    """

    accession_number: str
    state: PullState
    reason: str = ""
    expected: int | None = None
    received: int = 0
    attempts: int = 0
    updated_at: str = ""


@dataclass(frozen=True)
class FoundStudy:
    """An imaging study that the PACS has.

    Parameters
    ----------
    instances
        How many objects it has, None when the PACS does not say.
    """

    imaging_study_uid: str
    instances: int | None


@dataclass(frozen=True)
class Retrieval:
    """What the PACS said when it had sent a study (PS3.4 tables C.4-2 and C.4-3).

    Parameters
    ----------
    completed, failed
        Sub-operations; those with a warning count as completed.
    """

    completed: int
    failed: int


@dataclass(frozen=True)
class Window:
    """Hours of the day in which fetching may run, local time; the same time twice means always.

    Parameters
    ----------
    start, end
        A window may go over midnight.
    """

    start: time = time(0)
    end: time = time(0)

    @classmethod
    def parse(cls, text: str) -> Window:
        """Read ``"20:00-06:00"``; empty means always.

        Raises
        ------
        ValueError
            If it is neither.
        """
        if not text:
            return cls()
        first, dash, last = text.partition("-")
        if not dash:
            raise ValueError("a window is written as 20:00-06:00")
        return cls(time.fromisoformat(first.strip()), time.fromisoformat(last.strip()))

    def holds(self, moment: datetime) -> bool:
        """Tell whether a local time lies in the window."""
        now = moment.time()
        if self.start == self.end:
            return True
        if self.start < self.end:
            return self.start <= now < self.end
        return now >= self.start or now < self.end


@dataclass(frozen=True)
class PullSummary:
    """What one run did.

    Parameters
    ----------
    stopped_by
        ``done``, ``window``, ``daily_limit``, ``unavailable`` or ``asked``.
    """

    fetched: int
    partial: int
    refused: int
    waiting: int
    objects: int
    stopped_by: str

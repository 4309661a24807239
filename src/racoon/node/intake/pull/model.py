"""Words of fetching from a PACS: how far an examination is, when fetching may run, what a PACS answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase

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


class BadProtocol(Refused):
    """A study protocol that would fetch anything, or nothing."""

    code = "pull.bad_protocol"
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
    "not_let_in": "The PACS does not let this node in: check its token or certificate.",
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
    """One line of the work list: an accession number, or one examination that a study protocol found.

    Parameters
    ----------
    key
        The accession number, or the UID of the found examination.
    expected, received
        Objects the PACS announced (None when it did not say) and sent.
    attempts
        How often it was tried.
    reason
        Code of :data:`REASONS`.
    imaging_study_uid, protocol
        Of a found examination, and by which protocol; empty for one that a person listed.
    """

    key: str
    accession_number: str
    state: PullState
    reason: str = ""
    expected: int | None = None
    received: int = 0
    attempts: int = 0
    updated_at: str = ""
    imaging_study_uid: str = ""
    protocol: str = ""


@dataclass(frozen=True)
class FoundStudy:
    """An imaging study that the PACS has.

    Parameters
    ----------
    instances
        How many objects it has, None when the PACS does not say.
    accession_number, study_date, description, modalities
        As the PACS gave them, where they were asked for; the date as ``YYYYMMDD``.
    """

    imaging_study_uid: str
    instances: int | None
    accession_number: str = ""
    study_date: str = ""
    description: str = ""
    modalities: tuple[str, ...] = ()


PROTOCOL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,39}")

LONGEST_WINDOW_DAYS = 3660


@dataclass(frozen=True)
class PullProtocol:
    """Which examinations a study wants: modality, days, words of the description.

    Parameters
    ----------
    name
        For people; examinations on the work list carry it.
    modalities
        At least one of them has to be in the examination.
    first_day, last_day
        Days of the examination, both included; days to come are searched when they are over.
    description
        Study description, ``*`` and ``?`` for any text and any character; empty for any.
    searched_until
        Last day that was searched.
    found
        Examinations found so far.
    problem
        Why the PACS refused to search, code of :data:`REASONS`, or empty.
    """

    name: str
    modalities: tuple[str, ...]
    first_day: date
    last_day: date
    description: str = ""
    searched_until: date | None = None
    found: int = 0
    problem: str = ""

    def __post_init__(self) -> None:
        if PROTOCOL_NAME.fullmatch(self.name) is None:
            raise BadProtocol("A protocol's name has 1 to 40 letters, digits, blanks, dots or dashes.")
        if not self.modalities or not all(re.fullmatch(r"[A-Z]{2,16}", item) for item in self.modalities):
            raise BadProtocol("Name at least one modality, such as CT or MR.")
        if not 0 <= (self.last_day - self.first_day).days <= LONGEST_WINDOW_DAYS:
            raise BadProtocol("The last day comes after the first, by ten years at most.")
        if len(self.description) > 64 or "\\" in self.description or not self.description.isprintable():
            raise BadProtocol("A description has up to 64 characters and no backslash.")

    def next_days(self, until: date, step: int = 7) -> tuple[date, date] | None:
        """Give the next days to search, None when all days up to ``until`` are searched."""
        first = self.first_day if self.searched_until is None else self.searched_until + timedelta(days=1)
        last = min(self.last_day, until, first + timedelta(days=step - 1))
        return None if last < first else (first, last)

    def wants(self, study: FoundStudy) -> bool:
        """Tell whether an examination fits; a PACS may ignore what it does not index and answer with more."""
        if not set(self.modalities) & set(study.modalities):
            return False
        if not self.first_day <= (_day(study.study_date) or date.min) <= self.last_day:
            return False
        pattern = self.description.strip().casefold()
        # Only "*" and "?" are wild in DICOM (PS3.4 section C.2.2.2.4); brackets are letters.
        return not pattern or fnmatchcase(study.description.strip().casefold(), pattern.replace("[", "[[]"))


def _day(text: str) -> date | None:
    try:
        return datetime.strptime(text.strip(), "%Y%m%d").date()  # noqa: DTZ007 - a day of the hospital, no moment
    except ValueError:
        return None


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
    found
        Examinations that study protocols added to the list.
    stopped_by
        ``done``, ``window``, ``daily_limit``, ``unavailable`` or ``asked``.
    """

    fetched: int
    partial: int
    refused: int
    waiting: int
    objects: int
    stopped_by: str
    found: int = 0

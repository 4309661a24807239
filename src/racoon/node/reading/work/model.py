"""Words of reading lists."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from racoon.domain.identity import Pseudonym
from racoon.errors import Defect, Refused


class NoSuchList(Refused):
    """No reading list of this name."""

    code = "reading.no_such_list"
    status = 404


class StillBlinded(Refused):
    """Agreement is shown when every reader of a blinded case is done."""

    code = "reading.still_blinded"
    status = 409


class NoSuchTask(Refused):
    """Nobody of this name has this task."""

    code = "reading.no_such_task"
    status = 404


class CannotHandOver(Refused):
    """A case that is read, or a person who has to do with it already."""

    code = "reading.cannot_hand_over"
    status = 409


class BadAssignment(Defect):
    """An assignment without readers, or of series that are not here."""

    code = "reading.bad_assignment"


@dataclass(frozen=True)
class Assignment:
    """What is to be read by whom.

    Parameters
    ----------
    series_uids
        One per imaging study: the series that opens first.
    is_blinded
        Whether readers see nothing of each other until all of them are done with a case.
    priority
        0 to 9; higher comes first.
    due_on
        ISO date, or empty.
    adjudicator
        Who decides when two readers are done, or empty.
    readers_per_case
        How many of the readers get each case, shared out evenly; 0 gives it to all of them.
    is_random
        Whether each reader has an own random order; else the order of the series here.
    hides_machines
        Whether stored masks that are not the reader's own are hidden until all readers are done with a case.
    protocol
        Name and version of the protocol it was made from, or empty.
    hides_names
        Whether whoever decides learns only afterwards whose readings they are.
    """

    list_name: str
    template_url: str
    series_uids: tuple[str, ...]
    readers: tuple[str, ...]
    is_blinded: bool = True
    priority: int = 0
    due_on: str = ""
    adjudicator: str = ""
    readers_per_case: int = 0
    is_random: bool = True
    hides_machines: bool = False
    protocol: str = ""
    hides_names: bool = False


READ, ADJUDICATE = "read", "adjudicate"
"""What a task asks for: a reading, or a decision between readings."""


@dataclass(frozen=True)
class ReadingTask:
    """One imaging study for one reader.

    Parameters
    ----------
    duty
        :data:`READ` or :data:`ADJUDICATE`.
    is_waiting
        Whether readers whose readings are to be decided between are not done yet.
    """

    list_name: str
    imaging_study_uid: str
    series_uid: str
    pseudonym: Pseudonym
    reader: str
    template_url: str
    is_blinded: bool
    priority: int
    due_on: str
    position: int
    done_at: datetime | None = None
    duty: str = READ
    is_waiting: bool = False
    hides_machines: bool = False
    protocol: str = ""
    hides_names: bool = False

    @property
    def link(self) -> str:
        """Address of the image to read, for this list."""
        return f"/reading/series/{self.series_uid}?list={quote(self.list_name, safe='')}"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "list": self.list_name,
            "imaging_study": self.imaging_study_uid,
            "series": self.series_uid,
            "pseudonym": str(self.pseudonym),
            "priority": self.priority,
            "due_on": self.due_on,
            "blinded": self.is_blinded,
            "done_at": self.done_at.isoformat() if self.done_at else None,
            "duty": self.duty,
            "waiting": self.is_waiting,
            "reader": self.reader,
            "protocol": self.protocol,
            "link": self.link,
        }

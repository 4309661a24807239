"""What people see of the messages and decide: connections, the queue, refused ones; nothing of what a message says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from racoon.node.clinical import _merge_store
from racoon.node.clinical._merge_store import Merge, Parting
from racoon.node.clinical.hl7.door import UNKNOWN, Door
from racoon.node.clinical.hl7.inbox import Inbox
from racoon.node.clinical.hl7.model import (
    NoSuchMessage,
    OpenMessage,
    SenderOptions,
    SenderStatus,
    State,
)
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database
from racoon.standards.hl7v2.message import read_header
from racoon.standards.hl7v2.mllp import Block

ACTION = "hl7.decide"
"""Action of the permission table."""

NEVER_READABLE = frozenset({"truncated", "too_large"})


@dataclass(frozen=True)
class SenderLine:
    """One configured sender with what came from it, if anything did."""

    name: str
    status: SenderStatus | None


class MessageDesk:
    """The messages of one node, for its people.

    Parameters
    ----------
    inbox
        Where messages wait.
    door
        Reads a message again.
    senders
        Of the settings.
    database, audit
        The node's own.
    count_studies
        Tells how many imaging studies lie under a pseudonym.
    count_between
        Tells how many of those came between two moments.
    """

    def __init__(
        self,
        inbox: Inbox,
        door: Door,
        senders: Sequence[SenderOptions],
        database: Database,
        audit: AuditLog,
        count_studies: Callable[[str], int],
        count_between: Callable[[str, datetime, datetime], int] = lambda *_: 0,
    ) -> None:
        self._inbox, self._door, self._senders = inbox, door, tuple(senders)
        self._database, self._audit = database, audit
        self._count_studies, self._count_between = count_studies, count_between

    def counts(self) -> dict[str, int]:
        """Count messages by state."""
        return self._inbox.counts()

    def open_counts(self) -> dict[str, int]:
        """Count what is not finished, by state."""
        return self._inbox.open_counts()

    def senders(self) -> list[SenderLine]:
        """List the configured senders, and what came from none of them."""
        found = {item.name: item for item in self._inbox.senders()}
        lines = [SenderLine(item.name, found.get(item.name)) for item in self._senders]
        return lines + ([SenderLine("", found[UNKNOWN])] if UNKNOWN in found else [])

    def open_messages(self) -> list[OpenMessage]:
        """List what waits for a person, the oldest first."""
        return self._inbox.open_messages()

    def merges(self) -> list[Merge]:
        """List merges whose old pseudonym still has images: a person moves or deletes them."""
        with self._database.connect() as connection:
            known = _merge_store.load_merges(connection)
        found = [replace(item, imaging_studies=self._count_studies(item.old)) for item in known]
        return [item for item in found if item.imaging_studies]

    def partings(self) -> list[Parting]:
        """List merges that were taken back while images came: a person sees to whom these belong."""
        with self._database.connect() as connection:
            known = _merge_store.load_partings(connection)
        found = [
            replace(item, imaging_studies=self._count_between(item.surviving, item.merged_at, item.parted_at))
            for item in known
        ]
        return [item for item in found if item.imaging_studies]

    def try_again(self, number: int, *, actor: str, actor_role: str) -> State:
        """Read a message again by the settings of now, and let it go on if it can be read; audited.

        Raises
        ------
        NoSuchMessage
        """
        found, data = self._inbox.load_open(number)
        if found.reason not in NEVER_READABLE:
            self._record(number, "try_again", actor, actor_role)
            arrival = self._door.judge(Block("message", data), self._senders)
            if found.sender != UNKNOWN and arrival.sender == UNKNOWN and read_header(data) is None:
                arrival = replace(arrival, sender=found.sender)
            self._inbox.try_again(number, arrival)
            return arrival.state
        return found.state

    def dismiss(self, number: int, *, actor: str, actor_role: str) -> None:
        """Erase a message for good; later ones of its patient go on; audited.

        Raises
        ------
        NoSuchMessage
        """
        self._inbox.load_open(number)
        self._record(number, "dismiss", actor, actor_role)
        self._inbox.dismiss(number)

    def decide_many(self, numbers: Sequence[int], decision: str, *, actor: str, actor_role: str) -> int:
        """Try several messages again or dismiss them; returns how many are no longer open.

        What somebody else decided meanwhile is left out.
        """
        settled = 0
        for number in numbers:
            try:
                if decision == "dismiss":
                    self.dismiss(number, actor=actor, actor_role=actor_role)
                    settled += 1
                else:
                    state = self.try_again(number, actor=actor, actor_role=actor_role)
                    settled += state is not State.REFUSED
            except NoSuchMessage:
                continue
        return settled

    def _record(self, number: int, decision: str, actor: str, actor_role: str) -> None:
        with self._database.begin() as connection:
            self._audit.append(
                connection,
                actor=actor,
                actor_role=actor_role,
                action=f"hl7.{decision}",
                target=f"hl7/{number}",
            )

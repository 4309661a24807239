"""Words of the messages: their states, why one was refused or waits, what the listener needs to know.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from racoon.errors import Defect, Refused
from racoon.standards.hl7v2.message import REASONS as UNREADABLE


class State(StrEnum):
    """Where a message stands."""

    WAITING = "waiting"
    HELD = "held"
    """Something in it needs a person; later messages of the patient wait behind it."""
    REFUSED = "refused"
    """It could not be read at the door; whose it is, is not known."""
    DONE = "done"
    LEFT_OUT = "left_out"
    """Of a type that says nothing of the course; acknowledged and not kept."""
    DISMISSED = "dismissed"


OPEN = (State.HELD, State.REFUSED)
"""What a person decides on."""

PERSON_EVENTS = frozenset({"A28", "A31"})
VISIT_EVENTS = frozenset({"A01", "A02", "A03", "A04", "A08", "A11", "A12", "A13"})
MERGE = "ADT^A40"
PARTING = "ADT^A37"
"""Two numbers are two patients again (unlink, chapter 3.3.37)."""

RESULTS = "ORU^R01"
ORDERS = frozenset({"ORM^O01", "OMI^O23", "OMG^O19"})

KINDS = (
    frozenset({f"ADT^{event}" for event in PERSON_EVENTS | VISIT_EVENTS}) | ORDERS | {MERGE, PARTING, RESULTS}
)
"""What is worked off; every other type is acknowledged and left out."""

REASONS = {
    **UNREADABLE,
    "unknown_sender": "The sending application or facility is not among hl7.senders.",
    "no_patient": "PID-3 holds no number under which the images could have come.",
    "no_survivor": "A merge needs the surviving number in PID-3 and the old one in MRG-1.",
    "no_pair": "Taking a merge back needs two different numbers in two segments PID.",
    "merged_through": "The two numbers are one patient by way of a third one. Let the hospital name the pair that was"
    " merged.",
    "merged_elsewhere": "The old number was merged into another patient before: a person has to look.",
    "withdrawn": "One of the two numbers withdrew and the other did not. Record the withdrawal for both, then try"
    " again; or dismiss the merge.",
    "other_patient": "A visit, an order or a value was another patient's before: a person has to look.",
    "bad_study": "The order names a study UID that is none, or two imaging studies at once: a person has to look.",
    "bad_time": "A time in the message is none.",
    "not_stored": "Something in the message cannot be stored as it is; the log of the worker names the rule.",
    "defect": "The message met an error of the program. Report it; the log of the worker names the place.",
}
"""Why a message was refused or waits for a person, in plain words."""


class HeldMessage(Defect):
    """A message that was read but needs a person; why stands in ``reason``."""

    code = "hl7.held"

    def __init__(self, reason: str) -> None:
        super().__init__(REASONS[reason])
        self.reason = reason


class NoSuchMessage(Refused):
    """No message with this number waits for a decision."""

    code = "hl7.no_such_message"
    status = 404


class SenderOptions(Protocol):
    """Who may send."""

    @property
    def name(self) -> str:
        """Name for people."""

    @property
    def addresses(self) -> Sequence[str]:
        """Addresses or networks it calls from."""

    @property
    def application(self) -> str:
        """MSH-3; empty for any."""

    @property
    def facility(self) -> str:
        """MSH-4; empty for any."""


class ListenerOptions(Protocol):
    """What the listener needs of ``[hl7]``."""

    @property
    def host(self) -> str:
        """Where it listens."""

    @property
    def port(self) -> int:
        """Its port."""

    @property
    def senders(self) -> Sequence[SenderOptions]:
        """Who may send."""

    @property
    def default_encoding(self) -> str:
        """For messages with an empty MSH-18."""

    @property
    def patient_authority(self) -> str:
        """Assigning authority of the number that is in the images."""

    @property
    def max_message_kb(self) -> int:
        """Largest message."""

    @property
    def max_connections(self) -> int:
        """Connections at the same time."""

    @property
    def idle_timeout_s(self) -> float:
        """A silent connection is closed after this time."""

    @property
    def certificate(self) -> Path | None:
        """PEM file; with it the port speaks TLS only."""

    @property
    def key(self) -> Path | None:
        """Its key."""

    @property
    def authority(self) -> Path | None:
        """PEM file of who signs the senders' certificates."""


@dataclass(frozen=True)
class OpenMessage:
    """A message that waits for a person; nothing of what it says.

    Parameters
    ----------
    number
        Its number in the inbox.
    state, reason
        Where it stands, and why.
    sender, kind
        Name of the sender from the settings; type and event.
    received_at
        When it came last.
    size_bytes, times
        Its length; how often it came or was tried.
    behind
        Messages of the same patient that wait behind it.
    """

    number: int
    state: State
    reason: str
    sender: str
    kind: str
    received_at: datetime
    size_bytes: int
    times: int
    behind: int


@dataclass(frozen=True)
class SenderStatus:
    """What one sender sent.

    Parameters
    ----------
    name
        From the settings.
    last_at
        When its last message came.
    messages, refused, duplicates, reused_ids
        How many came, could not be read, came again, and came with a control id that another message had.
    """

    name: str
    last_at: datetime
    messages: int
    refused: int
    duplicates: int
    reused_ids: int

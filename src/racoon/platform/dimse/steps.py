"""The states of an acceptor (PS3.8 table 9-10) as data: what is done about an event, and where that leads.

Only the columns that an acceptor reaches which never asks for a release itself: Sta2, Sta3, Sta6, Sta8 and Sta13.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from racoon.platform.dimse.pdu import Kind


class State(StrEnum):
    """Where an association stands."""

    IDLE = "Sta1"
    CONNECTED = "Sta2"
    ASKED = "Sta3"
    ESTABLISHED = "Sta6"
    RELEASING = "Sta8"
    ENDING = "Sta13"


class Event(StrEnum):
    """What may happen."""

    ACCEPTANCE = "Evt3"
    REJECTION = "Evt4"
    REQUEST = "Evt6"
    WE_ACCEPT = "Evt7"
    WE_REJECT = "Evt8"
    WE_SEND = "Evt9"
    DATA = "Evt10"
    RELEASE = "Evt12"
    RELEASE_ANSWER = "Evt13"
    WE_RELEASE = "Evt14"
    WE_ABORT = "Evt15"
    ABORT = "Evt16"
    CLOSED = "Evt17"
    ARTIM = "Evt18"
    INVALID = "Evt19"


EVENT_OF: Mapping[int, Event] = {
    Kind.ASSOCIATE_RQ: Event.REQUEST,
    Kind.ASSOCIATE_AC: Event.ACCEPTANCE,
    Kind.ASSOCIATE_RJ: Event.REJECTION,
    Kind.P_DATA: Event.DATA,
    Kind.RELEASE_RQ: Event.RELEASE,
    Kind.RELEASE_RP: Event.RELEASE_ANSWER,
    Kind.ABORT: Event.ABORT,
}

NEXT: Mapping[str, State] = {
    "AE-6": State.ASKED,
    "AE-7": State.ESTABLISHED,
    "AE-8": State.ENDING,
    "DT-1": State.ESTABLISHED,
    "DT-2": State.ESTABLISHED,
    "AR-2": State.RELEASING,
    "AR-4": State.ENDING,
    "AR-5": State.IDLE,
    "AR-7": State.RELEASING,
    "AA-1": State.ENDING,
    "AA-2": State.IDLE,
    "AA-3": State.IDLE,
    "AA-4": State.IDLE,
    "AA-5": State.IDLE,
    "AA-6": State.ENDING,
    "AA-7": State.ENDING,
    "AA-8": State.ENDING,
}
"""Where an action leads (PS3.8 tables 9-6 to 9-9)."""

_ROWS: Mapping[Event, str] = {
    # Sta2, Sta3, Sta6, Sta8, Sta13
    Event.ACCEPTANCE: "AA-1 AA-8 AA-8 AA-8 AA-6",
    Event.REJECTION: "AA-1 AA-8 AA-8 AA-8 AA-6",
    Event.REQUEST: "AE-6 AA-8 AA-8 AA-8 AA-7",
    Event.WE_ACCEPT: "- AE-7 - - -",
    Event.WE_REJECT: "- AE-8 - - -",
    Event.WE_SEND: "- - DT-1 AR-7 -",
    Event.DATA: "AA-1 AA-8 DT-2 AA-8 AA-6",
    Event.RELEASE: "AA-1 AA-8 AR-2 AA-8 AA-6",
    Event.RELEASE_ANSWER: "AA-1 AA-8 AA-8 AA-8 AA-6",
    Event.WE_RELEASE: "- - - AR-4 -",
    Event.WE_ABORT: "- AA-1 AA-1 AA-1 -",
    Event.ABORT: "AA-2 AA-3 AA-3 AA-3 AA-2",
    Event.CLOSED: "AA-5 AA-4 AA-4 AA-4 AR-5",
    Event.ARTIM: "AA-2 - - - AA-2",
    Event.INVALID: "AA-1 AA-8 AA-8 AA-8 AA-7",
}

_COLUMNS = (State.CONNECTED, State.ASKED, State.ESTABLISHED, State.RELEASING, State.ENDING)

TABLE: Mapping[tuple[Event, State], str] = {
    (event, state): action
    for event, row in _ROWS.items()
    for state, action in zip(_COLUMNS, row.split(), strict=True)
    if action != "-"
}
"""Event and state to action; what is not here cannot happen."""

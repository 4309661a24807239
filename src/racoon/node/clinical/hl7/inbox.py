"""Where messages wait: sealed, in the order in which they came, until they are worked off and their content is erased.

What is written beside a sealed message is keyed digests, counts, codes and the sender's name from the settings.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy.dialects import sqlite

from racoon.domain.identity import PatientId
from racoon.node.clinical.hl7._inbox_tables import MESSAGE, METADATA, SAME_PATIENT, SENDER
from racoon.node.clinical.hl7.model import OPEN, NoSuchMessage, OpenMessage, SenderStatus, State
from racoon.node.pseudonyms.keys import load_or_create_key
from racoon.node.pseudonyms.model import KeyFileBroken, canonical_id
from racoon.platform import clock
from racoon.platform.database import Database

REMEMBERED = timedelta(days=30)
"""A message that comes again after this time counts as new; its resources are the same, so nothing doubles."""

LONGEST_LIST = 200

_NONCE_BYTES = 12
_KNOWN = ("number", "sender", "control_token", "content_token", "state", "reason")

_INSERT = sa.insert(MESSAGE).inline()
"""The file is always SQLite's, which tells a row's number without being asked for it."""


@dataclass(frozen=True)
class Arrival:
    """A message at the door.

    Parameters
    ----------
    sender
        Name from the settings.
    kind
        Type and event; empty when it is none that is worked off.
    control_id
        MSH-10 as bytes.
    data
        The message.
    state, reason
        What the door says of it.
    patients
        Every number it is about.
    """

    sender: str
    kind: str
    control_id: bytes
    data: bytes
    state: State
    reason: str = ""
    patients: Sequence[str] = ()


@dataclass(frozen=True)
class Receipt:
    """What the inbox did with an arrival: a duplicate is not kept again; a reused control id is kept and said."""

    number: int
    state: State
    reason: str
    is_duplicate: bool = False
    is_reused_id: bool = False


@dataclass(frozen=True)
class Waiting:
    """A message that is to be worked off now."""

    number: int
    sender: str
    kind: str
    patients: tuple[str, ...]
    received_at: datetime
    data: bytes


class Inbox:
    """The inbox of one node.

    Parameters
    ----------
    folder
        Holds its file and its key.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = load_or_create_key(folder / "inbox.key")
        self._cipher = AESGCM(key.derive("hl7-message", ""))
        self._token_key = key.derive("hl7-token", "")
        # Acknowledged means on disk, also after a power cut.
        self._database = Database(f"sqlite:///{(folder / 'inbox.sqlite').resolve()}", synchronous="FULL")
        with self._database.begin() as connection:
            METADATA.create_all(connection)

    def close(self) -> None:
        """Close idle connections."""
        self._database.dispose()

    def _token(self, purpose: str, data: bytes) -> str:
        found = hmac.digest(self._token_key, purpose.encode() + b"\x1f" + data, sha256)
        return base64.b32encode(found[:15]).decode()

    def patient_token(self, number: str) -> str:
        """Return the keyed name of a patient by which his messages keep their order."""
        return self._token("patient", canonical_id(PatientId(number)).encode())

    # -- at the door

    def take(self, arrivals: Sequence[Arrival]) -> list[Receipt]:
        """Store messages in one transaction; when it returns, they are on disk."""
        named = [
            (item.sender, self._token("control", item.control_id), self._token("content", item.data))
            for item in arrivals
        ]
        receipts: list[Receipt] = []
        with self._database.begin() as connection:
            known: dict[tuple[str, str], dict[str, Receipt]] = {}
            query = sa.select(*(MESSAGE.c[name] for name in _KNOWN)).where(
                MESSAGE.c.control_token.in_(sorted({control for _, control, _ in named}))
            )
            for row in connection.execute(query.order_by(MESSAGE.c.number)):
                earlier = known.setdefault((row.sender, row.control_token), {})
                earlier[row.content_token] = Receipt(row.number, State(row.state), row.reason)
            for item, (sender, control, content) in zip(arrivals, named, strict=True):
                earlier = known.setdefault((sender, control), {})
                receipts.append(self._take(connection, item, control, content, earlier))
                earlier[content] = receipts[-1]
            _count(connection, arrivals, receipts)
        return receipts

    def _take(
        self,
        connection: sa.Connection,
        item: Arrival,
        control: str,
        content: str,
        earlier: dict[str, Receipt],
    ) -> Receipt:
        twin = earlier.get(content)
        if twin is not None and (twin.state is not State.REFUSED or item.state is State.REFUSED):
            self._count_again(connection, twin.number)
            return replace(twin, is_duplicate=True, is_reused_id=False)
        if twin is not None:
            # It could not be read before and can be now: the settings were mended.
            self._finish(connection, [twin.number], State.DISMISSED)
        is_reused = bool(item.control_id) and any(other != content for other in earlier)
        values = self._row(item, control, content, is_reused_id=is_reused)
        number = connection.execute(_INSERT, values).lastrowid
        return Receipt(int(number), item.state, item.reason, is_reused_id=is_reused)

    def _row(self, item: Arrival, control: str, content: str, *, is_reused_id: bool) -> dict[str, Any]:
        now = clock.now()
        is_kept = item.state is not State.LEFT_OUT
        return {
            "state": item.state,
            "reason": item.reason,
            "sender": item.sender,
            "kind": item.kind,
            "control_token": control,
            "content_token": content,
            "patients": " ".join(self.patient_token(number) for number in item.patients),
            "received_at": now,
            "finished_at": None if is_kept else now,
            "size_bytes": len(item.data),
            "times": 1,
            "duplicates": 0,
            "is_reused_id": is_reused_id,
            "sealed": self._seal(item.data, content) if is_kept else None,
        }

    def _count_again(self, connection: sa.Connection, number: int) -> None:
        again = {"duplicates": MESSAGE.c.duplicates + 1, "received_at": clock.now()}
        connection.execute(sa.update(MESSAGE).where(MESSAGE.c.number == number).values(again))

    def _seal(self, data: bytes, content: str) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, data, content.encode())

    def _open(self, sealed: bytes, content: str) -> bytes:
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], content.encode())
        except InvalidTag as error:
            raise KeyFileBroken("The key of the HL7 inbox does not open its messages. Restore it.") from error

    # -- working off

    def due(self, limit: int) -> list[Waiting]:
        """Return the next messages in their order; none of a patient of whom an earlier one waits for a person."""
        with self._database.connect() as connection:
            surviving = _same_patients(connection)
            light = sa.select(MESSAGE.c.number, MESSAGE.c.state, MESSAGE.c.patients).where(
                MESSAGE.c.state.in_([State.WAITING, State.HELD])
            )
            blocked: set[str] = set()
            chosen: list[int] = []
            for row in connection.execution_options(yield_per=1000).execute(light.order_by(MESSAGE.c.number)):
                patients = {_root(token, surviving) for token in row.patients.split()}
                if row.state == State.HELD or patients & blocked:
                    # A merge that waits keeps both of its patients waiting.
                    blocked |= patients
                else:
                    chosen.append(row.number)
                if len(chosen) >= limit:
                    break
            rows = connection.execute(
                sa.select(MESSAGE).where(MESSAGE.c.number.in_(chosen)).order_by(MESSAGE.c.number)
            ).all()
        return [
            Waiting(
                row.number,
                row.sender,
                row.kind,
                tuple(row.patients.split()),
                row.received_at,
                self._open(row.sealed, row.content_token),
            )
            for row in rows
        ]

    def finish(
        self,
        numbers: Sequence[int],
        same_patients: Sequence[tuple[str, str]] = (),
        parted: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Erase messages that were worked off; of a merge, remember that two tokens are one patient, or two again."""
        with self._database.begin() as connection:
            self._finish(connection, numbers, State.DONE)
            for one, other in (*parted, *((other, one) for one, other in parted)):
                gone = (SAME_PATIENT.c.token == one) & (SAME_PATIENT.c.surviving == other)
                connection.execute(sa.delete(SAME_PATIENT).where(gone))
            known = _same_patients(connection) if same_patients else {}
            for token, surviving in same_patients:
                old, new = _root(token, known), _root(surviving, known)
                if old != new:
                    connection.execute(sa.insert(SAME_PATIENT).values(token=old, surviving=new))
                    known[old] = new

    def same_patients(self) -> dict[str, str]:
        """Return which patient tokens lead to which after merges."""
        with self._database.connect() as connection:
            return _same_patients(connection)

    def hold(self, number: int, reason: str) -> None:
        """Let a message wait for a person, and its patient's later ones behind it."""
        with self._database.begin() as connection:
            connection.execute(
                sa.update(MESSAGE)
                .where(MESSAGE.c.number == number, MESSAGE.c.state == State.WAITING)
                .values(state=State.HELD, reason=reason, times=MESSAGE.c.times + 1)
            )

    def prune(self) -> int:
        """Forget what is known of messages that were worked off long ago; returns how many."""
        old = MESSAGE.c.finished_at < clock.now() - REMEMBERED
        with self._database.begin() as connection:
            return connection.execute(sa.delete(MESSAGE).where(old)).rowcount

    def _finish(self, connection: sa.Connection, numbers: Sequence[int], state: State) -> None:
        connection.execute(
            sa.update(MESSAGE)
            .where(MESSAGE.c.number.in_(list(numbers)))
            .values(state=state, sealed=None, finished_at=clock.now())
        )

    # -- for people

    def load_open(self, number: int) -> tuple[OpenMessage, bytes]:
        """Return a message that waits for a person, with its content for who reads it again.

        Raises
        ------
        NoSuchMessage
        """
        query = sa.select(MESSAGE).where(MESSAGE.c.number == number, MESSAGE.c.state.in_(OPEN))
        with self._database.connect() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise NoSuchMessage("No message with this number waits for a decision.")
        return _shown(row, 0), self._open(row.sealed, row.content_token)

    def try_again(self, number: int, arrival: Arrival) -> None:
        """Put an open message back into its place in the order; what the door says of it now holds."""
        with self._database.begin() as connection:
            connection.execute(
                sa.update(MESSAGE)
                .where(MESSAGE.c.number == number, MESSAGE.c.state.in_(OPEN))
                .values(
                    state=arrival.state,
                    reason=arrival.reason,
                    kind=arrival.kind,
                    patients=" ".join(self.patient_token(item) for item in arrival.patients),
                    times=MESSAGE.c.times + 1,
                )
            )

    def dismiss(self, number: int) -> None:
        """Erase an open message; its patient's later ones go on."""
        self.load_open(number)
        with self._database.begin() as connection:
            self._finish(connection, [number], State.DISMISSED)

    def open_messages(self, limit: int = LONGEST_LIST) -> list[OpenMessage]:
        """List what waits for a person, the oldest first."""
        query = sa.select(MESSAGE).where(MESSAGE.c.state.in_(OPEN)).order_by(MESSAGE.c.number).limit(limit)
        waiting = sa.select(MESSAGE.c.patients).where(MESSAGE.c.state == State.WAITING)
        with self._database.connect() as connection:
            rows = connection.execute(query).all()
            behind: dict[str, int] = {}
            if any(row.state == State.HELD for row in rows):
                for (patients,) in connection.execute(waiting):
                    for token in patients.split():
                        behind[token] = behind.get(token, 0) + 1
        return [
            _shown(row, max((behind.get(token, 0) for token in row.patients.split()), default=0))
            for row in rows
        ]

    def counts(self) -> dict[str, int]:
        """Count messages by state."""
        query = sa.select(MESSAGE.c.state, sa.func.count()).group_by(MESSAGE.c.state)
        with self._database.connect() as connection:
            found = {state: int(count) for state, count in connection.execute(query)}
        return {state.value: found.get(state.value, 0) for state in State}

    def open_counts(self) -> dict[str, int]:
        """Count what is not finished, by state; cheap, for the metrics."""
        states = (State.WAITING, *OPEN)
        query = sa.select(MESSAGE.c.state, sa.func.count()).where(MESSAGE.c.state.in_(states))
        with self._database.connect() as connection:
            found = {row[0]: int(row[1]) for row in connection.execute(query.group_by(MESSAGE.c.state))}
        return {state.value: found.get(state.value, 0) for state in states}

    def senders(self) -> list[SenderStatus]:
        """Say of each sender when its last message came, and how many."""
        with self._database.connect() as connection:
            rows = connection.execute(sa.select(SENDER).order_by(SENDER.c.name))
            return [SenderStatus(**row._mapping) for row in rows]


def _count(connection: sa.Connection, arrivals: Sequence[Arrival], receipts: Sequence[Receipt]) -> None:
    counts: dict[str, Counter[str]] = {}
    for item, receipt in zip(arrivals, receipts, strict=True):
        found = counts.setdefault(item.sender, Counter())
        found["messages"] += 1
        found["refused"] += item.state is State.REFUSED
        found["duplicates"] += receipt.is_duplicate
        found["reused_ids"] += receipt.is_reused_id
    for name, found in counts.items():
        values = {column: found[column] for column in ("messages", "refused", "duplicates", "reused_ids")}
        added = {column: SENDER.c[column] + number for column, number in values.items()}
        now = clock.now()
        insert = sqlite.insert(SENDER).values(name=name, last_at=now, **values)
        connection.execute(
            insert.on_conflict_do_update(index_elements=["name"], set_={**added, "last_at": now})
        )


def _same_patients(connection: sa.Connection) -> dict[str, str]:
    return {row.token: row.surviving for row in connection.execute(sa.select(SAME_PATIENT))}


def _root(token: str, surviving: dict[str, str]) -> str:
    while token in surviving:
        token = surviving[token]
    return token


def _shown(row: sa.Row[Any], behind: int) -> OpenMessage:
    return OpenMessage(
        number=row.number,
        state=State(row.state),
        reason=row.reason,
        sender=row.sender,
        kind=row.kind,
        received_at=row.received_at,
        size_bytes=row.size_bytes,
        times=row.times,
        behind=behind,
    )

"""What came through the doors lately, for the intake page: associations, uploads, and counts a minute.

A small SQLite file of its own, because the listener has no database; it may be lost without harm.  It names senders,
never patients: AE titles, accounts, hosts.  Nothing is written while an object is on its way: counts are gathered in
memory and written together, about once a second.  A file that cannot be written, as on a full disk, stops nothing.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from racoon.node.intake.model import MinuteCounts, Transfer
from racoon.platform.clock import now

LOG = logging.getLogger(__name__)

KEPT_TRANSFERS = 2000
"""Of the list; older ones go."""

KEPT_MINUTES = 48 * 60

_TABLES = """
CREATE TABLE IF NOT EXISTS transfer (
  id INTEGER PRIMARY KEY AUTOINCREMENT, way TEXT NOT NULL, sender TEXT NOT NULL, address TEXT NOT NULL,
  started_at TEXT NOT NULL, ended_at TEXT, objects INTEGER NOT NULL, size_bytes INTEGER NOT NULL,
  refused INTEGER NOT NULL, end TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS minute (
  minute INTEGER PRIMARY KEY, received INTEGER NOT NULL, processed INTEGER NOT NULL
);
"""


@dataclass
class Counting:
    """A transfer that goes on; its owner counts, :class:`Activity` writes.

    Parameters
    ----------
    key
        Row of the list.
    """

    key: int
    objects: int = 0
    size_bytes: int = 0
    refused: int = 0


@dataclass
class _Pending:
    received: int = 0
    processed: int = 0
    open: dict[int, Counting] = field(default_factory=dict)


class Activity:
    """Recent activity of one node; every process of it has its own.

    Parameters
    ----------
    folder
        Holds ``activity.sqlite``; mode 0700.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = folder / "activity.sqlite"
        self._lock = threading.Lock()
        self._pending = _Pending()
        with _harmless(), self._connection() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(_TABLES)

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._file, timeout=5)
        try:
            # A minute of counts may be lost in a power cut, an object never waits for them.
            connection.execute("PRAGMA synchronous = OFF")
            with connection:
                yield connection
        finally:
            connection.close()

    def begin(self, way: str, sender: str, address: str = "") -> Counting:
        """List a transfer that begins."""
        key = 0
        with _harmless(), self._connection() as connection:
            cursor = connection.execute(
                "INSERT INTO transfer (way, sender, address, started_at, objects, size_bytes, refused, end) "
                "VALUES (?, ?, ?, ?, 0, 0, 0, '')",
                (way, sender[:64], address[:64], now().isoformat()),
            )
            key = int(cursor.lastrowid or 0)
            connection.execute("DELETE FROM transfer WHERE id <= ?", (key - KEPT_TRANSFERS,))
        counting = Counting(key)
        with self._lock:
            self._pending.open[key] = counting
        return counting

    def count(self, counting: Counting, size_bytes: int) -> None:
        """Count an object that is durable."""
        with self._lock:
            counting.objects += 1
            counting.size_bytes += size_bytes
            self._pending.received += 1

    def count_refused(self, counting: Counting) -> None:
        """Count an object that was not taken."""
        with self._lock:
            counting.refused += 1

    def count_processed(self, number: int) -> None:
        """Count objects that are archived or quarantined; written at once, a round is seldom."""
        with self._lock:
            self._pending.processed += number
        self.flush()

    def finish(self, counting: Counting, end: str) -> None:
        """List a transfer as over."""
        self.flush()
        with self._lock:
            self._pending.open.pop(counting.key, None)
        with _harmless(), self._connection() as connection:
            connection.execute(
                "UPDATE transfer SET ended_at = ?, end = ? WHERE id = ?",
                (now().isoformat(), end, counting.key),
            )

    def record(
        self, way: str, sender: str, *, objects: int, size_bytes: int, refused: int = 0, end: str = "released"
    ) -> None:
        """List a transfer that is over already."""
        counting = self.begin(way, sender)
        with self._lock:
            counting.objects, counting.size_bytes, counting.refused = objects, size_bytes, refused
            self._pending.received += objects
        self.finish(counting, end)

    def flush(self) -> None:
        """Write what was counted."""
        with self._lock:
            received, processed = self._pending.received, self._pending.processed
            self._pending.received = self._pending.processed = 0
            rows = [
                (item.objects, item.size_bytes, item.refused, item.key)
                for item in self._pending.open.values()
            ]
        if not (received or processed or rows):
            return
        minute = _minute(now())
        with _harmless(), self._connection() as connection:
            if received or processed:
                connection.execute(
                    "INSERT INTO minute VALUES (?, ?, ?) ON CONFLICT (minute) DO UPDATE SET "
                    "received = received + excluded.received, processed = processed + excluded.processed",
                    (minute, received, processed),
                )
                connection.execute("DELETE FROM minute WHERE minute < ?", (minute - KEPT_MINUTES,))
            connection.executemany(
                "UPDATE transfer SET objects = ?, size_bytes = ?, refused = ? WHERE id = ?", rows
            )

    def end_interrupted(self, way: str) -> None:
        """Say of transfers that a killed process left open that they are over."""
        with _harmless(), self._connection() as connection:
            connection.execute(
                "UPDATE transfer SET ended_at = ?, end = 'interrupted' WHERE ended_at IS NULL AND way = ?",
                (now().isoformat(), way),
            )

    def latest(self, limit: int = 20) -> list[Transfer]:
        """List transfers, newest first."""
        columns = "way, sender, started_at, address, ended_at, objects, size_bytes, refused, end"
        rows: list[tuple[Any, ...]] = []
        with _harmless(), self._connection() as connection:
            rows = connection.execute(
                f"SELECT {columns} FROM transfer ORDER BY id DESC LIMIT ?",  # noqa: S608 - a constant
                (limit,),
            ).fetchall()
        return [
            Transfer(
                row[0],
                row[1],
                datetime.fromisoformat(row[2]),
                row[3],
                datetime.fromisoformat(row[4]) if row[4] else None,
                *row[5:],
            )
            for row in rows
        ]

    def minutes(self, number: int = 60) -> list[MinuteCounts]:
        """Give the counts of the latest minutes, oldest first, the present one last."""
        last = _minute(now())
        rows: list[tuple[int, int, int]] = []
        with _harmless(), self._connection() as connection:
            rows = connection.execute("SELECT * FROM minute WHERE minute > ?", (last - number,)).fetchall()
        known = {row[0]: (row[1], row[2]) for row in rows}
        return [
            MinuteCounts(_moment(minute), *known.get(minute, (0, 0)))
            for minute in range(last - number + 1, last + 1)
        ]


@contextmanager
def _harmless() -> Iterator[None]:
    """Go on without the list when its file cannot be used; objects matter more."""
    try:
        yield
    except sqlite3.Error as error:
        LOG.warning("the list of transfers cannot be used", extra={"reason": type(error).__name__})


def _minute(moment: datetime) -> int:
    return int(moment.timestamp()) // 60


def _moment(minute: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)

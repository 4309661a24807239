"""The work list: one row an accession number, in a file of its own that only this node's user can read."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from racoon.node.intake.pull.model import PullItem, PullState, check_accession
from racoon.platform.clock import now

_TABLES = """
CREATE TABLE IF NOT EXISTS item (
  accession_number TEXT PRIMARY KEY, state TEXT NOT NULL, reason TEXT NOT NULL, expected INTEGER,
  received INTEGER NOT NULL, attempts INTEGER NOT NULL, updated_at TEXT NOT NULL, added INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS day (day TEXT PRIMARY KEY, objects INTEGER NOT NULL);
"""


class WorkList:
    """Work list of one node.

    Parameters
    ----------
    folder
        Made with mode 0700.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = folder / "worklist.sqlite"
        if not self._file.exists():
            os.close(os.open(self._file, os.O_WRONLY | os.O_CREAT, 0o600))
        with self._open() as connection:
            # What is cleared must be gone from the file, too.
            connection.execute("PRAGMA secure_delete = ON")
            connection.executescript(_TABLES)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._file, timeout=30)
        try:
            connection.execute("PRAGMA secure_delete = ON")
            with connection:
                yield connection
        finally:
            connection.close()

    def add(self, accession_numbers: Iterable[str]) -> int:
        """Add accession numbers; one that is there already stays as it is.

        Returns
        -------
        int
            How many are new.

        Raises
        ------
        BadAccession
            If one is none; then nothing is added.
        """
        wanted = dict.fromkeys(check_accession(text) for text in accession_numbers)
        with self._open() as connection:
            before = connection.execute("SELECT count(*), coalesce(max(added), 0) FROM item").fetchone()
            connection.executemany(
                "INSERT OR IGNORE INTO item VALUES (?, 'waiting', '', NULL, 0, 0, ?, ?)",
                [(text, _moment(), before[1] + number) for number, text in enumerate(wanted, start=1)],
            )
            return int(connection.execute("SELECT count(*) FROM item").fetchone()[0] - before[0])

    def items(self, *states: PullState) -> list[PullItem]:
        """List items in the order in which they were added; of all states when none is named."""
        marks = ",".join("?" * len(states))
        where = f"WHERE state IN ({marks})" if states else ""
        columns = "accession_number, state, reason, expected, received, attempts, updated_at"
        with self._open() as connection:
            rows = connection.execute(
                f"SELECT {columns} FROM item {where} ORDER BY added",  # noqa: S608 - only question marks are inserted
                [state.value for state in states],
            ).fetchall()
        return [PullItem(row[0], PullState(row[1]), *row[2:]) for row in rows]

    def save(self, item: PullItem, *, objects: int = 0) -> PullItem:
        """Keep an item's new state, and count objects towards the daily limit."""
        item = replace(item, updated_at=_moment())
        with self._open() as connection:
            connection.execute(
                "UPDATE item SET state=?, reason=?, expected=?, received=?, attempts=?, updated_at=? "
                "WHERE accession_number=?",
                (
                    *(item.state.value, item.reason, item.expected, item.received, item.attempts),
                    *(item.updated_at, item.accession_number),
                ),
            )
            connection.execute(
                "INSERT INTO day VALUES (?, ?) ON CONFLICT (day) DO UPDATE SET objects = objects + excluded.objects",
                (_day(), objects),
            )
        return item

    def retry(self) -> int:
        """Let partial and refused items wait again; return their number."""
        with self._open() as connection:
            return connection.execute(
                "UPDATE item SET state='waiting', reason='', attempts=0 WHERE state IN ('partial', 'refused')"
            ).rowcount

    def clear(self, *, everything: bool = False) -> int:
        """Remove what is fetched, or everything; return the number of rows."""
        where = "" if everything else " WHERE state = 'fetched'"
        with self._open() as connection:
            return connection.execute(f"DELETE FROM item{where}").rowcount  # noqa: S608 - one of two constants

    def objects_today(self) -> int:
        """Objects fetched since midnight (UTC)."""
        with self._open() as connection:
            row = connection.execute("SELECT objects FROM day WHERE day = ?", (_day(),)).fetchone()
        return int(row[0]) if row else 0


def _moment() -> str:
    return now().isoformat(timespec="seconds")


def _day() -> str:
    return now().date().isoformat()

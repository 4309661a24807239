"""The work list: one row an examination, in a file of its own that only this node's user can read."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path

from racoon.node.intake.pull.model import (
    BadProtocol,
    FoundStudy,
    PullItem,
    PullProtocol,
    PullState,
    check_accession,
)
from racoon.platform.clock import now

_TABLES = """
CREATE TABLE IF NOT EXISTS examination (
  key TEXT PRIMARY KEY, accession_number TEXT NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL, expected INTEGER,
  received INTEGER NOT NULL, attempts INTEGER NOT NULL, updated_at TEXT NOT NULL, imaging_study_uid TEXT NOT NULL,
  protocol TEXT NOT NULL, added INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS examination_added ON examination (state, added);
CREATE TABLE IF NOT EXISTS protocol (
  name TEXT PRIMARY KEY, modalities TEXT NOT NULL, first_day TEXT NOT NULL, last_day TEXT NOT NULL,
  description TEXT NOT NULL, searched_until TEXT, found INTEGER NOT NULL, problem TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS day (day TEXT PRIMARY KEY, objects INTEGER NOT NULL);
"""

_COLUMNS = "key, accession_number, state, reason, expected, received, attempts, updated_at, imaging_study_uid, protocol"


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
        return self._insert([(text, text, "", "", None) for text in wanted])

    def add_found(self, protocol: str, studies: Iterable[FoundStudy]) -> int:
        """Add examinations that a protocol found; one that is there, or whose accession number is, stays as it is."""
        rows = [
            (
                study.imaging_study_uid,
                study.accession_number,
                study.imaging_study_uid,
                protocol,
                study.instances,
            )
            for study in studies
        ]
        with self._open() as connection:
            listed = {
                row[0]
                for row in connection.execute("SELECT key FROM examination WHERE imaging_study_uid = ''")
            }
        return self._insert([row for row in rows if row[1] not in listed])

    def _insert(self, rows: list[tuple[str, str, str, str, int | None]]) -> int:
        with self._open() as connection:
            before = connection.execute(
                "SELECT count(*), coalesce(max(added), 0) FROM examination"
            ).fetchone()
            connection.executemany(
                "INSERT OR IGNORE INTO examination VALUES (?, ?, 'waiting', '', ?, 0, 0, ?, ?, ?, ?)",
                [
                    (key, accession, expected, _moment(), uid, protocol, before[1] + number)
                    for number, (key, accession, uid, protocol, expected) in enumerate(rows, start=1)
                ],
            )
            return int(connection.execute("SELECT count(*) FROM examination").fetchone()[0] - before[0])

    def items(self, *states: PullState, limit: int = -1) -> list[PullItem]:
        """List items in the order in which they were added; of all states when none is named."""
        marks = ",".join("?" * len(states))
        where = f"WHERE state IN ({marks})" if states else ""
        with self._open() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM examination {where} ORDER BY added LIMIT ?",  # noqa: S608 - only question marks are inserted
                [*(state.value for state in states), limit],
            ).fetchall()
        return [PullItem(row[0], row[1], PullState(row[2]), *row[3:]) for row in rows]

    def counts(self) -> dict[PullState, int]:
        """Count items by state."""
        with self._open() as connection:
            rows = connection.execute("SELECT state, count(*) FROM examination GROUP BY state").fetchall()
        return {state: dict(rows).get(state.value, 0) for state in PullState}

    def add_protocol(self, protocol: PullProtocol) -> None:
        """Keep a study protocol.

        Raises
        ------
        BadProtocol
            If there is one of this name.
        """
        row = (
            protocol.name,
            "\\".join(protocol.modalities),
            protocol.first_day.isoformat(),
            protocol.last_day.isoformat(),
            protocol.description,
        )
        with self._open() as connection:
            done = connection.execute(
                "INSERT OR IGNORE INTO protocol VALUES (?, ?, ?, ?, ?, NULL, 0, '')", row
            )
            if not done.rowcount:
                raise BadProtocol(
                    "There is a protocol of this name. Remove it first, or choose another name."
                )

    def protocols(self) -> list[PullProtocol]:
        """List the study protocols."""
        with self._open() as connection:
            rows = connection.execute("SELECT * FROM protocol ORDER BY name").fetchall()
        return [
            PullProtocol(
                row[0],
                tuple(row[1].split("\\")),
                date.fromisoformat(row[2]),
                date.fromisoformat(row[3]),
                row[4],
                date.fromisoformat(row[5]) if row[5] else None,
                row[6],
                row[7],
            )
            for row in rows
        ]

    def save_protocol(self, protocol: PullProtocol) -> None:
        """Keep how far a protocol's search is."""
        until = protocol.searched_until.isoformat() if protocol.searched_until else None
        with self._open() as connection:
            connection.execute(
                "UPDATE protocol SET searched_until=?, found=?, problem=? WHERE name=?",
                (until, protocol.found, protocol.problem, protocol.name),
            )

    def remove_protocol(self, name: str) -> int:
        """Remove a protocol; what it found stays on the list.  Return 1, or 0 when there was none."""
        with self._open() as connection:
            return connection.execute("DELETE FROM protocol WHERE name = ?", (name,)).rowcount

    def save(self, item: PullItem, *, objects: int = 0) -> PullItem:
        """Keep an item's new state, and count objects towards the daily limit."""
        item = replace(item, updated_at=_moment())
        with self._open() as connection:
            connection.execute(
                "UPDATE examination SET state=?, reason=?, expected=?, received=?, attempts=?, updated_at=? "
                "WHERE key=?",
                (
                    *(item.state.value, item.reason, item.expected, item.received, item.attempts),
                    *(item.updated_at, item.key),
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
                "UPDATE examination SET state='waiting', reason='', attempts=0 WHERE state IN ('partial', 'refused')"
            ).rowcount

    def clear(self, *, everything: bool = False) -> int:
        """Remove what is fetched, or everything; return the number of rows."""
        where = "" if everything else " WHERE state = 'fetched'"
        with self._open() as connection:
            return connection.execute(f"DELETE FROM examination{where}").rowcount  # noqa: S608 - one of two constants

    def objects_today(self) -> int:
        """Objects fetched since midnight (UTC)."""
        with self._open() as connection:
            row = connection.execute("SELECT objects FROM day WHERE day = ?", (_day(),)).fetchone()
        return int(row[0]) if row else 0


def _moment() -> str:
    return now().isoformat(timespec="seconds")


def _day() -> str:
    return now().date().isoformat()

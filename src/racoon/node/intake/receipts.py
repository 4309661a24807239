"""Which objects this node has taken, for storage commitment (PS3.4 annex J); UIDs only as keyed digests.

A receipt is written after the object lies safely in the spool and is not part of its acknowledgement: one that a
power cut takes makes a later request for commitment fail, never succeed wrongly, and the sender sends again.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

from racoon.platform.clock import now
from racoon.platform.files import create_atomically

RETENTION_DAYS = 90
"""Senders ask within days; longer, the file would only grow."""

_FLUSH_AT = 500


class Receipts:
    """Receipts of one node.

    Parameters
    ----------
    folder
        Holds ``receipts.sqlite`` and the key of its digests; mode 0700.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = folder / "receipts.key"
        create_atomically(key, secrets.token_bytes(32))
        self._key = key.read_bytes()
        self._lock = threading.Lock()
        self._pending: list[tuple[bytes, bytes, int]] = []
        self._connection = sqlite3.connect(
            folder / "receipts.sqlite", check_same_thread=False, isolation_level=None, timeout=30
        )
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS receipt (instance BLOB PRIMARY KEY, class BLOB, day INTEGER) WITHOUT ROWID"
        )
        self._connection.execute("DELETE FROM receipt WHERE day < ?", (_today() - RETENTION_DAYS,))

    def close(self) -> None:
        """Write what is pending and close."""
        self.flush()
        with self._lock:
            self._connection.close()

    def add(self, sop_class_uid: str, sop_instance_uid: str) -> None:
        """Note an object that is durable; written with others."""
        row = (self._digest(sop_instance_uid), self._digest(sop_class_uid), _today())
        with self._lock:
            self._pending.append(row)
            if len(self._pending) >= _FLUSH_AT:
                self._write()

    def flush(self) -> None:
        """Write what is pending."""
        with self._lock:
            self._write()

    def state_of(self, references: Sequence[tuple[str, str]]) -> list[bool | None]:
        """Tell of each (SOP class, SOP instance) whether it was taken.

        Returns
        -------
        list
            True for taken, False for taken as another SOP class, None for never seen.
        """
        found: list[bool | None] = []
        with self._lock:
            self._write()
            for sop_class_uid, sop_instance_uid in references:
                row = self._connection.execute(
                    "SELECT class FROM receipt WHERE instance = ?", (self._digest(sop_instance_uid),)
                ).fetchone()
                found.append(None if row is None else bytes(row[0]) == self._digest(sop_class_uid))
        return found

    def _write(self) -> None:
        if not self._pending:
            return
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany("INSERT OR REPLACE INTO receipt VALUES (?, ?, ?)", self._pending)
        self._connection.execute("COMMIT")
        self._pending.clear()

    def _digest(self, uid: str) -> bytes:
        return hmac.digest(self._key, uid.encode(), hashlib.sha256)[:16]


def _today() -> int:
    return now().date().toordinal()

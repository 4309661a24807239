"""What the worker does for messages and runs: end what is overdue, forget what is old."""

from __future__ import annotations

from datetime import timedelta

from racoon.central.orchestration.service import Mail, Runs
from racoon.platform.database import Database


def end_overdue(database: Database, runs: Runs) -> None:
    """End runs whose time is over; cheap when there are none."""
    with database.connect() as connection:
        if not runs.overdue(connection):
            return
    with database.begin() as connection:
        runs.end_overdue(connection)


def prune(database: Database, mail: Mail, retention: timedelta) -> None:
    """Forget fetched messages and old ids."""
    with database.begin() as connection:
        mail.prune(connection, retention)

"""What the worker does for studies: look what the clock has ended, and who should be reminded."""

from __future__ import annotations

from racoon.central.studies.service import Watch
from racoon.platform.database import Database


def watch(database: Database, watching: Watch) -> None:
    """Hold studies whose vote or contract has ended; remind sites whose decision waits."""
    with database.begin() as connection:
        watching.hold_ended(connection)
    with database.begin() as connection:
        watching.remind_waiting(connection)

"""What the worker does for analyses: look whether a round has ended, and carry on."""

from __future__ import annotations

from racoon.central.analysing.service import AnalysisRuns
from racoon.platform.database import Database


def drive(database: Database, analyses: AnalysisRuns) -> None:
    """Carry all running analyses as far as their answers reach."""
    with database.connect() as connection:
        if not analyses.is_any_running(connection):
            return
    with database.begin() as connection:
        analyses.drive_all(connection)

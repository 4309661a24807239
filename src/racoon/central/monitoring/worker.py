"""What the worker does for monitoring: send anchors, forget old heartbeats."""

from __future__ import annotations

from datetime import timedelta

from racoon.central.monitoring.service import Monitoring
from racoon.platform.database import Database


def send_anchors(database: Database, monitoring: Monitoring) -> None:
    """Anchor CENTRAL's audit chain at every site."""
    with database.begin() as connection:
        monitoring.send_anchors(connection)


def prune(database: Database, monitoring: Monitoring, retention: timedelta) -> None:
    """Forget old heartbeats."""
    with database.begin() as connection:
        monitoring.prune(connection, retention)

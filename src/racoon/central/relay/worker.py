"""What the worker does for the relay: forget parcels that nobody fetched."""

from __future__ import annotations

from datetime import timedelta

from racoon.central.relay.service import Relay
from racoon.platform.database import Database


def prune(database: Database, relay: Relay, lifetime: timedelta) -> None:
    """Delete what lies here too long."""
    with database.begin() as connection:
        relay.prune(connection, lifetime)

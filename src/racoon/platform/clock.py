"""The one place that asks what time it is: aware UTC, so that no naive time enters a table or a message."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """Return the current time as an aware UTC datetime (microsecond resolution)."""
    return datetime.now(UTC)


def to_text(moment: datetime) -> str:
    """Write an aware time as RFC 3339 in UTC with microseconds and ``Z``: text order is time order."""
    if moment.tzinfo is None:
        raise TypeError("a time without a zone cannot be written")
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def from_text(text: str) -> datetime:
    """Read an RFC 3339 time and return it in UTC; a time without a zone is a ``ValueError``."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time needs a zone, for example a trailing Z")
    return moment.astimezone(UTC)

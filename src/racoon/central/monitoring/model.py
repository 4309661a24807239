"""When a site counts as well, late, silent or in need of attention.  Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

LOW_DISK_GB = 10.0
"""Below it a node may soon have to stop receiving images."""

EXPIRY_WARNING = timedelta(days=14)
"""Nodes renew much earlier by themselves; a certificate this close to its end means that renewal does not
work."""

MISSED_HEARTBEATS = 2
"""An alert comes after this many intervals without a sign of life."""


class Condition(StrEnum):
    """How a site's node is."""

    WELL = "well"
    ATTENTION = "attention"
    SILENT = "silent"
    NEVER_SEEN = "never_seen"


@dataclass(frozen=True)
class SiteStatus:
    """What is known about one site's node.

    Parameters
    ----------
    site
        Site code.
    condition
        See :class:`Condition`.
    alerts
        Stable words for what needs attention: ``silent``, ``disk``, ``certificate``, ``quarantine``,
        ``version``.
    last_seen
        Aware time of the last heartbeat.
    heartbeat
        Its numbers.
    """

    site: str
    condition: Condition
    alerts: tuple[str, ...]
    last_seen: datetime | None
    heartbeat: dict[str, Any] | None


def assess(
    site: str,
    last_seen: datetime | None,
    heartbeat: dict[str, Any] | None,
    *,
    certificate_expires_at: datetime | None,
    interval_s: float,
    now: datetime,
) -> SiteStatus:
    """Judge one site.

    Parameters
    ----------
    site
        Site code.
    last_seen, heartbeat
        When and what its node said last.
    certificate_expires_at
        Expiry of its newest certificate.
    interval_s
        Seconds between heartbeats.
    now
        Aware time.
    """
    if last_seen is None or heartbeat is None:
        return SiteStatus(site, Condition.NEVER_SEEN, (), None, None)
    alerts = []
    if (now - last_seen).total_seconds() > MISSED_HEARTBEATS * interval_s:
        alerts.append("silent")
    if heartbeat["disk_free_gb"] < LOW_DISK_GB:
        alerts.append("disk")
    if certificate_expires_at is not None and certificate_expires_at - now < EXPIRY_WARNING:
        alerts.append("certificate")
    if heartbeat["quarantined"]:
        alerts.append("quarantine")
    condition = Condition.ATTENTION if alerts else Condition.WELL
    condition = Condition.SILENT if "silent" in alerts else condition
    return SiteStatus(site, condition, tuple(alerts), last_seen, heartbeat)

"""What is stored and what a message adds: the newer event stands above the older one, in whatever order they came.

Both are de-identified; their event times moved by the same days, so they compare as before.  Pure.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from racoon.standards.fhir.building import Resource


def combine(earlier: Resource, fresh: Resource) -> Resource:
    """Return a resource after a further message; taking a message again changes nothing.

    Parameters
    ----------
    earlier
        As stored.
    fresh
        From the message.

    Notes
    -----
    A value is replaced by the newer one.  Of a person, a visit and an order, the newer message's elements stand, and
    what it does not say stays.  A visit's ``statusHistory`` keeps when each state was told, and the day of discharge
    that came with it: its state is that of the newest event that tells one.
    """
    newer, older = (fresh, earlier) if _at(fresh) >= _at(earlier) else (earlier, fresh)
    if newer["resourceType"] not in ("Patient", "Encounter", "ServiceRequest"):
        return newer
    made = {**older, **newer}
    if newer["resourceType"] == "Encounter":
        _settle_visit(made, older, newer)
    return made


def _settle_visit(made: Resource, older: Resource, newer: Resource) -> None:
    told = {str(item): item for visit in (older, newer) for item in visit.get("statusHistory", [])}
    history = sorted(told.values(), key=_told_at)
    period = {**older.get("period", {}), **newer.get("period", {})}
    if history:
        made["statusHistory"] = history
        made["status"] = history[-1]["status"]
        # Whatever a visit's updates say, its end is what came with its last discharge.
        period.pop("end", None)
        period |= {"end": end} if (end := history[-1].get("period", {}).get("end")) else {}
    made["period"] = period
    if not period:
        del made["period"]


def _at(resource: Resource) -> datetime:
    return _time(resource.get("meta", {}).get("lastUpdated"))


def _told_at(item: Resource) -> datetime:
    return _time(item.get("period", {}).get("start"))


def _time(text: Any) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return datetime.min.replace(tzinfo=UTC)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)

"""What is stored and what a message adds: the newer event stands above the older one, in whatever order they came.

Both are de-identified; their event times moved by the same days, so they compare as before.  Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from racoon.standards.fhir.building import Resource

BY_ELEMENT = frozenset({"Patient", "Encounter", "ServiceRequest"})
"""What a message tells element by element; a value or a diagnosis comes whole (snapshot, chapter 2.10.4)."""

TOLD = "urn:racoon:told"
"""Extension of ``meta``: when an element was told that is older than the newest message."""

_DEATH = frozenset({"deceasedDateTime", "deceasedBoolean"})
_APART = frozenset({"resourceType", "id", "meta", "statusHistory"})


@dataclass(frozen=True)
class _Said:
    """What was said of one element, or that it was taken back (a name that begins with ``_``), and when."""

    at: datetime
    stamp: str
    content: Mapping[str, Any]


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
    A value is replaced by the newer one.  Of a person, a visit and an order, each element stands as the newest message
    told it: what a message does not say stays, and what it deletes goes.  When an element was told is kept beside it,
    so that a message which comes late changes what it is newer than and nothing else.  A visit's ``statusHistory``
    keeps when each state was told, and the day of discharge that came with it: its state is that of the newest event
    that tells one.
    """
    newer = fresh if _at(fresh) >= _at(earlier) else earlier
    if newer["resourceType"] not in BY_ELEMENT:
        return newer
    said = _said(earlier)
    for slot, item in _said(fresh).items():
        if slot not in said or item.at >= said[slot].at:
            said[slot] = item
    made: Resource = {"resourceType": newer["resourceType"], "id": newer["id"], "meta": dict(newer["meta"])}
    if newer["resourceType"] == "Encounter":
        _settle_visit(made, earlier, fresh, said)
    _write(made, said)
    return made


def _said(resource: Resource) -> dict[str, _Said]:
    """Split a resource into its elements; parts of a period and single extensions are elements of their own."""
    stamp = str(resource.get("meta", {}).get("lastUpdated", ""))
    times = {
        str(part[0].get("valueCode")): str(part[1].get("valueDateTime"))
        for item in resource.get("meta", {}).get("extension", [])
        if item.get("url") == TOLD and len(part := item["extension"]) == 2
    }
    contents: dict[str, dict[str, Any]] = {}
    for name, value in resource.items():
        bare = name.lstrip("_")
        if name in _APART:
            continue
        if name == "period":
            for part, day in value.items():
                contents.setdefault(f"period.{part.lstrip('_')}", {})[part] = day
        elif name == "extension":
            for item in value:
                contents[f"extension.{item['url']}"] = item
        else:
            contents.setdefault("deceased" if bare in _DEATH else bare, {})[name] = value
    return {
        slot: _Said(_time(times.get(slot, stamp)), times.get(slot, stamp), content)
        for slot, content in contents.items()
    }


def _write(made: Resource, said: Mapping[str, _Said]) -> None:
    stamp, told = made["meta"].get("lastUpdated"), []
    for slot in sorted(said):
        item = said[slot]
        if item.stamp != stamp:
            at = {"url": "at", "valueDateTime": item.stamp}
            told.append({"url": TOLD, "extension": [{"url": "element", "valueCode": slot}, at]})
        if slot.startswith("period."):
            made.setdefault("period", {}).update(item.content)
        elif slot.startswith("extension."):
            made.setdefault("extension", []).append(dict(item.content))
        else:
            made |= item.content
    made["meta"].pop("extension", None)
    if told:
        made["meta"]["extension"] = told


def _settle_visit(made: Resource, earlier: Resource, fresh: Resource, said: dict[str, _Said]) -> None:
    told = {str(item): item for visit in (earlier, fresh) for item in visit.get("statusHistory", [])}
    history = sorted(told.values(), key=_told_at)
    if not history:
        return
    made["statusHistory"] = history
    last = history[-1]
    stamp = str(last.get("period", {}).get("start", ""))
    said["status"] = _Said(_told_at(last), stamp, {"status": last["status"]})
    # Whatever a visit's updates say, its end is what came with its last discharge; unless a later one took it back.
    end = said.pop("period.end", None)
    if end is not None and "_end" in end.content and end.at >= _told_at(last):
        said["period.end"] = end
    elif "end" in last.get("period", {}):
        said["period.end"] = _Said(_told_at(last), stamp, {"end": last["period"]["end"]})


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

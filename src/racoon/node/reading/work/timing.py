"""Time per case, from what was stored when it was opened, worked on and signed.  Pure."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

OPEN, SAVE, SIGN = "open", "save", "sign"

LONGEST_PAUSE = timedelta(minutes=5)
"""A gap between two events that is longer is no work: a phone call, a night."""


@dataclass(frozen=True)
class Event:
    """One event: :data:`OPEN`, :data:`SAVE` or :data:`SIGN`."""

    kind: str
    at: datetime


@dataclass(frozen=True)
class CaseTime:
    """Seconds from first opening to first signature: all of them, and without pauses."""

    elapsed_s: float
    active_s: float


@dataclass(frozen=True)
class ReaderTime:
    """Medians of a reader over signed cases, in seconds."""

    reader: str
    cases: int
    elapsed_s: float
    active_s: float

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "reader": self.reader,
            "cases": self.cases,
            "median_elapsed_s": self.elapsed_s,
            "median_active_s": self.active_s,
        }


def case_time(events: Sequence[Event]) -> CaseTime | None:
    """Return the time of a case, or None while it is not signed."""
    first = next((at for at, event in enumerate(events) if event.kind == OPEN), None)
    if first is None:
        return None
    signed = next((at for at, event in enumerate(events) if event.kind == SIGN and at > first), None)
    if signed is None:
        return None
    moments = [event.at for event in events[first : signed + 1]]
    gaps = [after - before for before, after in itertools.pairwise(moments)]
    active = sum((gap for gap in gaps if gap <= LONGEST_PAUSE), timedelta())
    return CaseTime((moments[-1] - moments[0]).total_seconds(), active.total_seconds())


def reader_times(events: Mapping[tuple[str, str], Sequence[Event]]) -> list[ReaderTime]:
    """Return the medians of each reader who signed a case.

    Parameters
    ----------
    events
        By reader and imaging study, the oldest first.
    """
    by_reader: dict[str, list[CaseTime]] = {}
    for (reader, _), found in events.items():
        if (taken := case_time(found)) is not None:
            by_reader.setdefault(reader, []).append(taken)
    return [
        ReaderTime(
            reader,
            len(times),
            statistics.median(item.elapsed_s for item in times),
            statistics.median(item.active_s for item in times),
        )
        for reader, times in sorted(by_reader.items())
    ]

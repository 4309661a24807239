"""Works the list off: what protocols want, then one examination after the other, in hours, up to a daily limit."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Protocol

from racoon.node.intake.pull.model import (
    REASONS,
    FoundStudy,
    PacsRefused,
    PacsUnavailable,
    PullItem,
    PullProtocol,
    PullState,
    PullSummary,
    Retrieval,
    Window,
)
from racoon.node.intake.pull.worklist import WorkList

LOG = logging.getLogger(__name__)

MOST_ATTEMPTS = 3
"""Attempts of one run until an item with lost answers or missing objects is left as partial."""

_PAUSE_S = 2.0


class Archive(Protocol):
    """What the loop asks of a PACS; :class:`racoon.node.intake.pull.pacs.Pacs` is one."""

    def find(self, accession_number: str) -> list[FoundStudy]:
        """Find the imaging studies of an accession number."""

    def search(self, protocol: PullProtocol, first: date, last: date) -> list[FoundStudy]:
        """Find the imaging studies of some days that a protocol may want, with what it asks of them."""

    def retrieve(self, study: FoundStudy) -> Retrieval:
        """Fetch an imaging study."""


class Puller:
    """Fetches what waits.

    Parameters
    ----------
    work_list
        What to fetch.
    archive
        Where from.
    window
        Hours in which it may run.
    daily_limit
        Objects a day, 0 for no limit; the study that exceeds it is finished.
    pause_s
        Pause between two studies, for the sake of the PACS.
    clock
        Local time.
    on_fetched
        Called with each item that a run has tried.
    """

    def __init__(
        self,
        work_list: WorkList,
        archive: Archive,
        *,
        window: Window,
        daily_limit: int = 0,
        pause_s: float = 0.0,
        retry_pause_s: float = _PAUSE_S,
        clock: Callable[[], datetime] = lambda: datetime.now().astimezone(),
        on_fetched: Callable[[PullItem], None] = lambda _item: None,
    ) -> None:
        self._on_fetched = on_fetched
        self._work_list = work_list
        self._archive = archive
        self._window = window
        self._daily_limit = daily_limit
        self._pause_s = pause_s
        self._retry_pause_s = retry_pause_s
        self._clock = clock

    def run(
        self,
        stop: threading.Event,
        *,
        now: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> PullSummary:
        """Fetch until the list is done, its hours end, the day's limit is reached or somebody asks to stop.

        Parameters
        ----------
        stop
            Ends the run after the study that is under way.
        now
            Run outside the hours, too.
        progress
            Called with (done, total).
        """
        found, stopped_by = self._search(stop, now=now)
        waiting = [] if stopped_by == "unavailable" else self._work_list.items(PullState.WAITING)
        outcomes: Counter[PullState] = Counter()
        objects = 0
        for done, item in enumerate(waiting):
            stopped_by = self._reason_to_stop(stop, now=now)
            if stopped_by:
                break
            result = self._fetch(item, stop)
            self._on_fetched(result)
            objects += result.received
            outcomes[result.state] += 1
            if result.state is PullState.WAITING:
                stopped_by = "unavailable"
                break
            stopped_by = "done"
            if progress is not None:
                progress(done + 1, len(waiting))
            stop.wait(self._pause_s)
        left = len(self._work_list.items(PullState.WAITING))
        return PullSummary(
            outcomes[PullState.FETCHED],
            outcomes[PullState.PARTIAL],
            outcomes[PullState.REFUSED],
            left,
            objects,
            stopped_by or "done",
            found,
        )

    def _search(self, stop: threading.Event, *, now: bool) -> tuple[int, str]:
        """Ask for what the study protocols want, some days at a time; a stop in between loses no day."""
        found = 0
        # Examinations of today may still grow.
        yesterday = (self._clock() - timedelta(days=1)).date()
        for protocol in self._work_list.protocols():
            current = replace(protocol, problem="")
            while (days := current.next_days(yesterday)) is not None:
                stopped_by = self._reason_to_stop(stop, now=now)
                if stopped_by and stopped_by != "daily_limit":
                    return found, stopped_by
                try:
                    studies = self._search_days(current, days, stop)
                except PacsUnavailable as error:
                    LOG.warning("the PACS did not answer a search", extra={"reason": error.error_code})
                    return found, "unavailable"
                except PacsRefused as error:
                    reason = error.error_code.partition(".")[2]
                    known = reason if reason in REASONS else "refused"
                    self._work_list.save_protocol(replace(current, problem=known))
                    break
                added = self._work_list.add_found(
                    current.name, [study for study in studies if current.wants(study)]
                )
                found += added
                current = replace(current, searched_until=days[1], found=current.found + added)
                self._work_list.save_protocol(current)
        return found, ""

    def _search_days(
        self, protocol: PullProtocol, days: tuple[date, date], stop: threading.Event
    ) -> list[FoundStudy]:
        """Search, and ask again on a fresh association when the answer is lost."""
        for attempt in range(1, MOST_ATTEMPTS + 1):
            try:
                return self._archive.search(protocol, *days)
            except PacsUnavailable:
                if attempt == MOST_ATTEMPTS or stop.wait(self._retry_pause_s):
                    raise
        raise AssertionError("the loop above returns or raises")

    def _reason_to_stop(self, stop: threading.Event, *, now: bool) -> str:
        if stop.is_set():
            return "asked"
        if not now and not self._window.holds(self._clock()):
            return "window"
        if self._daily_limit and self._work_list.objects_today() >= self._daily_limit:
            return "daily_limit"
        return ""

    def _fetch(self, item: PullItem, stop: threading.Event) -> PullItem:
        """Bring one item to an end, or leave it waiting while the PACS is away."""
        for _ in range(MOST_ATTEMPTS):
            item = replace(item, attempts=item.attempts + 1)
            try:
                item = self._try(item)
            except PacsUnavailable as error:
                LOG.warning("the PACS did not answer", extra={"reason": error.error_code})
                item = replace(item, state=PullState.WAITING, reason="unavailable")
            except PacsRefused as error:
                return self._save(item, PullState.REFUSED, error.error_code.partition(".")[2])
            if item.state in (PullState.FETCHED, PullState.REFUSED):
                break
            # A lost answer or a lost object: the whole study is asked for again on a fresh association.
            if stop.wait(self._retry_pause_s):
                break
        return self._save(item, item.state, item.reason)

    def _try(self, item: PullItem) -> PullItem:
        if item.imaging_study_uid:
            studies = [FoundStudy(item.imaging_study_uid, item.expected)]
        else:
            studies = self._archive.find(item.accession_number)
        if not studies:
            return replace(item, state=PullState.REFUSED, reason="not_found")
        counts = [study.instances for study in studies]
        expected = None if None in counts else sum(count for count in counts if count is not None)
        received = failed = 0
        for study in studies:
            result = self._archive.retrieve(study)
            received, failed = received + result.completed, failed + result.failed
        item = replace(item, expected=expected, received=received)
        if failed:
            return replace(item, state=PullState.PARTIAL, reason="failed_objects")
        if received < (1 if expected is None else expected):
            return replace(item, state=PullState.PARTIAL, reason="fewer_objects")
        return replace(item, state=PullState.FETCHED, reason="")

    def _save(self, item: PullItem, state: PullState, reason: str) -> PullItem:
        known = reason if reason in REASONS else "refused"
        return self._work_list.save(replace(item, state=state, reason=known), objects=item.received)


@contextmanager
def only_one(folder: Path) -> Iterator[bool]:
    """Say whether this process is the only one that fetches; the worker and a person must not both do it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)

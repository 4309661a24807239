"""Measure several series at once, each in a process of its own; one that dies takes no other with it."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from racoon.domain.dataset import DatasetSeries
from racoon.domain.plan import MeasuringPlan
from racoon.node.measuring.model import Finding, check_plan
from racoon.node.measuring.series import ImageSource, SeriesResult, measure_series
from racoon.platform.supervise import die_with_parent

_log = logging.getLogger(__name__)

Identity = tuple[str, str, str, str]

AHEAD = 2
"""Series handed to each process before one comes back: none idles, and a stop waits for few."""

PROCESSES_FROM = 8
"""Series from which further processes are worth the two seconds they take to start."""


Results = Generator["tuple[SeriesTask, SeriesResult]", None, None]
"""Series with what measuring gave, as they are ready; closing it stops the work."""


@dataclass(frozen=True)
class Processes:
    """How to measure in further processes.

    Parameters
    ----------
    count
        How many; each holds one image at a time.
    open_archive
        Opens the archive inside such a process; it has to be a function that can be named from there.
    """

    count: int
    open_archive: Callable[[], ImageSource]


@dataclass(frozen=True)
class SeriesTask:
    """One series and what of a plan is missing there."""

    entry: DatasetSeries
    missing: frozenset[Identity]


def measure_here(
    plan: MeasuringPlan, work: Sequence[SeriesTask], archive: ImageSource, keys: tuple[str, str]
) -> Results:
    """Measure one series after the other in this process."""
    tasks = check_plan(plan)
    for item in work:
        chosen = [task for task in tasks if task.identity in item.missing]
        yield item, measure_series(chosen, item.entry, archive, (*keys, item.entry.series_uid))


def measure_in_processes(
    plan: MeasuringPlan, work: Sequence[SeriesTask], processes: Processes, keys: tuple[str, str]
) -> Results:
    """Measure series side by side; results come as they are ready.

    A process that is killed, for memory for instance, breaks its pool: what it and its neighbours had in hand
    is then done again one series at a time, and the one that kills its process again becomes a finding.
    """
    waiting = deque(work)
    suspects: deque[SeriesTask] = deque()
    while waiting or suspects:
        alone = bool(suspects)
        pool = _pool(plan, processes.open_archive, 1 if alone else processes.count)
        try:
            broken = yield from _drain(
                pool,
                suspects if alone else waiting,
                keys,
                1 if alone else AHEAD * processes.count,
            )
        finally:
            pool.shutdown(cancel_futures=True)
        if broken and alone:
            item = broken.pop(0)
            _log.warning("a series ended its process", extra={"code": "measuring.process_lost"})
            text = "Measuring this series ended its process, perhaps for lack of memory; look at its size."
            finding = Finding(*keys, item.entry.series_uid, "measuring.process_lost", text)
            yield item, SeriesResult(findings=(finding,))
        suspects.extend(broken)


def _drain(
    pool: ProcessPoolExecutor, queue: deque[SeriesTask], keys: tuple[str, str], ahead: int
) -> Generator[tuple[SeriesTask, SeriesResult], None, list[SeriesTask]]:
    """Work a queue off; return what was in hand when a process died, in the order it was handed out."""
    in_hand: dict[Future[SeriesResult], SeriesTask] = {}
    try:
        while queue or in_hand:
            while queue and len(in_hand) < ahead:
                future = pool.submit(_measure_in_process, queue[0], keys)
                in_hand[future] = queue.popleft()
            ready, _ = wait(in_hand, return_when=FIRST_COMPLETED)
            for future in ready:
                result = future.result()
                yield in_hand.pop(future), result
    except BrokenProcessPool:
        return list(in_hand.values())
    return []


def _pool(plan: MeasuringPlan, open_archive: Callable[[], ImageSource], count: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        count,
        # A fork would copy the threads' locks of this process in whatever state they are.
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start,
        initargs=(plan, open_archive, os.getpid()),
    )


_inside: tuple[MeasuringPlan, ImageSource] | None = None


def _start(plan: MeasuringPlan, open_archive: Callable[[], ImageSource], parent: int) -> None:
    """Prepare a process; it ends with the one that started it, however that ends."""
    global _inside  # noqa: PLW0603 - a pool's initializer has no other place to leave something
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _inside = plan, open_archive()


def _measure_in_process(item: SeriesTask, keys: tuple[str, str]) -> SeriesResult:
    assert _inside is not None
    plan, archive = _inside
    ((_, result),) = measure_here(plan, [item], archive, keys)
    return result

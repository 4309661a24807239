"""Run a measuring plan over a frozen dataset, read its values, and sum them up for the release gate."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from racoon.domain.dataset import DatasetManifest
from racoon.domain.identity import Pseudonym
from racoon.domain.plan import MeasuringPlan
from racoon.errors import Refused
from racoon.node.measuring import _decisions, _facts, _patches, _store
from racoon.node.measuring._patches import Patch, load_patch
from racoon.node.measuring.checks import Check, NetworkReference, check_values
from racoon.node.measuring.comparing import compare, judge, promote
from racoon.node.measuring.export import csv_pieces, describe, parquet_pieces
from racoon.node.measuring.model import Finding, RunSummary, StoredValue, Task, check_plan
from racoon.node.measuring.pairing import paired_aggregates
from racoon.node.measuring.parallel import (
    PROCESSES_FROM,
    Processes,
    SeriesTask,
    measure_here,
    measure_in_processes,
)
from racoon.node.measuring.picture import draw, draw_check, draw_plane
from racoon.node.measuring.quality import answer, ask, checks, decide, decisions, queries, sign_off
from racoon.node.measuring.report import report_of_series, store_report, write_report
from racoon.node.measuring.series import SOFTWARE, ImageSource
from racoon.node.release.model import MeasuredAggregate, largest_share
from racoon.platform.database import Database
from racoon.science.statistics import Moments

_log = logging.getLogger(__name__)


class ValueMissing(Refused):
    """A value that is not there, or that may not be read: both answer the same."""

    code = "measuring.value_missing"
    status = 404


Progress = Callable[[int, int, str], None]
"""``(series done, series in all, public note)``; it may raise to stop the run."""


def run_protocol(
    plan: MeasuringPlan,
    manifest: DatasetManifest,
    archive: ImageSource,
    database: Database,
    progress: Progress | None = None,
    processes: Processes | None = None,
) -> RunSummary:
    """Measure every series of a dataset that is not measured yet.

    Parameters
    ----------
    plan
        What to measure.
    manifest
        The frozen dataset.
    archive
        Where image and masks come from.
    database
        Where values go: one short transaction per series, so a kill loses at most one series' work.
    progress
        Called after each series; its note says how many series a minute are done.
    processes
        Further processes to measure in; without them it happens here, one series after the other.

    Returns
    -------
    RunSummary

    Raises
    ------
    BadPlan, UnknownBiomarker
        Before anything is computed.
    Unavailable
        When archive or database are not there now; trying again goes on where it stopped.

    Notes
    -----
    A series that can't be measured becomes a finding and the run goes on.
    """
    tasks = check_plan(plan)
    dataset_hash = manifest.hash
    with database.connect() as connection:
        done = _store.load_done(connection, manifest.study_id, dataset_hash)
    keys = (manifest.study_id, dataset_hash)
    wanted = frozenset(task.identity for task in tasks)
    work = [
        SeriesTask(entry, missing)
        for entry in sorted(manifest.series)
        if (missing := wanted - done.get(entry.series_uid, set()))
    ]
    begun = time.monotonic()
    measured = found = 0
    before = len(manifest.series) - len(work)
    if progress is not None and before:
        progress(before, len(manifest.series), "")
    if processes is not None and processes.count > 1 and len(work) >= PROCESSES_FROM:
        results = measure_in_processes(plan, work, processes, keys)
    else:
        results = measure_here(plan, work, archive, keys)
    with contextlib.closing(results):
        for item, result in results:
            series_keys = (*keys, item.entry.series_uid)
            with database.begin() as connection:
                _store.save_series(connection, result.values, result.findings, series_keys)
                _facts.record(connection, result.values)
                _decisions.save_checks(connection, *keys, result.checks)
            measured += 1
            found += bool(result.findings)
            if progress is not None:
                rate = 60.0 * measured / max(time.monotonic() - begun, 1e-6)
                progress(before + measured, len(manifest.series), f"{rate:.0f} / min")
    with database.begin() as connection:
        values = [value for _, value in _plan_values(connection, tasks, *keys)]
        network = _decisions.load_network(connection, manifest.study_id)
        _decisions.save_checks(connection, *keys, check_values(values, network))
    summary = RunSummary(len(manifest.series), measured, len(values), found, time.monotonic() - begun)
    if measured:
        _log.info(
            "series measured", extra={"count": measured, "per_minute": round(summary.series_per_minute)}
        )
    return summary


def aggregates(
    connection: sa.Connection,
    plan: MeasuringPlan,
    manifest: DatasetManifest,
    is_readable: Callable[[Pseudonym], bool] = lambda _: True,
) -> tuple[MeasuredAggregate, ...]:
    """Sum up the stored values of a plan over a dataset, for the release gate.

    Parameters
    ----------
    connection
        Open connection.
    plan, manifest
        What was measured on what.
    is_readable
        Asked per subject: a consent withdrawn after measuring takes the subject's values out.

    Returns
    -------
    tuple of MeasuredAggregate
        In the plan's order, then the differences of measurements by hand and by a program; unprotected, only for
        ``release``.
    """
    tasks = check_plan(plan)
    keys = (manifest.study_id, manifest.hash)
    subjects = {
        entry.series_uid: entry.pseudonym for entry in manifest.series if is_readable(entry.pseudonym)
    }
    excluded = [check for check in checks(connection, *keys) if check.state == "excluded"]
    values: dict[tuple[str, str, str, str], list[StoredValue]] = defaultdict(list)
    for task, value in _plan_values(connection, tasks, *keys):
        if value.series_uid in subjects:
            values[task.identity].append(_reviewed(value, excluded))
    single = [_aggregate(task, values[task.identity], subjects) for task in tasks]
    return (*single, *paired_aggregates(tasks, values))


def note_network(
    connection: sa.Connection, study_id: str, references: Mapping[str, NetworkReference]
) -> None:
    """Keep the network's pooled figures of a study; newer ones replace those of the same measurement."""
    _decisions.save_network(connection, study_id, references)


def load_values(
    connection: sa.Connection,
    *,
    study_id: str = "",
    dataset_hash: str = "",
    biomarker: str = "",
    series_uids: Collection[str] = (),
    after: int = 0,
    limit: int | None = 500,
) -> list[tuple[int, StoredValue]]:
    """Load stored values with their row numbers, oldest first; page on with ``after``."""
    return list(
        _store.load_values(
            connection,
            study_id=study_id,
            dataset_hash=dataset_hash,
            biomarker=biomarker,
            series_uids=series_uids,
            after=after,
            limit=limit,
        )
    )


PAGE = 1000
"""Values read at once when a whole table is wanted."""


def stream_values(
    database: Database,
    is_wanted: Callable[[StoredValue], bool],
    *,
    study_id: str = "",
    dataset_hash: str = "",
) -> Iterator[StoredValue]:
    """Yield all values of a study, page by page: a table of any length needs the memory of one page.

    Parameters
    ----------
    database
        The node's own; a connection is held for one page only, so that a slow reader blocks nobody.
    is_wanted
        Asked per value.
    """
    after = 0
    while True:
        with database.connect() as connection:
            page = load_values(
                connection, study_id=study_id, dataset_hash=dataset_hash, after=after, limit=PAGE
            )
        yield from (value for _, value in page if is_wanted(value))
        if len(page) < PAGE:
            return
        after = page[-1][0]


def load_value(connection: sa.Connection, number: int) -> StoredValue:
    """Load one stored value by its row number.

    Raises
    ------
    ValueMissing
        If there is no such value.
    """
    found = _store.load_value(connection, number)
    if found is None:
        raise ValueMissing("There is no such value; open the list again.")
    return found


def load_findings(connection: sa.Connection, *, study_id: str = "", dataset_hash: str = "") -> list[Finding]:
    """Load the series that could not be measured, with the reason in plain words."""
    return _store.load_findings(connection, study_id=study_id, dataset_hash=dataset_hash)


def flagged() -> sa.Select[Any]:
    """Select the UID of a series and a code for everything that was found wrong with it: not measured, or a check
    that nobody answered with "keep".  A statement for other rooms to stand on; whose values are hidden from a person,
    they leave out.
    """
    finding, check = _store.measuring_finding.c, _decisions.measuring_check.c
    both = sa.union(
        sa.select(finding.series_uid, finding.code),
        sa.select(check.series_uid, check.code).where(check.state != "kept"),
    ).subquery("flagged")
    return sa.select(both.c.series_uid, both.c.code)


def _plan_values(
    connection: sa.Connection, tasks: Sequence[Task], study_id: str, dataset_hash: str
) -> Iterator[tuple[Task, StoredValue]]:
    by_identity = {task.identity: task for task in tasks}
    for _, value in _store.load_values(connection, study_id=study_id, dataset_hash=dataset_hash):
        label_key = value.label.key if value.label else ""
        task = by_identity.get((value.biomarker, value.version, label_key, value.parameters_hash))
        if task is not None:
            yield task, value


def _reviewed(value: StoredValue, excluded: Sequence[Check]) -> StoredValue:
    """Take out what a person excluded: it counts as a subject without a valid value, and says so."""
    if value.valid and any(check.concerns(value) for check in excluded):
        return dataclasses.replace(value, valid=False, reason="excluded")
    return value


def _aggregate(
    task: Task, values: Sequence[StoredValue], subjects: Mapping[str, Pseudonym]
) -> MeasuredAggregate:
    usable = [(value.pseudonym, value.value) for value in values if value.valid and value.value is not None]
    numbers = [number for _, number in usable]
    order = {
        pseudonym: index for index, pseudonym in enumerate(sorted({pseudonym for pseudonym, _ in usable}))
    }
    contributions: dict[str, float] = defaultdict(float)
    cells: list[set[int]] = [set() for _ in range(task.bins.count + 2)]
    for (pseudonym, number), cell in zip(usable, task.bins.cells(numbers), strict=True):
        contributions[pseudonym] += abs(number)
        cells[cell].add(order[pseudonym])
    return MeasuredAggregate(
        key=task.measurement.key,
        description=_description(task),
        moments=Moments.of(numbers),
        subjects=len(order),
        largest_share=largest_share(contributions) if contributions else 0.0,
        histogram=task.bins.count_values(numbers),
        cell_subjects=tuple(frozenset(cell) for cell in cells),
        not_valid=_not_valid(values, subjects, order),
    )


def _not_valid(
    values: Sequence[StoredValue], subjects: Mapping[str, Pseudonym], usable: Mapping[Pseudonym, int]
) -> dict[str, int]:
    """Count subjects without any valid value by the reason of their first series."""
    reasons: dict[Pseudonym, str] = {}
    for value in sorted(values, key=lambda item: item.series_uid):
        if not value.valid and value.pseudonym not in usable:
            reasons.setdefault(value.pseudonym, value.reason)
    counts: dict[str, int] = defaultdict(int)
    for pseudonym in set(subjects.values()) - set(usable):
        counts[reasons.get(pseudonym, "not_measured")] += 1
    return dict(counts)


def _description(task: Task) -> dict[str, Any]:
    label = task.measurement.label
    return {
        "biomarker": task.definition.id,
        "version": task.definition.version,
        "title": task.definition.title_en,
        "title_de": task.definition.title_de,
        "unit": task.definition.unit,
        "formula": task.definition.formula,
        "source": task.definition.source,
        "label": label.to_dict() if label else None,
        "parameters": dict(task.measurement.parameters),
    }


def forget_subject(connection: sa.Connection, pseudonym: Pseudonym, series_uids: Sequence[str]) -> int:
    """Remove everything measured on a subject; returns how many rows."""
    removed = _store.forget_subject(connection, pseudonym, series_uids)
    removed += _patches.forget_subject(connection, pseudonym, series_uids)
    return removed + _decisions.forget_subject(connection, pseudonym)


__all__ = [
    "SOFTWARE",
    "ImageSource",
    "Patch",
    "Processes",
    "Progress",
    "ValueMissing",
    "aggregates",
    "answer",
    "ask",
    "checks",
    "compare",
    "csv_pieces",
    "decide",
    "decisions",
    "describe",
    "draw",
    "draw_check",
    "draw_plane",
    "forget_subject",
    "judge",
    "load_findings",
    "load_patch",
    "load_value",
    "load_values",
    "note_network",
    "parquet_pieces",
    "promote",
    "queries",
    "report_of_series",
    "run_protocol",
    "sign_off",
    "store_report",
    "stream_values",
    "write_report",
]

"""The loop behind the spool: de-identify, archive, count, and only then delete the original."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import shutil
import signal
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import sqlalchemy as sa

from racoon.errors import Unavailable
from racoon.node.archive.model import DeidentifiedInstance, SeriesFacts, StoreResult
from racoon.node.archive.service import Archive
from racoon.node.deid.model import (
    PLAIN_WORDS,
    RELEASABLE,
    Correction,
    Deidentified,
    Quarantined,
    QuarantineReason,
)
from racoon.node.deid.service import Deidentifier
from racoon.node.intake import _store
from racoon.node.intake._corrections import Corrections
from racoon.node.intake.activity import Activity
from racoon.node.intake.model import QuarantinedObject, QuarantineState, RoundCounts
from racoon.node.intake.spool import Spool, SpooledFile
from racoon.platform.database import Database
from racoon.platform.files import write_atomically
from racoon.platform.supervise import die_with_parent

LOG = logging.getLogger(__name__)

BATCH = 64
"""Objects per transaction: about 35 MB of CT, a quarter of a second of work."""

POOL_FROM = 128
"""Waiting objects from which further processes are worth starting."""

RETRY_S = 5.0
"""Pause after a round that failed: a full disk, a lost database, a broken helper process."""


@dataclass(frozen=True)
class _Task:
    """An object to bring to its end, and what people said about it before."""

    file: SpooledFile
    released: frozenset[QuarantineReason]
    quarantine_id: str = ""
    correction: Correction | None = None


@dataclass(frozen=True)
class _Passed:
    task: _Task
    result: Deidentified


@dataclass(frozen=True)
class _Stopped:
    task: _Task
    reason: QuarantineReason
    details: Mapping[str, object] = field(default_factory=dict)


_Outcome = _Passed | _Stopped


def _deidentify(deidentifier: Deidentifier, task: _Task) -> _Outcome:
    try:
        result = deidentifier.apply(
            task.file.path, released=task.released & RELEASABLE, correction=task.correction
        )
    except Quarantined as error:
        LOG.warning("object quarantined", extra={"reason": error.reason.value})
        return _Stopped(task, error.reason, error.details)
    except (Unavailable, OSError):
        raise
    except Exception as error:  # noqa: BLE001 - one object that finds a fault in our rules must not stop the others
        LOG.error("object quarantined after a fault of the rules", extra={"reason": type(error).__name__})
        return _Stopped(task, QuarantineReason.UNDECODABLE_HEADER, {"kind": type(error).__name__})
    return _Passed(task, result)


_in_process: Deidentifier | None = None


def _start_helper(deidentifier: Deidentifier, parent: int) -> None:
    """Prepare a helper process; it ends with the process that started it, however that ends."""
    global _in_process  # noqa: PLW0603 - a pool's initializer has no other place to leave something
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _in_process = deidentifier


def _deidentify_in_helper(task: _Task) -> _Outcome:
    assert _in_process is not None
    return _deidentify(_in_process, task)


class IngestLoop:
    """Works the spool off: de-identify, archive, count, and only then delete the original.

    Every step may be interrupted: an original stays until its outcome is committed, the archive answers
    ``duplicate`` to what it has, and a committed outcome is never counted again.

    Parameters
    ----------
    spool, deidentifier, archive, database
        Where objects come from, what makes them safe, where they go, where counts are kept.
    quarantine
        Folder for objects that must not pass.
    processes
        De-identification runs in so many processes once many objects wait; 1 keeps it in this one.
    activity
        Where what each minute finished is noted for the intake page.
    """

    def __init__(
        self,
        spool: Spool,
        deidentifier: Deidentifier,
        archive: Archive,
        database: Database,
        *,
        quarantine: Path,
        processes: int = 1,
        activity: Activity | None = None,
    ) -> None:
        self._activity = activity
        self._corrections = Corrections(quarantine)
        self._spool = spool
        self._deidentifier = deidentifier
        self._archive = archive
        self._database = database
        self._quarantine = quarantine
        self._processes = processes
        self._pool: ProcessPoolExecutor | None = None
        quarantine.mkdir(parents=True, exist_ok=True, mode=0o700)

    def run(self, stop: Event, *, idle_s: float = 0.2) -> None:
        """Work until asked to stop.

        A full disk or a lost database is waited out: the originals stay where they are.
        """
        while not stop.is_set():
            try:
                counts = self.run_once()
            except Unavailable as error:
                LOG.warning("ingest waits", extra={"reason": error.error_code})
                stop.wait(RETRY_S)
            except Exception:
                # The originals are safe; a loop that ended here would let the spool fill unnoticed.
                LOG.exception("ingest round failed; it is tried again")
                self.close()
                stop.wait(RETRY_S)
            else:
                if not counts.taken:
                    stop.wait(idle_s)
        self.close()

    def close(self) -> None:
        """End helper processes."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def run_once(self, limit: int = BATCH) -> RoundCounts:
        """Bring up to ``limit`` waiting objects to their end, oldest first."""
        files = self._without_finished(self._spool.waiting(limit))
        if not files:
            return RoundCounts()
        tasks = [self._task(file) for file in files]
        outcomes = self._check_subjects(list(self._deidentify_all(tasks)))
        passed = [outcome for outcome in outcomes if isinstance(outcome, _Passed)]
        stopped = [outcome for outcome in outcomes if isinstance(outcome, _Stopped)]
        results: Counter[StoreResult] = Counter()
        for item, stored in zip(
            passed, self._archive.store([_instance(item) for item in passed]), strict=True
        ):
            results[stored.result] += 1
            if stored.result is StoreResult.CONFLICT:
                stopped.append(_Stopped(item.task, QuarantineReason.CONFLICT))
        self._finish(files, passed, stopped)
        if self._activity is not None:
            self._activity.count_processed(len(files))
        return RoundCounts(
            taken=len(files),
            archived=results[StoreResult.STORED],
            duplicates=results[StoreResult.DUPLICATE],
            quarantined=len(stopped),
            reasons=dict(Counter(item.reason.value for item in stopped)),
        )

    def _without_finished(self, files: Sequence[SpooledFile]) -> list[SpooledFile]:
        """Delete what a crash left between commit and deletion."""
        if not files:
            return []
        with self._database.connect() as connection:
            done = _store.finished_among(connection, [file.name for file in files])
        if done:
            for file in files:
                if file.name in done and file.corrects:
                    self._close_correction(file)
            self._spool.remove(done)
            with self._database.begin() as connection:
                _store.forget_finished(connection, done)
        return [file for file in files if file.name not in done]

    def _task(self, file: SpooledFile) -> _Task:
        entry = self._corrections.load(file.corrects) if file.corrects else None
        if entry is not None:
            return _Task(file, entry.released, entry.quarantine_id, entry.correction)
        released = frozenset({QuarantineReason(file.released)}) if file.released else frozenset()
        return _Task(file, released)

    def _close_correction(self, file: SpooledFile) -> None:
        """After a crash: forget a correction whose object has passed, and its original."""
        entry = self._corrections.load(file.corrects)
        if entry is None:
            return
        with self._database.connect() as connection:
            item = _store.load_quarantined(connection, entry.quarantine_id)
        if item is None or item.state is QuarantineState.CORRECTED:
            self._forget_original(entry.quarantine_id)

    def _forget_original(self, quarantine_id: str) -> None:
        shutil.rmtree(self._quarantine / quarantine_id, ignore_errors=True)
        self._corrections.close(quarantine_id)

    def _deidentify_all(self, tasks: Sequence[_Task]) -> Iterator[_Outcome]:
        if self._pool is None and self._processes > 1 and self._spool.size()[0] >= POOL_FROM:
            # Spawned, not forked: the worker around this loop has threads, and a fork would copy their locks.
            self._pool = ProcessPoolExecutor(
                self._processes,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_start_helper,
                initargs=(self._deidentifier, os.getpid()),
            )
        if self._pool is None:
            return (_deidentify(self._deidentifier, task) for task in tasks)
        return self._pool.map(_deidentify_in_helper, tasks, chunksize=4)

    def _check_subjects(self, outcomes: list[_Outcome]) -> list[_Outcome]:
        """Stop objects that name another patient than the rest of their imaging study."""
        studies = {item.result.imaging_study_uid for item in outcomes if isinstance(item, _Passed)}
        with self._database.connect() as connection:
            owner = _store.subjects_of(connection, studies)
        checked: list[_Outcome] = []
        for item in outcomes:
            if isinstance(item, _Passed):
                result = item.result
                known = owner.setdefault(result.imaging_study_uid, result.pseudonym)
                if known != result.pseudonym:
                    details = {
                        "imaging_study": result.imaging_study_uid,
                        "belongs_to": known,
                        "carries": result.pseudonym,
                    }
                    checked.append(_Stopped(item.task, QuarantineReason.INCONSISTENT_PATIENT, details))
                    continue
            checked.append(item)
        return checked

    def _finish(
        self, files: Sequence[SpooledFile], passed: Sequence[_Passed], stopped: Sequence[_Stopped]
    ) -> None:
        """Commit the outcomes, then delete the originals."""
        items = [
            (bool(item.task.quarantine_id), self._set_aside(item), self._named_by(item)) for item in stopped
        ]
        names = [file.name for file in files]
        failed = {item.task.file.name for item in stopped}
        corrected = [
            item.task.quarantine_id
            for item in passed
            if item.task.quarantine_id and item.task.file.name not in failed
        ]
        with self._database.begin() as connection:
            for is_known, item, subjects in items:
                if is_known:
                    _store.return_quarantined(connection, item)
                else:
                    _store.add_quarantined(connection, item)
                _store.name_subjects(connection, item.quarantine_id, subjects)
            _store.settle_corrected(connection, corrected)
            _store.add_subjects(
                connection, {item.result.imaging_study_uid: item.result.pseudonym for item in passed}
            )
            _store.count(connection, received=len(files), quarantined=len(items))
            _store.add_finished(connection, names)
        for quarantine_id in corrected:
            self._forget_original(quarantine_id)
        self._spool.remove(names)
        with self._database.begin() as connection:
            _store.forget_finished(connection, names)

    def _named_by(self, item: _Stopped) -> set[str]:
        """Whom an object names that must not pass, so that a withdrawal finds it."""
        named = {str(item.details[key]) for key in ("belongs_to", "carries") if item.details.get(key)}
        return named | self._deidentifier.subjects_in(item.task.file.path.read_bytes())

    def _set_aside(self, item: _Stopped) -> QuarantinedObject:
        """Copy the original and its reason to quarantine; the same object lands in the same folder again."""
        file = item.task.file
        # An object that was corrected and is still not right stays the same case, with its new reason.
        quarantine_id = item.task.quarantine_id or file.path.stem
        received = datetime.fromtimestamp(file.received_ns / 1e9, UTC)
        english, german = PLAIN_WORDS[item.reason]
        data = file.path.read_bytes()
        reason = {
            "code": item.reason.value,
            "reason": english,
            "reason_de": german,
            "received_at": received.isoformat(),
            "details": {key: value for key, value in item.details.items() if value not in ("", None)},
        }
        folder = self._quarantine / quarantine_id
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(folder / "object.bin", data)
        write_atomically(
            folder / "reason.json", json.dumps(reason, indent=1, ensure_ascii=False, default=str).encode()
        )
        return QuarantinedObject(
            quarantine_id, received, item.reason.value, english, german, len(data), QuarantineState.WAITING
        )


def _instance(item: _Passed) -> DeidentifiedInstance:
    result = item.result
    return DeidentifiedInstance(
        bytes=result.dataset_bytes,
        sop_class_uid=result.sop_class_uid,
        sop_instance_uid=result.sop_instance_uid,
        series_uid=result.series_uid,
        imaging_study_uid=result.imaging_study_uid,
        pseudonym=result.pseudonym,
        evidence=result.evidence,
    )


def count_stored(connection: sa.Connection, facts: Sequence[SeriesFacts]) -> None:
    """Count archived instances in the archive's own transaction; pass it to ``Archive(on_stored=[...])``."""
    _store.count_archived(connection, {fact.series_uid: fact.instance_count for fact in facts})

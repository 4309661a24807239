"""Several processes measure, and some are killed: the table is that of an undisturbed run, nothing twice."""

from __future__ import annotations

import functools
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

from racoon.domain.dataset import DatasetManifest
from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.node.measuring import _store, service
from racoon.platform.database import Database
from tests.unit.node.measuring.cohort import store_subject
from tests.unit.node.measuring.run_alone import open_deadly_images, open_images
from tests.waiting import eventually

ROOT = Path(__file__).resolve().parents[4]
SEED = int(os.environ.get("RACOON_ACCEPTANCE_SEED", "1"))
SERIES = 200 if "RACOON_ACCEPTANCE_SEED" in os.environ else 16
"""The acceptance list measures two hundred series; every day a sample of them is enough."""


def table_of(database: Database) -> list[tuple[object, ...]]:
    """Everything of a value that must not depend on how the run went."""
    columns = _store.measurement.c
    hidden = {"id", "computed_at"}
    chosen = [column for column in columns if column.name not in hidden]
    with database.connect() as connection:
        rows = connection.execute(sa.select(*chosen).order_by(columns.series_uid, columns.measurement)).all()
    return [
        tuple(json.dumps(cell) if isinstance(cell, dict | list) else cell for cell in row) for row in rows
    ]


def clear(database: Database) -> None:
    with database.begin() as connection:
        connection.execute(sa.delete(_store.measurement))


def is_gone(process: psutil.Process) -> bool:
    """Ended, though perhaps nobody has asked yet how."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def many(archive: Archive) -> DatasetManifest:
    return DatasetManifest("study-1", "many", tuple(store_subject(archive, n) for n in range(1, 13)))


def test_processes_give_what_one_gives(plan, many, archive, database, tmp_path):
    service.run_protocol(plan, many, archive, database)
    alone = table_of(database)
    clear(database)
    seen: list[tuple[int, int, str]] = []
    processes = service.Processes(2, functools.partial(open_images, tmp_path))
    summary = service.run_protocol(
        plan, many, archive, database, lambda *step: seen.append(step), processes=processes
    )
    assert table_of(database) == alone
    assert (summary.measured, summary.values, summary.findings) == (12, 60, 0)
    assert [step[:2] for step in seen] == [(number, 12) for number in range(1, 13)]
    assert summary.series_per_minute > 0
    assert all(step[2].endswith(" / min") for step in seen)


def test_a_series_that_kills_its_process_is_a_finding_and_the_rest_is_measured(
    plan, many, archive, database, tmp_path
):
    deadly = sorted(many.series)[4].series_uid
    processes = service.Processes(2, functools.partial(open_deadly_images, tmp_path, deadly))
    summary = service.run_protocol(plan, many, archive, database, processes=processes)
    assert (summary.findings, summary.values) == (1, 11 * 5)
    with database.connect() as connection:
        (finding,) = service.load_findings(connection, study_id="study-1")
    assert (finding.series_uid, finding.code) == (deadly, "measuring.process_lost")


def test_a_stop_ends_the_processes(plan, many, archive, database, tmp_path):
    class Stopped(Exception):
        pass

    def stop(done: int, _total: int, _note: str) -> None:
        if done == 3:
            raise Stopped

    processes = service.Processes(2, functools.partial(open_images, tmp_path))
    with pytest.raises(Stopped):
        service.run_protocol(plan, many, archive, database, stop, processes=processes)
    working = [
        child
        for child in psutil.Process().children(recursive=True)
        if "spawn_main" in " ".join(child.cmdline())
    ]
    assert working == []
    with database.connect() as connection:
        assert len(_store.load_done(connection, "study-1", many.hash)) == 3


def test_killed_three_times_the_table_equals_the_undisturbed_run(plan, database, tmp_path):
    archive = Archive(database, LocalFolder(tmp_path / "objects"))
    manifest = DatasetManifest(
        "study-1", "many", tuple(store_subject(archive, number) for number in range(1, SERIES + 1))
    )
    service.run_protocol(plan, manifest, archive, database)
    undisturbed = table_of(database)
    clear(database)
    (tmp_path / "plan.json").write_text(json.dumps(plan.to_dict()))
    (tmp_path / "manifest.json").write_text(json.dumps(manifest.to_dict()))
    command = [sys.executable, "-m", "tests.unit.node.measuring.run_alone", str(tmp_path), "2"]

    def done() -> int:
        with database.connect() as connection:
            return len(_store.load_done(connection, "study-1", manifest.hash))

    draw = random.Random(SEED)
    marks = sorted(draw.sample(range(2, SERIES - 6), 3))
    stored_at_kill = []
    for mark in marks:
        running = subprocess.Popen(command, cwd=ROOT)
        helpers: list[psutil.Process] = []
        try:
            eventually(lambda mark=mark: done() >= mark, timeout_s=240, what=f"{mark} series")
            helpers = psutil.Process(running.pid).children(recursive=True)
        finally:
            running.kill()
            running.wait(30)
        # No process of a killed run works on.
        eventually(
            lambda ended=helpers: all(is_gone(item) for item in ended), what="the end of its processes"
        )
        stored_at_kill.append(done())
    subprocess.run(command, cwd=ROOT, check=True, timeout=540)
    (report,) = tmp_path.glob("done-*.json")
    # The last run computed only what the three before it had not stored.
    assert json.loads(report.read_text())["measured"] == SERIES - stored_at_kill[-1]
    assert stored_at_kill == sorted(stored_at_kill)
    assert table_of(database) == undisturbed

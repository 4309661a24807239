"""Behind the intake: slices a second and core that are de-identified, archived, indexed and assessed.

The listener, one worker with one process and DCMTK's ``storescu`` share the machine.  Rates count the worker's own
processor time, so that a busy machine does not decide; the ratio is what the worker finishes to what comes in, by the
clock.  Memory is looked at from the first quarter to the end, and the queue at its longest.

    python bench/bench_behind_intake.py                     600 slices
    python bench/bench_behind_intake.py --instances 2000    the goal of issue B
    python bench/bench_behind_intake.py --json
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from bench.bench_intake import send, write_slices
from racoon.node.archive.assessing import Assessor
from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.node.cohorts import service as cohorts
from racoon.node.deid.service import Deidentifier
from racoon.node.intake.service import IngestLoop, count_stored, spool_folder
from racoon.node.intake.spool import RESERVE_BYTES, Spool
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.platform.database import Database, create_all
from tests.network.test_dicom_intake import Options, Settings, free_port, start
from tests.planted_identifiers import make_ct

GOAL_PER_S_AND_CORE = 150.0
MEMORY_MB = 64.0
"""More growth than this from the first quarter to the end is a leak."""

LOOK_S = 0.1


@dataclass
class Watch:
    """What was seen while the slices came."""

    waiting: list[int] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)
    processor_s: float = 0.0


def rooms(folder: Path) -> tuple[Database, Archive]:
    """Open the archive as a node has it."""
    database = Database(f"sqlite:///{folder}/node.sqlite")
    archive = Archive(database, LocalFolder(folder / "objects"), on_stored=[cohorts.record, count_stored])
    return database, archive


def work(folder: Path, ready: Any, stop: Any) -> None:
    """Be the worker: de-identify, archive, index, assess."""
    database, archive = rooms(folder)
    names = Pseudonymiser(folder / "keys" / "key.json", f"sqlite:///{folder}/mapping.sqlite")
    deidentifier = Deidentifier("basic", names)
    loop = IngestLoop(
        Spool(spool_folder(folder)), deidentifier, archive, database, quarantine=folder / "quarantine"
    )
    assessing = threading.Thread(target=Assessor(archive).run, args=(stop,), daemon=True)
    assessing.start()
    deidentifier.apply(make_ct(planted=False).data)
    ready.set()
    loop.run(stop, idle_s=0.02)
    assessing.join(10)
    names.close()
    database.dispose()


def measure(count: int, senders: int) -> dict[str, Any]:
    """Send while the worker works; wait until the queue is empty."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="bench-behind-") as name:
        folder = Path(name) / "node"
        folder.mkdir()
        files = write_slices(Path(name) / "slices", count)
        slice_bytes = files[0].stat().st_size
        database, archive = rooms(folder)
        create_all(database, "node")
        spool = Spool(spool_folder(folder))
        listener = start(Settings(folder, Options(free_port())), "spawn")
        ready, stop = context.Event(), context.Event()
        worker = context.Process(target=work, args=(folder, ready, stop), daemon=True)
        worker.start()
        # Imports and tables are read once in the life of a node.
        ready.wait(60)
        process = psutil.Process(worker.pid)
        watch, done = Watch(), threading.Event()

        def look() -> None:
            while not done.wait(LOOK_S):
                watch.waiting.append(spool.size()[0])
                watch.memory_mb.append(process.memory_info().rss / 2**20)

        eye = threading.Thread(target=look)
        eye.start()
        before = process.cpu_times()
        begun = time.perf_counter()
        try:
            intake_per_s = send(files, senders, "RACOON", listener.port)
            while archive.counts().instances < count and worker.is_alive():
                done.wait(LOOK_S)
            took_s = time.perf_counter() - begun
            after = process.cpu_times()
            free_bytes = shutil.disk_usage(folder).free - RESERVE_BYTES
        finally:
            done.set()
            eye.join()
            stop.set()
            listener.process.terminate()
            worker.join(20)
            listener.process.join(20)
        stored = archive.counts().instances
        database.dispose()
    if stored != count:
        sys.exit(f"the archive holds {stored} of {count} acknowledged slices")
    watch.processor_s = after.user + after.system - before.user - before.system
    return {"senders": senders, **summarise(count, intake_per_s, took_s, free_bytes // slice_bytes, watch)}


def summarise(count: int, intake_per_s: float, took_s: float, room: int, watch: Watch) -> dict[str, Any]:
    """Work the figures out; ``room`` is how many slices the disk of the queue still takes."""
    per_core = count / watch.processor_s
    behind_per_s = count / took_s
    quarter = len(watch.memory_mb) // 4
    growth = max(watch.memory_mb[-quarter:]) - max(watch.memory_mb[: 2 * quarter]) if quarter else 0.0
    peak = max(watch.waiting, default=0)
    # Were the difference between the two rates to last, the queue would be full after this time.
    behind = max(intake_per_s - behind_per_s, 0.0)
    return {
        "instances": count,
        "intake_per_s": round(intake_per_s, 1),
        "behind_per_s": round(behind_per_s, 1),
        "ratio": round(behind_per_s / intake_per_s, 2),
        "per_s_and_core": round(per_core, 1),
        "goal_per_s_and_core": GOAL_PER_S_AND_CORE,
        "longest_queue": peak,
        "queue_can_hold": room,
        "hours_until_full": round(room / behind / 3600, 1) if behind else "never",
        "memory_mb": round(max(watch.memory_mb, default=0.0)),
        "memory_growth_mb": round(growth, 1),
        "met": per_core >= GOAL_PER_S_AND_CORE and growth <= MEMORY_MB and peak < room,
    }


def main() -> int:
    """Measure, print, and say by the exit code whether the goal was met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--instances", type=int, default=600)
    parser.add_argument("--senders", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = measure(arguments.instances, arguments.senders)
    if arguments.json:
        print(json.dumps(found))
    else:
        print(
            f"behind the intake: {found['per_s_and_core']} slices a second and core (goal {GOAL_PER_S_AND_CORE:.0f}), "
            f"{found['behind_per_s']}/s behind {found['intake_per_s']}/s, ratio {found['ratio']}; longest queue "
            f"{found['longest_queue']} of {found['queue_can_hold']}, memory grew {found['memory_growth_mb']} MB"
        )
    return 0 if found["met"] else 1


if __name__ == "__main__":
    multiprocessing.freeze_support()
    sys.exit(main())

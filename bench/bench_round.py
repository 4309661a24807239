"""A round here against a round of bare FLARE with the same model: `python bench/bench_round.py`.

Two sites on this machine, the same server, sites, certificates, transport and waiting between questions; no training on
either side.  Bare FLARE has the cheapest parts it can have: an executor that echoes within its own process, its own
weighted aggregator, a numpy file.  Ours has everything: gates, checks, files to a trainer process and back, exact
aggregation, durable round files.  The first round starts processes and is left out.  Prints seconds, their ratio, and
the goal.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import runpy
import shutil
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from racoon.domain.coding import Code
from racoon.domain.plan import TrainingPlan
from racoon.learning.architectures import initial_weights
from racoon.learning.engine import EngineJob
from racoon.learning.flare import policy
from racoon.learning.flare.central_side import FlareEngine
from racoon.learning.flare.job import request_interval_s
from racoon.learning.flare.site_engine import FlareSite
from racoon.learning.weights import save_weights

ROOT = Path(__file__).resolve().parents[1]
HOOKS = ROOT / "bench" / "round_site"
GOAL = 1.1
MEGABYTES = (0.1, 10.0, 100.0)
ROUNDS = 6
SITES = ("ALPHA", "BRAVO")
LONGEST_S = 900.0
LOOK_S = 0.05


@dataclass(frozen=True)
class Cost:
    """What a round costs.

    Parameters
    ----------
    seconds
        Median by the clock.
    processor_s
        Mean of all processes together; a busy machine stretches the clock, and hardly this.
    """

    seconds: float
    processor_s: float


ECHO = "bench.round_parts.Echo"
KEEPER = "bench.round_parts.ArrayKeeper"
WEIGHTED = (
    "nvflare.app_common.aggregators.intime_accumulate_model_aggregator.InTimeAccumulateWeightedAggregator"
)
FULL_MODEL = (
    "nvflare.app_common.shareablegenerators.full_model_shareable_generator.FullModelShareableGenerator"
)


def plan_of(megabytes: float) -> TrainingPlan:
    """Return the plan of a size; only its network matters."""
    return TrainingPlan(
        name="bench",
        modality="CT",
        labels=(Code("1", "99T"),),
        architecture=f"bench-{megabytes:g}",
        size=(32, 32),
        rounds=ROUNDS,
        local_steps=1,
        min_sites=len(SITES),
    )


@contextlib.contextmanager
def federation(folder: Path, *, is_bare: bool) -> Iterator[tuple[FlareEngine, list[FlareSite]]]:
    """Start a server and two sites; for bare FLARE without our gates and with its own classes."""
    site_resources, server_resources = policy.site_resources, policy.server_resources
    if is_bare:

        def open_site(approvals: str, site: str) -> dict[str, Any]:
            resources = site_resources(approvals, site)
            resources.pop("app_validator")
            resources["class_allow_list"] = [ECHO]
            resources["components"] = [part for part in resources["components"] if part["id"] != "gate"]
            return resources

        def open_server(storage: str) -> dict[str, Any]:
            resources = server_resources(storage)
            resources["class_allow_list"] = [policy.CONTROLLER_CLASS, KEEPER, WEIGHTED, FULL_MODEL]
            return resources

        policy.site_resources, policy.server_resources = open_site, open_server
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    engine = FlareEngine(folder / "central", "127.0.0.1", port)
    sites = [FlareSite(folder / name, name) for name in SITES]
    try:
        for site in sites:
            site.install(engine.sign_site(site.site, site.request()))
        engine.start_server()
        for site in sites:
            site.start()
        _wait_until(lambda: engine.connected_sites() == frozenset(SITES))
        yield engine, sites
    finally:
        policy.site_resources, policy.server_resources = site_resources, server_resources
        for site in sites:
            site.stop()
        engine.stop_server()
        engine.close()


def _wait_until(is_so: Any) -> None:
    deadline, pause = time.monotonic() + LONGEST_S, threading.Event()
    while not is_so():
        if time.monotonic() > deadline:
            raise SystemExit("The engine did not answer in time.")
        pause.wait(0.5)


def seconds_of_rounds(folder: Path) -> list[float]:
    """Return how long each round but the first took."""
    lines = (folder / "rounds.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["seconds"] for line in lines[1:]]


def processor_seconds() -> float:
    """Return what this process and everything it started have used of the processors so far."""
    own = psutil.Process()
    total = 0.0
    for process in (own, *own.children(recursive=True)):
        # A process that ended meanwhile has done its work before the rounds that count.
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def follow_rounds(engine: FlareEngine, job_id: str, folder: Path) -> Cost:
    """Wait for a job's end and tell what each round but the first cost."""
    path, marks, pause = folder / "rounds.jsonl", {}, threading.Event()
    deadline = time.monotonic() + LONGEST_S
    while len(marks) < ROUNDS:
        done = path.read_text(encoding="utf-8").count("\n") if path.exists() else 0
        if done and done not in marks:
            marks[done] = processor_seconds()
        if done >= ROUNDS:
            break
        if time.monotonic() > deadline or engine.watch(job_id).state.is_final:
            raise SystemExit("The rounds did not end in good order.")
        pause.wait(LOOK_S)
    first = min(marks)
    used = (marks[ROUNDS] - marks[first]) / (ROUNDS - first)
    _wait_until(lambda: engine.watch(job_id).state.is_final)
    return Cost(statistics.median(seconds_of_rounds(folder)), used)


def measure_ours(engine: FlareEngine, sites: Sequence[FlareSite], megabytes: float, folder: Path) -> Cost:
    """Run the rounds as a federated training runs them."""
    plan = plan_of(megabytes)
    folder.mkdir(parents=True)
    save_weights(folder / "initial.safetensors", initial_weights(plan))
    run_id = f"ours-{megabytes:g}".replace(".", "-")
    for site in sites:
        site.approve(plan, run_id, folder)
    job = EngineJob(
        run_id, run_id, plan, SITES, len(SITES), 0, folder / "initial.safetensors", folder, 60, 300
    )
    return follow_rounds(engine, engine.submit(job), folder)


def measure_bare(engine: FlareEngine, megabytes: float, folder: Path) -> Cost:
    """Run the rounds with FLARE's own parts."""
    folder.mkdir(parents=True)
    np.savez(folder / "initial.npz", **initial_weights(plan_of(megabytes)))
    name = f"bare-{megabytes:g}".replace(".", "-")
    arguments = {"source": str(folder / "initial.npz"), "folder": str(folder)}
    server = {
        "format_version": 2,
        "server": {"task_request_interval": request_interval_s(len(SITES))},
        "components": [
            {"id": "keeper", "path": KEEPER, "args": arguments},
            {"id": "generator", "path": FULL_MODEL, "args": {}},
            {"id": "aggregator", "path": WEIGHTED, "args": {"expected_data_kind": "WEIGHTS"}},
        ],
        "workflows": [
            {
                "id": "rounds",
                "path": policy.CONTROLLER_CLASS,
                "args": {
                    "min_clients": len(SITES),
                    "num_rounds": ROUNDS,
                    "wait_time_after_min_received": 60,
                    "train_timeout": 300,
                    "aggregator_id": "aggregator",
                    "persistor_id": "keeper",
                    "shareable_generator_id": "generator",
                    "train_task_name": "train",
                    "snapshot_every_n_rounds": 0,
                },
            }
        ],
    }
    site = {"format_version": 2, "executors": [{"tasks": ["train"], "executor": {"path": ECHO, "args": {}}}]}
    root = folder / "job" / name
    for app, file, document in (
        ("app_server", "config_fed_server.json", server),
        ("app_site", "config_fed_client.json", site),
    ):
        (root / app / "config").mkdir(parents=True)
        (root / app / "config" / file).write_text(json.dumps(document), encoding="utf-8")
    meta = {
        "name": name,
        "resource_spec": {},
        "min_clients": len(SITES),
        "deploy_map": {"app_server": ["server"], "app_site": list(SITES)},
    }
    (root / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
    return follow_rounds(engine, engine.submit_folder(root), folder)


def measure_all(folder: Path, sizes: Sequence[float] = MEGABYTES) -> dict[str, Any]:
    """Measure both sides at each size."""
    # The engine's processes find the networks and the idle trainer by this path; this process loads them too.
    os.environ["PYTHONPATH"] = os.pathsep.join((str(HOOKS), str(ROOT / "src"), str(ROOT)))
    runpy.run_path(str(HOOKS / "sitecustomize.py"))
    costs: dict[str, dict[float, Cost]] = {"bare": {}, "ours": {}}
    for kind, found in costs.items():
        with federation(folder / kind, is_bare=kind == "bare") as (engine, sites):
            for size in sizes:
                work = folder / f"{kind}-{size:g}"
                if kind == "bare":
                    found[size] = measure_bare(engine, size, work)
                else:
                    found[size] = measure_ours(engine, sites, size, work)
                shutil.rmtree(work)
    rows = {}
    for size in sizes:
        bare, ours = (costs[kind][size] for kind in ("bare", "ours"))
        rows[f"{size:g} MB"] = {
            "bare_s": round(bare.seconds, 2),
            "ours_s": round(ours.seconds, 2),
            "ratio": round(ours.seconds / bare.seconds, 3),
            "bare_cpu_s": round(bare.processor_s, 2),
            "ours_cpu_s": round(ours.processor_s, 2),
            "cpu_ratio": round(ours.processor_s / bare.processor_s, 3),
        }
    return {"sizes": rows, "goal": GOAL, "met": all(row["ratio"] <= GOAL for row in rows.values())}


def main() -> int:
    """Print the measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--megabytes", type=float, action="append", choices=MEGABYTES)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        found = measure_all(Path(folder), options.megabytes or MEGABYTES)
    if options.json:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        for size, row in found["sizes"].items():
            sys.stdout.write(
                f"{size}: {row['ours_s']} s a round, bare FLARE {row['bare_s']} s, ratio {row['ratio']} "
                f"(goal at most {GOAL}); processor {row['ours_cpu_s']} s, bare {row['bare_cpu_s']} s, "
                f"ratio {row['cpu_ratio']}\n"
            )
    return 0 if found["met"] else 1


if __name__ == "__main__":
    sys.exit(main())

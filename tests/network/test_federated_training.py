"""The federated engine with real processes: three sites, mutual TLS, gates, and everything killed once.

Rounds are stateless and the mean is exact, so a run must give the same *bits* as a plain loop, whatever dies.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

pytest.importorskip("torch", reason='needs the extra: pip install "racoon[learning]"')
pytest.importorskip("nvflare", reason='needs the extra: pip install "racoon[learning]"')

from racoon.central.learning.model import Patience
from racoon.central.learning.service import Training
from racoon.domain.coding import Code
from racoon.domain.plan import TrainingPlan
from racoon.learning.aggregation import ExactMean
from racoon.learning.architectures import initial_weights, tensor_shapes
from racoon.learning.cases import load_cases, prepare_case, save_case
from racoon.learning.engine import EngineJob, JobStatus
from racoon.learning.flare.central_side import FlareEngine, recorded_process
from racoon.learning.flare.job import CLIENT_CONFIG, site_config, write_job
from racoon.learning.flare.site_engine import FlareSite
from racoon.learning.weights import Weights, encode_weights, save_weights
from racoon.node.compute.seat import EngineSeat
from tests.waiting import eventually

pytestmark = [
    pytest.mark.learning,
    pytest.mark.slow,
    pytest.mark.timeout(240),
    # nvflare 2.9 passes aiohttp a deprecated argument; as an error that would end FLARE's connector.
    pytest.mark.filterwarnings("ignore:ssl_context is deprecated:DeprecationWarning"),
]

SITES = ("ALPHA", "BRAVO", "CHARLIE")
PLAN = TrainingPlan(
    name="squares",
    modality="CT",
    labels=(Code("39607008", "SCT", "Lung"),),
    size=(32, 32),
    rounds=4,
    local_steps=3,
    batch_size=4,
    learning_rate=5e-3,
)
PATIENCE = Patience(join_s=60, rejoin_s=45, absent_s=8, give_up_s=120, straggler_s=60, round_s=120)


class Federation:
    """CENTRAL's engine and some sites with their own keys and cases, on loopback."""

    def __init__(self, root: Path, sites: tuple[str, ...] = SITES) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.root = root
        self.engine = FlareEngine(root / "central" / "engine", "127.0.0.1", port)
        self.port = port
        self.sites = {site: FlareSite(root / site / "engine", site) for site in sites}
        self.training = Training(self.engine, root / "central" / "runs")
        for number, site in enumerate(sites):
            _write_cases(root / site / "cases", number)

    def cases(self, site: str) -> Path:
        return self.root / site / "cases"

    @contextmanager
    def seats(
        self, run_id: str, plan: TrainingPlan = PLAN
    ) -> Iterator[dict[str, Future[list[dict[str, Any]]]]]:
        """Let every site take part in a run, as a node does, until the block ends."""
        stop = threading.Event()
        with ThreadPoolExecutor(len(self.sites)) as pool:
            try:
                yield {
                    site: pool.submit(
                        EngineSeat(
                            engine, lambda request, site=site: self.training.sign_site(site, request)
                        ).take_part,
                        run_id,
                        plan,
                        self.cases(site),
                        should_stop=stop.is_set,
                    )
                    for site, engine in self.sites.items()
                }
            finally:
                stop.set()


def _write_cases(folder: Path, number: int) -> None:
    folder.mkdir(parents=True)
    generator = np.random.default_rng(number)
    for index in range(3 + number):
        mask = np.zeros((6, 32, 32), dtype=bool)
        row, column = generator.integers(4, 20, 2)
        mask[2:5, row : row + 8, column : column + 8] = True
        voxels = generator.normal(-600, 80, mask.shape) + mask * 500
        save_case(folder, prepare_case(PLAN, f"{number}.{index}", voxels, [mask]))


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Federation:
    return Federation(tmp_path_factory.mktemp("federation"))


@pytest.fixture(scope="module")
def expected(federation: Federation) -> bytes:
    """The same rounds as a plain loop in one process."""
    from racoon.learning.training import Trainer

    trainers = {site: Trainer(PLAN, load_cases(federation.cases(site))) for site in SITES}
    weights: Weights = initial_weights(PLAN)
    for round_index in range(PLAN.rounds):
        mean = ExactMean(tensor_shapes(PLAN))
        for site in reversed(SITES):
            trained, facts = trainers[site].train_round(weights, round_index)
            mean.add(site, trained, facts.cases)
        weights = mean.mean()
    return encode_weights(weights)


def _descendants(role: str) -> list[psutil.Process]:
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if role in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def _rounds(federation: Federation, run_id: str) -> int:
    path = federation.training.run_folder(run_id) / "rounds.jsonl"
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_run_with_killed_trainer_equals_a_plain_loop_bit_for_bit(
    federation: Federation, expected: bytes
) -> None:
    run_id = "run-trainer"
    with federation.seats(run_id) as seats, ThreadPoolExecutor(1) as pool:
        running = pool.submit(federation.training.run_federated, run_id, PLAN, SITES, patience=PATIENCE)
        eventually(lambda: _rounds(federation, run_id) >= 1, timeout_s=90, what="the first round")
        _descendants("train_process")[0].kill()
        result = running.result(timeout=120)
        facts = {site: seat.result(timeout=60) for site, seat in seats.items()}
    assert result.weights.read_bytes() == expected
    assert [sorted(entry["sites"]) for entry in result.rounds] == [list(SITES)] * PLAN.rounds
    assert [entry["missing"] for entry in result.rounds] == [[]] * PLAN.rounds
    assert [attempt.ended for attempt in result.attempts] == ["completed"]
    for rounds in facts.values():
        assert [entry["round"] for entry in rounds] == list(range(PLAN.rounds))
    assert not federation.engine.is_server_alive()
    again = federation.training.run_federated(run_id, PLAN, SITES, patience=PATIENCE)
    assert again.weights.read_bytes() == expected


def test_run_survives_a_killed_site_and_a_killed_server(federation: Federation, expected: bytes) -> None:
    run_id = "run-chaos"
    with federation.seats(run_id), ThreadPoolExecutor(1) as pool:
        running = pool.submit(federation.training.run_federated, run_id, PLAN, SITES, patience=PATIENCE)
        eventually(lambda: _rounds(federation, run_id) >= 1, timeout_s=90, what="the first round")
        site = recorded_process(federation.sites["BRAVO"].folder / "site.pid")
        assert site is not None
        site.kill()
        eventually(
            lambda: _rounds(federation, run_id) >= 2, timeout_s=120, what="a round after the site's death"
        )
        server = recorded_process(federation.engine.folder / "server.pid")
        assert server is not None
        server.kill()
        result = running.result(timeout=150)
    assert result.weights.read_bytes() == expected
    assert not result.had_dropout
    assert len(result.attempts) >= 2


def test_run_goes_on_after_its_driver_was_killed(federation: Federation, expected: bytes) -> None:
    run_id = "run-driver"
    driver = [sys.executable, "-c", _DRIVER, str(federation.root), str(federation.port), run_id]
    with federation.seats(run_id):
        first = subprocess.Popen([*driver, json.dumps(PLAN.to_dict())])
        try:
            eventually(lambda: _rounds(federation, run_id) >= 1, timeout_s=90, what="the first round")
        finally:
            first.send_signal(signal.SIGKILL)
            first.wait()
        result = federation.training.run_federated(run_id, PLAN, SITES, patience=PATIENCE)
    assert result.weights.read_bytes() == expected
    assert not result.had_dropout


_DRIVER = """
import json, pathlib, sys
from racoon.central.learning.service import Training
from racoon.domain.plan import TrainingPlan
from racoon.learning.flare.central_side import FlareEngine
root = pathlib.Path(sys.argv[1]) / "central"
training = Training(FlareEngine(root / "engine", "127.0.0.1", int(sys.argv[2])), root / "runs")
plan = TrainingPlan.from_dict(json.loads(sys.argv[4]))
training.run_federated(sys.argv[3], plan, ("ALPHA", "BRAVO", "CHARLIE"))
"""


def test_site_refuses_what_it_did_not_approve(federation: Federation, tmp_path: Path) -> None:
    """Unapproved plan, altered plan, another run, code of its own, another class: none starts a process."""
    altered = replace(PLAN, local_steps=PLAN.local_steps + 1)
    engine = federation.engine
    with federation.seats("run-gate"):
        engine.start_server()
        try:
            eventually(lambda: engine.connected_sites() == frozenset(SITES), timeout_s=60, what="three sites")
            outcomes = {
                name: _submit(engine, job)
                for name, job in {
                    "unapproved": _job(tmp_path, "unapproved", altered),
                    "other-run": _job(tmp_path, "other-run", PLAN, run_id="run-else"),
                    "altered": _alter_plan(_job(tmp_path, "altered", PLAN), altered),
                    "byoc": _add_code(_job(tmp_path, "byoc", PLAN)),
                    "command": _swap_executor(_job(tmp_path, "command", PLAN)),
                }.items()
            }
        finally:
            engine.stop_server()
    assert not _descendants("worker_process")
    for name, status in outcomes.items():
        assert status.state.value == "failed", (name, status)
    reasons = {entry["reason"] for site in federation.sites.values() for entry in site.refusals()}
    assert {
        "This site has not approved the training plan.",
        "This site has not approved this run of the training plan.",
        "The job's configuration is not the approved one.",
        "The job wants a launcher, resources or code of its own.",
    } <= reasons


def _job(folder: Path, name: str, plan: TrainingPlan, run_id: str = "run-gate") -> Path:
    save_weights(folder / "initial.safetensors", initial_weights(plan))
    job = EngineJob(name, run_id, plan, SITES, 3, 0, folder / "initial.safetensors", folder)
    return write_job(folder / "jobs", job)


def _alter_plan(job: Path, plan: TrainingPlan) -> Path:
    (job / "app_site" / CLIENT_CONFIG).write_text(json.dumps(site_config(plan, "run-gate")))
    return job


def _add_code(job: Path) -> Path:
    code = job / "app_site" / "custom"
    code.mkdir()
    (code / "steal.py").write_text("import os\n")
    return job


def _swap_executor(job: Path) -> Path:
    path = job / "app_site" / CLIENT_CONFIG
    config = json.loads(path.read_text())
    config["executors"][0]["executor"]["path"] = (
        "nvflare.app_common.executors.client_api_executor.ClientAPIExecutor"
    )
    path.write_text(json.dumps(config))
    return job


def _submit(engine: FlareEngine, job: Path) -> JobStatus:
    job_id = engine.submit_folder(job)
    return eventually(
        lambda: status if (status := engine.watch(job_id)).state.is_final else None,
        timeout_s=60,
        what=job.name,
    )

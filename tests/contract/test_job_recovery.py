"""A worker that is killed with -9 resumes its jobs; none is lost and none that finished runs again."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from racoon.platform.jobs import DbosJobQueue, JobClient
from tests.waiting import eventually

_WORKER = """
import sys, threading
from pathlib import Path
from racoon.platform.jobs import DbosJobQueue
from racoon.platform.supervise import stopping

url, folder = sys.argv[1], Path(sys.argv[2])
stop = stopping()

def work(job_id, payload):
    with open(folder / "begun", "a") as begun:
        begun.write(job_id + "\\n")
    if payload["waits"]:
        while not (folder / "go").exists():
            threading.Event().wait(0.02)
    with open(folder / "ended", "a") as ended:
        ended.write(job_id + "\\n")
    return {"done": job_id}

queue = DbosJobQueue(url, "worker", {"default": 2}, poll_s=0.05)
queue.register("work", work)
queue.launch()
stop.wait()
queue.shutdown(0.5)
"""


class Worker:
    def __init__(self, url: str, folder: Path) -> None:
        with (folder / "stderr").open("ab") as stderr:
            command = [sys.executable, "-c", _WORKER, url, str(folder)]
            self.process = subprocess.Popen(command, stderr=stderr, stdout=stderr)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(20)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgresql_url"))
    return f"sqlite:///{tmp_path}/jobs.sqlite"


@pytest.fixture
def client(url: str) -> Iterator[JobClient]:
    client = JobClient(url)
    yield client
    client.shutdown()


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_killed_worker_resumes(url: str, client: JobClient, tmp_path: Path) -> None:
    for number in range(12):
        client.enqueue("work", f"job-{number}", {"waits": 2 <= number < 4})
    first = Worker(url, tmp_path)
    try:
        eventually(lambda: {"job-2", "job-3"} <= set(_lines(tmp_path / "begun")))
        # Both places are taken now: nothing else begins.  What ended is finished when that is written down.
        ended_before = _lines(tmp_path / "ended")
        eventually(lambda: all(client.status(job_id).is_finished for job_id in ended_before))
        first.kill()
        assert client.status("job-2").state == "running"
        (tmp_path / "go").touch()
        second = Worker(url, tmp_path)
    finally:
        first.kill()
    try:
        for number in range(12):
            job_id = f"job-{number}"
            eventually(lambda job_id=job_id: client.status(job_id).is_finished)
            status = client.status(job_id)
            assert (status.state, status.result, status.attempts) == ("succeeded", {"done": job_id}, 1)
        ended = Counter(_lines(tmp_path / "ended"))
        assert set(ended) == {f"job-{number}" for number in range(12)}
        # At least once: what was in flight may have run twice, and what was finished did not.
        assert all(ended[job_id] == 1 for job_id in ended_before)
        assert ended["job-2"] == ended["job-3"] == 1
        second.process.send_signal(signal.SIGTERM)
        assert second.process.wait(20) == 0
    finally:
        second.kill()
    assert (tmp_path / "stderr").read_text() == ""


def test_stopped_worker_leaves_unfinished_jobs_for_the_next(
    url: str, client: JobClient, tmp_path: Path
) -> None:
    for number in range(4):
        client.enqueue("work", f"job-{number}", {"waits": True})
    first = Worker(url, tmp_path)
    try:
        eventually(lambda: len(_lines(tmp_path / "begun")) == 2)
        first.process.send_signal(signal.SIGTERM)
        # Its two jobs never end, so it is killed as a supervisor would after the deadline.
        with pytest.raises(subprocess.TimeoutExpired):
            first.process.wait(2)
    finally:
        first.kill()
    (tmp_path / "go").touch()
    second = Worker(url, tmp_path)
    try:
        for number in range(4):
            eventually(lambda number=number: client.status(f"job-{number}").state == "succeeded")
        assert Counter(_lines(tmp_path / "ended")) == {f"job-{number}": 1 for number in range(4)}
    finally:
        second.kill()


def test_worker_needs_no_network(tmp_path: Path, socket_disabled: None) -> None:
    """With every Internet socket closed the queue works: no telemetry, no admin server, no remote control."""
    queue = DbosJobQueue(f"sqlite:///{tmp_path}/jobs.sqlite", "worker", {"default": 1}, poll_s=0.05)
    queue.register("echo", lambda _, payload: payload)
    queue.launch()
    queue.enqueue("echo", "job-1", {"a": 1})
    eventually(lambda: queue.status("job-1").state == "succeeded")
    queue.shutdown(1)

"""One suite for every job queue: in memory, DBOS on SQLite, DBOS on PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from racoon.errors import Defect, Refused, Unavailable
from racoon.platform.jobs import (
    Backoff,
    DbosJobQueue,
    JobClient,
    JobQueue,
    JobStatus,
    MemoryJobQueue,
    NoSuchJob,
)
from tests.waiting import eventually

BACKOFF = Backoff(first_s=0.05, max_s=0.2)
CONCURRENCY = {"default": 2, "single": 1}


def _url(adapter: str, folder: Path, request: pytest.FixtureRequest) -> str:
    if adapter == "postgresql":
        return str(request.getfixturevalue("postgresql_url"))
    return f"sqlite:///{folder}/jobs.sqlite"


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[JobQueue]:
    queue: JobQueue
    if request.param == "memory":
        queue = MemoryJobQueue(CONCURRENCY, backoff=BACKOFF)
    else:
        url = _url(request.param, tmp_path, request)
        queue = DbosJobQueue(url, "test-worker", CONCURRENCY, backoff=BACKOFF, poll_s=0.05)
    yield queue
    queue.shutdown(2)


@pytest.fixture(params=["sqlite", "postgresql"])
def durable_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return _url(request.param, tmp_path, request)


def finished(queue: JobQueue | JobClient, job_id: str) -> JobStatus:
    def status() -> JobStatus | None:
        status = queue.status(job_id)
        return status if status.is_finished else None

    found = eventually(status, what=f"job {job_id} to finish")
    assert found is not None
    return found


def test_job_runs_with_payload_and_result(queue: JobQueue) -> None:
    queue.register("add", lambda job_id, payload: {"sum": sum(payload["values"]), "id": job_id})
    queue.launch()
    queue.enqueue("add", "job-1", {"values": [1, 2, 3]})
    assert finished(queue, "job-1") == JobStatus(
        "job-1", "add", "succeeded", "default", 1, {"sum": 6, "id": "job-1"}
    )


def test_job_id_makes_it_happen_once(queue: JobQueue) -> None:
    calls: list[dict[str, Any]] = []
    queue.register("once", lambda _, payload: calls.append(payload))
    queue.launch()
    for number in range(5):
        queue.enqueue("once", "job-1", {"number": number})
    finished(queue, "job-1")
    queue.enqueue("once", "job-1", {"number": 99})
    queue.enqueue("once", "job-2", {"number": 100})
    finished(queue, "job-2")
    assert calls == [{"number": 0}, {"number": 100}]


def test_job_enqueued_before_launch_runs(queue: JobQueue) -> None:
    queue.register("late", lambda *_: None)
    queue.enqueue("late", "job-1", {})
    assert queue.status("job-1").state == "enqueued"
    queue.launch()
    assert finished(queue, "job-1").state == "succeeded"


def test_unavailable_is_tried_again(queue: JobQueue) -> None:
    calls: list[str] = []

    def flaky(job_id: str, payload: dict[str, Any]) -> Mapping[str, Any]:
        calls.append(job_id)
        if len(calls) < 4:
            raise Unavailable("CENTRAL does not answer.", code="link.away")
        return {"calls": len(calls)}

    queue.register("flaky", flaky)
    queue.launch()
    queue.enqueue("flaky", "job-1", {})
    status = finished(queue, "job-1")
    assert calls == ["job-1"] * 4
    assert (status.state, status.attempts, status.result) == ("succeeded", 4, {"calls": 4})
    assert (status.error, status.error_code) == (None, None)


def test_waiting_job_says_why_and_blocks_nobody(queue: JobQueue) -> None:
    gate = threading.Event()

    def away(job_id: str, payload: dict[str, Any]) -> None:
        if not gate.is_set():
            raise Unavailable("CENTRAL does not answer.", code="link.away")

    queue.register("away", away)
    queue.register("quick", lambda *_: None)
    queue.launch()
    queue.enqueue("away", "job-1", {}, "single")
    eventually(lambda: queue.status("job-1").attempts > 1)
    queue.enqueue("quick", "job-2", {}, "single")
    assert finished(queue, "job-2").state == "succeeded"
    waiting = queue.status("job-1")
    assert (waiting.error_code, waiting.error) == ("link.away", "CENTRAL does not answer.")
    gate.set()
    assert finished(queue, "job-1").state == "succeeded"


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (
            Refused("Not approved here.", code="approvals.no", details={"who": "Doe"}),
            "approvals.no",
            "Not approved here.",
        ),
        (Defect("The series is broken."), "defect", "The series is broken."),
        (ValueError("Doe^Erika"), "defect", "The job failed unexpectedly; this machine's log says where."),
    ],
)
def test_other_errors_fail_at_once(queue: JobQueue, error: Exception, code: str, message: str) -> None:
    calls = 0

    def fail(job_id: str, payload: dict[str, Any]) -> None:
        nonlocal calls
        calls += 1
        raise error

    queue.register("fail", fail)
    queue.launch()
    queue.enqueue("fail", "job-1", {})
    status = finished(queue, "job-1")
    assert (status.state, status.error_code, status.error, calls) == ("failed", code, message, 1)
    assert queue.counts()["failed"] == 1


def test_unknown_kind_fails_with_a_reason(queue: JobQueue) -> None:
    queue.launch()
    queue.enqueue("nonsense", "job-1", {})
    assert finished(queue, "job-1").error_code == "jobs.unknown_kind"


def test_failed_job_is_retried_on_request(queue: JobQueue) -> None:
    broken = True

    def mended(job_id: str, payload: dict[str, Any]) -> Mapping[str, Any]:
        if broken:
            raise Defect("Broken.")
        return payload

    queue.register("mended", mended)
    queue.launch()
    queue.enqueue("mended", "job-1", {"a": 1})
    assert finished(queue, "job-1").state == "failed"
    broken = False
    queue.retry("job-1")
    status = eventually(lambda: s if (s := queue.status("job-1")).state == "succeeded" else None)
    assert status is not None
    assert (status.attempts, status.result) == (2, {"a": 1})
    assert queue.counts() == {"enqueued": 0, "running": 0, "failed": 0}
    queue.retry("job-1")
    assert queue.status("job-1").attempts == 2


def test_cancelled_job_does_not_start(queue: JobQueue) -> None:
    release, calls = threading.Event(), []

    def block(job_id: str, payload: dict[str, Any]) -> None:
        calls.append(job_id)
        release.wait(20)

    queue.register("block", block)
    queue.launch()
    queue.enqueue("block", "job-1", {}, "single")
    eventually(lambda: calls == ["job-1"])
    queue.enqueue("block", "job-2", {}, "single")
    queue.cancel("job-2")
    assert queue.status("job-2").state == "cancelled"
    release.set()
    finished(queue, "job-1")
    queue.enqueue("block", "job-3", {}, "single")
    finished(queue, "job-3")
    assert calls == ["job-1", "job-3"]


def test_running_job_learns_that_it_is_cancelled(queue: JobQueue) -> None:
    started, ended = threading.Event(), threading.Event()

    def patient(job_id: str, payload: dict[str, Any]) -> Mapping[str, Any]:
        started.set()
        eventually(lambda: queue.is_cancelled(job_id))
        ended.set()
        return {"finished": True}

    queue.register("patient", patient)
    queue.register("quick", lambda *_: None)
    queue.launch()
    queue.enqueue("patient", "job-1", {}, "single")
    assert started.wait(20)
    assert queue.status("job-1").state == "running"
    queue.cancel("job-1")
    assert ended.wait(20)
    queue.enqueue("quick", "job-2", {}, "single")
    finished(queue, "job-2")
    assert queue.status("job-1").state == "cancelled"


def test_cancelled_job_that_was_unavailable_is_not_tried_again(queue: JobQueue) -> None:
    started, release = threading.Event(), threading.Event()

    def away(job_id: str, payload: dict[str, Any]) -> None:
        started.set()
        release.wait(20)
        raise Unavailable("Later.")

    queue.register("away", away)
    queue.register("quick", lambda *_: None)
    queue.launch()
    queue.enqueue("away", "job-1", {}, "single")
    assert started.wait(20)
    queue.cancel("job-1")
    release.set()
    queue.enqueue("quick", "job-2", {}, "single")
    finished(queue, "job-2")
    assert (queue.status("job-1").state, queue.status("job-1").attempts) == ("cancelled", 1)


def test_concurrency_is_kept_and_used(queue: JobQueue) -> None:
    lock, now, most = threading.Lock(), 0, 0
    both = threading.Barrier(2, timeout=20)

    def crowd(job_id: str, payload: dict[str, Any]) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        both.wait()
        with lock:
            now -= 1

    queue.register("crowd", crowd)
    queue.launch()
    for number in range(6):
        queue.enqueue("crowd", f"job-{number}", {})
    for number in range(6):
        assert finished(queue, f"job-{number}").state == "succeeded"
    assert most == 2


def test_job_may_enqueue_jobs(queue: JobQueue) -> None:
    def parent(job_id: str, payload: dict[str, Any]) -> None:
        for number in range(3):
            queue.enqueue("child", f"{job_id}/child-{number}", {})

    queue.register("parent", parent)
    queue.register("child", lambda *_: None)
    queue.launch()
    queue.enqueue("parent", "job-1", {})
    finished(queue, "job-1")
    for number in range(3):
        assert finished(queue, f"job-1/child-{number}").state == "succeeded"


def test_unknown_job(queue: JobQueue) -> None:
    queue.launch()
    for call in (queue.status, queue.cancel, queue.retry, queue.is_cancelled):
        with pytest.raises(NoSuchJob):
            call("nothing")


def test_ids_with_marks_are_kept_apart(queue: JobQueue) -> None:
    queue.register("echo", lambda job_id, _: {"id": job_id})
    queue.launch()
    for job_id in ("a", "a%", "a_b", "2.16.840/1 ü"):
        queue.enqueue("echo", job_id, {})
        assert finished(queue, job_id).result == {"id": job_id}


def test_client_enqueues_and_watches(durable_url: str) -> None:
    client = JobClient(durable_url)
    client.enqueue("echo", "job-1", {"a": [1, None, "ü"]})
    assert client.status("job-1").state == "enqueued"
    assert client.counts() == {"enqueued": 1, "running": 0, "failed": 0}
    queue = DbosJobQueue(durable_url, "test-worker", {"default": 1}, backoff=BACKOFF, poll_s=0.05)
    queue.register("echo", lambda _, payload: payload)
    queue.launch()
    try:
        assert finished(client, "job-1").result == {"a": [1, None, "ü"]}
    finally:
        queue.shutdown(2)
        client.shutdown()

"""Look at a process tree from outside: its process ids, whether it is ready, who may run it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from pathlib import Path

import psutil

from racoon.errors import Unavailable
from racoon.platform.settings import ConfigurationError


class AlreadyRunning(ConfigurationError):
    """Another supervisor works with the same run directory."""

    code = "supervise.already_running"


class NotReady(Unavailable):
    """A process tree did not become ready in time, or ended."""

    code = "supervise.not_ready"


def read_pids(run_directory: Path) -> dict[str, int]:
    """Return the process ids of a running tree by name, the supervisor's among them."""
    pids = {}
    for path in sorted(run_directory.glob("*.pid")):
        with contextlib.suppress(OSError, ValueError):
            pids[path.stem] = int(path.read_text(encoding="ascii"))
    return pids


def wait_until_ready(run_directory: Path, timeout_s: float, *, process: int | None = None) -> None:
    """Wait until every child of a tree said it is ready.

    Parameters
    ----------
    run_directory
        The tree's.
    timeout_s
        How long at most.
    process
        Process id of the supervisor; when it ends first there is no point in waiting.

    Raises
    ------
    NotReady
    """
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while not (run_directory / "ready").exists():
        if process is not None and not _is_alive(process):
            raise NotReady("The process tree ended before it was ready; its log says why.")
        if time.monotonic() > deadline:
            raise NotReady(f"The process tree was not ready within {timeout_s:g} seconds; its log says why.")
        pause.wait(0.02)


def _is_alive(process: int) -> bool:
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def take_lock(run_directory: Path) -> int:
    """Claim a run directory; the lock ends with the process that holds the descriptor."""
    descriptor = os.open(run_directory / "supervisor.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise AlreadyRunning(
            "This role already runs with the same data folder. Stop it first, or use another data folder."
        ) from error
    return descriptor

"""Start, watch, restart and stop the demo's processes, as an init system would in a hospital."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import ClassVar

import psutil

from racoon.errors import Defect

CONFIGURATION_EXIT = 78
"""A role that ends with it has a wrong configuration; starting it again would not help."""


class RoleFailed(Defect):
    """A server of the demo does not start."""

    code: ClassVar[str] = "demo.role_failed"


class Processes:
    """Named child processes; a server that dies is started again, a tool that ends is not.

    Parameters
    ----------
    logs
        Folder for the output of each.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        logs.mkdir(parents=True, exist_ok=True)
        self._commands: dict[str, list[str]] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self.restarts = 0
        threading.Thread(target=self._watch, name="demo-watch", daemon=True).start()

    def serve(self, name: str, arguments: list[str]) -> None:
        """Start a server and keep it alive."""
        with self._lock:
            self._commands[name] = arguments
            self._running[name] = self._spawn(name, arguments)

    def call(
        self, name: str, arguments: list[str], *, text: str | None = None, timeout_s: float = 300
    ) -> str:
        """Run a tool to its end and return what it printed.

        Raises
        ------
        RoleFailed
            With the tool's last line.
        """
        done = subprocess.run(
            [sys.executable, "-m", *arguments],
            input=text,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            env=environment(),
            check=False,
        )
        if done.returncode != 0:
            lines = (done.stderr or done.stdout).strip().splitlines()
            raise RoleFailed(f"{name} ended with {done.returncode}: {lines[-1] if lines else 'no output'}")
        return done.stdout

    def start_tool(self, name: str, arguments: list[str]) -> subprocess.Popen[bytes]:
        """Start a tool in the background; its caller waits for it."""
        with self._lock:
            process = self._spawn(name, arguments)
            self._running[name] = process
            return process

    def pids(self) -> dict[str, int]:
        """Process id of each running child."""
        with self._lock:
            return {name: process.pid for name, process in self._running.items() if process.poll() is None}

    def stop(self, grace_s: float = 20.0) -> None:
        """Stop everything, gently first, tools before servers' CENTRAL."""
        self._stopping.set()
        with self._lock:
            running = [process for process in self._running.values() if process.poll() is None]
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + grace_s
        for process in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
        for process in running:
            if process.poll() is None:
                for child in psutil.Process(process.pid).children(recursive=True):
                    with contextlib.suppress(psutil.Error):
                        child.kill()
                process.kill()
                process.wait()

    def _spawn(self, name: str, arguments: list[str]) -> subprocess.Popen[bytes]:
        with (self._logs / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=environment(),
                start_new_session=True,
            )

    def _watch(self) -> None:
        while not self._stopping.wait(0.3):
            with self._lock:
                for name, arguments in self._commands.items():
                    code = self._running[name].poll()
                    if code is not None and code != CONFIGURATION_EXIT and not self._stopping.is_set():
                        self.restarts += 1
                        self._running[name] = self._spawn(name, arguments)


MEASURE_EVERY_S = 2.0

PROPORTIONAL_EVERY = 8
"""Walking the page tables of forty processes costs a fifth of a second; every sixteen seconds is enough."""


class MemoryMeter:
    """Measures the memory of this process and everything it started, now and then, and remembers the peak."""

    def __init__(self) -> None:
        self.peak_rss_mb = 0.0
        self.peak_pss_mb = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="demo-memory", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop measuring."""
        self._stop.set()
        self._thread.join(5)

    def _loop(self) -> None:
        me = psutil.Process()
        rounds = 0
        while not self._stop.wait(MEASURE_EVERY_S):
            processes = [me, *me.children(recursive=True)]
            rss = pss = 0
            for process in processes:
                with contextlib.suppress(psutil.Error, OSError):
                    rss += process.memory_info().rss
                    if rounds % PROPORTIONAL_EVERY == 0:
                        pss += proportional_bytes(process.pid)
            rounds += 1
            self.peak_rss_mb = max(self.peak_rss_mb, rss / 2**20)
            self.peak_pss_mb = max(self.peak_pss_mb, pss / 2**20)


def proportional_bytes(pid: int) -> int:
    """Proportional set size of a process: shared pages are divided among those who share them."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def tree_memory_mb(pids: dict[str, int]) -> dict[str, int]:
    """Measure the proportional memory of each named process with all its children now, in MB."""
    memory = {}
    for name, pid in pids.items():
        with contextlib.suppress(psutil.Error, OSError):
            root = psutil.Process(pid)
            tree = [root, *root.children(recursive=True)]
            memory[name] = round(sum(proportional_bytes(process.pid) for process in tree) / 2**20)
    return memory


def environment() -> dict[str, str]:
    """Environment of the demo's children: one thread per numerical library, no proxy to this machine."""
    variables = dict(os.environ)
    variables.update(
        OMP_NUM_THREADS="1",
        OPENBLAS_NUM_THREADS="1",
        MKL_NUM_THREADS="1",
        MALLOC_ARENA_MAX="2",
        PYTHONUNBUFFERED="1",
    )
    hosts = {host for host in variables.get("NO_PROXY", "").split(",") if host} | {"127.0.0.1", "localhost"}
    variables["NO_PROXY"] = variables["no_proxy"] = ",".join(sorted(hosts))
    return variables

"""A whole network of real processes, started once with the product's own command."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from racoon.client import CentralClient, NodeClient

START_LIMIT_S = 300.0


@dataclass(frozen=True)
class LiveDemo:
    """A running demo: its folder, its summary, and doors into its servers."""

    folder: Path
    summary: dict[str, Any]
    opened: list[CentralClient | NodeClient] = field(default_factory=list)

    def ports(self, name: str) -> tuple[int, int]:
        """HTTP port and second port (DICOM, or the nodes' port of CENTRAL) of a participant."""
        first, second = json.loads((self.folder / "ports.json").read_text())[name]
        return first, second

    def password(self, login: str) -> str:
        """Password of a login name."""
        return str(json.loads((self.folder / "logins.json").read_text())[login])

    def central(self, login: str) -> CentralClient:
        """CENTRAL as a person sees it."""
        client = CentralClient(f"http://127.0.0.1:{self.ports('CENTRAL')[0]}")
        self.opened.append(client)
        client.login(login, self.password(login))
        return client

    def node(self, site: str, login: str) -> NodeClient:
        """A node as a person sees it."""
        client = NodeClient(f"http://127.0.0.1:{self.ports(site)[0]}")
        self.opened.append(client)
        client.login(login, self.password(login))
        return client

    def data(self, site: str) -> Path:
        """Data directory of a participant."""
        return self.folder / site.lower() / "data"


def start_demo(folder: Path, *flags: str) -> subprocess.Popen[bytes]:
    """Start ``racoon demo`` as its own session; its output goes to a file beside the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "racoon", "demo", "--folder", str(folder), *flags],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )


def stop_demo(process: subprocess.Popen[bytes]) -> None:
    """Press Ctrl-C and wait until everything is gone."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        # The servers are sessions of their own and would outlive a demo that is killed.
        family = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        for member in family:
            with contextlib.suppress(psutil.Error):
                member.kill()


def wait_for_summary(
    folder: Path, process: subprocess.Popen[bytes], limit_s: float = START_LIMIT_S
) -> dict[str, Any]:
    """Wait until the demo has written its summary."""
    path = folder / "summary.json"
    deadline = time.monotonic() + limit_s
    while not path.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            log = (folder.parent / f"{folder.name}.log").read_text(errors="replace")
            stop_demo(process)
            pytest.fail(f"the demo ended without a summary:\n{log[-4000:]}")
        threading.Event().wait(0.2)
    summary: dict[str, Any] = json.loads(path.read_text())
    return summary


@pytest.fixture(scope="session")
def light_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveDemo]:
    """A light demo of three hospitals that has walked its study and goes on running."""
    folder = tmp_path_factory.mktemp("light") / "demo"
    process = start_demo(folder, "--light", "--seed", "7")
    summary = wait_for_summary(folder, process)
    demo = LiveDemo(folder, summary)
    yield demo
    for client in demo.opened:
        client.close()
    stop_demo(process)

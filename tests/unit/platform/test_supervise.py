"""The process tree: restart, stop, death of the supervisor, configuration errors, readiness."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from racoon.platform.supervise import AlreadyRunning, NotReady, Supervisor, read_pids, wait_until_ready
from tests.waiting import eventually

_HEAD = """
import os, subprocess, sys, threading
from pathlib import Path
from racoon.platform.logs import configure_logging
from racoon.platform.settings import ConfigurationError
from racoon.platform.supervise import Supervisor, die_with_parent, mark_ready, stopping

run = Path(sys.argv[1])

def patient():
    stop = stopping()
    mark_ready()
    stop.wait()
    (run / "patient.done").touch()

def simple():
    mark_ready()
    threading.Event().wait()

def stubborn():
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    mark_ready()
    while True:
        threading.Event().wait()

def family():
    child = subprocess.Popen([sys.executable, "-c", "import threading; threading.Event().wait()"])
    (run / "grandchild").write_text(str(child.pid))
    mark_ready()
    threading.Event().wait()

def http():
    from racoon.platform.http import serve
    serve([listener], mark_ready)

def misconfigured():
    raise ConfigurationError("Key 'port' is wrong. Write 8080.")
"""


class Tree:
    """A process tree in a folder, started from a few lines of code."""

    def __init__(self, folder: Path, code: str) -> None:
        self.run_directory = folder
        script = folder / "tree.py"
        script.write_text(_HEAD + textwrap.dedent(code), encoding="utf-8")
        with (folder / "stderr").open("wb") as stderr:
            self.process = subprocess.Popen([sys.executable, str(script), str(folder)], stderr=stderr)

    def pid(self, name: str) -> int:
        return eventually(lambda: read_pids(self.run_directory).get(name))

    def wait_until_ready(self) -> None:
        wait_until_ready(self.run_directory, 20, process=self.process.pid)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    @property
    def stderr(self) -> str:
        return (self.run_directory / "stderr").read_text()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Tree]]:
    trees: list[Tree] = []

    def start(code: str) -> Tree:
        trees.append(Tree(tmp_path, code))
        return trees[-1]

    yield start
    for tree in trees:
        if tree.process.poll() is None:
            tree.process.kill()
        tree.process.wait(10)


def _gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_stop_is_graceful(start: Callable[[str], Tree], tmp_path: Path) -> None:
    tree = start("""
        sys.exit(Supervisor("test", {"patient": patient, "simple": simple}, run).run())
    """)
    tree.wait_until_ready()
    assert set(read_pids(tmp_path)) == {"patient", "simple", "supervisor"}
    pids = list(read_pids(tmp_path).values())
    assert tree.stop() == 0
    assert (tmp_path / "patient.done").exists()
    assert all(_gone(pid) for pid in pids)
    assert read_pids(tmp_path) == {}
    assert not (tmp_path / "ready").exists()


def test_killed_child_is_started_again(start: Callable[[str], Tree]) -> None:
    tree = start("""
        sys.exit(Supervisor("test", {"patient": patient, "simple": simple}, run).run())
    """)
    tree.wait_until_ready()
    before, other = tree.pid("simple"), tree.pid("patient")
    os.kill(before, signal.SIGKILL)
    eventually(lambda: tree.pid("simple") != before)
    tree.wait_until_ready()
    assert tree.pid("patient") == other
    assert tree.stop() == 0


def test_killed_http_process_keeps_its_port(start: Callable[[str], Tree], tmp_path: Path) -> None:
    """The supervisor holds the listening socket, so that clients wait instead of being refused."""
    tree = start("""
        from racoon.platform.http import Listener, create_app
        listener = Listener(create_app("Test", "1"), "127.0.0.1", 0)
        (run / "port").write_text(str(listener.bind()))
        sys.exit(Supervisor("test", {"http": http, "patient": patient}, run).run())
    """)
    tree.wait_until_ready()
    address = f"http://127.0.0.1:{(tmp_path / 'port').read_text()}/health/live"
    for _ in range(3):
        before = tree.pid("http")
        assert httpx.get(address, trust_env=False, timeout=20).json() == {"status": "alive"}
        os.kill(before, signal.SIGKILL)
        eventually(lambda before=before: tree.pid("http") != before)
    tree.wait_until_ready()
    assert tree.stop() == 0


def test_children_die_with_a_killed_supervisor(start: Callable[[str], Tree], tmp_path: Path) -> None:
    code = """
        sys.exit(Supervisor("test", {"stubborn": stubborn, "simple": simple}, run).run())
    """
    tree = start(code)
    tree.wait_until_ready()
    pids = read_pids(tmp_path)
    tree.process.kill()
    tree.process.wait(10)
    for name in ("stubborn", "simple"):
        eventually(lambda name=name: _gone(pids[name]), timeout_s=3)
    # The files it left behind do not stop the next one.
    again = start(code)
    eventually(lambda: read_pids(tmp_path).get("supervisor") == again.process.pid)
    again.wait_until_ready()
    again.process.kill()


def test_grandchildren_die_with_their_killed_parent(start: Callable[[str], Tree], tmp_path: Path) -> None:
    tree = start("""
        sys.exit(Supervisor("test", {"family": family}, run).run())
    """)
    tree.wait_until_ready()
    grandchild = int((tmp_path / "grandchild").read_text())
    os.kill(tree.pid("family"), signal.SIGKILL)
    eventually(lambda: _gone(grandchild), timeout_s=3)
    tree.wait_until_ready()
    second = eventually(lambda: int((tmp_path / "grandchild").read_text() or 0))
    assert tree.stop() == 0
    eventually(lambda: _gone(second), timeout_s=3)


def test_stubborn_child_is_killed_at_the_deadline(start: Callable[[str], Tree]) -> None:
    tree = start("""
        sys.exit(Supervisor("test", {"stubborn": stubborn, "patient": patient}, run, grace_s=0.5).run())
    """)
    tree.wait_until_ready()
    assert tree.stop() == 1


def test_configuration_error_stops_the_tree(start: Callable[[str], Tree], tmp_path: Path) -> None:
    tree = start("""
        sys.exit(Supervisor("test", {"patient": patient, "wrong": misconfigured}, run).run())
    """)
    assert tree.process.wait(20) == 78
    assert "Key 'port' is wrong. Write 8080." in tree.stderr
    with pytest.raises(NotReady, match="ended before"):
        wait_until_ready(tmp_path, 5, process=tree.process.pid)


def test_crashing_child_gets_growing_pauses(start: Callable[[str], Tree], tmp_path: Path) -> None:
    tree = start("""
        configure_logging("test")
        def crash():
            with open(run / "starts", "a") as starts:
                starts.write("x")
            raise ValueError("Doe^Erika")
        sys.exit(Supervisor("test", {"crash": crash}, run).run())
    """)
    starts = tmp_path / "starts"
    eventually(lambda: starts.exists() and len(starts.read_text()) >= 3)
    assert tree.stop() == 0
    assert '"delay_s":0.2' in tree.stderr
    assert '"delay_s":0.4' in tree.stderr
    assert "ValueError" in tree.stderr
    assert "Erika" not in tree.stderr


def test_second_supervisor_is_refused(start: Callable[[str], Tree], tmp_path: Path) -> None:
    tree = start("""
        sys.exit(Supervisor("test", {"simple": simple}, run).run())
    """)
    tree.wait_until_ready()
    with pytest.raises(AlreadyRunning, match="already runs"):
        Supervisor("test", {"simple": lambda: None}, tmp_path).run()
    assert tree.stop() == 0


def test_not_ready_in_time(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="not ready within"):
        wait_until_ready(tmp_path, 0.05)

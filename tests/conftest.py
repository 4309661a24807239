"""What every test gets: closed doors, seeds, the real data, and a check that no process stays behind."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.live import light_demo  # noqa: F401 -- one running network for all folders of tests

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy and torch are imported: two cores are shared
for _name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
    os.environ.pop(_name, None)  # tests speak to loopback only; those about proxies start their own

ROOT = Path(__file__).resolve().parent.parent

# Property tests: `fast` (random) while writing, `ci` (the same seeded sample each time) for every change, `deep`
# for `make acceptance`.
# A fixed number of examples and no deadline: two shared cores make single examples slow now and then.
_QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("fast", max_examples=20, deadline=None, suppress_health_check=_QUIET)
settings.register_profile(
    "ci", max_examples=60, deadline=None, suppress_health_check=_QUIET, print_blob=True, derandomize=True
)
settings.register_profile(
    "deep",
    max_examples=2000,
    deadline=None,
    suppress_health_check=_QUIET,
    print_blob=True,
    phases=tuple(Phase),
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "fast"))


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the clone."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with real images that nobody here made; it lies beside the clone and is never part of it."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("REAL DATA MISSING: ../shared/data is not there; this test needs real images")
    return folder


@pytest.fixture
def needs_program() -> Callable[[str, str], str]:
    """A function that returns the path of a program from Debian, or skips and says what to install."""

    def find(program: str, package: str) -> str:
        # Python packages bring programs of the same names; those of the environment are not meant here.
        own = Path(sys.prefix) / "bin"
        places = [place for place in os.environ.get("PATH", "").split(os.pathsep) if Path(place) != own]
        path = shutil.which(program, path=os.pathsep.join(places))
        if path is None:
            pytest.skip(f"{program} is not installed: apt-get install {package}")
        return path

    return find


@pytest.fixture
def free_ports() -> list[int]:
    """Four loopback ports that nobody listens on at this moment."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(4)]
    ports: list[int] = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports


def _children() -> set[psutil.Process]:
    own = psutil.Process()
    return {child for child in own.children(recursive=True) if not _belongs_to_python(child)}


def _belongs_to_python(process: psutil.Process) -> bool:
    """Tell whether a process is multiprocessing's own helper, which lives as long as the interpreter."""
    try:
        words = " ".join(process.cmdline())
    except psutil.Error:
        return True
    return "resource_tracker" in words or "forkserver" in words


def _belongs_to_one_of(before: set[psutil.Process], process: psutil.Process) -> bool:
    """Tell whether something older than the test started a process: a browser or a network of several tests."""
    try:
        return not before.isdisjoint(process.parents())
    except psutil.Error:
        return True


@pytest.fixture(autouse=True)
def no_process_stays_behind() -> Iterator[None]:
    """Fail a test that leaves a child process running, and end that process for the tests that follow."""
    before = _children()
    yield
    left = {child for child in _children() - before if not _belongs_to_one_of(before, child)}
    if not left:
        return
    _, alive = psutil.wait_procs(list(left), timeout=5)
    alive = [
        process for process in alive if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    ]
    names = [f"{process.pid} {' '.join(process.cmdline())[:120]}" for process in alive]
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=5)
    if names:
        pytest.fail("the test left processes running:\n  " + "\n  ".join(names), pytrace=False)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say at the top which data, profile and machine this run has."""
    has_data = (ROOT.parent / "shared" / "data").is_dir()
    memory_gib = psutil.virtual_memory().total / 1024**3
    python = sys.version.split()[0]
    return [
        f"racoon: {os.cpu_count()} cores, {memory_gib:.0f} GiB, Python {python}",
        f"racoon: real data {'at ../shared/data' if has_data else 'MISSING, so tests on it are skipped'}",
        f"racoon: hypothesis profile {settings.get_current_profile_name()}",
    ]

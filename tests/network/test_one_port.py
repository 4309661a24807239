"""Training over CENTRAL's one HTTPS port: real engine processes, real TLS, a proxy in between, and a line that is cut.

Sites know the nodes' listener and nothing else; the engine listens on CENTRAL's loopback, and who dials it is recorded.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any, Self

import psutil
import pytest

pytest.importorskip("torch", reason='needs the extra: pip install "racoon[learning]"')
pytest.importorskip("nvflare", reason='needs the extra: pip install "racoon[learning]"')

from racoon.learning.engine import EngineAddress, EngineIdentity
from racoon.learning.flare.central_side import recorded_process
from racoon.node.compute.seat import EngineSeat
from tests.network.test_federated_training import (
    PATIENCE,
    PLAN,
    SITES,
    Federation,
    _rounds,
)
from tests.network.test_federated_training import expected as expected  # noqa: PLC0414
from tests.network.test_line import ForwardProxy
from tests.one_port import OnePort
from tests.waiting import eventually

pytestmark = [
    pytest.mark.learning,
    pytest.mark.slow,
    pytest.mark.timeout(240),
    # nvflare 2.9 passes aiohttp a deprecated argument; as an error that would end FLARE's connector.
    pytest.mark.filterwarnings("ignore:ssl_context is deprecated:DeprecationWarning"),
]


class CutProxy(ForwardProxy):
    """A proxy that cuts all its connections when asked."""

    def cut(self) -> int:
        count = 0
        for item in self._open:
            with suppress(OSError):
                item.shutdown(socket.SHUT_RDWR)
                count += 1
        return count


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Federation:
    return Federation(tmp_path_factory.mktemp("one-port"))


@pytest.fixture(scope="module")
def central(federation: Federation) -> Iterator[OnePort]:
    one_port = OnePort(federation.root / "one-port", federation.port)
    with one_port.serving(SITES):
        yield one_port


@contextmanager
def _seats(federation: Federation, central: OnePort, run_id: str) -> Iterator[None]:
    """Let every site take part over its own line; what it is told of the engine has no address."""
    stop = threading.Event()
    central.start_run(run_id, SITES)
    with ExitStack() as stack, ThreadPoolExecutor(len(SITES)) as pool:
        lines = {site: stack.enter_context(central.line(site)) for site in SITES}

        def join(site: str, request: str) -> EngineIdentity:
            found = federation.training.sign_site(site, request)
            return replace(
                found, address=EngineAddress("127.0.0.1", lines[site].open(), found.address.identity)
            )

        try:
            for site, engine in federation.sites.items():
                seat = EngineSeat(engine, partial(join, site))
                pool.submit(seat.take_part, run_id, PLAN, federation.cases(site), should_stop=stop.is_set)
            yield
        finally:
            stop.set()
    central.cancel_run(run_id)


class Watch:
    """Looks all the time who is connected to the engine's port, and where the sites' processes are connected to."""

    def __init__(self, federation: Federation) -> None:
        self._federation = federation
        self.dialled_by_sites: set[int] = set()
        self.site_processes: set[int] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(0.2):
            for site in self._federation.sites.values():
                root = recorded_process(site.folder / "site.pid")
                with suppress(psutil.Error):
                    for process in [root, *root.children(recursive=True)] if root else []:
                        self.site_processes.add(process.pid)
                        for found in process.net_connections("tcp"):
                            if found.raddr:
                                self.dialled_by_sites.add(found.raddr.port)


def _run(federation: Federation, run_id: str) -> Any:
    return federation.training.run_federated(run_id, PLAN, SITES, patience=PATIENCE)


def test_training_with_one_port_open(federation: Federation, central: OnePort, expected: bytes) -> None:
    with Watch(federation) as watch, _seats(federation, central, "run-one"):
        result = _run(federation, "run-one")
        listening = (
            {
                found.laddr.ip
                for found in recorded_process(federation.engine.folder / "server.pid").net_connections("tcp")
                if found.status == psutil.CONN_LISTEN
            }
            if federation.engine.is_server_alive()
            else {"127.0.0.1"}
        )
    assert result.weights.read_bytes() == expected
    assert [attempt.ended for attempt in result.attempts] == ["completed"]
    assert listening == {"127.0.0.1"}
    assert len(watch.site_processes) >= len(SITES)
    assert federation.port not in watch.dialled_by_sites
    assert central.port not in watch.dialled_by_sites
    assert central.door.bytes_carried["in"] > 0


def test_training_through_a_proxy_whose_lines_are_cut(
    federation: Federation,
    central: OnePort,
    expected: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proxy = CutProxy()
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    for name in ("NO_PROXY", "no_proxy", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    before = central.door.cuts
    with _seats(federation, central, "run-cut"), ThreadPoolExecutor(1) as pool:
        running = pool.submit(_run, federation, "run-cut")
        cuts = 0
        for number in (1, 2, 3):
            eventually(
                lambda number=number: _rounds(federation, "run-cut") >= number, timeout_s=90, what="a round"
            )
            # Into the next round, which takes a few seconds.
            threading.Event().wait(0.5)
            cuts += proxy.cut()
        result = running.result(timeout=120)
    proxy.close()
    assert result.weights.read_bytes() == expected
    assert [attempt.ended for attempt in result.attempts] == ["completed"]
    assert [entry["missing"] for entry in result.rounds] == [[]] * PLAN.rounds
    assert cuts >= 3 * len(SITES)
    assert central.door.cuts - before >= 3
    assert set(proxy.targets) == {f"127.0.0.1:{central.port}"}

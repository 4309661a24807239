"""Run an application on several listeners in one event loop, with a graceful stop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field

import uvicorn
import uvloop
from fastapi import FastAPI

from racoon.platform.certificates import TlsFiles
from racoon.platform.http.peer import ConnectionProtocol
from racoon.platform.settings import ConfigurationError

_log = logging.getLogger(__name__)

GRACE_S = 3
"""How long open requests may go on after a stop was asked for; long polls are cancelled and asked again."""

KEEP_ALIVE_S = 75
"""Longer than a node's poll interval: a node keeps one TLS connection, no handshake per poll."""

CERTIFICATE_CHECK_S = 30.0
"""How often a listener looks whether its certificate file was renewed."""


class PortInUse(ConfigurationError):
    """Another program listens on the configured port, or this one may not."""

    code = "http.port_in_use"


@dataclass
class Listener:
    """One address an application listens on.

    Parameters
    ----------
    app
        The application; several listeners may share it.
    host, port
        Address; port 0 takes any free one.
    tls
        Certificate files; plain HTTP when ``None`` (loopback or behind a proxy).
    client_certificate
        Whether the client must show a certificate of ``tls.authority``.
    name
        For the log.
    """

    app: FastAPI
    host: str
    port: int
    tls: TlsFiles | None = None
    client_certificate: bool = False
    name: str = "http"
    socket: socket.socket | None = field(default=None, repr=False)

    def bind(self) -> int:
        """Take the port now (a supervisor does it before it forks) and return its number.

        Raises
        ------
        PortInUse
        """
        if self.socket is None:
            family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
            bound = socket.socket(family, socket.SOCK_STREAM)
            try:
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                bound.bind((self.host, self.port))
                bound.listen(512)
            except OSError as error:
                bound.close()
                raise _cannot_bind(self, error) from error
            bound.setblocking(False)
            self.socket = bound
            self.port = bound.getsockname()[1]
        return self.port


def _cannot_bind(listener: Listener, error: OSError) -> PortInUse:
    place = f"port {listener.port} on {listener.host}"
    if error.errno == errno.EADDRINUSE:
        return PortInUse(f"The {place} is in use by another program. Stop it or configure another port.")
    if error.errno == errno.EACCES:
        return PortInUse(f"This user may not listen on {place}. Configure a port above 1023.")
    return PortInUse(f"Cannot listen on {place}: {error.strerror}. Configure an address of this machine.")


class _Server(uvicorn.Server):
    """A uvicorn server that leaves signals to us, because several of them share one process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def serve(
    listeners: Sequence[Listener],
    on_ready: Callable[[], None] | None = None,
    *,
    stop: threading.Event | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, or until ``stop`` is set; blocks.

    Parameters
    ----------
    listeners
        Where to listen; unbound ones are bound first, so an occupied port shows before anything starts.
    on_ready
        Called once when every listener accepts connections.
    stop
        Another way to stop, for a server that runs in a thread.

    Raises
    ------
    PortInUse
    ConfigurationError
        A certificate cannot be used.
    """
    try:
        for listener in listeners:
            listener.bind()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(listeners, on_ready, stop))
    finally:
        for listener in listeners:
            if listener.socket is not None:
                listener.socket.close()
                listener.socket = None


async def _serve(
    listeners: Sequence[Listener], on_ready: Callable[[], None] | None, stop: threading.Event | None
) -> None:
    seen: set[int] = set()
    servers: list[_Server] = []
    contexts: list[tuple[Listener, ssl.SSLContext]] = []
    for listener in listeners:
        config = _config(listener, lifespan="off" if id(listener.app) in seen else "on")
        seen.add(id(listener.app))
        if isinstance(config.ssl, ssl.SSLContext):
            contexts.append((listener, config.ssl))
        servers.append(_Server(config))
    stopping = asyncio.Event()
    for listener in listeners:
        listener.app.state.stopping = stopping
    loop = asyncio.get_running_loop()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
    tasks = [
        asyncio.create_task(server.serve(sockets=[listener.socket] if listener.socket else None))
        for server, listener in zip(servers, listeners, strict=True)
    ]
    started = asyncio.create_task(_all_started(servers))
    await asyncio.wait([*tasks, started], return_when=asyncio.FIRST_COMPLETED)
    if on_ready is not None and started.done():
        on_ready()
    started.cancel()
    watcher = asyncio.create_task(_watch(stopping, contexts, stop))
    await asyncio.wait([*tasks, watcher], return_when=asyncio.FIRST_COMPLETED)
    stopping.set()
    for server in servers:
        server.should_exit = True
    try:
        await asyncio.gather(*tasks)
    finally:
        watcher.cancel()


async def _all_started(servers: Sequence[_Server]) -> None:
    while not all(server.started for server in servers):  # noqa: ASYNC110 -- uvicorn offers a flag, no event
        await asyncio.sleep(0.01)


async def _watch(
    stopping: asyncio.Event, contexts: list[tuple[Listener, ssl.SSLContext]], stop: threading.Event | None
) -> None:
    """Return when the server has to stop; load renewed certificates meanwhile."""
    known = {id(context): _changed_at(listener) for listener, context in contexts}
    waited_s = 0.0
    pause_s = 0.05 if stop is not None else 1.0
    while not stopping.is_set() and not (stop is not None and stop.is_set()):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), pause_s)
        waited_s += pause_s
        if waited_s < CERTIFICATE_CHECK_S:
            continue
        waited_s = 0.0
        for listener, context in contexts:
            if listener.tls is not None and _changed_at(listener) != known[id(context)]:
                with contextlib.suppress(OSError, ssl.SSLError):
                    context.load_cert_chain(listener.tls.certificate, listener.tls.key)
                    known[id(context)] = _changed_at(listener)
                    _log.info("renewed certificate loaded", extra={"listener": listener.name})


def _changed_at(listener: Listener) -> int:
    with contextlib.suppress(OSError):
        return listener.tls.certificate.stat().st_mtime_ns if listener.tls else 0
    return 0


def _config(listener: Listener, lifespan: str) -> uvicorn.Config:
    config = uvicorn.Config(
        listener.app,
        host=listener.host,
        port=listener.port,
        http=ConnectionProtocol,
        ws="none",
        loop="none",
        lifespan="on" if lifespan == "on" else "off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
    config.load()
    config.ssl = _tls_context(listener)
    return config


def _tls_context(listener: Listener) -> ssl.SSLContext | None:
    if listener.tls is None:
        if listener.client_certificate:
            raise ConfigurationError("A listener that asks for client certificates needs TLS files.")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(listener.tls.certificate, listener.tls.key)
        if listener.client_certificate:
            if listener.tls.authority is None:
                raise ConfigurationError("A listener that asks for client certificates needs an authority.")
            context.load_verify_locations(listener.tls.authority)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"The TLS files of listener '{listener.name}' cannot be used. Check certificate and key.",
            details={"certificate": str(listener.tls.certificate)},
        ) from error
    return context


@contextlib.contextmanager
def serve_in_thread(listeners: Sequence[Listener]) -> Iterator[Sequence[Listener]]:
    """Serve in a thread while the block runs; the listeners then know their ports.  For tests and tools."""
    ready, stop = threading.Event(), threading.Event()
    failure: list[BaseException] = []

    def run() -> None:
        try:
            serve(listeners, ready.set, stop=stop)
        except BaseException as error:  # noqa: BLE001 -- handed to the thread that waits
            failure.append(error)
        finally:
            ready.set()

    for listener in listeners:
        listener.bind()
    thread = threading.Thread(target=run, name="http", daemon=True)
    thread.start()
    ready.wait()
    try:
        if failure:
            raise failure[0]
        yield listeners
    finally:
        stop.set()
        thread.join()

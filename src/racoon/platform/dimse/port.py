"""An open port: accepts connections, gives each a thread, and counts them."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time

from racoon.platform.dimse.acceptor import Association, Limits, Provider
from racoon.platform.dimse.connection import Connection

LOG = logging.getLogger(__name__)

WAITING_CONNECTIONS = 32
"""Connections beyond the associations that may be about to ask for one; more are closed at once."""

BACKLOG = 128
STOP_WAIT_S = 5.0


class Port:
    """Serves associations in threads from :meth:`start` to :meth:`stop`.

    Parameters
    ----------
    host, port
        Where to listen.
    provider
        What is served.
    limits
        What a peer may take.
    max_associations
        At the same time; a further one is rejected for now.
    tls
        With it the port speaks TLS only.

    Raises
    ------
    OSError
        If the port is taken.
    """

    def __init__(
        self,
        host: str,
        port: int,
        provider: Provider,
        limits: Limits,
        *,
        max_associations: int,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._provider, self._limits, self._tls = provider, limits, tls
        self._most = max_associations
        self._lock = threading.Lock()
        self._associated = 0
        self._open: dict[threading.Thread, Association | None] = {}
        self._is_closing = threading.Event()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=BACKLOG)
        self._thread = threading.Thread(target=self._accept, name="dimse-port", daemon=True)

    @property
    def port(self) -> int:
        """Port that is open."""
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        """Accept connections from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Close the port and end open associations."""
        self._is_closing.set()
        # Waking who waits in accept() is what shutdown does to a listening socket here; closing it would not.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(STOP_WAIT_S)
        self._socket.close()
        with self._lock:
            served = [(thread, item) for thread, item in self._open.items() if item is not None]
        for _, association in served:
            association.cut()
        deadline = time.monotonic() + STOP_WAIT_S
        for thread, _ in served:
            thread.join(max(deadline - time.monotonic(), 0))

    def _accept(self) -> None:
        while not self._is_closing.is_set():
            try:
                connection, address = self._socket.accept()
            except OSError as error:
                if not self._is_closing.is_set():
                    LOG.error("connections cannot be accepted", extra={"reason": type(error).__name__})
                    self._is_closing.wait(0.5)
                continue
            with self._lock:
                is_full = len(self._open) >= self._most + WAITING_CONNECTIONS
            if is_full:
                LOG.warning("too many connections: one is closed")
                connection.close()
                continue
            thread = threading.Thread(
                target=self._serve, args=(connection, str(address[0])), name="dimse-association", daemon=True
            )
            with self._lock:
                self._open[thread] = None
            try:
                thread.start()
            except RuntimeError:
                LOG.error("no thread for a connection: it is closed")
                with self._lock:
                    del self._open[thread]
                connection.close()

    def _serve(self, connection: socket.socket, address: str) -> None:
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            greeted = self._greet(connection)
            if greeted is None:
                connection.close()
                return
            association = Association(
                Connection(greeted), address, self._provider, self._limits, self._enter, self._leave
            )
            with self._lock:
                self._open[threading.current_thread()] = association
                is_late = self._is_closing.is_set()
            if is_late:
                association.cut()
            association.serve()
        finally:
            with self._lock:
                self._open.pop(threading.current_thread(), None)

    def _greet(self, connection: socket.socket) -> socket.socket | None:
        """Shake hands where the port is encrypted; in the thread of the peer, so that a silent one delays nobody."""
        if self._tls is None:
            return connection
        connection.settimeout(self._limits.artim_s)
        try:
            return self._tls.wrap_socket(connection, server_side=True)
        except (OSError, ValueError) as error:
            LOG.warning("TLS refused", extra={"reason": type(error).__name__})
            return None

    def _enter(self) -> bool:
        with self._lock:
            if self._associated >= self._most:
                return False
            self._associated += 1
            return True

    def _leave(self) -> None:
        with self._lock:
            self._associated -= 1

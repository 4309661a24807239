"""The accepting side of DICOM's upper layer (PS3.8) for searches: pynetdicom, with bounds on what a peer can take.

Every length, wait and number of connections has a limit; what a hostile peer sends ends its own association.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from typing import Any

from pynetdicom import AE
from pynetdicom.fsm import InvalidEventError, StateMachine
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from racoon.platform.dimse.pdu import LARGEST_PDU_BYTES
from racoon.platform.dimse.port import WAITING_CONNECTIONS

LOG = logging.getLogger(__name__)

RECEIVE_BYTES = 1 << 18


class BoundedSocket(AssociationSocket):
    """Reads in large pieces, within a time, and refuses a length that no honest PDU has before allocating it."""

    pdu_timeout_s = 300.0

    def recv(self, nr_bytes: int) -> bytearray:
        """Read exactly so many bytes, or fewer when the peer closed.

        The time counts for all of them: a sender that dribbles one byte a minute would keep its place for ever,
        because pynetdicom's own timers stand still while it reads.
        """
        if nr_bytes > LARGEST_PDU_BYTES + 4096:
            raise OSError("the peer announced a PDU beyond every limit")
        if self.socket is None:
            raise OSError("the connection is closed")
        data = bytearray(nr_bytes)
        view, read = memoryview(data), 0
        deadline = time.monotonic() + self.pdu_timeout_s
        while read < nr_bytes:
            self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
            count = self.socket.recv_into(view[read:], min(nr_bytes - read, RECEIVE_BYTES))
            if not count:
                view.release()
                return data[:read]
            read += count
        self.socket.settimeout(self.pdu_timeout_s)
        return data


class Steps(StateMachine):
    """The states of PS3.8 section 9.2; a step that the table does not have ends the connection, not a thread."""

    def do_action(self, event: str) -> None:
        """Take a step, or close.

        pynetdicom raises here in its reactor's thread: a trace on the error stream for each hostile sender, and a
        socket that stays open until somebody collects it.
        """
        try:
            super().do_action(event)
        except InvalidEventError:
            LOG.info("association ended out of turn", extra={"reason": f"{event} in {self.current_state}"})
            connection = self.dul.socket
            if connection is not None:
                connection.close()
            self.dul.kill_dul()


class Entity(AE):
    """Counts associations, not connections: who has not asked for one yet must not keep others out."""

    @property
    def connections(self) -> list[Any]:
        """Every open connection, whatever its state."""
        return list(super().active_associations)

    @property
    def active_associations(self) -> list[Any]:
        """Those that have asked for an association; what pynetdicom compares with the limit."""
        return [item for item in self.connections if item.requestor.primitive is not None]


class Acceptor(RequestHandler):
    """One connection, in a thread of its own: the TLS handshake too, so that a silent peer delays nobody."""

    server: Server

    def handle(self) -> None:
        """Greet a peer, encrypted where that is asked for, and serve it until it goes."""
        entity = self.ae
        assert isinstance(entity, Entity)
        if len(entity.connections) >= entity.maximum_associations + WAITING_CONNECTIONS:
            LOG.warning("too many connections: one is closed")
            self.request.close()
            return
        context = self.server.tls
        self.request.settimeout(self.server.handshake_timeout_s)
        if context is not None:
            try:
                self.request = context.wrap_socket(self.request, server_side=True)
            except (OSError, ValueError) as error:
                LOG.warning("TLS refused", extra={"reason": type(error).__name__})
                self.request.close()
                return
        super().handle()

    def _create_association(self) -> Any:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        association: Any = super()._create_association()
        # pynetdicom makes the socket itself; setting a second one would connect twice in its state machine.
        association.dul.socket.__class__ = BoundedSocket
        association.dul.socket.pdu_timeout_s = self.server.pdu_timeout_s
        association.dul.state_machine = Steps(association.dul)
        association.dul.artim_timer.timeout = self.server.handshake_timeout_s
        return association


class Server(ThreadedAssociationServer):
    """The accepting socket, with what its connections need to know."""

    daemon_threads = True
    tls: ssl.SSLContext | None = None
    handshake_timeout_s = 30.0
    pdu_timeout_s = 300.0


class OpenPort:
    """A port with its entity, served in threads from :meth:`start` to :meth:`stop`.

    Parameters
    ----------
    entity
        Titles, contexts, timers.
    host, port
        Where to listen.
    handlers
        Events of pynetdicom and who handles them.
    tls
        With it the port speaks TLS only.
    handshake_timeout_s
        How long a connection may take to ask for an association (ARTIM, PS3.8 section 9.1.5).
    pdu_timeout_s
        How long one PDU may take to arrive.

    Raises
    ------
    OSError
        If the port is taken.
    """

    def __init__(
        self,
        entity: Entity,
        host: str,
        port: int,
        handlers: Sequence[tuple[Any, Any]],
        *,
        tls: ssl.SSLContext | None,
        handshake_timeout_s: float,
        pdu_timeout_s: float,
    ) -> None:
        self._entity = entity
        opened = entity.make_server(
            (host, port), evt_handlers=list(handlers), server_class=Server, request_handler=Acceptor
        )
        assert isinstance(opened, Server)
        self._server = opened
        assert opened.socket is not None
        self._port = int(opened.socket.getsockname()[1])
        self._server.tls = tls
        self._server.handshake_timeout_s = handshake_timeout_s
        self._server.pdu_timeout_s = pdu_timeout_s
        entity._servers.append(self._server)  # noqa: SLF001 - the limit on associations counts those of known servers
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.5},
            name=f"dimse-{entity.ae_title}",
            daemon=True,
        )

    @property
    def port(self) -> int:
        """Port that is open."""
        return self._port

    def start(self) -> None:
        """Accept connections from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Close the port and end open associations."""
        self._server.shutdown()
        self._server.server_close()
        for association in self._entity.connections:
            association.abort()
        self._thread.join(timeout=5)


def addresses_of(host: str) -> frozenset[str]:
    """Addresses of a host now; none when its name is not known."""
    try:
        return frozenset(str(found[4][0]) for found in socket.getaddrinfo(host, None))
    except OSError:
        return frozenset()

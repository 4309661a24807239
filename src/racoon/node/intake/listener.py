"""C-STORE and C-ECHO provider (PS3.4 annexes A and B): writes to the spool, answers, and does nothing else.

Every storage SOP class is accepted in the syntax the sender proposes first, so that what we have no rules for
arrives and is quarantined with its reason, instead of vanishing as a rejected context in somebody's log.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from pathlib import Path
from typing import Any

from pynetdicom import AE, _config, evt
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from racoon.node.intake.model import DicomOptions, ListenerSettings
from racoon.node.intake.spool import Spool
from racoon.platform.files import StorageFull
from racoon.platform.settings import ConfigurationError
from racoon.platform.supervise import mark_ready, stopping
from racoon.standards.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, is_uid

LOG = logging.getLogger(__name__)

SUCCESS, OUT_OF_RESOURCES, CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xC000
"""Status codes of C-STORE (PS3.4 table B.2-1)."""

VERIFICATION = "1.2.840.10008.1.1"

LARGEST_PDU_BYTES = 1 << 20
"""A PDU may not announce more than this, whatever the settings say."""

ASSOCIATION_TIMEOUT_S = 30.0
"""ARTIM: how long a connection may stay silent before it asks for an association (PS3.8 section 9.1.5)."""

IDLE_TIMEOUT_S = 300.0
MAXIMUM_ASSOCIATIONS = 64

_RECEIVE_BYTES = 1 << 18
_STATE = threading.local()


class ListenerPortInUse(ConfigurationError):
    """Another process listens on the DICOM port."""

    code = "intake.port_in_use"


class _BoundedSocket(AssociationSocket):
    """Reads in large pieces and refuses a length that no honest PDU has, before anything is allocated."""

    def recv(self, nr_bytes: int) -> bytearray:
        """Read exactly so many bytes, or fewer when the peer closed."""
        if nr_bytes > LARGEST_PDU_BYTES + 4096:
            raise OSError("the peer announced a PDU beyond every limit")
        if self.socket is None:
            raise OSError("the connection is closed")
        data = bytearray(nr_bytes)
        view, read = memoryview(data), 0
        while read < nr_bytes:
            count = self.socket.recv_into(view[read:], min(nr_bytes - read, _RECEIVE_BYTES))
            if not count:
                view.release()
                return data[:read]
            read += count
        return data


class _Acceptor(RequestHandler):
    def _create_association(self) -> Any:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        association = super()._create_association()
        # pynetdicom makes the socket itself; setting a second one would connect twice in its state machine.
        association.dul.socket.__class__ = _BoundedSocket
        return association


class DicomListener:
    """The provider, running in threads until :meth:`stop`.

    Parameters
    ----------
    options
        Address, titles, limits.
    spool
        Where objects go.

    Raises
    ------
    ListenerPortInUse
        If the port is taken; says which.
    """

    def __init__(self, options: DicomOptions, spool: Spool) -> None:
        self._spool = spool
        self._limit = options.max_object_mb << 20
        self._received: dict[int, int] = {}
        entity = _application_entity(options)
        handlers = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_C_ECHO, lambda _event: SUCCESS),
            (evt.EVT_DATA_RECV, self._count),
            (evt.EVT_CONN_CLOSE, self._forget),
        ]
        try:
            self._server = entity.make_server(
                (options.host, options.port),
                evt_handlers=handlers,
                server_class=ThreadedAssociationServer,
                request_handler=_Acceptor,
            )
        except OSError as error:
            raise ListenerPortInUse(
                f"DICOM port {options.port} cannot be opened: another program may use it. Change dicom.port.",
                details={"errno": error.errno},
            ) from error
        entity._servers.append(self._server)  # noqa: SLF001 - the limit on associations counts those of known servers
        self._entity = entity
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.5},
            name="dicom-listener",
            daemon=True,
        )

    @property
    def port(self) -> int:
        """Port that is open."""
        return int(self._server.socket.getsockname()[1])

    def start(self) -> None:
        """Accept connections from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Close the port and end open associations; what was acknowledged is on disk."""
        self._server.shutdown()
        self._server.server_close()
        for association in self._entity.active_associations:
            association.abort()
        self._thread.join(timeout=5)

    def _store(self, event: Any) -> int:
        association = id(event.assoc)
        self._received.pop(association, None)
        request = event.request
        if not is_uid(str(request.AffectedSOPInstanceUID)) or not is_uid(str(request.AffectedSOPClassUID)):
            LOG.warning("object refused: malformed UID in the request")
            return CANNOT_UNDERSTAND
        try:
            self._spool.put([event.encoded_dataset()])
        except StorageFull:
            LOG.error("disk full: object refused; the sender will try again")
            return OUT_OF_RESOURCES
        except OSError as error:
            LOG.error(
                "spool cannot be written: object refused", extra={"reason": os.strerror(error.errno or 0)}
            )
            return OUT_OF_RESOURCES
        return SUCCESS

    def _count(self, event: Any) -> None:
        """Abort a sender whose object outgrows the limit while it arrives."""
        association = id(event.assoc)
        total = self._received.get(association, 0) + len(event.data)
        self._received[association] = total
        if total > self._limit:
            LOG.warning("object larger than dicom.max_object_mb: association aborted")
            self._received.pop(association, None)
            event.assoc.abort()

    def _forget(self, event: Any) -> None:
        self._received.pop(id(event.assoc), None)


def _application_entity(options: DicomOptions) -> Any:
    # Unknown and private SOP classes count as storage, in any syntax; see the module's first paragraph.
    _config.UNRESTRICTED_STORAGE_SERVICE = True
    _config.LOG_HANDLER_LEVEL = "none"
    logging.getLogger("pynetdicom").setLevel(logging.ERROR)
    entity = AE(ae_title=options.ae_title)
    entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.add_supported_context(VERIFICATION)
    entity.require_called_aet = True
    entity.require_calling_aet = list(options.calling_ae_titles)
    entity.maximum_pdu_size = min(options.max_pdu_bytes, LARGEST_PDU_BYTES)
    entity.maximum_associations = MAXIMUM_ASSOCIATIONS
    entity.acse_timeout = ASSOCIATION_TIMEOUT_S
    entity.dimse_timeout = IDLE_TIMEOUT_S
    entity.network_timeout = IDLE_TIMEOUT_S
    return entity


def run(settings: ListenerSettings, spool_folder: Path) -> None:
    """Listen until SIGTERM; the body of the listener's process."""
    stop = stopping()
    spool = Spool(spool_folder)
    spool.sweep()
    listener = DicomListener(settings.dicom, spool)
    listener.start()
    LOG.info("listening", extra={"port": listener.port})
    mark_ready()
    stop.wait()
    listener.stop()

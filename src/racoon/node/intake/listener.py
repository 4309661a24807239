"""C-STORE, C-ECHO and storage commitment provider (PS3.4 annexes A, B, J): writes to the spool and answers.

Every storage SOP class is accepted in the syntax the sender proposes first, so that what we have no rules for
arrives and is quarantined with its reason, instead of vanishing as a rejected context in somebody's log.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from pynetdicom import _config, evt

from racoon.node.intake._commitment import PUSH_MODEL, Commitment
from racoon.node.intake.activity import Activity, Counting
from racoon.node.intake.model import DicomOptions, ListenerSettings
from racoon.node.intake.receipts import Receipts
from racoon.node.intake.spool import Spool
from racoon.platform.dimse.server import LARGEST_PDU_BYTES, Entity, OpenPort
from racoon.platform.dimse.tls import listening_context
from racoon.platform.files import StorageFull
from racoon.platform.settings import ConfigurationError
from racoon.platform.supervise import mark_ready, stopping
from racoon.standards.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, is_uid

LOG = logging.getLogger(__name__)

SUCCESS, OUT_OF_RESOURCES, CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xC000
"""Status codes of C-STORE (PS3.4 table B.2-1)."""

VERIFICATION = "1.2.840.10008.1.1"

FLUSH_RECEIPTS_S = 1.0
"""A request for commitment writes pending receipts itself; this is for those of a day without one."""


class ListenerPortInUse(ConfigurationError):
    """Another process listens on the DICOM port."""

    code = "intake.port_in_use"


class DicomListener:
    """The provider, running in threads until :meth:`stop`.

    Parameters
    ----------
    options
        Address, titles, limits.
    spool
        Where objects go.
    receipts
        Where what was taken is noted for storage commitment.
    activity
        Where associations are listed for the intake page.

    Raises
    ------
    ListenerPortInUse
        If the port is taken; says which.
    """

    def __init__(
        self, options: DicomOptions, spool: Spool, receipts: Receipts, activity: Activity | None = None
    ) -> None:
        self._spool = spool
        self._activity = activity
        self._transfers: dict[int, Counting] = {}
        self._receipts = receipts
        self._commitment = Commitment(receipts, options.ae_title, options.peers)
        self._limit = options.max_object_mb << 20
        self._received: dict[int, int] = {}
        entity = _application_entity(options)
        handlers = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_C_ECHO, lambda _event: SUCCESS),
            (evt.EVT_N_ACTION, self._commitment.handle),
            (evt.EVT_DATA_RECV, self._count),
            (evt.EVT_ACCEPTED, self._list),
            (evt.EVT_RELEASED, lambda event: self._unlist(event, "released")),
            (evt.EVT_ABORTED, lambda event: self._unlist(event, "aborted")),
            (evt.EVT_CONN_CLOSE, self._forget),
        ]
        tls = None
        if options.certificate is not None and options.key is not None:
            tls = listening_context(options.certificate, options.key, options.authority)
        try:
            self._open = OpenPort(
                entity,
                options.host,
                options.port,
                handlers,
                tls=tls,
                handshake_timeout_s=options.association_timeout_s,
                pdu_timeout_s=options.idle_timeout_s,
            )
        except OSError as error:
            raise ListenerPortInUse(
                f"DICOM port {options.port} cannot be opened: another program may use it. Change dicom.port.",
                details={"errno": error.errno},
            ) from error

    @property
    def port(self) -> int:
        """Port that is open."""
        return self._open.port

    def start(self) -> None:
        """Accept connections from now on."""
        self._open.start()

    def stop(self) -> None:
        """Close the port and end open associations; what was acknowledged is on disk."""
        self._commitment.stop()
        self._open.stop()

    def _store(self, event: Any) -> int:
        association = id(event.assoc)
        self._received.pop(association, None)
        request = event.request
        if not is_uid(str(request.AffectedSOPInstanceUID)) or not is_uid(str(request.AffectedSOPClassUID)):
            LOG.warning("object refused: malformed UID in the request")
            self._note(association, 0)
            return CANNOT_UNDERSTAND
        data = event.encoded_dataset()
        try:
            self._spool.put([data])
        except StorageFull:
            LOG.error("disk full: object refused; the sender will try again")
            self._note(association, 0)
            return OUT_OF_RESOURCES
        except OSError as error:
            LOG.error(
                "spool cannot be written: object refused", extra={"reason": os.strerror(error.errno or 0)}
            )
            self._note(association, 0)
            return OUT_OF_RESOURCES
        self._note(association, len(data))
        self._receipts.add(str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID))
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

    def _list(self, event: Any) -> None:
        if self._activity is not None:
            requestor = event.assoc.requestor
            self._transfers[id(event.assoc)] = self._activity.begin(
                "dicom", str(requestor.ae_title).strip(), str(requestor.address)
            )

    def _note(self, association: int, size_bytes: int) -> None:
        """Count an object of an association: durable with its size, refused with none."""
        counting = self._transfers.get(association)
        if self._activity is None or counting is None:
            return
        if size_bytes:
            self._activity.count(counting, size_bytes)
        else:
            self._activity.count_refused(counting)

    def _unlist(self, event: Any, end: str) -> None:
        counting = self._transfers.pop(id(event.assoc), None)
        if self._activity is not None and counting is not None:
            self._activity.finish(counting, end)

    def _forget(self, event: Any) -> None:
        self._received.pop(id(event.assoc), None)
        self._unlist(event, "aborted")
        if event.assoc.requestor.primitive is None:
            # A port scan or a health probe: without this its thread waits for the whole ARTIM time.
            event.assoc.dul.to_user_queue.put(None)


def _application_entity(options: DicomOptions) -> Any:
    # Unknown and private SOP classes count as storage, in any syntax; see the module's first paragraph.
    _config.UNRESTRICTED_STORAGE_SERVICE = True
    _config.LOG_HANDLER_LEVEL = "none"
    logging.getLogger("pynetdicom").setLevel(logging.ERROR)
    entity = Entity(ae_title=options.ae_title)
    entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.add_supported_context(VERIFICATION)
    entity.add_supported_context(PUSH_MODEL)
    entity.require_called_aet = True
    entity.require_calling_aet = list(options.calling_ae_titles)
    entity.maximum_pdu_size = min(options.max_pdu_bytes, LARGEST_PDU_BYTES)
    entity.maximum_associations = options.max_associations
    entity.acse_timeout = options.association_timeout_s
    entity.dimse_timeout = options.idle_timeout_s
    entity.network_timeout = options.idle_timeout_s
    return entity


def run(settings: ListenerSettings, spool_folder: Path, activity_folder: Path) -> None:
    """Listen until SIGTERM; the body of the listener's process."""
    stop = stopping()
    spool = Spool(spool_folder)
    spool.sweep()
    receipts = Receipts(settings.data_directory / "receipts")
    activity = Activity(activity_folder)
    activity.end_interrupted("dicom")
    listener = DicomListener(settings.dicom, spool, receipts, activity)
    listener.start()
    LOG.info("listening", extra={"port": listener.port})
    mark_ready()
    while not stop.wait(FLUSH_RECEIPTS_S):
        receipts.flush()
        activity.flush()
    listener.stop()
    receipts.close()

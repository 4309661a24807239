"""C-STORE, C-ECHO and storage commitment provider (PS3.4 annexes A, B, J): writes to the spool and answers.

Every storage SOP class is accepted in the syntax the sender proposes first, so that what we have no rules for
arrives and is quarantined with its reason, instead of vanishing as a rejected context in somebody's log.
"""

from __future__ import annotations

import logging
from pathlib import Path

from pydicom._uid_dict import UID_dictionary

from racoon.node.intake._commitment import PUSH_MODEL, Commitment
from racoon.node.intake._messages import SUCCESS, VERIFICATION, Acting, Echoing, Ignoring, Storing
from racoon.node.intake._slots import Slots
from racoon.node.intake.activity import Activity, Counting
from racoon.node.intake.model import DicomOptions, ListenerSettings
from racoon.node.intake.receipts import Receipts
from racoon.node.intake.spool import Spool
from racoon.platform.dimse.acceptor import Limits, OutOfPlace, Taking
from racoon.platform.dimse.command import ANSWER, Command, Field, Operation
from racoon.platform.dimse.pdu import (
    CALLED_TITLE_UNKNOWN,
    CALLING_TITLE_UNKNOWN,
    LARGEST_PDU_BYTES,
    AcceptedContext,
    AssociateRequest,
    ContextResult,
    ProposedContext,
    Rejection,
)
from racoon.platform.dimse.port import Port
from racoon.platform.dimse.tls import listening_context
from racoon.platform.settings import ConfigurationError
from racoon.platform.supervise import mark_ready, stopping
from racoon.standards.dicom.uids import (
    EXPLICIT_BIG_ENDIAN,
    EXPLICIT_LITTLE_ENDIAN,
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    IMPLICIT_LITTLE_ENDIAN,
    is_uid,
)

LOG = logging.getLogger(__name__)

PLAIN_SYNTAXES = (EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN, EXPLICIT_BIG_ENDIAN)
"""What verification and commitment are spoken in."""

FLUSH_RECEIPTS_S = 1.0
"""A request for commitment writes pending receipts itself; this is for those of a day without one."""


class ListenerPortInUse(ConfigurationError):
    """Another process listens on the DICOM port."""

    code = "intake.port_in_use"


def is_storage(sop_class: str) -> bool:
    """Tell whether a SOP class counts as one of storage: by its name in PS3.6, or because nobody knows it.

    Private classes, and those newer than the dictionary, are taken; searching, printing and the like are not ours.
    """
    if sop_class == PUSH_MODEL:
        return False
    known = UID_dictionary.get(sop_class)
    return known is None or (known[1] == "SOP Class" and "Storage" in known[0])


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
        self._title = options.ae_title.strip()
        self._senders = frozenset(options.calling_ae_titles)
        self._limit = options.max_object_mb << 20
        self.spool, self.receipts, self.activity = spool, receipts, activity
        self.commitment = Commitment(receipts, options.ae_title, options.peers)
        limits = Limits(
            min(options.max_pdu_bytes, LARGEST_PDU_BYTES),
            artim_s=options.association_timeout_s,
            idle_s=options.idle_timeout_s,
            implementation=(IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME),
        )
        tls = None
        if options.certificate is not None and options.key is not None:
            tls = listening_context(options.certificate, options.key, options.authority)
        try:
            self._port = Port(
                options.host,
                options.port,
                self,
                limits,
                max_associations=options.max_associations,
                tls=tls,
            )
        except OSError as error:
            raise ListenerPortInUse(
                f"DICOM port {options.port} cannot be opened: another program may use it. Change dicom.port.",
                details={"errno": error.errno},
            ) from error

    @property
    def port(self) -> int:
        """Port that is open."""
        return self._port.port

    def start(self) -> None:
        """Accept connections from now on."""
        self._port.start()

    def stop(self) -> None:
        """Close the port and end open associations; what was acknowledged is on disk."""
        self.commitment.stop()
        self._port.stop()

    def judge(self, request: AssociateRequest) -> Rejection | None:
        """Refuse who is not listed, or calls somebody else."""
        if request.called != self._title:
            return CALLED_TITLE_UNKNOWN
        if self._senders and request.calling not in self._senders:
            return CALLING_TITLE_UNKNOWN
        return None

    def choose(self, proposed: ProposedContext) -> tuple[ContextResult, str]:
        """Take storage as it is offered, verification and commitment in a plain syntax."""
        syntaxes = [syntax for syntax in proposed.transfer_syntaxes if is_uid(syntax)]
        if proposed.abstract_syntax in (VERIFICATION, PUSH_MODEL):
            syntaxes = [syntax for syntax in syntaxes if syntax in PLAIN_SYNTAXES]
        elif not is_uid(proposed.abstract_syntax) or not is_storage(proposed.abstract_syntax):
            return ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED, IMPLICIT_LITTLE_ENDIAN
        if not syntaxes:
            return ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED, IMPLICIT_LITTLE_ENDIAN
        return ContextResult.ACCEPTED, syntaxes[0]

    def open(self, request: AssociateRequest, address: str) -> Sending:
        """Begin to receive from a sender."""
        return Sending(self, request.calling, address, self._limit)


class Sending:
    """One association of a sender.

    Parameters
    ----------
    listener
        Whose it is.
    calling, address
        Who sends.
    limit
        Largest object in bytes.
    """

    def __init__(self, listener: DicomListener, calling: str, address: str, limit: int) -> None:
        self._listener = listener
        self._calling = calling
        self._limit = limit
        self._activity = listener.activity
        self._counting: Counting | None = None
        if self._activity is not None:
            self._counting = self._activity.begin("dicom", calling, address)

    def receive(self, context: AcceptedContext, command: Command) -> Taking:
        """Take a message."""
        operation = command.number(Field.COMMAND)
        if operation & ANSWER or operation == Operation.CANCEL:
            return Ignoring()
        if context.abstract_syntax == VERIFICATION:
            if operation == Operation.ECHO:
                return Echoing(command)
        elif context.abstract_syntax == PUSH_MODEL:
            if operation == Operation.ACTION:
                return Acting(command, context, self._calling, self._listener.commitment)
        elif operation == Operation.STORE and command.has_data:
            return Storing(command, context, self._listener.spool, self._limit, self._done)
        raise OutOfPlace(f"Operation {operation:#06x} does not belong to its presentation context.")

    def end(self, how: str) -> None:
        """List the association as over."""
        if self._activity is not None and self._counting is not None:
            self._activity.finish(self._counting, how)

    def _done(self, sop_class: str, sop_instance: str, size_bytes: int) -> None:
        """Count an object: durable with its size, refused with none."""
        if self._activity is not None and self._counting is not None:
            if size_bytes:
                self._activity.count(self._counting, size_bytes)
            else:
                self._activity.count_refused(self._counting)
        if size_bytes:
            self._listener.receipts.add(sop_class, sop_instance)


def run(settings: ListenerSettings, spool_folder: Path, activity_folder: Path) -> None:
    """Listen until SIGTERM; the body of the listener's process."""
    stop = stopping()
    spool = Spool(spool_folder)
    spool.sweep()
    receipts = Receipts(settings.data_directory / "receipts")
    activity = Activity(activity_folder)
    activity.end_interrupted("dicom")
    listener = DicomListener(settings.dicom, spool, receipts, activity)
    # The port is ours by now, so nobody else's slots are looked at.
    slots = Slots(spool_folder.with_name("arriving"))
    slots.recover(spool_folder)
    spool.use(slots)
    listener.start()
    LOG.info("listening", extra={"port": listener.port})
    mark_ready()
    while not stop.wait(FLUSH_RECEIPTS_S):
        receipts.flush()
        activity.flush()
    listener.stop()
    slots.close()
    receipts.close()


__all__ = ["SUCCESS", "DicomListener", "ListenerPortInUse", "is_storage", "run"]

"""Storage commitment, provider side (PS3.4 annex J): what was asked, what is answered, and how it gets there."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from io import BytesIO
from typing import Any

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from racoon.node.intake.model import PeerOptions
from racoon.node.intake.receipts import Receipts
from racoon.standards.dicom.uids import EXPLICIT_BIG_ENDIAN, IMPLICIT_LITTLE_ENDIAN, is_uid

LOG = logging.getLogger(__name__)

PUSH_MODEL = "1.2.840.10008.1.20.1"
PUSH_MODEL_INSTANCE = "1.2.840.10008.1.20.1.1"

REQUEST_COMMITMENT = 1
ALL_SAFE, SOME_FAILED = 1, 2
"""Event types (PS3.4 table J.3.3-1)."""

NO_SUCH_INSTANCE, CLASS_CONFLICT = 0x0112, 0x0119
"""Failure reasons (PS3.3 C.14.1.1)."""

SUCCESS, INVALID_ARGUMENT, NO_SUCH_ACTION = 0x0000, 0x0115, 0x0123
"""Status codes of N-ACTION (PS3.7 annex C)."""

Report = tuple[int, bytes]
"""Type of the event and its information, encoded."""

MOST_REFERENCES = 100_000
RETRIES_S = (0.0, 5.0, 60.0)
"""A sender that is restarted is back within a minute; later it asks again itself."""


class Commitment:
    """Answers requests for storage commitment.

    Parameters
    ----------
    receipts
        What this node has taken.
    ae_title
        Our own title.
    peers
        Where senders are reached; one that is not listed gets its answer on the association it asked on.
    """

    def __init__(self, receipts: Receipts, ae_title: str, peers: Sequence[PeerOptions]) -> None:
        self._receipts = receipts
        self._ae_title = ae_title
        self._peers = {peer.ae_title: peer for peer in peers}
        self._stop = threading.Event()

    def stop(self) -> None:
        """Give up answers that are still to be tried again."""
        self._stop.set()

    def take(self, calling: str, action: int, data: bytes, syntax: str) -> tuple[int, Report | None]:
        """Take an N-ACTION request (PS3.4 J.3.2).

        Parameters
        ----------
        calling
            Title of who asks.
        action
            Type of the action.
        data
            Its information, encoded in a transfer syntax without compression.
        syntax
            The transfer syntax.

        Returns
        -------
        tuple
            Status, and the report to send on the same association; None when it goes another way, or nowhere.
        """
        if action != REQUEST_COMMITMENT:
            return NO_SUCH_ACTION, None
        try:
            request = read_dataset(
                BytesIO(data), syntax == IMPLICIT_LITTLE_ENDIAN, syntax != EXPLICIT_BIG_ENDIAN
            )
            transaction = str(request.TransactionUID)
            references = [
                (str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID))
                for item in request.ReferencedSOPSequence
            ]
        except Exception:  # noqa: BLE001 - the request is foreign bytes in a foreign decoder
            return INVALID_ARGUMENT, None
        if not is_uid(transaction) or not 0 < len(references) <= MOST_REFERENCES:
            return INVALID_ARGUMENT, None
        kind, answer = self.answer(transaction, references)
        peer = self._peers.get(calling)
        if peer is None:
            return SUCCESS, (kind, _encoded(answer, syntax))
        threading.Thread(
            target=self._send_anew, args=(calling, peer, kind, answer), name="storage-commitment", daemon=True
        ).start()
        return SUCCESS, None

    def answer(self, transaction: str, references: list[tuple[str, str]]) -> tuple[int, Dataset]:
        """Build the N-EVENT-REPORT (PS3.4 J.3.3): which objects are safe here."""
        answer = Dataset()
        answer.TransactionUID = transaction
        safe, failed = [], []
        for reference, state in zip(references, self._receipts.state_of(references), strict=True):
            item = Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = reference
            if state:
                safe.append(item)
            else:
                item.FailureReason = NO_SUCH_INSTANCE if state is None else CLASS_CONFLICT
                failed.append(item)
        if safe:
            answer.ReferencedSOPSequence = safe
        if failed:
            answer.FailedSOPSequence = failed
        return (SOME_FAILED if failed else ALL_SAFE), answer

    def _send_anew(self, calling: str, peer: PeerOptions, kind: int, answer: Dataset) -> None:
        for pause_s in RETRIES_S:
            if self._stop.wait(pause_s):
                return
            if self._try_anew(calling, peer, kind, answer):
                return
        LOG.warning("storage commitment not delivered: the sender cannot be reached")

    def _try_anew(self, calling: str, peer: PeerOptions, kind: int, answer: Dataset) -> bool:
        # A caller's side is pynetdicom's; it is loaded by the first answer that needs it.
        from pynetdicom import AE, build_role  # noqa: PLC0415

        entity = AE(ae_title=self._ae_title)
        entity.add_requested_context(PUSH_MODEL)
        # We call, and are the provider all the same (PS3.4 J.3.3, PS3.7 D.3.3.4).
        roles: list[Any] = [build_role(PUSH_MODEL, scp_role=True)]
        association = entity.associate(peer.host, peer.port, ae_title=calling, ext_neg=roles)
        if not association.is_established:
            return False
        try:
            status, _ = association.send_n_event_report(answer, kind, PUSH_MODEL, PUSH_MODEL_INSTANCE)
            return "Status" in status
        except (RuntimeError, ValueError):
            return False
        finally:
            association.release()


def _encoded(dataset: Dataset, syntax: str) -> bytes:
    stream = DicomBytesIO()
    stream.is_implicit_VR = syntax == IMPLICIT_LITTLE_ENDIAN
    stream.is_little_endian = syntax != EXPLICIT_BIG_ENDIAN
    write_dataset(stream, dataset)
    return stream.getvalue()

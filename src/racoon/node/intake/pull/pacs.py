"""Query and retrieve (PS3.4 annex C) as the calling side: C-FIND, then C-GET or C-MOVE."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Literal

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import AllTransferSyntaxes
from pynetdicom import AE, StoragePresentationContexts, build_role, evt

from racoon.node.intake.pull.model import FoundStudy, PacsRefused, PacsUnavailable, PullProtocol, Retrieval
from racoon.node.intake.spool import Spool
from racoon.platform.dimse.tls import calling_context
from racoon.platform.files import StorageFull
from racoon.standards.dicom.uids import is_uid

LOG = logging.getLogger(__name__)

FIND, MOVE, GET = (f"1.2.840.10008.5.1.4.1.2.2.{number}" for number in (1, 2, 3))
"""Study Root information model (PS3.4 section C.6.2.3)."""

SUCCESS, WARNING_SOME_FAILED = 0x0000, 0xB000
PENDING = frozenset({0xFF00, 0xFF01})
OUT_OF_RESOURCES = frozenset({0xA700, 0xA701, 0xA702})
DESTINATION_UNKNOWN = 0xA801
CANNOT_STORE, CANNOT_UNDERSTAND = 0xA700, 0xC000

_STUDY_KEYS = ("StudyInstanceUID", "NumberOfStudyRelatedInstances")

MOST_CONTEXTS = 126
"""An association carries 128 presentation contexts (PS3.8 section 9.3.2.2), odd numbers from 1 to 255."""

_USUAL_FIRST = (
    "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.4",
    "1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.128", "1.2.840.10008.5.1.4.1.1.66.4",
    "1.2.840.10008.5.1.4.1.1.66.7", "1.2.840.10008.5.1.4.1.1.88.67", "1.2.840.10008.5.1.4.1.1.481.3",
)  # fmt: skip


@dataclass(frozen=True)
class PacsAddress:
    """Where and as whom the PACS is called.

    Parameters
    ----------
    ae_title, host, port
        The PACS.
    calling
        Our own AE title; with C-MOVE also the destination.
    method
        ``get``: objects come on the association that asks; ``move``: the PACS calls our listener.
    authority, certificate, key
        For TLS: who signs the PACS, and our own files where it asks for them.
    timeout_s
        How long one answer may take.
    """

    ae_title: str
    host: str
    port: int
    calling: str
    method: Literal["get", "move"] = "get"
    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    timeout_s: float = 60.0


class Pacs:
    """Asks a PACS.

    Parameters
    ----------
    address
        Which one.
    spool
        Where objects go.
    """

    def __init__(self, address: PacsAddress, spool: Spool) -> None:
        self._address = address
        self._spool = spool

    def find(self, accession_number: str) -> list[FoundStudy]:
        """Find the imaging studies of an accession number.

        Raises
        ------
        PacsUnavailable
            If there is no answer, or the PACS asks to try later.
        PacsRefused
            If it refuses the query.
        """
        keys = {"AccessionNumber": accession_number, **dict.fromkeys(_STUDY_KEYS, "")}
        # Some archives match the start of a number, or ignore a key they do not index: only the same one counts.
        return [study for study in self._find("STUDY", keys) if study.accession_number == accession_number]

    def search(self, protocol: PullProtocol, first: date, last: date) -> list[FoundStudy]:
        """Find the imaging studies of some days with a protocol's modalities and description.

        An archive that does not say which modalities a study has is asked for its series.

        Raises
        ------
        PacsUnavailable, PacsRefused
            As in :meth:`find`.
        """
        found: dict[str, FoundStudy] = {}
        for modality in protocol.modalities:
            keys = {
                **dict.fromkeys(_STUDY_KEYS, ""),
                "StudyDate": f"{first:%Y%m%d}-{last:%Y%m%d}",
                "ModalitiesInStudy": modality,
                "StudyDescription": protocol.description,
                "AccessionNumber": "",
            }
            for study in self._find("STUDY", keys):
                if not study.modalities:
                    study = replace(study, modalities=self._modalities(study.imaging_study_uid))  # noqa: PLW2901 - the same study, completed
                found[study.imaging_study_uid] = study
        return list(found.values())

    def _modalities(self, imaging_study_uid: str) -> tuple[str, ...]:
        keys = {"StudyInstanceUID": imaging_study_uid, "SeriesInstanceUID": "", "Modality": ""}
        return tuple(sorted({item for series in self._find("SERIES", keys) for item in series.modalities}))

    def _find(self, level: str, keys: Mapping[str, str]) -> list[FoundStudy]:
        query = Dataset()
        query.QueryRetrieveLevel = level
        for keyword, value in keys.items():
            setattr(query, keyword, value)
        found = []
        with self._associate([FIND]) as association:
            for status, answer in association.send_c_find(query, FIND):
                code = _status(status)
                if code in PENDING and answer is not None:
                    study = _study(answer)
                    if study is not None:
                        found.append(study)
                elif code != SUCCESS:
                    _refuse(code)
        return found

    def retrieve(self, study: FoundStudy) -> Retrieval:
        """Fetch all objects of an imaging study.

        Raises
        ------
        PacsUnavailable
            If the answer is lost; what came stays, and fetching again does no harm.
        PacsRefused
            If the PACS refuses, with code ``destination_unknown`` or ``refused``.
        StorageFull
            If our own disk is full.
        """
        query = Dataset()
        query.QueryRetrieveLevel = "STUDY"
        query.StudyInstanceUID = study.imaging_study_uid
        if self._address.method == "move":
            with self._associate([MOVE]) as association:
                return _last(association.send_c_move(query, self._address.calling, MOVE))
        receiver = _Receiver(self._spool)
        with self._associate([GET], receiver) as association:
            result = _last(association.send_c_get(query, GET))
        if receiver.is_full:
            raise StorageFull("The disk of the spool is full. Free some space; fetching goes on by itself.")
        # What is in our spool counts, not what the PACS believes.
        return Retrieval(len(receiver.received), result.failed)

    @contextmanager
    def _associate(self, classes: list[str], receiver: _Receiver | None = None) -> Iterator[Any]:
        address = self._address
        entity = AE(ae_title=address.calling)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = address.timeout_s
        entity.connection_timeout = min(address.timeout_s, 30.0)
        for uid in classes:
            entity.add_requested_context(uid)
        options: dict[str, Any] = {}
        if receiver is not None:
            storage = _storage_classes()
            for uid in storage:
                entity.add_requested_context(uid, AllTransferSyntaxes)
            options["ext_neg"] = [build_role(uid, scp_role=True) for uid in storage]
            options["evt_handlers"] = [(evt.EVT_C_STORE, receiver)]
        if address.authority is not None:
            context = calling_context(address.authority, address.certificate, address.key)
            options["tls_args"] = (context, address.host)
        association = entity.associate(address.host, address.port, ae_title=address.ae_title, **options)
        if not association.is_established:
            raise PacsUnavailable("The PACS cannot be reached, or does not accept this node's AE title.")
        try:
            yield association
        except BaseException as error:
            # Answers may still be under way: releasing would wait for a silence that does not come.
            association.abort()
            if isinstance(error, ValueError):
                # pynetdicom: the PACS accepted the association, but not this service.
                raise PacsRefused("The PACS does not offer this service.", code="pull.refused") from error
            if isinstance(error, RuntimeError):
                raise PacsUnavailable("The PACS ended the association.") from error
            raise
        association.release()


class _Receiver:
    """Takes the objects of a C-GET into the spool."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self.received: set[str] = set()
        self.is_full = False

    def __call__(self, event: Any) -> int:
        instance = str(event.request.AffectedSOPInstanceUID)
        if not is_uid(instance):
            return CANNOT_UNDERSTAND
        try:
            self._spool.put([event.encoded_dataset()])
        except (StorageFull, OSError) as error:
            self.is_full = isinstance(error, StorageFull)
            LOG.error("an object of the PACS cannot be written", extra={"reason": type(error).__name__})
            return CANNOT_STORE
        self.received.add(instance)
        return SUCCESS


def _storage_classes() -> list[str]:
    known = [str(context.abstract_syntax) for context in StoragePresentationContexts]
    return list(dict.fromkeys([*_USUAL_FIRST, *known]))[:MOST_CONTEXTS]


def _status(status: Dataset) -> int:
    """Return a status code; an empty status is a lost answer, which pynetdicom's sender meets under load."""
    if "Status" not in status:
        raise PacsUnavailable("The PACS did not answer in time.")
    return int(status.Status)


def _last(answers: Iterator[tuple[Dataset, Dataset | None]]) -> Retrieval:
    for status, _ in answers:
        code = _status(status)
        if code in PENDING:
            continue
        if code not in (SUCCESS, WARNING_SOME_FAILED):
            # All sub-operations failed: A702 says so and is no shortage of the PACS itself.
            if code == 0xA702:
                return Retrieval(0, int(status.get("NumberOfFailedSuboperations") or 1))
            _refuse(code)
        completed = int(status.get("NumberOfCompletedSuboperations") or 0)
        warned = int(status.get("NumberOfWarningSuboperations") or 0)
        return Retrieval(completed + warned, int(status.get("NumberOfFailedSuboperations") or 0))
    raise PacsUnavailable("The PACS ended the association before it said how far it came.")


def _refuse(code: int) -> None:
    if code in OUT_OF_RESOURCES:
        raise PacsUnavailable("The PACS is busy.", details={"status": f"{code:04X}"})
    reason = "destination_unknown" if code == DESTINATION_UNKNOWN else "refused"
    raise PacsRefused("The PACS refused.", code=f"pull.{reason}", details={"status": f"{code:04X}"})


def _study(answer: Dataset) -> FoundStudy | None:
    uid = _text(answer, "StudyInstanceUID")
    if not is_uid(uid):
        return None
    count = _text(answer, "NumberOfStudyRelatedInstances")
    modalities = _text(answer, "ModalitiesInStudy") or _text(answer, "Modality")
    return FoundStudy(
        uid,
        int(count) if count.isdigit() else None,
        _text(answer, "AccessionNumber"),
        _text(answer, "StudyDate"),
        _text(answer, "StudyDescription"),
        tuple(part.strip() for part in modalities.split("\\") if part.strip()),
    )


def _text(answer: Dataset, keyword: str) -> str:
    value = answer.get(keyword)
    if value is None:
        return ""
    # pydicom gives several values as a list of its own.
    return "\\".join(map(str, value)).strip() if isinstance(value, MultiValue) else str(value).strip()

"""A PACS over HTTP: QIDO-RS to find (PS3.18 section 10.6), WADO-RS to fetch (section 10.4)."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import httpx

from racoon.node.intake.pull.model import FoundStudy, PacsRefused, PacsUnavailable, PullProtocol, Retrieval
from racoon.node.intake.spool import Spool
from racoon.platform.settings import ConfigurationError
from racoon.standards.dicom.uids import is_uid
from racoon.standards.dicomweb.dicom_json import JsonDataset, tag_key, values
from racoon.standards.dicomweb.media import DICOM_JSON
from racoon.standards.dicomweb.multipart import BadMultipart, boundary_of
from racoon.standards.dicomweb.multipart_stream import MultipartReader

PAGE = 100
"""Studies a request; some servers cap an answer at a hundred and say so nowhere."""

MOST_PAGES = 1000

_FIELDS = (
    "StudyDescription",
    "ModalitiesInStudy",
    "NumberOfStudyRelatedInstances",
    "AccessionNumber",
    "StudyDate",
)

_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers after which the same request may succeed."""


@dataclass(frozen=True)
class DicomwebAddress:
    """Where the PACS answers.

    Parameters
    ----------
    url
        Root of its DICOMweb services, such as ``https://pacs.example.org/dicom-web``.
    authority
        PEM file of who signs its certificate; the system's authorities without one.
    token_file
        File with the bearer token it asks for; read for every request, so that it may be renewed.
    timeout_s
        How long one answer may be silent.
    largest_object_bytes
        A larger object is not taken.
    """

    url: str
    authority: Path | None = None
    token_file: Path | None = None
    timeout_s: float = 60.0
    largest_object_bytes: int = 2 << 30


class DicomwebPacs:
    """Asks a PACS over HTTP.

    Parameters
    ----------
    address
        Which one.
    spool
        Where objects go.
    """

    def __init__(self, address: DicomwebAddress, spool: Spool) -> None:
        self._address = address
        self._spool = spool

    def find(self, accession_number: str) -> list[FoundStudy]:
        """Find the imaging studies of an accession number.

        Raises
        ------
        PacsUnavailable
            If there is no answer, or one that asks to try later.
        PacsRefused
            If the PACS refuses.
        """
        found = self._search({"AccessionNumber": accession_number})
        # A server may ignore what it does not index and answer with everything.
        return [study for study in found if study.accession_number == accession_number]

    def search(self, protocol: PullProtocol, first: date, last: date) -> list[FoundStudy]:
        """Find the imaging studies of some days with a protocol's modalities and description.

        Raises
        ------
        PacsUnavailable, PacsRefused
            As in :meth:`find`.
        """
        keys = {"StudyDate": f"{first:%Y%m%d}-{last:%Y%m%d}"}
        if protocol.description:
            keys["StudyDescription"] = protocol.description
        found = [
            study
            for modality in protocol.modalities
            for study in self._search(keys | {"ModalitiesInStudy": modality})
        ]
        return list({study.imaging_study_uid: study for study in found}.values())

    def retrieve(self, study: FoundStudy) -> Retrieval:
        """Fetch all objects of an imaging study, one after the other into the spool.

        Raises
        ------
        PacsUnavailable
            If the answer breaks off; what came stays, and fetching again does no harm.
        PacsRefused
            If the PACS refuses.
        StorageFull
            If our own disk is full.
        """
        # Every transfer syntax as it is stored (PS3.18 section 8.7.3.5.2): nobody transcodes on the way.
        accept = {"accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
        completed = failed = 0
        with (
            self._client() as client,
            client.stream("GET", f"/studies/{study.imaging_study_uid}", headers=accept) as answer,
        ):
            _check(answer)
            try:
                boundary = boundary_of(answer.headers.get("content-type", ""))
                reader = MultipartReader(boundary, largest_part_bytes=self._address.largest_object_bytes)
                for piece in answer.iter_bytes():
                    for part in reader.feed(piece):
                        if part.is_too_large:
                            failed += 1
                        else:
                            self._spool.put([part.content])
                            completed += 1
                reader.finish()
            except BadMultipart as error:
                raise PacsUnavailable("The PACS ended its answer before all objects had come.") from error
        return Retrieval(completed, failed)

    def _search(self, keys: Mapping[str, str]) -> list[FoundStudy]:
        found: dict[str, FoundStudy] = {}
        with self._client() as client:
            for page in range(MOST_PAGES):
                query = {
                    **keys,
                    "includefield": ",".join(_FIELDS),
                    "limit": str(PAGE),
                    "offset": str(page * PAGE),
                }
                answer = client.get("/studies", params=query, headers={"accept": DICOM_JSON})
                _check(answer)
                rows = _rows(answer)
                studies = [study for study in map(_study, rows) if study is not None]
                fresh = [study for study in studies if study.imaging_study_uid not in found]
                found |= {study.imaging_study_uid: study for study in fresh}
                # A server that knows no offset answers with the same page again.
                if len(rows) < PAGE or not fresh:
                    break
        return list(found.values())

    @contextmanager
    def _client(self) -> Iterator[httpx.Client]:
        address = self._address
        headers = {}
        if address.token_file is not None:
            try:
                headers["authorization"] = f"Bearer {address.token_file.read_text(encoding='utf-8').strip()}"
            except OSError as error:
                raise ConfigurationError(
                    "pull.token_file cannot be read. Check its path and its owner."
                ) from error
        verify: ssl.SSLContext | bool = True
        if address.authority is not None:
            verify = ssl.create_default_context(cafile=str(address.authority))
        try:
            with httpx.Client(
                base_url=address.url.rstrip("/"),
                headers=headers,
                timeout=address.timeout_s,
                verify=verify,
                trust_env=False,
            ) as client:
                yield client
        except httpx.HTTPError as error:
            raise PacsUnavailable(
                "The PACS did not answer.", details={"kind": type(error).__name__}
            ) from error


def _check(answer: httpx.Response) -> None:
    if answer.status_code in _LATER:
        raise PacsUnavailable("The PACS is busy.", details={"status": answer.status_code})
    if answer.status_code in (401, 403):
        raise PacsRefused("The PACS does not let this node in.", code="pull.not_let_in")
    if answer.status_code not in (200, 204):
        raise PacsRefused("The PACS refused.", code="pull.refused", details={"status": answer.status_code})


def _rows(answer: httpx.Response) -> list[JsonDataset]:
    if answer.status_code == 204:
        return []
    try:
        rows = answer.json()
    except ValueError as error:
        raise PacsUnavailable("The PACS answered with something that is no DICOM JSON.") from error
    return rows if isinstance(rows, list) else []


def _study(row: JsonDataset) -> FoundStudy | None:
    uid = _text(row, "StudyInstanceUID")
    if not is_uid(uid):
        return None
    count = _text(row, "NumberOfStudyRelatedInstances")
    return FoundStudy(
        uid,
        int(count) if count.isdigit() else None,
        _text(row, "AccessionNumber"),
        _text(row, "StudyDate"),
        _text(row, "StudyDescription"),
        tuple(str(item) for item in _values(row, "ModalitiesInStudy")),
    )


def _values(row: JsonDataset, keyword: str) -> list[Any]:
    return values(row, keyword) if isinstance(row.get(tag_key(keyword)), dict) else []


def _text(row: JsonDataset, keyword: str) -> str:
    return str(next(iter(_values(row, keyword)), "")).strip()

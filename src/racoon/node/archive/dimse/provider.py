"""The provider: who calls, what he may see, and the archive's answers in messages (PS3.4 annex C, PS3.7)."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import AllTransferSyntaxes, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AllStoragePresentationContexts, _config, build_context, evt

from racoon.domain.permission import is_permitted
from racoon.errors import RacoonError
from racoon.node.archive._search import MAXIMUM_RESULTS, Scope, search
from racoon.node.archive.access import ImageAccess
from racoon.node.archive.dimse.identifiers import (
    Wanted,
    pages,
    read_question,
    read_wanted,
    write_answer,
)
from racoon.node.archive.model import InstanceRow
from racoon.node.archive.read_audit import ImageReadAudit
from racoon.node.archive.service import Archive
from racoon.platform.auth import User
from racoon.platform.dimse.pdu import LARGEST_PDU_BYTES
from racoon.platform.dimse.server import Entity, OpenPort, addresses_of
from racoon.platform.dimse.tls import listening_context
from racoon.platform.settings import ConfigurationError
from racoon.platform.supervise import mark_ready, stopping
from racoon.standards.dicom.transcoding import uncompressed
from racoon.standards.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from racoon.standards.dicomweb.query import BadQuery

LOG = logging.getLogger(__name__)

VERIFICATION = "1.2.840.10008.1.1"
FIND = ("1.2.840.10008.5.1.4.1.2.1.1", "1.2.840.10008.5.1.4.1.2.2.1")
MOVE = ("1.2.840.10008.5.1.4.1.2.1.2", "1.2.840.10008.5.1.4.1.2.2.2")
GET = ("1.2.840.10008.5.1.4.1.2.1.3", "1.2.840.10008.5.1.4.1.2.2.3")
"""Patient Root and Study Root."""

SUCCESS, PENDING, CANCELLED = 0x0000, 0xFF00, 0xFE00
NOT_AUTHORISED, DOES_NOT_MATCH, CANNOT_PROCESS = 0x0124, 0xA900, 0xC000
"""PS3.7 annex C and PS3.4 tables C.4-1 to C.4-3."""

MOST_CONTEXTS = 128

_UNCOMPRESSED = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)

FindUser = Callable[[str], User | None]


class Asker(Protocol):
    """A peer that may ask; the node's settings have it as ``query.peers``."""

    @property
    def ae_title(self) -> str:
        """As whom it calls."""

    @property
    def host(self) -> str:
        """From where."""

    @property
    def port(self) -> int:
        """Where C-MOVE sends to."""

    @property
    def account(self) -> str:
        """Whose rights it has."""


class QueryOptions(Protocol):
    """The section ``query`` of the node's settings."""

    @property
    def host(self) -> str:
        """Address to bind."""

    @property
    def port(self) -> int:
        """Port to bind."""

    @property
    def ae_title(self) -> str:
        """Own title."""

    @property
    def certificate(self) -> Path | None:
        """Own PEM file."""

    @property
    def key(self) -> Path | None:
        """Its key."""

    @property
    def authority(self) -> Path | None:
        """Who signs callers."""

    @property
    def idle_timeout_s(self) -> float:
        """Longest silence."""

    @property
    def max_associations(self) -> int:
        """At the same time."""

    @property
    def peers(self) -> Sequence[Asker]:
        """Who may ask."""


class _Refused(Exception):
    def __init__(self, status: int, comment: str) -> None:
        super().__init__(comment)
        self.response = Dataset()
        self.response.Status = status
        self.response.ErrorComment = comment[:64]


class ArchiveProvider:
    """Answers searches and retrievals from the archive, in threads until :meth:`stop`.

    Parameters
    ----------
    options
        Address, title, who may ask.
    archive
        What is searched.
    access
        Rights per research study; None where every reader sees every image.
    find_user
        The account of a name, None when there is none or it is disabled; asked for each request.
    read_audit
        Where reads are written before an image leaves.

    Raises
    ------
    ConfigurationError
        If the port is taken or the TLS files cannot be used.
    """

    def __init__(
        self,
        options: QueryOptions,
        archive: Archive,
        access: ImageAccess | None,
        find_user: FindUser,
        read_audit: ImageReadAudit,
    ) -> None:
        self._archive = archive
        self._access = access
        self._find_user = find_user
        self._read_audit = read_audit
        self._title = options.ae_title
        self._peers = {peer.ae_title: peer for peer in options.peers}
        entity = _entity(options)
        tls = None
        if options.certificate is not None and options.key is not None:
            tls = listening_context(options.certificate, options.key, options.authority)
        handlers = [
            (evt.EVT_C_ECHO, lambda _event: SUCCESS),
            (evt.EVT_C_FIND, self._find),
            (evt.EVT_C_GET, self._get),
            (evt.EVT_C_MOVE, self._move),
        ]
        try:
            self._open = OpenPort(
                entity,
                options.host,
                options.port,
                handlers,
                tls=tls,
                handshake_timeout_s=min(options.idle_timeout_s, 30.0),
                pdu_timeout_s=options.idle_timeout_s,
            )
        except OSError as error:
            raise ConfigurationError(
                f"Port {options.port} cannot be opened: another program may use it. Change query.port.",
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
        """Close the port and end open associations."""
        self._open.stop()

    def _find(self, event: Any) -> Iterator[tuple[Any, Dataset | None]]:
        try:
            user = self._caller(event, "archive.read")
            question = read_question(_identifier(event))
        except (_Refused, BadQuery) as refusal:
            yield _response(refusal), None
            return
        for query in pages(question, MAXIMUM_RESULTS):
            with self._archive.database.connect() as connection:
                try:
                    page = search(
                        connection,
                        question.level,
                        Scope(),
                        query,
                        self._archive.readable_among,
                        "",
                        hidden=self._archive.hidden_from(connection, user.name),
                        restriction=self._access.restriction(user, connection) if self._access else None,
                    )
                except BadQuery as refusal:
                    yield _response(refusal), None
                    return
            for document in page.documents():
                if event.is_cancelled:
                    yield CANCELLED, None
                    return
                yield PENDING, write_answer(question, document, self._title)
            if not page.more:
                return

    def _get(self, event: Any) -> Iterator[Any]:
        try:
            user = self._caller(event, "image.read")
            rows = self._rows(user, read_wanted(_identifier(event)))
        except (_Refused, BadQuery) as refusal:
            # pynetdicom takes a status only when it was told of objects, and answers "none, success" to 0 of them.
            yield 1
            yield _response(refusal), None
            return
        yield len(rows)
        taken: dict[str, set[str]] = {}
        for context in event.assoc.accepted_contexts:
            if context.as_scu:
                taken.setdefault(str(context.abstract_syntax), set()).add(str(context.transfer_syntax[0]))
        yield from self._objects(event, user, rows, taken)

    def _move(self, event: Any) -> Iterator[Any]:
        # What is raised here becomes a failed status; pynetdicom has no other way to refuse before it calls anybody.
        user = self._caller(event, "image.read")
        rows = self._rows(user, read_wanted(_identifier(event)))
        destination = self._peers.get(str(event.move_destination).strip())
        if destination is None:
            yield None, None
            return
        # What arrives there can be read there: the destination needs the right as much as the caller.
        rows = self._rows_for(destination, rows)
        contexts, taken = _contexts_for(rows)
        yield destination.host, destination.port, {"contexts": contexts, "ae_title": destination.ae_title}
        yield len(rows)
        yield from self._objects(event, user, rows, taken)

    def _objects(
        self, event: Any, user: User, rows: Sequence[InstanceRow], taken: dict[str, set[str]]
    ) -> Iterator[Any]:
        address = event.assoc.requestor.address
        for row in rows:
            if event.is_cancelled:
                yield CANCELLED, None
                return
            try:
                self._read_audit.record(user, row.series_uid, str(row.pseudonym), address)
                yield PENDING, self._dataset(row, taken.get(row.sop_class_uid, set()))
            except RacoonError as error:
                LOG.warning("object could not be given", extra={"code": error.error_code})
                yield PENDING, None

    def _dataset(self, row: InstanceRow, taken: set[str]) -> Dataset:
        """Read an object; uncompressed where the peer does not take the stored syntax."""
        dataset = pydicom.dcmread(io.BytesIO(self._archive.read_object(row)))
        if row.transfer_syntax_uid in taken or row.transfer_syntax_uid in _UNCOMPRESSED:
            return dataset
        return pydicom.dcmread(io.BytesIO(uncompressed(dataset)))

    def _caller(self, event: Any, action: str) -> User:
        """Who calls: a listed title from its listed host, with an account that may do this."""
        requestor = event.assoc.requestor
        peer = self._peers.get(str(requestor.ae_title).strip())
        if peer is None or requestor.address not in addresses_of(peer.host):
            raise _Refused(NOT_AUTHORISED, "This application is not listed at the node.")
        user = self._find_user(peer.account)
        if user is None or not is_permitted("node", user.roles, action):
            raise _Refused(NOT_AUTHORISED, "The account of this application may not do that.")
        return user

    def _rows(self, user: User, wanted: Wanted) -> list[InstanceRow]:
        rows: list[InstanceRow] = []
        for study in wanted.studies:
            if self._access is not None and not self._access.may_see(user, study):
                continue
            found = self._archive.instances_of_study(study, seen_by=user.name)
            rows += [
                row
                for row in found
                if (not wanted.series or row.series_uid in wanted.series)
                and (not wanted.instances or row.sop_instance_uid in wanted.instances)
            ]
        return rows

    def _rows_for(self, destination: Asker, rows: Sequence[InstanceRow]) -> list[InstanceRow]:
        user = self._find_user(destination.account)
        if user is None or not is_permitted("node", user.roles, "image.read"):
            raise _Refused(NOT_AUTHORISED, "The account of the destination may not read images.")
        found: set[str] = set()
        for study in {row.imaging_study_uid for row in rows}:
            if self._access is None or self._access.may_see(user, study):
                shown = self._archive.instances_of_study(study, seen_by=user.name)
                found.update(row.sop_instance_uid for row in shown)
        return [row for row in rows if row.sop_instance_uid in found]


def _entity(options: QueryOptions) -> Entity:
    entity = Entity(ae_title=options.ae_title)
    entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.require_called_aet = True
    entity.require_calling_aet = [peer.ae_title for peer in options.peers] or [""]
    entity.maximum_pdu_size = LARGEST_PDU_BYTES >> 2
    entity.maximum_associations = options.max_associations
    entity.acse_timeout = min(options.idle_timeout_s, 30.0)
    entity.dimse_timeout = entity.network_timeout = options.idle_timeout_s
    entity.add_supported_context(VERIFICATION)
    for uid in (*FIND, *MOVE, *GET):
        entity.add_supported_context(uid)
    for context in AllStoragePresentationContexts:
        # With C-GET the caller is the one that stores (PS3.7 annex D.3.3.4).
        entity.add_supported_context(
            str(context.abstract_syntax), list(AllTransferSyntaxes), scu_role=False, scp_role=True
        )
    return entity


def _contexts_for(rows: Sequence[InstanceRow]) -> tuple[list[Any], dict[str, set[str]]]:
    """Contexts of an association that carries these objects, and the syntaxes it will take of each class."""
    stored: dict[str, set[str]] = {}
    for row in rows:
        stored.setdefault(row.sop_class_uid, set()).add(row.transfer_syntax_uid)
    contexts = []
    for sop_class in sorted(stored)[: MOST_CONTEXTS // 2]:
        # One syntax a context: the peer takes each or not, and then we know.
        contexts += [
            build_context(sop_class, syntax) for syntax in sorted(stored[sop_class] - set(_UNCOMPRESSED))
        ]
        contexts.append(build_context(sop_class, list(_UNCOMPRESSED)))
    return contexts[:MOST_CONTEXTS], stored


def _identifier(event: Any) -> Dataset:
    try:
        identifier: Dataset = event.identifier
        for item in identifier:
            _ = item.value
    except Exception as error:
        raise BadQuery("The identifier cannot be read.") from error
    return identifier


def _response(refusal: _Refused | BadQuery) -> Dataset:
    if isinstance(refusal, _Refused):
        return refusal.response
    return _Refused(DOES_NOT_MATCH, refusal.public_message).response


def serve(
    options: QueryOptions,
    archive: Archive,
    access: ImageAccess | None,
    find_user: FindUser,
    read_audit: ImageReadAudit,
) -> None:
    """Answer until SIGTERM; the body of a process."""
    _config.LOG_HANDLER_LEVEL = "none"
    # It logs refusals with a trace and peers' words; ours are logged here.
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    stop = stopping()
    provider = ArchiveProvider(options, archive, access, find_user, read_audit)
    provider.start()
    LOG.info("listening", extra={"port": provider.port})
    mark_ready()
    stop.wait()
    provider.stop()

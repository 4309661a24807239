"""What one may ask of the relay; a parcel is taken in pieces and goes on where the last one was cut."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import sqlalchemy as sa
from fastapi.concurrency import run_in_threadpool

from racoon.central.orchestration.service import Mail
from racoon.central.relay import _store
from racoon.central.studies.service import Studies
from racoon.errors import Defect, Refused, Unavailable
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.files import disk_errors
from racoon.protocol.envelope import Envelope
from racoon.protocol.exchange import ParcelOffer, ParcelState
from racoon.protocol.messages import Letter

AFTERWARDS = frozenset({"stopped", "declined"})
"""Track states of sites that have left: they may still take data back, and hear that data are gone."""


class RelayRefused(Refused):
    """CENTRAL carries nothing between these two about this study."""

    code: ClassVar[str] = "relay.refused"


class ParcelMissing(Refused):
    """The parcel does not exist or is not for this site; both look the same."""

    code: ClassVar[str] = "relay.not_available"
    status: ClassVar[int] = 404


class ParcelDefect(Defect):
    """The parcel's bytes are not those of its name."""

    code: ClassVar[str] = "relay.damaged"
    status: ClassVar[int] = 409


class Relay:
    """Letters and parcels between sites and pools.

    Parameters
    ----------
    audit, mail, studies
        CENTRAL's own.
    folder
        Where closed parcels lie until they are fetched.
    limit_bytes
        Largest sum of all parcels that wait here.
    """

    def __init__(self, audit: AuditLog, mail: Mail, studies: Studies, folder: Path, limit_bytes: int) -> None:
        self._audit = audit
        self._mail = mail
        self._studies = studies
        self._folder = folder
        self._limit_bytes = limit_bytes
        folder.mkdir(parents=True, exist_ok=True)
        mail.on("letter", self.receive)

    def receive(self, connection: sa.Connection, site: str, letter: Letter, _envelope: Envelope) -> None:
        """Pass a letter on, once."""
        if letter.sender != site:
            raise RelayRefused("A letter names another sender than the site that posted it.")
        self._check(connection, letter.study_id, site, letter.recipient, is_data=False)
        is_new = _store.pass_on(
            connection,
            letter_id=letter.letter_id,
            sender=site,
            recipient=letter.recipient,
            study_id=letter.study_id,
            passed_at=clock.now(),
        )
        if is_new:
            self._mail.send(connection, letter.recipient, "letter.delivered", letter)

    def open_parcel(self, connection: sa.Connection, site: str, offer: ParcelOffer) -> ParcelState:
        """Announce a parcel, or ask how far it came.

        Raises
        ------
        RelayRefused, Unavailable
        """
        known = _store.load(connection, offer.sha256)
        if known is not None and known.gone_at is None:
            if known.sender != site or known.size_bytes != offer.size_bytes:
                raise RelayRefused("This parcel was announced differently before.")
            return self._state(known)
        if known is not None:
            return ParcelState(offset=known.size_bytes, is_whole=True)
        self._check(connection, offer.study_id, site, offer.recipient, is_data=True)
        if _store.waiting_bytes(connection) + offer.size_bytes > self._limit_bytes:
            raise Unavailable(
                "CENTRAL holds too many parcels now; the node sends on when the pool has fetched some."
            )
        _store.insert(
            connection,
            sha256=offer.sha256,
            sender=site,
            recipient=offer.recipient,
            study_id=offer.study_id,
            size_bytes=offer.size_bytes,
            opened_at=clock.now(),
        )
        self._audit.append(
            connection,
            actor=site,
            actor_role="node",
            action="relay.parcel",
            target=f"parcel/{offer.sha256}",
            purpose=offer.study_id,
            details={"recipient": offer.recipient, "bytes": offer.size_bytes},
        )
        return self._state(_require(_store.load(connection, offer.sha256)))

    async def append(self, row: sa.Row[Any], offset: int, chunks: AsyncIterator[bytes]) -> ParcelState:
        """Take more bytes of a parcel; what arrived before a cut stays.

        Parameters
        ----------
        row
            From :meth:`sent_parcel`.
        offset
            Where these bytes belong; must be where the last ones ended.

        Raises
        ------
        ParcelDefect
            When the offset is another, or the whole is not what its name says; it begins anew then.
        """
        state = self._state(row)
        if state.is_whole:
            return state
        if offset != state.offset:
            raise ParcelDefect("The parcel goes on at another byte; ask how far it came.")
        partial = self._partial(row.sha256)
        size = offset
        with disk_errors(), partial.open("ab") as stream:
            async for chunk in chunks:
                size += len(chunk)
                if size > row.size_bytes:
                    break
                await run_in_threadpool(stream.write, chunk)
        if size > row.size_bytes or (size == row.size_bytes and _hash(partial) != row.sha256):
            partial.unlink()
            raise ParcelDefect("The parcel's bytes are not those of its name; it begins anew.")
        if size == row.size_bytes:
            partial.replace(self._whole(row.sha256))
        return self._state(row)

    def finish(self, connection: sa.Connection, sha256: str) -> None:
        """Note that a parcel is whole."""
        _store.update(connection, sha256, whole_at=clock.now())

    def sent_parcel(self, connection: sa.Connection, sha256: str, site: str) -> sa.Row[Any]:
        """Return a parcel that a site has announced; ``ParcelMissing`` for any other."""
        row = _store.load(connection, sha256)
        if row is None or row.sender != site or row.gone_at is not None:
            raise ParcelMissing("This parcel is not available.")
        return row

    def path_for(self, connection: sa.Connection, sha256: str, site: str) -> Path:
        """Return where a whole parcel lies, for its recipient only."""
        row = _store.load(connection, sha256)
        if row is None or row.recipient != site or row.gone_at is not None:
            raise ParcelMissing("This parcel is not available.")
        path = self._whole(row.sha256)
        if not path.exists():
            raise ParcelMissing("This parcel is not available.")
        return path

    def forget(self, connection: sa.Connection, sha256: str, site: str) -> None:
        """Delete a parcel: its recipient has it, or its sender takes it back."""
        row = _store.load(connection, sha256)
        if row is None or site not in (row.sender, row.recipient):
            raise ParcelMissing("This parcel is not available.")
        self._remove(connection, sha256)

    def prune(self, connection: sa.Connection, lifetime: timedelta) -> int:
        """Delete parcels that nobody fetched; their senders' letters are still there and say what is missing."""
        late = _store.load_older(connection, clock.now() - lifetime)
        for sha256 in late:
            self._remove(connection, sha256)
        return len(late)

    def traffic(self, connection: sa.Connection, study_id: str) -> list[dict[str, Any]]:
        """Count what was carried for a study, by sender and recipient: parcels, bytes, and how many were fetched."""
        return [dict(row._mapping) for row in _store.traffic(connection, study_id)]

    def _check(
        self, connection: sa.Connection, study_id: str, sender: str, recipient: str, *, is_data: bool
    ) -> None:
        study = self._studies.study(connection, study_id)
        pool = study.definition.pool_site
        tracks = {track.site: track.state for track in self._studies.tracks(connection, study_id)}
        other = recipient if sender == pool else sender
        is_pair = pool is not None and pool in (sender, recipient) and sender != recipient
        if not is_pair or other not in tracks:
            raise RelayRefused("CENTRAL carries this only between a study's sites and its pool.")
        if is_data and (study.definition.mode != "pooled" or tracks[other] in AFTERWARDS or sender == pool):
            raise RelayRefused("Data travel only in a pooled study, from a site that takes part to the pool.")

    def _state(self, row: sa.Row[Any]) -> ParcelState:
        if self._whole(row.sha256).exists():
            return ParcelState(offset=row.size_bytes, is_whole=True)
        partial = self._partial(row.sha256)
        return ParcelState(offset=partial.stat().st_size if partial.exists() else 0, is_whole=False)

    def _remove(self, connection: sa.Connection, sha256: str) -> None:
        for path in (self._whole(sha256), self._partial(sha256)):
            path.unlink(missing_ok=True)
        _store.update(connection, sha256, gone_at=clock.now())

    def _whole(self, sha256: str) -> Path:
        return self._folder / sha256

    def _partial(self, sha256: str) -> Path:
        return self._folder / f".{sha256}.part"


def _hash(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _require(row: sa.Row[Any] | None) -> sa.Row[Any]:
    if row is None:
        raise ParcelMissing("This parcel is not available.")
    return row

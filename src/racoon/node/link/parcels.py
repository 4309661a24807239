"""Closed files on their way: sent in pieces, fetched in ranges, each going on at the byte where it was cut."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from racoon.node.link.model import CentralUnreachable
from racoon.platform import clock
from racoon.platform.database import Database, UtcDateTime, metadata
from racoon.protocol.exchange import PIECE_BYTES, ParcelState

if TYPE_CHECKING:
    import httpx

_log = logging.getLogger(__name__)

parcel = sa.Table(
    "link_parcel",
    metadata("node"),
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("direction", sa.String(3), nullable=False),
    sa.Column("peer", sa.String(16), nullable=False),
    sa.Column("study_id", sa.String(80), nullable=False, index=True),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("queued_at", UtcDateTime, nullable=False),
    sa.Column("done_at", UtcDateTime),
    sa.Column("refused", sa.String(200)),
)

OUT, IN = "out", "in"
_NOT_FOUND, _CONFLICT, _RANGE = 404, 409, 416


@dataclass(frozen=True)
class Parcel:
    """One closed file on its way.

    Parameters
    ----------
    sha256
        Of the closed bytes; also its name.
    peer
        To whom, or from whom.
    study_id, size_bytes
        For which study, and how large.
    """

    sha256: str
    peer: str
    study_id: str
    size_bytes: int


class Parcels:
    """The parcels of one node.

    Parameters
    ----------
    database
        The node's.
    folder
        Where closed files lie, by direction.
    """

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
        self._folder = folder

    def path(self, direction: str, sha256: str) -> Path:
        """Say where a parcel lies."""
        place = self._folder / direction
        place.mkdir(parents=True, exist_ok=True)
        return place / sha256

    def queue(self, connection: sa.Connection, direction: str, item: Parcel) -> None:
        """Note a parcel to be sent or fetched; the same again changes nothing."""
        known = sa.select(parcel.c.sha256).where(parcel.c.sha256 == item.sha256)
        if connection.execute(known).first() is None:
            connection.execute(
                parcel.insert().values(
                    sha256=item.sha256,
                    direction=direction,
                    peer=item.peer,
                    study_id=item.study_id,
                    size_bytes=item.size_bytes,
                    queued_at=clock.now(),
                )
            )

    def undone(self, connection: sa.Connection, wanted: list[str]) -> set[str]:
        """Return those of some parcels that are not through yet."""
        found: set[str] = set()
        for start in range(0, len(wanted), 500):
            query = sa.select(parcel.c.sha256).where(
                parcel.c.sha256.in_(wanted[start : start + 500]), parcel.c.done_at.is_(None)
            )
            found.update(connection.execute(query).scalars())
        return found

    def refused(self, connection: sa.Connection, wanted: list[str]) -> str:
        """Return why CENTRAL does not carry one of some parcels; empty when it does."""
        for start in range(0, len(wanted), 500):
            query = sa.select(parcel.c.refused).where(
                parcel.c.sha256.in_(wanted[start : start + 500]), parcel.c.refused.is_not(None)
            )
            for reason in connection.execute(query).scalars():
                return str(reason)
        return ""

    def drop(self, connection: sa.Connection, wanted: list[str]) -> None:
        """Take parcels from the queue and delete their files."""
        for sha256 in wanted:
            connection.execute(parcel.delete().where(parcel.c.sha256 == sha256))
            for direction in (OUT, IN):
                self.path(direction, sha256).unlink(missing_ok=True)

    def step(self, client: httpx.Client, base_url: str) -> bool:
        """Send or fetch the oldest parcel that waits; False when there was none.

        Raises
        ------
        httpx.HTTPError, CentralUnreachable
            On a cut: what is through stays, and the next step goes on there.
        """
        query = (
            sa.select(parcel)
            .where(parcel.c.done_at.is_(None), parcel.c.refused.is_(None))
            .order_by(parcel.c.queued_at, parcel.c.sha256)
            .limit(1)
        )
        with self._database.connect() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return False
        url = f"{base_url}/node/v1/parcels"
        done = self._send(client, url, row) if row.direction == OUT else self._fetch(client, url, row)
        if done:
            with self._database.begin() as connection:
                connection.execute(
                    parcel.update().where(parcel.c.sha256 == row.sha256).values(done_at=clock.now())
                )
            if row.direction == OUT:
                self.path(OUT, row.sha256).unlink(missing_ok=True)
            else:
                # CENTRAL need not keep what is here; where it does not hear so, it forgets after its days.
                client.delete(f"{url}/{row.sha256}")
        return True

    def _send(self, client: httpx.Client, url: str, row: sa.Row[Any]) -> bool:
        offer = {
            "sha256": row.sha256,
            "size_bytes": row.size_bytes,
            "recipient": row.peer,
            "study_id": row.study_id,
        }
        answer = client.post(url, json=offer)
        if answer.is_client_error:
            self._refuse(row.sha256, answer)
            return False
        answer.raise_for_status()
        state = ParcelState.model_validate(answer.json())
        while not state.is_whole:
            with self.path(OUT, row.sha256).open("rb") as stream:
                stream.seek(state.offset)
                piece = stream.read(PIECE_BYTES)
            answer = client.put(f"{url}/{row.sha256}", params={"offset": state.offset}, content=piece)
            if answer.status_code == _CONFLICT:
                raise CentralUnreachable("A parcel goes on at another byte; its state is asked for again.")
            answer.raise_for_status()
            state = ParcelState.model_validate(answer.json())
        return True

    def _fetch(self, client: httpx.Client, url: str, row: sa.Row[Any]) -> bool:
        target = self.path(IN, row.sha256)
        partial = target.with_suffix(".part")
        offset = partial.stat().st_size if partial.exists() else 0
        if offset < row.size_bytes:
            headers = {"Range": f"bytes={offset}-"} if offset else {}
            with client.stream("GET", f"{url}/{row.sha256}", headers=headers) as answer:
                if answer.status_code in (_NOT_FOUND, _RANGE):
                    self._wait_behind_others(row.sha256)
                    raise CentralUnreachable("A parcel is not at CENTRAL yet.")
                answer.raise_for_status()
                is_continued = answer.status_code == 206
                with partial.open("ab" if is_continued else "wb") as stream:
                    for chunk in answer.iter_bytes(1 << 16):
                        stream.write(chunk)
        if partial.stat().st_size < row.size_bytes:
            raise CentralUnreachable("A parcel was cut on the way; it goes on there.")
        with partial.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if digest != row.sha256:
            partial.unlink()
            raise CentralUnreachable("A parcel arrived damaged; it is fetched again.")
        partial.replace(target)
        return True

    def _wait_behind_others(self, sha256: str) -> None:
        with self._database.begin() as connection:
            connection.execute(parcel.update().where(parcel.c.sha256 == sha256).values(queued_at=clock.now()))

    def _refuse(self, sha256: str, answer: httpx.Response) -> None:
        try:
            reason = str(answer.json().get("detail", answer.status_code))
        except ValueError:
            reason = f"HTTP status {answer.status_code}"
        _log.error("central does not carry a parcel", extra={"parcel": sha256, "reason": reason})
        with self._database.begin() as connection:
            connection.execute(parcel.update().where(parcel.c.sha256 == sha256).values(refused=reason[:200]))

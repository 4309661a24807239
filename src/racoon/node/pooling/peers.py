"""Whose keys are known here: exchanged by people outside the network, so that nobody in between can put in his own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from racoon.node.pooling import _store
from racoon.node.pooling.model import ExportRefused
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.protocol.sealing import PeerCode, load_or_create_sealing_key


class Peers:
    """Keys of this node and of those it pools with.

    Parameters
    ----------
    audit
        The node's audit log.
    site, signing_key
        This node.
    key_file
        Where its sealing key lies.
    """

    def __init__(self, audit: AuditLog, site: str, signing_key: Ed25519PublicKey, key_file: Path) -> None:
        self._audit = audit
        self.site = site
        self._signing_key = signing_key
        self._key_file = key_file

    @property
    def sealing_key(self) -> Any:
        """The key that opens what is meant for this node."""
        return load_or_create_sealing_key(self._key_file)

    @property
    def own(self) -> PeerCode:
        """What people of the other side enter there."""
        public = self.sealing_key.public_key().public_bytes_raw()
        return PeerCode(self.site, self._signing_key.public_bytes_raw(), public)

    def add(self, connection: sa.Connection, text: str, *, actor: str, actor_role: str) -> PeerCode:
        """Take down another node's keys; a new code of a known site replaces the old one.

        Raises
        ------
        PeerCodeRefused, ExportRefused
        """
        code = PeerCode.from_text(text)
        if code.site == self.site:
            raise ExportRefused("This is this node's own peer code; it is for the people of the other side.")
        connection.execute(_store.peer.delete().where(_store.peer.c.site == code.site))
        connection.execute(
            _store.peer.insert().values(
                site=code.site,
                code=code.to_text(),
                fingerprint=code.fingerprint,
                added_by=actor,
                added_at=clock.now(),
            )
        )
        self._audit.append(
            connection,
            actor=actor,
            actor_role=actor_role,
            action="pool.peer",
            target=f"site/{code.site}",
            details={"fingerprint": code.fingerprint},
        )
        return code

    def get(self, connection: sa.Connection, site: str) -> PeerCode | None:
        """Return the keys of a site, or None where nobody entered them."""
        row = _store.one(connection, _store.peer, _store.peer.c.site == site)
        return PeerCode.from_text(row.code) if row is not None else None

    def all(self, connection: sa.Connection) -> list[dict[str, Any]]:
        """List the known sites."""
        return [dict(row._mapping) for row in _store.rows(connection, _store.peer, order=_store.peer.c.site)]

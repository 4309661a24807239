"""What one may ask about the state of the network."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from racoon.central.monitoring import _store
from racoon.central.monitoring.model import SiteStatus, assess
from racoon.central.orchestration.service import Mail
from racoon.central.sites.service import Sites
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.protocol.envelope import Envelope
from racoon.protocol.messages import AuditAnchor, Heartbeat

HISTORY_EVERY = timedelta(minutes=5)
"""One kept heartbeat per span is enough for a curve of weeks."""


class Monitoring:
    """Heartbeats and anchors.

    Parameters
    ----------
    audit, sites, mail
        The rooms it needs.
    interval_s
        Seconds between heartbeats.
    """

    def __init__(self, audit: AuditLog, sites: Sites, mail: Mail, *, interval_s: float) -> None:
        self._audit = audit
        self._sites = sites
        self._mail = mail
        self._interval_s = interval_s
        mail.on("heartbeat", self._heartbeat)
        mail.on("audit.anchor", self._anchor)

    def statuses(self, connection: sa.Connection) -> list[SiteStatus]:
        """Judge every site, by code."""
        newest, now = _store.load_newest(connection), clock.now()
        return [
            assess(
                site.code,
                *newest.get(site.code, (None, None)),
                certificate_expires_at=site.certificate_expires_at,
                interval_s=self._interval_s,
                now=now,
            )
            for site in self._sites.sites(connection)
        ]

    def people_addresses(self, connection: sa.Connection) -> dict[str, str]:
        """Return where people of each site open its pages; sites whose node did not say it are absent."""
        newest = _store.load_newest(connection)
        return {site: said["people_url"] for site, (_, said) in newest.items() if said.get("people_url")}

    def history(self, connection: sa.Connection, site: str, limit: int = 500) -> list[dict[str, Any]]:
        """Return kept heartbeats of a site, newest first."""
        return [
            {"received_at": moment, **numbers}
            for moment, numbers in _store.load_history(connection, site, limit)
        ]

    def send_anchors(self, connection: sa.Connection) -> None:
        """Send the newest hash of CENTRAL's audit chain to every enrolled site."""
        sequence, digest = self._audit.head(connection)
        if sequence:
            for site in self._sites.enrolled(connection):
                message = AuditAnchor(sequence=sequence, hash=digest)
                self._mail.send(connection, site, "audit.anchor.central", message)

    def prune(self, connection: sa.Connection, retention: timedelta) -> None:
        """Forget old heartbeats."""
        _store.prune(connection, clock.now() - retention)

    def _heartbeat(self, connection: sa.Connection, site: str, message: Heartbeat, _: Envelope) -> None:
        now, numbers = clock.now(), message.model_dump(mode="json")
        _store.save(connection, site, numbers, now)
        self._sites.record_version(connection, site, message.version)
        newest = _store.newest_in_history(connection, site)
        if newest is None or now - newest >= HISTORY_EVERY:
            _store.add_history(connection, site, numbers, now)

    def _anchor(self, connection: sa.Connection, site: str, message: AuditAnchor, _: Envelope) -> None:
        earlier = _store.newest_anchor(connection, site)
        known = _store.save_anchor(connection, site, message.sequence, message.hash, clock.now())
        # A chain only grows, and its old links never change; anything else is evidence, and is kept as such.
        if message.sequence < earlier or known not in (None, message.hash):
            self._audit.append(
                connection,
                actor=site,
                actor_role="node",
                action="audit.anchor",
                target=f"site/{site}",
                outcome="failure",
                details={"sequence": message.sequence, "earlier": earlier, "hash": message.hash},
            )

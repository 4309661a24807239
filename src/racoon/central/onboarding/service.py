"""What one may ask about new sites."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import sqlalchemy as sa

from racoon.central.onboarding import _store
from racoon.central.onboarding.model import (
    BY_HAND,
    Onboarding,
    OnboardingDefect,
    Readiness,
    onboarding_of,
)
from racoon.central.orchestration.service import Mail
from racoon.central.sites.service import Sites
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.protocol.envelope import Envelope, to_wire
from racoon.protocol.messages import SiteReadiness


class Onboardings:
    """Checklists, mentors and readiness of all sites.

    Parameters
    ----------
    audit, sites, mail
        CENTRAL's own.
    """

    def __init__(self, audit: AuditLog, sites: Sites, mail: Mail) -> None:
        self._audit = audit
        self._sites = sites
        mail.on("site.readiness", self._readiness_said)

    def all(
        self, connection: sa.Connection, *, connected: Collection[str], decided: Collection[str]
    ) -> list[Onboarding]:
        """Return the checklist of every site, by code.

        Parameters
        ----------
        connection
            Open connection.
        connected
            Sites whose nodes send signs of life now.
        decided
            Sites that took a decision on a study.
        """
        mentors, ticks = _store.load_mentors(connection), _store.load_ticks(connection)
        tests, now = _store.load_readiness(connection), clock.now()
        return [
            onboarding_of(
                site,
                mentors.get(site.code, ""),
                ticks.get(site.code, {}),
                tests.get(site.code),
                is_connected=site.code in connected,
                has_decided=site.code in decided,
                now=now,
            )
            for site in self._sites.sites(connection)
        ]

    def set_mentor(self, connection: sa.Connection, code: str, mentor: str, actor: str, role: str) -> None:
        """Say which site accompanies a new one; empty for none.

        Raises
        ------
        OnboardingDefect
            When the mentor is the site itself or is not enrolled.
        """
        self._sites.site(connection, code)
        if mentor and (mentor == code or mentor not in self._sites.enrolled(connection)):
            raise OnboardingDefect("A mentor is another site that is enrolled.")
        _store.save_mentor(connection, code, mentor)
        self._write(connection, actor, role, "onboarding.mentor", code, {"mentor": mentor})

    def tick(
        self, connection: sa.Connection, code: str, key: str, actor: str, role: str, *, is_done: bool
    ) -> None:
        """Confirm something that cannot be seen from here, or take it back.

        Raises
        ------
        OnboardingDefect
            When it is not on the list, or is seen from here.
        """
        self._sites.site(connection, code)
        if key not in BY_HAND:
            raise OnboardingDefect("This is not on the list, or is seen from here and not ticked by hand.")
        _store.save_tick(connection, code, key, actor, clock.now() if is_done else None)
        self._write(connection, actor, role, "onboarding.tick", code, {"item": key, "is_done": is_done})

    def _readiness_said(
        self, connection: sa.Connection, site: str, message: SiteReadiness, envelope: Envelope
    ) -> None:
        known = _store.load_readiness(connection).get(site)
        if known is not None and known.tested_at > message.tested_at:
            return
        checks = [check.model_dump(mode="json") for check in message.checks]
        readiness = Readiness(message.tested_at, message.version, message.policy_version, checks)
        _store.save_readiness(connection, site, readiness, to_wire(envelope))
        self._audit.append(
            connection,
            actor=site,
            actor_role="node",
            action="site.readiness",
            target=f"site/{site}",
            outcome="success" if readiness.is_ready else "failure",
            details={check["code"]: check["is_ok"] for check in checks},
        )

    def _write(
        self,
        connection: sa.Connection,
        actor: str,
        role: str,
        action: str,
        code: str,
        details: Mapping[str, object],
    ) -> None:
        self._audit.append(
            connection,
            actor=actor,
            actor_role=role,
            action=action,
            target=f"site/{code}",
            details=dict(details),
        )

"""Tables of onboarding."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from racoon.central.onboarding.model import Readiness, Tick
from racoon.platform.database import Json, UtcDateTime, metadata

onboarding = sa.Table(
    "onboarding",
    metadata("central"),
    sa.Column("site", sa.String(16), primary_key=True),
    sa.Column("mentor", sa.String(16), nullable=False),
)

onboarding_tick = sa.Table(
    "onboarding_tick",
    metadata("central"),
    sa.Column("site", sa.String(16), primary_key=True),
    sa.Column("item", sa.String(40), primary_key=True),
    sa.Column("done_by", sa.String(200), nullable=False),
    sa.Column("done_at", UtcDateTime, nullable=False),
)

site_readiness = sa.Table(
    "site_readiness",
    metadata("central"),
    sa.Column("site", sa.String(16), primary_key=True),
    sa.Column("tested_at", UtcDateTime, nullable=False),
    sa.Column("version", sa.String(40), nullable=False),
    sa.Column("policy_version", sa.String(80), nullable=False),
    sa.Column("checks", Json, nullable=False),
    # The site's signed envelope: what CENTRAL shows is what the node said.
    sa.Column("envelope", Json, nullable=False),
)


def load_mentors(connection: sa.Connection) -> dict[str, str]:
    """Load who accompanies whom."""
    return {row.site: row.mentor for row in connection.execute(sa.select(onboarding))}


def save_mentor(connection: sa.Connection, site: str, mentor: str) -> None:
    """Write who accompanies a site; empty for nobody."""
    connection.execute(onboarding.delete().where(onboarding.c.site == site))
    if mentor:
        connection.execute(onboarding.insert().values(site=site, mentor=mentor))


def load_ticks(connection: sa.Connection) -> dict[str, dict[str, Tick]]:
    """Load what people confirmed, by site and key."""
    found: dict[str, dict[str, Tick]] = {}
    for row in connection.execute(sa.select(onboarding_tick)):
        found.setdefault(row.site, {})[row.item] = Tick(row.item, row.done_by, row.done_at)
    return found


def save_tick(connection: sa.Connection, site: str, item: str, actor: str, moment: datetime | None) -> None:
    """Write or take back that something is done."""
    table = onboarding_tick
    connection.execute(table.delete().where(table.c.site == site, table.c.item == item))
    if moment is not None:
        connection.execute(table.insert().values(site=site, item=item, done_by=actor, done_at=moment))


def load_readiness(connection: sa.Connection) -> dict[str, Readiness]:
    """Load the newest test of each site."""
    return {
        row.site: Readiness(row.tested_at, row.version, row.policy_version, row.checks)
        for row in connection.execute(sa.select(site_readiness))
    }


def save_readiness(
    connection: sa.Connection, site: str, readiness: Readiness, envelope: dict[str, Any]
) -> None:
    """Replace the newest test of a site."""
    connection.execute(site_readiness.delete().where(site_readiness.c.site == site))
    connection.execute(
        site_readiness.insert().values(
            site=site,
            tested_at=readiness.tested_at,
            version=readiness.version,
            policy_version=readiness.policy_version,
            checks=list(readiness.checks),
            envelope=envelope,
        )
    )

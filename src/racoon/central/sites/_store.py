"""Tables of sites, their certificates and join codes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from racoon.central.sites.model import Site, SiteState
from racoon.platform.database import UtcDateTime, metadata

site = sa.Table(
    "site",
    metadata("central"),
    sa.Column("code", sa.String(16), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("city", sa.String(200), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("signing_key", sa.String(64)),
    sa.Column("version", sa.String(40)),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("enrolled_at", UtcDateTime),
)

site_certificate = sa.Table(
    "site_certificate",
    metadata("central"),
    sa.Column("fingerprint", sa.String(64), primary_key=True),
    sa.Column("site", sa.String(16), sa.ForeignKey("site.code"), nullable=False, index=True),
    sa.Column("issued_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("revoked_at", UtcDateTime),
)

join_code = sa.Table(
    "join_code",
    metadata("central"),
    sa.Column("site", sa.String(16), sa.ForeignKey("site.code"), primary_key=True),
    # Sealed with a key outside the database: a stolen database alone lets nobody join.
    sa.Column("sealed_secret", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("request_hash", sa.String(64)),
)


def insert(connection: sa.Connection, code: str, name: str, city: str, created_at: datetime) -> None:
    """Write a new, invited site."""
    connection.execute(
        site.insert().values(code=code, name=name, city=city, state=SiteState.INVITED, created_at=created_at)
    )


def update(connection: sa.Connection, code: str, **values: Any) -> None:
    """Change columns of a site."""
    connection.execute(site.update().where(site.c.code == code).values(**values))


def load_all(connection: sa.Connection) -> list[Site]:
    """Load all sites, by code."""
    return [_site(row) for row in connection.execute(_select().order_by(site.c.code))]


def load(connection: sa.Connection, code: str) -> Site | None:
    """Load one site."""
    row = connection.execute(_select().where(site.c.code == code)).first()
    return _site(row) if row else None


def load_by_fingerprint(connection: sa.Connection, fingerprint: str) -> Site | None:
    """Load the site a certificate was issued to, unless the certificate is revoked."""
    code = connection.execute(
        sa.select(site_certificate.c.site).where(
            site_certificate.c.fingerprint == fingerprint, site_certificate.c.revoked_at.is_(None)
        )
    ).scalar()
    return load(connection, code) if code else None


def add_certificate(
    connection: sa.Connection, code: str, fingerprint: str, issued_at: datetime, expires_at: datetime
) -> None:
    """Bind a certificate to a site."""
    connection.execute(
        site_certificate.insert().values(
            fingerprint=fingerprint, site=code, issued_at=issued_at, expires_at=expires_at
        )
    )


def revoke_certificates(connection: sa.Connection, code: str, moment: datetime) -> None:
    """Revoke every certificate of a site."""
    connection.execute(
        site_certificate.update()
        .where(site_certificate.c.site == code, site_certificate.c.revoked_at.is_(None))
        .values(revoked_at=moment)
    )


def replace_join_code(
    connection: sa.Connection, code: str, sealed_secret: str, created_at: datetime, expires_at: datetime
) -> None:
    """Write a site's only join code; an older one is gone."""
    connection.execute(join_code.delete().where(join_code.c.site == code))
    connection.execute(
        join_code.insert().values(
            site=code, sealed_secret=sealed_secret, created_at=created_at, expires_at=expires_at
        )
    )


def load_join_code(connection: sa.Connection, code: str) -> sa.Row[Any] | None:
    """Load a site's join code, sealed."""
    return connection.execute(sa.select(join_code).where(join_code.c.site == code)).first()


def burn_join_code(connection: sa.Connection, code: str, request_hash: str) -> None:
    """Bind a join code to the one request that used it."""
    connection.execute(join_code.update().where(join_code.c.site == code).values(request_hash=request_hash))


def remove_join_code(connection: sa.Connection, code: str) -> None:
    """Forget a site's join code."""
    connection.execute(join_code.delete().where(join_code.c.site == code))


def _select() -> sa.Select[Any]:
    expiry = (
        sa.select(sa.func.max(site_certificate.c.expires_at))
        .where(site_certificate.c.site == site.c.code, site_certificate.c.revoked_at.is_(None))
        .scalar_subquery()
    )
    open_code = (
        sa.select(join_code.c.expires_at)
        .where(join_code.c.site == site.c.code, join_code.c.request_hash.is_(None))
        .scalar_subquery()
    )
    return sa.select(
        site,
        sa.type_coerce(expiry, UtcDateTime).label("certificate_expires_at"),
        sa.type_coerce(open_code, UtcDateTime).label("join_code_expires_at"),
    )


def _site(row: sa.Row[Any]) -> Site:
    return Site(
        code=row.code,
        name=row.name,
        city=row.city,
        state=SiteState(row.state),
        signing_key=row.signing_key,
        version=row.version,
        created_at=row.created_at,
        enrolled_at=row.enrolled_at,
        certificate_expires_at=row.certificate_expires_at,
        join_code_expires_at=row.join_code_expires_at,
    )

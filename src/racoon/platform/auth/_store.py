"""Tables of accounts, sessions and wrong logins, once per role."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from racoon.platform.database import ROLES, Json, RoleName, UtcDateTime, metadata


@dataclass(frozen=True)
class Tables:
    """The auth tables of one role."""

    account: sa.Table
    session: sa.Table
    throttle: sa.Table


def _tables(role: RoleName) -> Tables:
    tables = metadata(role)
    return Tables(
        sa.Table(
            "account",
            tables,
            sa.Column("name", sa.String(80), primary_key=True),
            sa.Column("password_hash", sa.String(200), nullable=False),
            sa.Column("roles", Json, nullable=False),
            sa.Column("site", sa.String(16)),
            sa.Column("is_disabled", sa.Boolean, nullable=False),
            sa.Column("created", UtcDateTime, nullable=False),
            sa.Column("second_factor", sa.String(64), nullable=False, server_default=""),
            sa.Column("last_code_step", sa.BigInteger, nullable=False, server_default="0"),
            sa.Column("recovery_hashes", Json, nullable=False, server_default="[]"),
        ),
        sa.Table(
            "session",
            tables,
            sa.Column("token_hash", sa.String(64), primary_key=True),
            sa.Column(
                "account", sa.ForeignKey("account.name", ondelete="CASCADE"), nullable=False, index=True
            ),
            sa.Column("label", sa.String(80), nullable=False),
            sa.Column("opened", UtcDateTime, nullable=False),
            sa.Column("last_seen", UtcDateTime, nullable=False),
            sa.Column("expires", UtcDateTime, nullable=False),
            sa.Column("idle_s", sa.Integer),
            sa.Column("awaits_code", sa.Boolean, nullable=False, server_default=sa.text("false")),
        ),
        sa.Table(
            "login_throttle",
            tables,
            sa.Column("name", sa.String(80), primary_key=True),
            sa.Column("failures", sa.Integer, nullable=False),
            sa.Column("blocked_until", UtcDateTime),
        ),
    )


TABLES = {role: _tables(role) for role in ROLES}

"""Tables of accounts, sessions, wrong logins and waiting grants, once per role."""

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
    grant: sa.Table
    external_identity: sa.Table
    sign_in_attempt: sa.Table


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
            sa.Column("provider", sa.String(20), nullable=False, server_default=""),
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
        sa.Table(
            "account_grant",
            tables,
            sa.Column("grant_id", sa.String(32), primary_key=True),
            sa.Column(
                "account", sa.ForeignKey("account.name", ondelete="CASCADE"), nullable=False, index=True
            ),
            sa.Column("kind", sa.String(10), nullable=False),
            sa.Column("roles", Json, nullable=False),
            sa.Column("asked_by", sa.String(80), nullable=False),
            sa.Column("asked_at", UtcDateTime, nullable=False),
            sa.Column("password_hash", sa.String(200), nullable=False),
            sa.Column("second_half", sa.String(40), nullable=False),
            sa.Column("state", sa.String(12), nullable=False, index=True),
            sa.Column("decided_by", sa.String(80), nullable=False),
            sa.Column("decided_at", UtcDateTime),
        ),
        sa.Table(
            "external_identity",
            tables,
            sa.Column("issuer", sa.String(200), primary_key=True),
            sa.Column("subject", sa.String(255), primary_key=True),
            sa.Column(
                "account", sa.ForeignKey("account.name", ondelete="CASCADE"), nullable=False, index=True
            ),
        ),
        sa.Table(
            "sign_in_attempt",
            tables,
            sa.Column("state_hash", sa.String(64), primary_key=True),
            sa.Column("provider", sa.String(20), nullable=False),
            sa.Column("browser_hash", sa.String(64), nullable=False),
            sa.Column("nonce", sa.String(64), nullable=False),
            sa.Column("verifier", sa.String(64), nullable=False),
            sa.Column("target", sa.String(2000), nullable=False),
            sa.Column("ends", UtcDateTime, nullable=False),
        ),
    )


TABLES = {role: _tables(role) for role in ROLES}

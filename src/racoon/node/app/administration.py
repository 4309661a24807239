"""What an operator does at a node that does not run: enrol it, make accounts, check the audit chain.

Small on purpose: a command that only writes a row loads neither images nor pages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from racoon.node.link import identity as node_identity
from racoon.node.settings import NodeSettings, load_node_settings
from racoon.platform.audit import AuditLog
from racoon.platform.auth import AccountExists, AccountStore
from racoon.platform.database import Database
from racoon.platform.revision import bring_up_to_date

MIGRATIONS = "racoon.node.migrations"


def enrol(config: Path, join_code: str, accounts: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """Join a network with a one-time code; keys are made here and stay here.

    Parameters
    ----------
    config
        The node's TOML file.
    join_code
        From CENTRAL.
    accounts
        Made before the code is used, so that a node that is enrolled has its people; as in
        :func:`import_accounts`.
    """
    settings = load_node_settings(config)
    if accounts:
        _create_accounts(settings, accounts)
    identity = node_identity.enrol(settings.identity_folder, settings.site, join_code)
    prepare(settings)
    facts = {
        "site": identity.site,
        "network": identity.network,
        "central": identity.nodes_url,
        "certificate_expires_at": identity.expires_at.isoformat(),
    }
    return facts | ({"accounts": [account["username"] for account in accounts]} if accounts else {})


def prepare(settings: NodeSettings) -> None:
    """Make the data directory and bring the databases to their newest revision."""
    settings.data_directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = Database(settings.database)
    try:
        bring_up_to_date(database, MIGRATIONS)
    finally:
        database.dispose()


def import_accounts(config: Path, accounts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Create accounts; one that exists keeps its password and gets the given roles.

    Parameters
    ----------
    config
        The node's TOML file.
    accounts
        ``username``, ``password`` and ``roles`` of each.
    """
    _create_accounts(load_node_settings(config), accounts)
    return {"accounts": [account["username"] for account in accounts]}


def _create_accounts(settings: NodeSettings, accounts: Sequence[Mapping[str, Any]]) -> None:
    prepare(settings)
    database, store = Database(settings.database), AccountStore("node")
    try:
        for account in accounts:
            action = "account.create"
            try:
                store.create(
                    database, account["username"], account["password"], account["roles"], settings.site
                )
            except AccountExists:
                action = "account.roles"
                store.set_roles(database, account["username"], account["roles"])
            with database.begin() as connection:
                AuditLog("node").append(
                    connection,
                    actor="operator",
                    actor_role="operator",
                    action=action,
                    target=f"account/{account['username']}",
                    details={"roles": sorted(account["roles"])},
                )
    finally:
        database.dispose()


def audit_verify(config: Path) -> dict[str, Any]:
    """Check the whole audit chain."""
    database = Database(load_node_settings(config).database)
    try:
        with database.connect() as connection:
            verdict = AuditLog("node").verify(connection)
    finally:
        database.dispose()
    return {
        "valid": verdict.valid,
        "entries": verdict.entries,
        "head": verdict.head_hash,
        "bad_sequence": verdict.bad_seq,
        "reason": verdict.reason,
    }

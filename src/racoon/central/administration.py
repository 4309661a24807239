"""What an operator does at a CENTRAL that need not run: settings, database, accounts, the audit chain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from racoon.central.composition import Central, build
from racoon.central.settings import CentralSettings
from racoon.domain.identity import Role
from racoon.platform.auth import AccountStore
from racoon.platform.database import Database
from racoon.platform.revision import bring_up_to_date
from racoon.platform.settings import load_settings

MIGRATIONS = "racoon.central.migrations"
ENVIRONMENT_PREFIX = "RACOON_CENTRAL_"


def load_central_settings(path: Path | None, **flags: object) -> CentralSettings:
    """Load CENTRAL's settings; relative paths are relative to the file's folder.

    Raises
    ------
    racoon.platform.settings.ConfigurationError
    """
    settings = load_settings(CentralSettings, path, ENVIRONMENT_PREFIX, flags=flags)
    if path is not None and not settings.data_directory.is_absolute():
        folder = (path.parent / settings.data_directory).resolve()
        settings = settings.model_copy(update={"data_directory": folder})
    return settings


def open_database(settings: CentralSettings) -> Database:
    """Open CENTRAL's database and bring it to the newest revision."""
    settings.data_directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = Database(settings.database)
    bring_up_to_date(database, MIGRATIONS)
    return database


def audit_verify(config_path: Path | None) -> dict[str, object]:
    """Check CENTRAL's whole audit chain; ``valid`` says whether it is whole."""
    central = _open(config_path)
    try:
        with central.database.connect() as connection:
            verdict = central.audit.verify(connection)
    finally:
        central.database.dispose()
    return {
        "valid": verdict.valid,
        "entries": verdict.entries,
        "head": verdict.head_hash,
        "bad_sequence": verdict.bad_seq,
        "reason": verdict.reason,
    }


def create_account(
    config_path: Path | None, username: str, password: str, roles: Iterable[Role | str]
) -> None:
    """Create an account of a person at CENTRAL.

    Raises
    ------
    AccountExists, WeakPassword
    """
    central = _open(config_path)
    _create(central, username, password, roles)
    central.database.dispose()


def import_accounts(config_path: Path | None, people: Iterable[Mapping[str, Any]]) -> list[str]:
    """Create those of several accounts that do not exist yet.

    Parameters
    ----------
    config_path
        TOML file.
    people
        ``username``, ``password``, ``roles`` of each.

    Returns
    -------
    list of str
        Names of the accounts created.
    """
    central = _open(config_path)
    existing = {account.user.name for account in AccountStore("central").accounts(central.database)}
    created = []
    for person in people:
        if person["username"] not in existing:
            _create(central, person["username"], person["password"], person["roles"])
            created.append(str(person["username"]))
    central.database.dispose()
    return created


def _open(config_path: Path | None) -> Central:
    settings = load_central_settings(config_path)
    return build(settings, open_database(settings))


def make_first_account(central: Central) -> None:
    """Create the account that the settings name, at a CENTRAL that has none."""
    account = central.settings.account
    if account is not None and not AccountStore("central").accounts(central.database):
        _create(central, account.username, account.password.get_secret_value(), account.roles)


def _create(central: Central, username: str, password: str, roles: Iterable[Role | str]) -> None:
    AccountStore("central").create(central.database, username, password, roles)
    with central.database.begin() as connection:
        central.audit.append(
            connection,
            actor="operator",
            actor_role="operator",
            action="account.create",
            target=f"account/{username}",
            details={"roles": sorted(str(Role(role)) for role in roles)},
        )

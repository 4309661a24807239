"""``racoon node account …`` and ``racoon central account …``: the people who may sign in."""

from __future__ import annotations

import json as json_format
import sys
from pathlib import Path
from typing import Any, Literal

from cyclopts import App

from racoon.cli.output import JsonFlag, print_facts, print_json

EXAMPLE = '[{"username": "ada", "password": "…", "roles": ["reader"]}]'


class AccountsUnreadable(ValueError):
    """What came in is not a list of accounts."""


def build_app(role: Literal["node", "central"]) -> App:
    """Build the account commands of a role."""
    app = App(name="account", help="People who may sign in.")

    @app.command(name="import")
    def import_accounts(*, config: Path, json: JsonFlag = False) -> None:
        """Create accounts from a JSON list on standard input; passwords stay out of the process list.

        Parameters
        ----------
        config
            TOML file of this server.
        json
            Print one JSON document.
        """
        accounts = read_accounts(sys.stdin.read())
        if role == "node":
            from racoon.node.app.administration import import_accounts as import_at_node

            facts = import_at_node(config, accounts)
        else:
            from racoon.central.administration import import_accounts as import_at_central

            facts = {"created": import_at_central(config, accounts)}
        if json:
            print_json(facts)
        else:
            print_facts("Accounts are in place.", facts)

    return app


def read_accounts(text: str) -> list[dict[str, Any]]:
    """Read a JSON list of accounts.

    Raises
    ------
    AccountsUnreadable
    """
    try:
        accounts = json_format.loads(text)
    except json_format.JSONDecodeError as error:
        raise AccountsUnreadable(f"Standard input is not JSON ({error}). Expected: {EXAMPLE}") from error
    if not isinstance(accounts, list) or not all(isinstance(item, dict) for item in accounts):
        raise AccountsUnreadable(f"Standard input must be a list of accounts: {EXAMPLE}")
    return accounts

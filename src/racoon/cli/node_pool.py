"""``racoon node pool …``: pooled studies from the console, as a person with an account at the node.

These commands speak to the running node over HTTP and sign in: who asks, who reviews and who confirms are different
people there, and a role that may not do something is refused here too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from racoon.cli.output import JsonFlag, print_facts, print_json, print_table

if TYPE_CHECKING:
    from racoon.client import NodeClient

app = App(
    name="pool", help="Pooled studies: ask for an export, see what was sent and received, delete at the end."
)

PASSWORD_VARIABLE = "RACOON_PASSWORD"  # noqa: S105 - the name of a variable
CODE_VARIABLE = "RACOON_CODE"

User = Annotated[str, Parameter(name="--user")]


@app.command
def export(study: str, /, *, config: Path, user: User, reason: str, json: JsonFlag = False) -> None:
    """Ask to send a released dataset to its pool; it waits until another person has reviewed it.

    The password is read from RACOON_PASSWORD or asked for, a one-time code from RACOON_CODE.

    Parameters
    ----------
    study
        Id of the study.
    config
        TOML file of this node, which runs.
    user
        User name at this node.
    reason
        Why, in a few words, for the reviewer.
    json
        Print one JSON document.
    """
    with signed_in(config, user) as node:
        shipment = node.export_to_pool(study, reason)
    facts = {"study": study, "shipment": shipment, "state": "waits for a review"}
    if json:
        print_json(facts)
    else:
        print_facts("Asked. Another person decides under Reviews.", facts)


@app.command
def status(*, config: Path, user: User, json: JsonFlag = False) -> None:
    """Show what this node sent to pools, whose keys it knows, and what waits for a reviewer.

    Parameters
    ----------
    config
        TOML file of this node, which runs.
    user
        User name at this node.
    json
        Print one JSON document.
    """
    with signed_in(config, user) as node:
        found = node.pool()
    if json:
        print_json(found)
        return
    print_facts("This node", {"fingerprint": found["fingerprint"]})
    print_table("Peers", found["peers"])
    print_table(
        "Sent", [_row(item, "shipment_id", "study_id", "pool", "state", "problem") for item in found["sent"]]
    )


@app.command
def receive(*, config: Path, user: User, json: JsonFlag = False) -> int:
    """Show what arrived at this pool: what was verified and stored, what was set aside and why.

    The running node takes parcels in by itself. Exit code 1 when something was set aside or a shipment has a problem.

    Parameters
    ----------
    config
        TOML file of this node, which runs.
    user
        User name at this node.
    json
        Print one JSON document.
    """
    with signed_in(config, user) as node:
        found = node.pool()["received"]
    if json:
        print_json(found)
    else:
        rows = [
            _row(item, "sender", "shipment_id", "study_id", "state", "objects", "problem") for item in found
        ]
        print_table("Received", rows)
    return 1 if any(item["set_aside"] or item["problem"] for item in found) else 0


@app.command
def delete(study: str, /, *, config: Path, user: User, reason: str, json: JsonFlag = False) -> None:
    """Ask to delete what this pool holds of a study that has ended; the same command of a second person confirms.

    Parameters
    ----------
    study
        Id of the study.
    config
        TOML file of this node, which runs.
    user
        User name at this node.
    reason
        Why, in a few words.
    json
        Print one JSON document.
    """
    with signed_in(config, user) as node:
        state = node.delete_pooled(study, reason)
    facts = {"study": study, "state": state}
    if json:
        print_json(facts)
    else:
        said = "Asked. A second person confirms with the same command."
        print_facts(said if state == "asked" else "Confirmed. The node deletes and signs the proof.", facts)


@contextmanager
def signed_in(config: Path, user: str) -> Iterator[NodeClient]:
    """Sign in at the running node of a configuration file.

    Parameters
    ----------
    config
        TOML file of the node.
    user
        User name.
    """
    from racoon.client import NodeClient
    from racoon.node.settings import load_node_settings

    address = load_node_settings(config).http.address
    with NodeClient(address) as node:
        node.login(user, _password(user), os.environ.get(CODE_VARIABLE, ""))
        yield node


def _password(user: str) -> str:
    from getpass import getpass

    return os.environ.get(PASSWORD_VARIABLE) or getpass(f"Password of {user}: ")


def _row(item: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: item[name] for name in names}

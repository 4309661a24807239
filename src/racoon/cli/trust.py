"""``racoon trust …``: whether the services that the hospital trusts answer, and consents asked for now."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from racoon.cli import failures
from racoon.cli.output import JsonFlag, print_facts, print_json, print_table

app = App(name="trust", help="Services for consents, pseudonyms and identities.")


@app.command
def check(*, config: Path, json: JsonFlag = False) -> int:
    """Ask each service of the node's file for something harmless, and say what to do where one does not answer.

    Ends with code 0 when all answer, with 1 when one does not.

    Parameters
    ----------
    config
        TOML file of this node.
    json
        Print one JSON document.
    """
    from racoon.node.app.trusting import check_services

    rows = check_services(config)
    if json:
        print_json({"services": rows})
    else:
        print_table("Services", [row | {"answers": "yes" if row["answers"] else "no"} for row in rows])
    return failures.OK if all(row["answers"] for row in rows) else failures.FAILED


@app.command
def poll(*, config: Path, json: JsonFlag = False) -> None:
    """Ask who keeps the consents about everybody this node knows, now; what changed takes effect at once.

    Where there is no whole answer, nothing rests on consents of that source any more until it answers.

    Parameters
    ----------
    config
        TOML file of this node.
    json
        Print one JSON document.
    """
    from racoon.node.app.trusting import poll_once

    facts = poll_once(config)
    if json:
        print_json(facts)
    else:
        print_facts("Asked.", facts)

"""``racoon audit …``: the append-only, hash-chained log of who did what."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from racoon.cli import failures
from racoon.cli.output import JsonFlag, print_facts, print_json, print_line
from racoon.cli.role import role_of

app = App(name="audit", help="Check the hash-chained audit log.")


@app.command
def verify(*, config: Path, json: JsonFlag = False) -> int:
    """Walk the whole chain and say whether an entry was changed, removed or inserted.

    Parameters
    ----------
    config
        TOML file of a node or of CENTRAL.
    json
        Print one JSON document.
    """
    if role_of(config) == "node":
        from racoon.node.app.administration import audit_verify as verify_node

        verdict = verify_node(config)
    else:
        from racoon.central.administration import audit_verify as verify_central

        verdict = verify_central(config)
    is_intact = bool(verdict["valid"])
    if json:
        print_json(verdict)
    else:
        colour = "green" if is_intact else "red"
        print_line(f"[{colour}]The audit chain is {'intact' if is_intact else 'broken'}.[/]")
        print_facts("", verdict)
    return failures.OK if is_intact else failures.FAILED

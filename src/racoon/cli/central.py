"""``racoon central …``: the role that runs once for the network."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from cyclopts import App

from racoon.cli import account
from racoon.cli.output import JsonFlag, print_json

app = App(name="central", help="Run CENTRAL, the one coordinating server of the network.")

app.command(account.build_app("central"))


@app.command
def serve(*, config: Path, only: Literal["http", "worker"] | None = None, json: JsonFlag = False) -> int:
    """Run CENTRAL until it is stopped (Ctrl-C or SIGTERM).

    Parameters
    ----------
    config
        TOML file of this CENTRAL.
    only
        Run one part of the process tree, to spread the load over several hosts.
    json
        Print one JSON document when it has stopped.
    """
    from racoon.platform.loading import collector_paused

    with collector_paused():
        from racoon.central.app import serve as serve_central

    exit_code = serve_central(config, only)
    if json:
        print_json({"role": "central", "stopped": True, "exit_code": exit_code})
    return exit_code

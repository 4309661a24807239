"""``racoon node …``: the role that runs inside a hospital."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

from cyclopts import App

from racoon.cli import (
    account,
    deid,
    intake,
    node_answers,
    node_models,
    node_pool,
    node_reading,
    node_values,
    pull,
)
from racoon.cli.output import JsonFlag, print_facts, print_json

app = App(name="node", help="Run a hospital's node, or enrol it in the network.")

app.command(account.build_app("node"))
intake.add_to(app)
app.command(pull.app)
app.command(deid.app)
app.command(node_models.app)
app.command(node_reading.templates)
app.command(node_reading.queries)
app.command(node_answers.app)
app.command(node_pool.app)
node_values.add_to(app)


@app.command
def serve(
    *,
    config: Path,
    only: Literal["dicom", "hl7", "http", "query", "worker"] | None = None,
    json: JsonFlag = False,
) -> int:
    """Run the node until it is stopped (Ctrl-C or SIGTERM).

    Parameters
    ----------
    config
        TOML file of this node.
    only
        Run one part of the process tree, to spread the load over several hosts.
    json
        Print one JSON document when it has stopped.
    """
    from racoon.platform.loading import collector_paused

    with collector_paused():
        from racoon.node.app.serving import serve as serve_node

    exit_code = serve_node(config, only)
    if json:
        print_json({"role": "node", "stopped": True, "exit_code": exit_code})
    return exit_code


@app.command
def enrol(*, config: Path, join_code: str, accounts_from_stdin: bool = False, json: JsonFlag = False) -> None:
    """Enrol this node at CENTRAL with the one-time code that CENTRAL gave out for the site.

    The node makes its own keys; they never leave this machine.

    Parameters
    ----------
    config
        TOML file of this node.
    join_code
        One-time join code from CENTRAL.
    accounts_from_stdin
        Also create accounts from a JSON list on standard input, as `racoon node account import` does.
    json
        Print one JSON document.
    """
    from racoon.node.app.administration import enrol as enrol_node

    accounts = account.read_accounts(sys.stdin.read()) if accounts_from_stdin else []
    facts = enrol_node(config, join_code, accounts)
    if json:
        print_json(facts)
    else:
        print_facts("Enrolled. Start the node with `racoon node serve`.", facts)


@app.command
def ready(*, config: Path, quiet_central: bool = False, json: JsonFlag = False) -> int:
    """Test whether this node is ready for studies, on invented images, and tell CENTRAL which parts worked.

    Connection, keys and certificate are the node's own. Intake, count, measurement and gate run with this site's rules
    in a folder that is thrown away; the node may run meanwhile. Exit code 1 when a part failed.

    Parameters
    ----------
    config
        TOML file of this node.
    quiet_central
        Do not tell CENTRAL.
    json
        Print one JSON document.
    """
    from racoon.cli.doctor import SIGN
    from racoon.cli.output import print_line
    from racoon.node.app.readiness import examine_readiness

    result = examine_readiness(config, send=not quiet_central)
    if json:
        print_json(result)
    else:
        from rich.markup import escape

        for part in result["parts"]:
            sign = SIGN["ok" if part["is_ok"] else "problem"]
            print_line(f"{sign} [bold]{part['code']}[/] ({part['seconds']:.1f} s): {escape(part['detail'])}")
            if part["next_step"]:
                print_line(f"  → {escape(part['next_step'])}")
    return 0 if result["is_ready"] else 1


@app.command
def segment(package: str, /, *, config: Path, study: str, json: JsonFlag = False) -> int:
    """Segment the dataset this site froze for a study; the masks wait in the archive as pre-labels for the readers.

    Runs only packages whose signer the setting learning.model_signers names, and only for a study that this site has
    released. Nothing leaves the site. A run that was cut off goes on. Exit code 1 when a series was refused.

    Parameters
    ----------
    package
        A `.racoon-model` file, or the name or hash of a model on this node's shelf.
    config
        TOML file of this node.
    study
        Id of the study.
    json
        Print one JSON document.
    """
    from racoon.cli.output import progress
    from racoon.node.app.segmenting import segment_dataset

    with progress(quiet=json) as bar:
        task = bar.add_task("segmenting", total=None)
        result = segment_dataset(
            config, package, study, lambda done, total: bar.update(task, completed=done, total=total)
        )
    if json:
        print_json(result)
    else:
        print_facts(result["model"]["name"], {**result["counts"], "use": result["use"]})
    return 1 if result["counts"].get("refused") else 0

"""``racoon node models``: the shelf of model packages at a node."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from racoon.cli.output import JsonFlag, print_facts, print_json, print_table

app = App(name="models", help="Fetch approved models from CENTRAL's library, or bring one as a file.")


@app.command
def pull(*, config: Path, json: JsonFlag = False) -> int:
    """Fetch the approved models of CENTRAL's library, and stop running those it took back.

    Takes only packages whose signer the setting learning.model_signers names and whose golden example this machine
    repeats. Exit code 1 when a package was refused.

    Parameters
    ----------
    config
        TOML file of this node.
    json
        Print one JSON document.
    """
    from racoon.node.app.shelving import pull_models

    done = pull_models(config)
    if json:
        print_json(done)
    else:
        print_facts("The shelf follows CENTRAL's library", {name: len(rows) for name, rows in done.items()})
        if done["refused"]:
            print_table("Refused", done["refused"])
    return 1 if done["refused"] else 0


@app.command
def labels(study: str, table: Path, /, *, column: str, config: Path, json: JsonFlag = False) -> None:
    """Put a table of labels beside a study, for trainings that judge whole images; it stays at this node.

    Parameters
    ----------
    study
        Id of a study this site has released.
    table
        CSV or TSV with a column `subject` (pseudonym) or `image` (series UID), and one with the labels.
    column
        Name of the column with the labels.
    config
        TOML file of this node.
    json
        Print one JSON document.
    """
    from racoon.node.app.truths import add_table

    done = add_table(config, study, table, column)
    if json:
        print_json(done)
    else:
        print_facts(f"Labels of {study}", done)


@app.command(name="import")
def import_(package: Path, /, *, config: Path, json: JsonFlag = False) -> None:
    """Put a package from a file on the shelf, by the same checks.

    Parameters
    ----------
    package
        A `.racoon-model` file.
    config
        TOML file of this node.
    json
        Print one JSON document.
    """
    from racoon.node.app.shelving import import_model

    model = import_model(config, package)
    if json:
        print_json(model)
    else:
        print_facts(model["name"], model)


@app.command(name="list")
def list_(*, config: Path, json: JsonFlag = False) -> None:
    """List the models on the shelf, also those that were taken back.

    Parameters
    ----------
    config
        TOML file of this node.
    json
        Print one JSON document.
    """
    from racoon.node.app.shelving import list_models

    models = list_models(config)
    if json:
        print_json(models)
    else:
        print_table("Models on this node's shelf", models)


@app.command(name="sum-key")
def sum_key(*, config: Path, json: JsonFlag = False) -> None:
    """Print this node's public key for secure sums, for the administrators of the other sites.

    Hand it over yourselves, not through CENTRAL: who gives you a key of CENTRAL's own would let it look inside.

    Parameters
    ----------
    config
        TOML file of this node.
    json
        Print one JSON document.
    """
    from racoon.node.app.shelving import sum_key as own_key

    key = own_key(config)
    if json:
        print_json({"sum_key": key})
    else:
        print(key)

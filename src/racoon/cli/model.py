"""``racoon model``: check model packages, and make the key that signs them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from racoon.cli.output import JsonFlag, print_facts, print_json

app = App(name="model", help="Check model packages before anything of them runs.")


@app.command
def verify(
    package: Path,
    /,
    *,
    key: Annotated[list[str] | None, Parameter(name="--key")] = None,
    json: JsonFlag = False,
) -> None:
    """Check a model package: form, paths, sizes, signature, hashes, architecture, tensors and golden example.

    The golden example runs in a process without network, on every runtime that is installed and that the package
    serves. A package that breaks a rule is refused with the rule's code and exit code 2.

    Parameters
    ----------
    package
        A `.racoon-model` file, or a folder with its files.
    key
        Public key that must have signed it, as `racoon model key` prints it; may be given several times.
    json
        Print one JSON document.
    """
    from racoon.learning.packages import open_package
    from racoon.learning.packages.running import check_golden, require_signer
    from racoon.learning.runtimes import is_available

    found = open_package(package)
    require_signer(found, key or [])
    runtimes = [name for name in ("onnx", "torch") if is_available(name, found.graph)]
    checked = {name: check_golden(package, name) for name in runtimes}
    golden = {
        **checked[runtimes[0]],
        "golden_differences": {name: facts["golden_difference"] for name, facts in checked.items()},
    }
    facts: dict[str, Any] = {
        "valid": True,
        "hash": found.hash,
        "name": found.card.name,
        "version": found.card.version,
        "signer": found.signer,
        "signer_is_trusted": True if key else None,
        "architecture": found.card.architecture.model_dump(),
        "parameters": sum(value.size for value in found.weights.values()),
        "input": found.card.input,
        "labels": list(found.card.labels),
        "licence": found.card.licence,
        "use": found.card.use,
        **golden,
    }
    if json:
        print_json(facts)
    else:
        print_facts(f"{package.name} keeps every rule", facts)


@app.command
def show(package: Path, /, *, json: JsonFlag = False) -> None:
    """Print the card of a model package whose form and signature hold.

    Parameters
    ----------
    package
        A `.racoon-model` file, or a folder with its files.
    json
        Print one JSON document.
    """
    from racoon.learning.packages import open_package

    found = open_package(package)
    card = {"hash": found.hash, "signer": found.signer, **found.card.model_dump(mode="json")}
    if json:
        print_json(card)
    else:
        print_facts(found.card.name, {name: value for name, value in card.items() if name != "files"})


@app.command
def key(path: Path, /, *, json: JsonFlag = False) -> None:
    """Make or read a signing key and print its public half, which others put behind `--key`.

    Parameters
    ----------
    path
        File of the private key; made with mode 0600 if it is not there.
    json
        Print one JSON document.
    """
    from racoon.platform.certificates import load_or_create_signing_key, public_key_text

    public = public_key_text(load_or_create_signing_key(path))
    if json:
        print_json({"public_key": public})
    else:
        print_facts(path.name, {"public key": public})

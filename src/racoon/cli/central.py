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


@app.command(name="sign-policy")
def sign_policy(*, config: Path, limits: Path, output: Path, signed_by: str, json: JsonFlag = False) -> int:
    """Sign the network's disclosure policy with CENTRAL's key, for the nodes to pin.

    Parameters
    ----------
    config
        TOML file of this CENTRAL.
    limits
        TOML file with the limits; those that are not in it have the defaults of this version.
    output
        The signed file, to be given to every site.
    signed_by
        Who agreed on it, in words.
    json
        Print version, hash and key as one JSON document.
    """
    import json as json_text
    import tomllib

    from racoon.central.administration import load_central_settings
    from racoon.node.release.signed import read_signed_policy, sign_policy
    from racoon.platform.certificates import load_or_create_signing_key, public_key_text, sign

    key = load_or_create_signing_key(load_central_settings(config).data_directory / "keys" / "signing.key")
    document = sign_policy(
        tomllib.loads(limits.read_text(encoding="utf-8")), signed_by, lambda data: sign(key, data)
    )
    text = json_text.dumps(document, indent=2, ensure_ascii=False) + "\n"
    output.write_text(text, encoding="utf-8")
    policy = read_signed_policy(text.encode(), public_key_text(key))
    if json:
        print_json({"version": policy.version, "policy_key": public_key_text(key), "file": str(output)})
    else:
        print(f"signed: version {policy.version}")
        print(f'in each node: [release] policy_file = "{output.name}", policy_key = "{public_key_text(key)}"')
    return 0

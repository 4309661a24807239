"""``racoon doctor``: what is wrong here, and what to do about it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from racoon.cli import failures
from racoon.cli.output import JsonFlag, print_json, print_line
from racoon.errors import Refused

if TYPE_CHECKING:
    from racoon.platform.diagnosis import Finding

SIGN = {
    "ok": "[green]✓[/]",
    "warning": "[yellow]![/]",
    "problem": "[red]✗[/]",
    "skipped": "[dim]–[/]",
}


def doctor(*, config: Path | None = None, bundle: Path | None = None, json: JsonFlag = False) -> int:
    """Check the installation and, with a configuration file, a node or CENTRAL.

    Nothing is changed. Each red line says what to do. Ends with code 1 when a line is red.

    Parameters
    ----------
    config
        TOML file of a node or of CENTRAL; without it only the installation is checked.
    bundle
        ZIP file to make with everything that somebody elsewhere needs to help, and nothing of any person; needs
        ``--config``.
    json
        Print one JSON document.
    """
    findings = examine(config)
    if bundle is not None:
        if config is None:
            raise Refused(
                "A bundle is made of one installation: racoon doctor --config FILE --bundle FILE.zip",
                code="doctor.no_configuration",
            )
        _make_bundle(config, bundle, findings)
    problems = [finding for finding in findings if finding.state == "problem"]
    if json:
        print_json(
            {"is_healthy": not problems, "findings": [finding.as_json() for finding in findings]},
        )
    else:
        _print(findings)
    return failures.FAILED if problems else failures.OK


def examine(config: Path | None) -> list[Finding]:
    """Run the checks that fit: the installation always, a role's when its configuration is given."""
    from racoon.platform.diagnosis.installation import check_extras, check_python

    if config is None:
        return [check_python(), *check_extras()]
    return [check_python(), *_examine_role(config)]


def _examine_role(config: Path) -> list[Finding]:
    from racoon.cli.installation import describe_installation
    from racoon.platform.diagnosis import Finding
    from racoon.platform.diagnosis.connection import check_central, check_certificate
    from racoon.platform.diagnosis.installation import check_extras
    from racoon.platform.diagnosis.machine import check_folder, check_port
    from racoon.platform.settings import ConfigurationError

    try:
        installation = describe_installation(config)
    except ConfigurationError as error:
        mend = "Correct the file; every key stands in docs/reference/settings.md."
        return [
            *check_extras(),
            *(Finding("configuration", "problem", line, mend) for line in str(error).splitlines()),
        ]
    findings = [Finding("configuration", "ok", f"{config}: {installation.role}")]
    findings += check_extras(installation.extras)
    findings += check_folder(installation.data_folder)
    findings += [
        check_port(host, port, purpose, installation.run_folders)
        for purpose, host, port in installation.listeners
    ]
    findings += [check_certificate(name, file, mend) for name, file, mend in installation.certificates]
    if installation.central_url:
        findings += check_central(
            installation.central_url, ca_file=installation.ca_file, identity=installation.identity
        )
    return findings


def _make_bundle(config: Path, target: Path, findings: list[Finding]) -> None:
    import tomllib

    from racoon.cli.installation import describe_installation
    from racoon.platform.database import Database
    from racoon.platform.diagnosis.bundle import write_bundle

    if target.exists():
        raise Refused(f"{target} exists. Choose another name, or remove it.", code="doctor.bundle_exists")
    installation = describe_installation(config)
    with target.open("xb") as stream:
        write_bundle(
            stream,
            findings=findings,
            settings=tomllib.loads(config.read_text(encoding="utf-8")),
            data_folder=installation.data_folder,
            database=Database(installation.database_url) if installation.has_database else None,
        )
    print_line(f"Written: {target}. It is plain text; read it before you send it.")


def _print(findings: list[Finding]) -> None:
    from rich.markup import escape

    for finding in findings:
        print_line(f"{SIGN[finding.state]} [bold]{escape(finding.check)}[/]: {escape(finding.message)}")
        if finding.next_step and finding.state in ("problem", "warning"):
            print_line(f"  → {escape(finding.next_step)}")
    problems = sum(finding.state == "problem" for finding in findings)
    print_line("[green]Nothing is wrong.[/]" if not problems else f"[red]{problems} to mend.[/]")

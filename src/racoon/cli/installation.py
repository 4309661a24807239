"""What a configuration file says about the machine: folders, ports, certificates, the way to CENTRAL."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from racoon.cli.role import role_of

if TYPE_CHECKING:
    from racoon.platform.diagnosis.connection import Identity

RENEW_OR_ENROL = (
    "A running node renews it by itself; once expired, enrol again with a new join code from CENTRAL."
)
ENROL = "Ask CENTRAL for a join code, then: racoon node enrol --config FILE --join-code CODE"
RENEW_PAGES = "Get a new certificate from your hospital's authority and put it at this path."


@dataclass(frozen=True)
class Installation:
    """One role on this machine, as its configuration describes it.

    Parameters
    ----------
    role
        Which command runs it.
    data_folder
        Everything the role keeps.
    listeners
        Purpose, host and port of everything that listens.
    certificates
        Whose, which file, and what to do when it is missing or runs out.
    extras
        Extras of the distribution that this configuration needs.
    database_url
        Of the role's own database.
    central_url
        Where CENTRAL listens for nodes; empty for CENTRAL itself and for a node that is not enrolled.
    ca_file
        Authority of the network.
    identity
        Files with which a node shows who it is.
    """

    role: Literal["node", "central"]
    data_folder: Path
    listeners: tuple[tuple[str, str, int], ...]
    certificates: tuple[tuple[str, Path, str], ...]
    extras: frozenset[str] = frozenset()
    database_url: str = ""
    central_url: str = ""
    ca_file: Path | None = None
    identity: Identity | None = None

    @property
    def has_database(self) -> bool:
        """Whether there is a database to look into; opening a file of SQLite that is not there would make it."""
        scheme, _, path = self.database_url.partition(":///")
        return bool(self.database_url) and (scheme != "sqlite" or Path(path).exists())

    @property
    def run_folders(self) -> tuple[Path, ...]:
        """Where running process trees keep their process ids; ``--only`` gives each part its own."""
        return tuple(sorted(self.data_folder.glob("run*")))


def describe_installation(config: Path) -> Installation:
    """Read a configuration file of either role.

    Parameters
    ----------
    config
        TOML file.

    Raises
    ------
    racoon.platform.settings.ConfigurationError
        When the file is wrong.
    """
    return _describe_central(config) if role_of(config) == "central" else _describe_node(config)


def _needs(database_url: str | None) -> frozenset[str]:
    return frozenset({"postgres"} if (database_url or "").startswith("postgres") else ())


def _describe_central(config: Path) -> Installation:
    from racoon.central.administration import load_central_settings

    settings = load_central_settings(config)
    pages = settings.people.tls_certificate
    return Installation(
        role="central",
        data_folder=settings.data_directory,
        listeners=(
            ("people.port", settings.people.host, settings.people.port),
            ("nodes.port", settings.nodes.host, settings.nodes.port),
            ("engine.port", "127.0.0.1", settings.engine.port),
        ),
        certificates=(("pages", pages, RENEW_PAGES),) if pages else (),
        extras=_needs(settings.database_url),
        database_url=settings.database,
    )


def _describe_node(config: Path) -> Installation:
    from racoon.node.settings import load_node_settings
    from racoon.platform.diagnosis.connection import Identity

    settings = load_node_settings(config)
    folder = settings.identity_folder
    network_file = folder / "network.json"
    is_enrolled = network_file.exists()
    network = json.loads(network_file.read_text(encoding="utf-8")) if is_enrolled else {}
    certificates = [("node", folder / "node.pem", RENEW_OR_ENROL if is_enrolled else ENROL)]
    if settings.http.certificate:
        certificates.append(("pages", settings.http.certificate, RENEW_PAGES))
    return Installation(
        role="node",
        data_folder=settings.data_directory,
        listeners=(
            ("http.port", settings.http.host, settings.http.port),
            ("dicom.port", settings.dicom.host, settings.dicom.port),
        ),
        certificates=tuple(certificates),
        extras=_needs(settings.database_url),
        database_url=settings.database,
        central_url=network.get("nodes_url", ""),
        ca_file=folder / "authority.pem" if is_enrolled else None,
        identity=Identity(folder / "node.pem", folder / "node.key") if is_enrolled else None,
    )

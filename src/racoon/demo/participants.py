"""Who takes part in the demo: one folder and one TOML per participant, exactly as an operator would write them."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tomli_w

from racoon.demo.ports import Ports
from racoon.domain.identity import Role

CENTRAL = "CENTRAL"
FIRST_PORT = 8500

LOGINS: dict[str, dict[str, tuple[Role, ...]]] = {
    "central": {
        "admin": (Role.ADMIN_CENTRAL,),
        "office": (Role.COORDINATOR,),
        "office2": (Role.COORDINATOR,),
        "pi": (Role.PRINCIPAL_INVESTIGATOR, Role.RESEARCHER),
        "auditor": (Role.AUDITOR,),
    },
    "node": {
        "informatician": (Role.SITE_INFORMATICIAN,),
        "diz": (Role.DIZ,),
        "committee": (Role.UAC_MEMBER,),
        "dpo": (Role.DPO,),
        "radiologist": (Role.READER,),
    },
}
"""People of each participant, with the roles they hold there."""


@dataclass(frozen=True)
class Participant:
    """One server of the demo network.

    Parameters
    ----------
    name
        ``"CENTRAL"`` or a site code.
    role
        Which command it runs.
    folder
        Its data folder.
    http_port
        Port of its pages; for a node the DICOM port and for CENTRAL the nodes' port are ``second_port``.
    """

    name: str
    role: Literal["central", "node"]
    folder: Path
    http_port: int
    second_port: int

    @property
    def config(self) -> Path:
        """The participant's TOML file."""
        return self.folder / f"{self.role}.toml"

    @property
    def is_enrolled(self) -> bool:
        """Whether this node has joined the network; it then has its people too."""
        return (self.folder / "data" / "identity" / "network.json").exists()

    @property
    def url(self) -> str:
        """Base URL of its pages."""
        return f"http://127.0.0.1:{self.http_port}"


def accounts(participant: Participant, passwords_by_login: dict[str, str]) -> str:
    """List a participant's people as the command line takes them: JSON for standard input."""
    people = LOGINS[participant.role]
    return json.dumps(
        [
            {
                "username": login,
                "password": passwords_by_login[login],
                "roles": [role.value for role in roles],
            }
            for login, roles in people.items()
        ]
    )


def plan_participants(folder: Path, sites: list[str], ports: Ports) -> list[Participant]:
    """Choose folders and free ports; the same folder keeps its ports when it is used again."""
    known_path = folder / "ports.json"
    known = json.loads(known_path.read_text()) if known_path.exists() else {}
    for pair in known.values():
        for port in pair:
            ports.keep(port)
    participants = []
    for index, name in enumerate([CENTRAL, *sites]):
        wanted = known.get(name)
        if wanted is None:
            first = ports.reserve(FIRST_PORT + 10 * index)
            wanted = [first, ports.reserve(FIRST_PORT + 10 * index + 1)]
        known[name] = wanted
        role: Literal["central", "node"] = "central" if name == CENTRAL else "node"
        participants.append(Participant(name, role, folder / name.lower(), wanted[0], wanted[1]))
    folder.mkdir(parents=True, exist_ok=True)
    known_path.write_text(json.dumps(known))
    return participants


def write_configuration(participant: Participant, site_name: str, engine_ports: tuple[int, int]) -> None:
    """Write a participant's TOML file."""
    participant.folder.mkdir(parents=True, exist_ok=True)
    if participant.role == "central":
        document = {
            "data_directory": str(participant.folder / "data"),
            "network": "RACOON demo",
            "heartbeat_s": 5,
            "people": {"port": participant.http_port, "public_page": True},
            "nodes": {"port": participant.second_port},
            "engine": {"port": engine_ports[0], "admin_port": engine_ports[1]},
        }
    else:
        document = {
            "site": participant.name,
            "site_name": site_name,
            "data_directory": str(participant.folder / "data"),
            "heartbeat_s": 5,
            "http": {
                "port": participant.http_port,
                "people_url": f"http://127.0.0.1:{participant.http_port}",
            },
            "dicom": {"port": participant.second_port, "ae_title": participant.name},
            # Invented patients: the demo's network trains on fewer cases than a real one would allow.
            "release": {
                "network_policy": {
                    "version": "demo-1",
                    "training_minimum_cases": 5,
                    "training_minimum_sites": 2,
                }
            },
        }
    participant.config.write_text(
        "# Written by the demo; the same keys an operator would set.\n" + tomli_w.dumps(document),
        encoding="utf-8",
    )


def passwords(folder: Path) -> dict[str, str]:
    """Load, or invent once, one password per login name; the demo's data are invented too."""
    path = folder / "logins.json"
    if path.exists():
        return dict(json.loads(path.read_text()))
    names = {name for people in LOGINS.values() for name in people}
    invented = {name: f"{name}-{secrets.token_hex(6)}" for name in sorted(names)}
    folder.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps(invented))
    return invented

"""The port of a linkage unit, the project's secret, and a person as a Patient resource tells him."""

from __future__ import annotations

import hmac
import os
import secrets
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from racoon.errors import Refused
from racoon.protocol.linkage import FilterPackage, LinkAnswer
from racoon.science.linkage.filters import KEY_BYTES, Person
from racoon.standards.fhir.building import Resource


class LinkageRefused(Refused):
    """A linkage that may not be done as it was asked for."""

    code = "linkage.refused"


class LinkageUnit(Protocol):
    """Compares the rows of sites."""

    def link(self, packages: Sequence[FilterPackage]) -> Sequence[LinkAnswer]:
        """Answer for each site in the packages' order; nothing of them is kept.

        Raises
        ------
        LinkageRefused
            If the packages are not of one project and one secret.
        """
        ...


def write_secret(file: Path) -> None:
    """Make a project's secret in a file that only its owner reads.

    Raises
    ------
    LinkageRefused
        If the file is there: a secret is never replaced unseen.
    """
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise LinkageRefused("This file is there already. Choose another name for the new secret.") from error
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(secrets.token_hex(KEY_BYTES) + "\n")


def read_secret(file: Path, project: str) -> bytes:
    """Read a secret and bind it to a project, so that rows of two projects can never be compared.

    Raises
    ------
    LinkageRefused
        If others can read the file, or no secret is in it.
    """
    try:
        is_open = file.stat().st_mode & 0o077
        text = file.read_text(encoding="ascii").strip()
        secret = bytes.fromhex(text)
    except (OSError, ValueError) as error:
        raise LinkageRefused("No secret is in this file. Get the file from the site that made it.") from error
    if is_open:
        raise LinkageRefused("Others can read the file with the secret. Run chmod 600 on it.")
    if len(secret) < KEY_BYTES:
        raise LinkageRefused("The secret is too short. Make one with racoon linkage secret.")
    return hmac.digest(secret, f"racoon-linkage\x1f{project}".encode(), sha256)


def key_mark(key: bytes) -> str:
    """Say which key was used without saying the key."""
    return hmac.digest(key, b"mark", sha256).hex()


def person_of(patient: Resource) -> Person | None:
    """Read what identifies a person; None where name or birth date is missing, which alone link nobody."""
    names = [item for item in patient.get("name", []) if isinstance(item, dict)]
    official = next((item for item in names if item.get("use") in ("official", "usual", None)), {})
    maiden: Resource = next((item for item in names if item.get("use") == "maiden"), {})
    address: Resource = next((item for item in patient.get("address", []) if isinstance(item, dict)), {})
    given, family = " ".join(str(item) for item in official.get("given", [])), str(official.get("family", ""))
    born = str(patient.get("birthDate", ""))
    if not given.strip() or not family.strip() or len(born) != 10:
        return None
    return Person(
        given,
        family,
        str(maiden.get("family", "")),
        born,
        str(patient.get("gender", "")),
        str(address.get("postalCode", "")),
    )

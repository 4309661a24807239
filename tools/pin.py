"""Write ``constraints.txt``: names and versions of every package in ``.venv``, nothing else.

    .venv/bin/python tools/pin.py

No download address, no hash (torch's builds for different machines have different ones), no local version
suffix: the file says which release, the machine's own pip configuration says from where.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import distributions
from pathlib import Path

from packaging.specifiers import SpecifierSet

HEAD = """\
# Pinned versions of everything that `make demo`, `make check` and `make test` install.
# Written by tools/pin.py from a working environment; names and versions only.
"""

OURS = {"racoon", "setuptools", "wheel"}

OLDEST_PYTHON = "3.11.2"
"""Debian 12's; a release that wants a newer one cannot be pinned, however well it works here."""


def canonical(name: str) -> str:
    """Name as PEP 503 normalises it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins() -> list[str]:
    """One ``name==version`` for each installed distribution, sorted."""
    found = {canonical(item.metadata["Name"]): item.version.split("+", 1)[0] for item in distributions()}
    return [f"{name}=={version}" for name, version in sorted(found.items()) if name not in OURS]


def too_new() -> list[str]:
    """Installed packages that refuse the oldest Python."""
    return [
        f"{item.metadata['Name']} {item.version} wants Python {wanted}"
        for item in distributions()
        if (wanted := item.metadata.get("Requires-Python"))
        and not SpecifierSet(wanted).contains(OLDEST_PYTHON)
    ]


if __name__ == "__main__":
    if refused := too_new():
        sys.exit("✗ install older releases of these first:\n  " + "\n  ".join(refused))
    target = Path(__file__).resolve().parent.parent / "constraints.txt"
    target.write_text(HEAD + "\n".join(pins()) + "\n", encoding="utf-8")
    print(f"{target.name}: {len(pins())} packages")

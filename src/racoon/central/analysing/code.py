"""Which program computed a result: one hash over the source of the estimators and of the words of plans."""

from __future__ import annotations

import functools
import hashlib
from importlib.resources import files
from importlib.resources.abc import Traversable

ROOMS = ("science", "domain")
"""What a result depends on: everything pure between a plan and its numbers."""


@functools.cache
def code_hash() -> str:
    """Compute the SHA-256 over the names and contents of all source files of the estimators."""
    digest = hashlib.sha256()
    for room in ROOMS:
        for name, content in sorted(_sources(files("racoon").joinpath(room), room)):
            digest.update(f"{hashlib.sha256(content).hexdigest()}  {name}\n".encode())
    return digest.hexdigest()


def _sources(folder: Traversable, name: str) -> list[tuple[str, bytes]]:
    found = []
    for entry in folder.iterdir():
        path = f"{name}/{entry.name}"
        if entry.is_dir() and entry.name != "__pycache__":
            found += _sources(entry, path)
        elif entry.name.endswith(".py"):
            found.append((path, entry.read_bytes()))
    return found

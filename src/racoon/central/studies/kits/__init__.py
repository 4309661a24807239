"""Study kits: whole definitions to start from, one JSON file each.

A kit is a study's document like any other and passes the same checks; nothing in the program knows one by name.
To add one, put a file here: its name is the kit's code, its title is what people see.
Not here: real studies, their data, or anything that a site has approved.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any


def load_kits() -> dict[str, dict[str, Any]]:
    """Load all kits by code."""
    folder = files(__name__)
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".json"))
    return {
        name.removesuffix(".json"): json.loads(folder.joinpath(name).read_text("utf-8")) for name in names
    }

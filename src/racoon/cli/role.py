"""Which role a configuration file belongs to."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal


def role_of(config: Path) -> Literal["node", "central"]:
    """Tell by its keys whether a TOML file configures a node or CENTRAL.

    Parameters
    ----------
    config
        TOML file; one that cannot be read counts as a node's, whose loader then says what is wrong.
    """
    from racoon.central.settings import CentralSettings
    from racoon.node.settings import NodeSettings

    try:
        keys = set(tomllib.loads(config.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return "node"
    only_central = set(CentralSettings.model_fields) - set(NodeSettings.model_fields)
    only_node = set(NodeSettings.model_fields) - set(CentralSettings.model_fields)
    # A node cannot be without `site`, so a file with no key of either role's own is CENTRAL's.
    return "central" if len(keys & only_central) >= len(keys & only_node) else "node"

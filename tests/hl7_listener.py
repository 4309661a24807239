"""The node's process for HL7 messages, as a test forks it from a server that imported everything before."""

from __future__ import annotations

from pathlib import Path

from racoon.node.app.messages import run_hl7
from racoon.node.settings import load_node_settings


def listen(config: Path) -> None:
    """Be the process ``hl7`` of a node."""
    run_hl7(load_node_settings(config))

"""A node in one process with four series of three subjects."""

from __future__ import annotations

from pathlib import Path

from tests.node_rooms import NodeInProcess


def filled_node(folder: Path) -> NodeInProcess:
    """Two series of one subject, one of each of two others."""
    made = NodeInProcess(folder)
    made.rely_on()
    for number, patient in ((1, "4711"), (2, "4711"), (3, "4712"), (4, "4713")):
        made.store(number, patient, day=f"2024013{number % 2}")
    return made

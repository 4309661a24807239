"""A node in one process with the images of two patients."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node_rooms import NodeInProcess


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeInProcess]:
    node = NodeInProcess(tmp_path / "node")
    yield node
    node.close()

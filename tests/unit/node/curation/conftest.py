"""A node with four series for a whole file; tests that take something away make their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.node_rooms import NodeInProcess
from tests.unit.node.curation.filled import filled_node


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeInProcess]:
    made = filled_node(tmp_path_factory.mktemp("gallery"))
    yield made
    made.close()

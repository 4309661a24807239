"""CENTRAL on both databases, as its nodes and its people meet it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulated_network import Network


@pytest.fixture(params=["sqlite", "postgresql"])
def network(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Network]:
    url = "" if request.param == "sqlite" else request.getfixturevalue("postgresql_url")
    network = Network(tmp_path, url)
    yield network
    network.close()

"""An archive in a temporary folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.platform.database import Database, create_all


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = Database(f"sqlite:///{tmp_path}/node.sqlite")
    create_all(found, "node")
    yield found
    found.dispose()


@pytest.fixture
def objects(tmp_path: Path) -> LocalFolder:
    return LocalFolder(tmp_path / "objects")


@pytest.fixture
def archive(database: Database, objects: LocalFolder) -> Archive:
    return Archive(database, objects)

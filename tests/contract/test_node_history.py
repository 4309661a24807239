"""The node's migrations make exactly the tables that its rooms register."""

from __future__ import annotations

import importlib
from pathlib import Path

from racoon.node.app.administration import MIGRATIONS
from racoon.platform.database import Database, metadata
from racoon.platform.migration import differences, upgrade


def test_history_makes_the_tables_of_the_code(tmp_path: Path) -> None:
    for part in ("background", "pages", "pushing", "shelving"):
        importlib.import_module(f"racoon.node.app.{part}")
    database = Database(f"sqlite:///{tmp_path}/node.sqlite")
    try:
        upgrade(database, MIGRATIONS)
        assert differences(database, metadata("node")) == []
    finally:
        database.dispose()

"""The migration makes exactly the tables that the code has."""

from __future__ import annotations

from pathlib import Path

import racoon.node.app.pages  # noqa: F401 -- with it every table of the node is known
from racoon.node.app.administration import MIGRATIONS
from racoon.node.clinical import _store
from racoon.platform.database import Database, metadata
from racoon.platform.migration import differences, upgrade


def test_tables_of_the_clinical_course_are_those_of_the_code(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/node.sqlite")
    upgrade(database, MIGRATIONS)
    found = [str(item) for item in differences(database, metadata("node"))]
    assert [item for item in found if "clinical_" in item] == []
    with database.connect() as connection:
        assert set(_store.count_rows(connection).values()) == {0}
    database.dispose()

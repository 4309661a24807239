"""The statement that hides another reader's stored objects means the same on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from racoon.node.reading.work.service import hidden_from
from racoon.platform import clock
from racoon.platform.database import Database, create_all, metadata


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    is_sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/node.sqlite" if is_sqlite else request.getfixturevalue("postgresql_url")
    database = Database(url)
    create_all(database, "node")
    yield database
    database.dispose()


def test_what_others_stored_is_hidden_until_all_are_done(database: Database) -> None:
    tables = metadata("node").tables
    task = {
        "list_name": "pilot", "imaging_study_uid": "1.2", "series_uid": "1.3", "pseudonym": "S", "template_url": "t",
        "is_blinded": True, "priority": 1, "due_on": "", "position": 1,
    }  # fmt: skip
    drawing = {
        "drawing_id": "d", "series_uid": "1.3", "imaging_study_uid": "1.2", "pseudonym": "S", "author": "ada",
        "revision": 1, "segments": [], "finished": ["9.1", "9.2"], "finished_revision": 1, "changed_at": clock.now(),
    }  # fmt: skip
    with database.begin() as connection:
        for reader in ("ada", "ben"):
            connection.execute(sa.insert(tables["reading_task"]).values(**task, reader=reader))
        connection.execute(sa.insert(tables["reading_drawing"]).values(**drawing))
        for reader, expected in (("ben", ["9.1", "9.2"]), ("ada", [])):
            hidden = hidden_from(connection, reader)
            assert hidden is not None
            assert sorted(connection.execute(hidden).scalars()) == expected
            # As the archive uses it.
            instances = tables["image_instance"]
            assert (
                connection.execute(
                    sa.select(instances).where(instances.c.sop_instance_uid.not_in(hidden))
                ).all()
                == []
            )
        assert hidden_from(connection, "eve") is None
        connection.execute(sa.update(tables["reading_task"]).values(done_at=clock.now()))
        assert hidden_from(connection, "ben") is None

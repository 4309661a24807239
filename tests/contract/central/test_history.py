"""CENTRAL's migrations make exactly the tables that its rooms register, and keep what sites decided before."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command

from racoon.central.administration import MIGRATIONS
from racoon.central.studies import _store
from racoon.platform import clock
from racoon.platform.database import Database, metadata
from racoon.platform.migration import _config, differences, upgrade


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgresql_url"))
    return f"sqlite:///{tmp_path}/central.sqlite"


def move(database: Database, direction: str, revision: str) -> None:
    config = _config(MIGRATIONS)
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        getattr(command, direction)(config, revision)


def test_history_makes_the_tables_of_the_code_and_keeps_tracks(url: str) -> None:
    importlib.import_module("racoon.central.app")
    database = Database(url)
    try:
        move(database, "upgrade", "0002")
        now = clock.now()
        with database.begin() as connection:
            values = {
                "study_id": "RS-0001",
                "number": 1,
                "definition": {},
                "hash": "a" * 64,
                "state": "active",
                "version": 1,
                "created_by": "pi",
                "created_at": now,
                "changed_at": now,
            }
            connection.execute(_store.study.insert().values(**values))
            connection.execute(
                sa.text(
                    "INSERT INTO site_track (study_id, site, state, study_hash, version, since, public_reason)"
                    f" VALUES ('RS-0001', 'ALPHA', 'released', '{'a' * 64}', 9, '2026-01-01 00:00:00', '')"
                )
            )
            connection.execute(
                sa.text(
                    "INSERT INTO site_decision (study_id, site, target, decided_at)"
                    " VALUES ('RS-0001', 'ALPHA', 'released', '2026-01-01 00:00:00')"
                )
            )
        upgrade(database, MIGRATIONS)
        assert differences(database, metadata("central")) == []
        with database.connect() as connection:
            (track,) = _store.load_tracks(connection, "RS-0001")
            (decision,) = _store.load_decisions(connection, "RS-0001")
        assert (track.site, track.state, track.version, track.standing) == ("ALPHA", "released", 9, None)
        assert decision["study_hash"] == "a" * 64
        move(database, "downgrade", "0002")
        with database.connect() as connection:
            rows = connection.execute(sa.text("SELECT site, state, version FROM site_track")).all()
        assert [tuple(row) for row in rows] == [("ALPHA", "released", 9)]
    finally:
        database.dispose()

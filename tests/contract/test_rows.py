"""Rows that are brought to a new state, on both databases: only what is different is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from racoon.platform.database import Database, Json
from racoon.platform.rows import Written, rewrite
from racoon.platform.texts import among

TABLE = sa.Table(
    "thing",
    sa.MetaData(),
    sa.Column("key", sa.String(20), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("owner", sa.String(20), nullable=False, index=True),
    sa.Column("words", Json, nullable=False),
    sa.Column("value", sa.Float),
    sa.Column("is_so", sa.Boolean),
)
KEY = TABLE.c.key


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_url")
    else:
        url = f"sqlite:///{tmp_path / 'node.sqlite'}"
    found = Database(url)
    with found.begin() as connection:
        TABLE.create(connection)
    yield found
    found.dispose()


def row(key: str, number: int = 0, **other: Any) -> dict[str, Any]:
    base = {"owner": "a", "words": [["s", 'a "quoted" ü']], "value": 1.5, "is_so": None}
    return {"key": key, "number": number, **base, **other}


def writes(database: Database, seen: list[str]) -> Any:
    def note(_c: object, _k: object, statement: str, *_: object) -> None:
        if not statement.startswith(("SELECT", "PRAGMA", "BEGIN", "SAVEPOINT")):
            seen.append(statement)

    sa.event.listen(database.engine, "before_cursor_execute", note)
    return note


def everything(database: Database) -> list[dict[str, Any]]:
    with database.connect() as connection:
        found = connection.execute(sa.select(TABLE).order_by(KEY, TABLE.c.number))
        return [dict(item._mapping) for item in found]


def test_only_what_is_different_is_written(database: Database) -> None:
    rows = [row("x"), row("x", 1, is_so=False), row("y'; --", value=None), row("z", owner="b", value=2)]
    with database.begin() as connection:
        assert rewrite(connection, TABLE, KEY, (), rows) == Written(4, 0, 0)
    assert everything(database) == rows
    seen: list[str] = []
    writes(database, seen)
    owners = [item["key"] for item in rows]
    with database.begin() as connection:
        assert rewrite(connection, TABLE, KEY, owners, rows) == Written(0, 0, 0)
    assert seen == []
    new = [row("x", is_so=True), row("y'; --", value=0.0), row("z", owner="b", words=[], value=2), row("w")]
    with database.begin() as connection:
        # Of two with the same key the first one counts.
        wanted = [*new, row("w", value=9.0)]
        assert rewrite(connection, TABLE, KEY, [*owners, "w"], wanted) == Written(1, 3, 1)
    assert everything(database) == sorted(new, key=lambda item: item["key"])
    updates = sorted(
        text.split(" WHERE ")[0].split(" SET ")[1].split("=")[0] for text in seen if "SET" in text
    )
    assert updates == ["is_so", "value", "words"]


def test_rows_of_other_owners_stay(database: Database) -> None:
    rows = [row("x"), row("y", owner="b"), row("z", owner="c")]
    with database.begin() as connection:
        rewrite(connection, TABLE, KEY, (), rows)
        assert rewrite(connection, TABLE, TABLE.c.owner, ["b", "nobody"], []) == Written(0, 0, 1)
    assert everything(database) == [rows[0], rows[2]]


def test_many_values_are_one_parameter(database: Database) -> None:
    keys = [f"k{number:06d}" for number in range(70_000)]
    with database.begin() as connection:
        rewrite(connection, TABLE, KEY, (), [row(keys[0]), row(keys[-1]), row("other")])
        found = connection.execute(sa.select(KEY).where(among(KEY, keys)).order_by(KEY))
        assert list(found.scalars()) == [keys[0], keys[-1]]

"""Prepared statements give the toolkit's own answers, by name and by place, on both databases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from racoon.platform.database import Database, DatabaseUnavailable, Json, UtcDateTime
from racoon.platform.prepared import PreparedSelect
from racoon.platform.texts import each_text

_METADATA = sa.MetaData()
_visit = sa.Table(
    "visit",
    _METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("subject", sa.String(80), nullable=False),
    sa.Column("at", UtcDateTime),
    sa.Column("is_done", sa.Boolean, nullable=False),
    sa.Column("facts", Json),
    sa.Column("on", sa.Date),
)
_ROWS: list[dict[str, Any]] = [
    {
        "id": 1,
        "subject": "R1-ANNA",
        "at": datetime(2026, 3, 1, 12, tzinfo=UTC),
        "is_done": True,
        "facts": {"größe": [1, None]},
        "on": datetime(2026, 3, 1).date(),  # noqa: DTZ001 -- a date
    },
    {"id": 2, "subject": "R1-\"O'B", "at": None, "is_done": False, "facts": None, "on": None},
]


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    is_sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/a.sqlite" if is_sqlite else request.getfixturevalue("postgresql_url")
    found = Database(str(url))
    _METADATA.create_all(found.engine)
    with found.begin() as connection:
        connection.execute(sa.insert(_visit), _ROWS)
    yield found
    _METADATA.drop_all(found.engine)
    found.dispose()


def test_types_names_and_places_are_those_of_the_toolkit(database: Database) -> None:
    statement = (
        sa.select(_visit, sa.exists().where(_visit.c.is_done), sa.literal("constant").label("word"))
        .where(_visit.c.id >= sa.bindparam("first", type_=sa.Integer), _visit.c.subject != "R1-NOBODY")
        .where(sa.or_(_visit.c.at.is_(None), _visit.c.at <= sa.bindparam("until", type_=UtcDateTime)))
        .order_by(_visit.c.id)
        .limit(sa.bindparam("most", type_=sa.Integer))
    )
    prepared = PreparedSelect(statement)
    values = {"first": 1, "until": datetime(2026, 3, 1, 12, tzinfo=UTC), "most": 10}
    for _ in range(2):
        with database.connect() as connection:
            found = prepared.rows(connection, values)
            assert [tuple(row) for row in found] == [
                tuple(row) for row in connection.execute(statement, values)
            ]
            assert prepared.scalars(connection, values) == [1, 2]
    assert [(row.subject, row.at, row.is_done, row.facts, row.on, row.word) for row in found] == [
        (row["subject"], row["at"], row["is_done"], row["facts"], row["on"], "constant") for row in _ROWS
    ]


def test_a_list_that_grows_into_the_text_is_answered_too(database: Database) -> None:
    prepared = PreparedSelect(
        sa.select(_visit.c.id).where(_visit.c.id.in_(sa.bindparam("ids", expanding=True)))
    )
    with database.connect() as connection:
        assert prepared.scalars(connection, {"ids": [2, 3]}) == [2]
        assert prepared.scalars(connection, {"ids": []}) == []


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(
        st.one_of(
            st.sampled_from([row["subject"] for row in _ROWS]),
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
        )
    )
)
def test_texts_of_any_number_and_kind_are_one_parameter(database: Database, names: list[str]) -> None:
    prepared = PreparedSelect(
        sa.select(_visit.c.subject).where(_visit.c.subject.in_(sa.select(each_text("names"))))
    )
    listed = PreparedSelect(sa.select(each_text("names")))
    with database.connect() as connection:
        assert set(prepared.scalars(connection, {"names": json.dumps(names)})) == {
            row["subject"] for row in _ROWS
        } & set(names)
        assert listed.scalars(connection, {"names": json.dumps(names)}) == names


def test_it_sees_what_its_transaction_sees(database: Database) -> None:
    prepared = PreparedSelect(sa.select(sa.func.count()).select_from(_visit))
    with database.connect() as reading:
        assert prepared.scalars(reading, {}) == [2]
        if database.dialect == "sqlite":
            with database.begin() as writing:
                writing.execute(sa.delete(_visit))
                assert prepared.scalars(writing, {}) == [0]
            assert prepared.scalars(reading, {}) == [2], "a reading transaction sees one state"
            with database.connect() as later:
                assert prepared.scalars(later, {}) == [0]


def test_an_error_is_ours_and_names_nobody(database: Database) -> None:
    prepared = PreparedSelect(
        sa.select(_visit.c.id).where(
            _visit.c.subject == sa.bindparam("subject"), sa.func.abs(_visit.c.subject, 1, 2) == 1
        )
    )
    with pytest.raises((sa.exc.DBAPIError, DatabaseUnavailable)) as caught, database.connect() as connection:
        prepared.rows(connection, {"subject": "R1-PLANTED"})
    assert "PLANTED" not in f"{caught.value!s} {caught.value!r}"
    with database.connect() as connection, pytest.raises((KeyError, sa.exc.StatementError)):
        prepared.rows(connection, {})

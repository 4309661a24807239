"""A large import: prepared by a helper while it is written, with the same outcome; changes of a feed replace rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa

from racoon.node.clinical import _store, importing
from racoon.node.clinical.deidentify import KNOWN_TYPES
from racoon.node.clinical.flat import tables_of
from racoon.node.clinical.importing import Importer, loaded_tables
from racoon.node.cohorts import service as cohorts
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.platform.bulk import SORT_THREADS, indexed_afterwards, restore_indexes
from racoon.platform.database import Database, create_all
from tests.clinic_of_many import CONDITIONS, SERIES, write_clinic

PATIENTS = 40


@pytest.fixture
def names(tmp_path: Path) -> Iterator[Pseudonymiser]:
    found = Pseudonymiser(tmp_path / "names" / "master.key", f"sqlite:///{tmp_path}/names/names.sqlite")
    yield found
    found.close()


def stored(database: Database) -> dict[str, list[tuple[str, ...]]]:
    """Everything that is kept, without the time of the import."""
    found = {}
    with database.connect() as connection:
        for table in (*_store.FLAT.values(), _store.resource):
            columns = [column for column in table.columns if column.name != "imported_at"]
            rows = connection.execute(sa.select(*columns).order_by(table.c.key))
            found[table.name] = [tuple(map(str, row)) for row in rows]
    return found


def opened(tmp_path: Path, name: str) -> Database:
    database = Database(f"sqlite:///{tmp_path}/{name}.sqlite")
    create_all(database, "node")
    return database


def test_a_helper_changes_nothing_but_the_speed(
    tmp_path: Path, names: Pseudonymiser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "BATCH", 50)
    counts = write_clinic(tmp_path / "in", PATIENTS)
    with (tmp_path / "in" / "Condition.ndjson").open("a", encoding="utf-8") as file:
        file.write('{broken\n{"resourceType": "Condition", "id": "x", "valueDecimal": NaN}\n')
    alone, helped = opened(tmp_path, "alone"), opened(tmp_path, "helped")
    seen: list[set[str]] = []
    reports = []
    for database, is_helped in ((alone, False), (helped, True)):

        def look(_read: int, database: Database = database) -> None:
            seen.append(indexes(database, loaded_tables()))

        importer = Importer(database, names)
        reports.append(importer.import_path(tmp_path / "in", is_helped=is_helped, progress=look))
    # A large import into an empty node builds the indexes at its end.
    assert seen[0] == indexes(alone, loaded_tables()) == indexes(helped, loaded_tables())
    assert seen[-1] == set()
    assert stored(alone) == stored(helped)
    assert reports[0].as_json() == reports[1].as_json()
    assert reports[0].stored == sum(counts.values())
    assert reports[0].as_json()["reasons"] == {"no_subject Condition": 1, "unreadable": 1}
    assert len(stored(alone)["clinical_imaging_series"]) == PATIENTS * SERIES
    alone.dispose()
    helped.dispose()


def test_a_feed_of_changes_replaces_rows(tmp_path: Path, names: Pseudonymiser) -> None:
    database = opened(tmp_path, "node")
    heard: list[tuple[int, int]] = []
    importer = Importer(
        database,
        names,
        on_stored=[lambda _, keys, rows: heard.append((len(keys), sum(map(len, rows.values()))))],
    )
    write_clinic(tmp_path / "in", PATIENTS)
    importer.import_path(tmp_path / "in")
    before = stored(database)
    write_clinic(tmp_path / "feed", PATIENTS, step=10, revision=1)
    heard.clear()
    report = importer.import_path(tmp_path / "feed")
    changed = PATIENTS // 10 * CONDITIONS
    # Patients and images are as they were; only the diagnoses moved by a day.
    assert (report.stored, report.unchanged) == (changed, PATIENTS // 10 * 2)
    assert heard == [(changed, changed)]
    after = stored(database)
    assert len(set(before["clinical_condition"]) - set(after["clinical_condition"])) == changed
    assert [len(rows) for rows in after.values()] == [len(rows) for rows in before.values()]
    database.dispose()


def test_only_what_changed_is_written(tmp_path: Path, names: Pseudonymiser) -> None:
    database = opened(tmp_path, "node")
    importer = Importer(database, names, on_stored=[cohorts.record_clinical])
    write_clinic(tmp_path / "in", PATIENTS)
    importer.import_path(tmp_path / "in")
    with database.connect() as connection:
        facts = connection.execute(sa.select(cohorts.clinical_fact)).all()
    writes: list[str] = []

    @sa.event.listens_for(database.engine, "before_cursor_execute")
    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith(("INSERT", "UPDATE", "DELETE")) and "clinical_import" not in statement:
            writes.append(statement.partition(" WHERE ")[0])

    report = importer.import_path(tmp_path / "in")
    assert (report.stored, report.unchanged) == (0, PATIENTS * (2 + CONDITIONS))
    assert writes == []
    write_clinic(tmp_path / "feed", PATIENTS, step=10, revision=1)
    importer.import_path(tmp_path / "feed")
    # The day of a diagnosis is in no index: none is written.
    assert writes == [
        "UPDATE clinical_resource SET content_hash=?, content=?, imported_at=?",
        "UPDATE clinical_condition SET recorded=?",
        "UPDATE clinical_fact SET day_number=?",
    ]
    with database.connect() as connection:
        now = connection.execute(sa.select(cohorts.clinical_fact)).all()
    moved = {row.key: row.day_number for row in now}
    assert len(now) == len(facts) == len(moved)
    changed = [row for row in facts if moved[row.key] != row.day_number]
    assert len(changed) == PATIENTS // 10 * CONDITIONS
    assert all(moved[row.key] == row.day_number + 1 for row in changed)
    database.dispose()


def test_every_type_says_where_its_rows_are() -> None:
    named = {table for kind in KNOWN_TYPES for table in tables_of(kind)}
    assert named == set(_store.FLAT)


def test_a_name_written_with_escapes_is_found_in_the_first_pass(tmp_path: Path, names: Pseudonymiser) -> None:
    database = opened(tmp_path, "node")
    folder = tmp_path / "in"
    write_clinic(folder, 1)
    file = folder / "Patient.ndjson"
    file.write_text(file.read_text("utf-8").replace('"Patient"', '"\\u0050atient"'), "utf-8")
    report = Importer(database, names).import_path(folder)
    assert (report.refused, report.stored) == (0, 2 + CONDITIONS)
    database.dispose()


def indexes(database: Database, tables: Sequence[sa.Table]) -> set[str]:
    with database.connect() as connection:
        found = sa.inspect(connection)
        return {str(item["name"]) for table in tables for item in found.get_indexes(table.name)}


def test_indexes_are_built_at_the_end_whatever_happens(tmp_path: Path, names: Pseudonymiser) -> None:
    tables = loaded_tables()
    database = opened(tmp_path, "node")
    whole = indexes(database, tables)
    assert len(whole) > 10
    write_clinic(tmp_path / "in", 1)

    def die() -> None:
        with indexed_afterwards(database, tables) as is_bare:
            assert (is_bare, indexes(database, tables)) == (True, set())
            Importer(database, names).import_path(tmp_path / "in")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        die()
    assert indexes(database, tables) == whole
    # Something is there now: others may be asking for it.
    with indexed_afterwards(database, tables) as is_bare:
        assert (is_bare, indexes(database, tables)) == (False, whole)
    # A process that was killed leaves them out.
    with database.begin() as connection:
        for index in _store.condition.indexes:
            index.drop(connection)
    helpers: list[object] = []

    def look(connection: sa.Connection, *_: object) -> None:
        helpers.append(connection.exec_driver_sql("PRAGMA threads").scalar_one())

    def at_an_index(_index: sa.Index, connection: sa.Connection, **_: object) -> None:
        look(connection)

    index = next(iter(_store.condition.indexes))
    sa.event.listen(index, "before_create", at_an_index)
    try:
        assert restore_indexes(database, tables) == len(_store.condition.indexes)
    finally:  # the table is every test's
        sa.event.remove(index, "before_create", at_an_index)
    with database.connect() as connection:
        look(connection)
    assert helpers == [SORT_THREADS, 0], "helpers sort, and the next one to use the connection has none"
    assert (indexes(database, tables), restore_indexes(database, tables)) == (whole, 0)
    database.dispose()

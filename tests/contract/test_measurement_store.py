"""Measured values on SQLite and PostgreSQL: every bit comes back, nothing is stored twice."""

from __future__ import annotations

import dataclasses
import importlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations

from racoon.domain.coding import Code
from racoon.domain.identity import Pseudonym
from racoon.node.archive.model import SeriesFacts
from racoon.node.cohorts import service as cohorts
from racoon.node.measuring import _store
from racoon.node.measuring.model import Finding, MaskSource, StoredValue
from racoon.platform import clock
from racoon.platform.database import Database, create_all

KEYS = ("study-1", "a" * 64, "2.25.1")
VALUE = StoredValue(
    study_id=KEYS[0],
    dataset_hash=KEYS[1],
    series_uid=KEYS[2],
    pseudonym=Pseudonym("SUBJ-1"),
    measurement="volume@1 SCT:10200004",
    biomarker="volume",
    version="1",
    label=Code("10200004", "SCT", "Leber, groß"),
    parameters_hash="b" * 64,
    value=0.1,
    unit="mL",
    valid=True,
    reason="",
    parameters={"kvp": None, "kernel": "B30f", "within": "SCT:1+SCT:2"},
    masks=(MaskSource("2.25.2", 3, "MANUAL", ""),),
    automation="manual",
    key_instance_uid="2.25.3",
    key_frame=1,
    key_slice=0,
    software="racoon 0",
    computed_at=clock.now(),
)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path}/test.sqlite"
    if request.param == "postgresql":
        url = str(request.getfixturevalue("postgresql_url"))
    database = Database(url)
    create_all(database, "node")
    yield database
    database.dispose()


def stored(database: Database) -> list[StoredValue]:
    with database.connect() as connection:
        return [value for _, value in _store.load_values(connection)]


def test_every_bit_comes_back(database: Database) -> None:
    numbers = [0.1, -2.5, 5e-324, 1.7976931348623157e308, -1 / 3, None]
    values = [
        dataclasses.replace(
            VALUE, series_uid=f"2.25.{index}", value=number, label=VALUE.label if index else None
        )
        for index, number in enumerate(numbers)
    ]
    with database.begin() as connection:
        _store.save_series(connection, values, [], KEYS)
    assert stored(database) == values
    assert [repr(value.value) for value in stored(database)] == [repr(number) for number in numbers]


def test_the_first_value_stays(database: Database) -> None:
    for number in (1.0, 2.0):
        with database.begin() as connection:
            _store.save_series(connection, [dataclasses.replace(VALUE, value=number)], [], KEYS)
    assert [value.value for value in stored(database)] == [1.0]
    with database.connect() as connection:
        assert _store.load_done(connection, *KEYS[:2]) == {
            KEYS[2]: {("volume", "1", "SCT:10200004", "b" * 64)}
        }


def test_two_workers_on_one_series_store_it_once(database: Database) -> None:
    barrier = threading.Barrier(4)

    def work(number: int) -> None:
        barrier.wait(10)
        with database.begin() as connection:
            values = [
                dataclasses.replace(VALUE, biomarker=name, value=float(number)) for name in ("a", "b", "c")
            ]
            _store.save_series(connection, values, [], KEYS)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    found = stored(database)
    assert sorted(value.biomarker for value in found) == ["a", "b", "c"]
    assert len({value.value for value in found}) == 1


def test_findings_of_a_series_are_replaced_by_its_next_run(database: Database) -> None:
    finding = Finding(*KEYS, "volume.irregular", "Two slices are missing.")
    other = Finding("study-1", "a" * 64, "2.25.9", "archive.not_found", "It is not there.")
    with database.begin() as connection:
        _store.save_series(connection, [], [finding], KEYS)
        _store.save_series(connection, [], [other], (KEYS[0], KEYS[1], "2.25.9"))
    with database.begin() as connection:
        _store.save_series(connection, [VALUE], [], KEYS)
    with database.connect() as connection:
        assert _store.load_findings(connection, study_id="study-1") == [other]
        assert _store.load_findings(connection, dataset_hash="c" * 64) == []


def test_what_was_measured_before_becomes_facts_of_cohorts(database: Database) -> None:
    migration = importlib.import_module("racoon.node.migrations.versions.0187_measured_facts")
    without = dataclasses.replace(VALUE, measurement="x", biomarker="mean", value=None, valid=False)
    gone = dataclasses.replace(VALUE, series_uid="2.25.9")
    newer = dataclasses.replace(VALUE, dataset_hash="c" * 64)
    series = SeriesFacts("2.25.1", "2.25.0", VALUE.pseudonym, "CT", study_date_shifted="20240110")
    with database.begin() as connection:
        _store.add_values(connection, [VALUE, newer, without, gone])
        cohorts.record(connection, [series])
        with Operations.context(MigrationContext.configure(connection)):
            migration.downgrade()
            migration.upgrade()
        found = connection.execute(sa.text("SELECT series_uid, biomarker, number, unit FROM measured_fact"))
        assert found.all() == [("2.25.1", "volume", 0.1, "mL")]
        cohorts.forget(connection, ["2.25.1"])
        assert cohorts.forget_subject(connection, VALUE.pseudonym) == 0

"""Database, migrations, audit and accounts: the same suite on SQLite and PostgreSQL."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa

from racoon.errors import Unavailable
from racoon.platform import clock
from racoon.platform.audit import GENESIS, AuditLog
from racoon.platform.auth import AccountStore, LoginThrottled, WrongCredentials
from racoon.platform.database import Database, DatabaseUnavailable, Json, UtcDateTime, create_all
from racoon.platform.files import StorageFull
from racoon.platform.migration import NewerDatabase, current, differences, head, make_revision, upgrade

THINGS = sa.MetaData()
THING = sa.Table(
    "thing",
    THINGS,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", UtcDateTime),
    sa.Column("facts", Json),
)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgresql_url"))
    return f"sqlite:///{tmp_path}/test.sqlite"


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database(url)
    with database.begin() as connection:
        THINGS.create_all(connection)
    create_all(database, "node")
    yield database
    database.dispose()


def test_types_round_trip(database: Database) -> None:
    moment = datetime(2026, 3, 29, 2, 30, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    facts = {"a": [1, 2.5, None, "ü"], "b": {"c": True}}
    with database.begin() as connection:
        connection.execute(
            sa.insert(THING), [{"id": 1, "at": moment, "facts": facts}, {"id": 2, "at": None, "facts": None}]
        )
    with database.connect() as connection:
        rows = connection.execute(sa.select(THING).order_by(THING.c.id)).all()
        null = connection.execute(sa.select(THING.c.id).where(THING.c.facts.is_(None))).scalars().all()
    assert rows[0].at == moment
    assert rows[0].at.tzinfo is UTC
    assert rows[0].facts == facts
    assert tuple(rows[1]) == (2, None, None)
    assert null == [2]


def test_naive_time_is_refused(database: Database) -> None:
    with pytest.raises(sa.exc.StatementError, match="without a zone"), database.begin() as connection:
        connection.execute(sa.insert(THING).values(at=datetime(2026, 1, 1)))  # noqa: DTZ001 -- without a zone on purpose


def test_failed_transaction_leaves_nothing(database: Database) -> None:
    with pytest.raises(RuntimeError), database.begin() as connection:  # noqa: PT012 -- the error is raised inside
        connection.execute(sa.insert(THING).values(id=1))
        raise RuntimeError
    with database.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(THING)).scalar_one() == 0


def test_reading_transaction_cannot_write(database: Database) -> None:
    with pytest.raises(sa.exc.DBAPIError), database.connect() as connection:
        connection.execute(sa.insert(THING).values(id=1))
    with database.begin() as connection:
        connection.execute(sa.insert(THING).values(id=1))


def test_error_text_never_shows_parameters(database: Database) -> None:
    with database.begin() as connection:
        connection.execute(sa.insert(THING).values(id=1))
    with pytest.raises(sa.exc.IntegrityError) as raised, database.begin() as connection:
        connection.execute(sa.insert(THING).values(id=1, facts={"name": "Doe^Erika"}))
    assert "Erika" not in str(raised.value)


def test_parallel_writers_line_up(database: Database) -> None:
    with database.begin() as connection:
        connection.execute(sa.insert(THING).values(id=1, facts={"n": 0}))

    def add() -> None:
        for _ in range(20):
            with database.begin() as connection:
                query = sa.select(THING.c.facts).where(THING.c.id == 1).with_for_update()
                facts = connection.execute(query).scalar_one()
                connection.execute(sa.update(THING).values(facts={"n": facts["n"] + 1}))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.connect() as connection:
        assert connection.execute(sa.select(THING.c.facts)).scalar_one() == {"n": 80}


def test_full_sqlite_is_unavailable_with_a_clear_message(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/full.sqlite")
    with database.begin() as connection:
        THINGS.create_all(connection)
        pages = connection.execute(sa.text("PRAGMA page_count")).scalar_one()

    @sa.event.listens_for(database.engine, "begin")
    def _limit(connection: sa.Connection) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 1}")

    with pytest.raises(StorageFull, match="disk under the database is full"), database.begin() as connection:
        connection.execute(sa.insert(THING).values(facts={"blob": "x" * 100_000}))
    database.dispose()


def test_locked_sqlite_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("racoon.platform.database.BUSY_TIMEOUT_MS", 50)
    first, second = (Database(f"sqlite:///{tmp_path}/locked.sqlite") for _ in range(2))
    with first.begin(), pytest.raises(DatabaseUnavailable, match="busy"), second.begin():
        pass
    first.dispose()
    second.dispose()


def test_writing_inside_writing_fails_at_once(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/nested.sqlite")
    with database.begin(), pytest.raises(RuntimeError, match="inside another"), database.begin():
        pass
    with database.begin():
        pass
    with database.connect(), database.begin():
        pass
    database.dispose()


def test_absent_server_is_unavailable(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    database = Database(f"postgresql://nobody@/nothing?host={tmp_path}")
    with pytest.raises(Unavailable, match="does not answer"), database.connect():
        pass


def test_forked_child_gets_its_own_connections(url: str) -> None:
    script = """
        import os, sys
        import sqlalchemy as sa
        from racoon.platform.database import Database
        database = Database(sys.argv[1])
        with database.begin() as connection:
            connection.execute(sa.text("CREATE TABLE t (id INTEGER)"))
        pids = []
        for number in range(3):
            pid = os.fork()
            if pid == 0:
                for _ in range(10):
                    with database.begin() as connection:
                        connection.execute(sa.text(f"INSERT INTO t VALUES ({number})"))
                os._exit(0)
            pids.append(pid)
        assert all(os.waitpid(pid, 0)[1] == 0 for pid in pids)
        with database.connect() as connection:
            print(connection.execute(sa.text("SELECT count(*) FROM t")).scalar_one())
    """
    command = [sys.executable, "-c", textwrap.dedent(script), url]
    assert subprocess.run(command, capture_output=True, check=True, timeout=60).stdout.strip() == b"30"


# ------------------------------------------------------------------------------------------------ audit


def _append(log: AuditLog, database: Database, number: int) -> None:
    with database.begin() as connection:
        log.append(
            connection,
            actor=f"user-{number}",
            actor_role="dpo",
            action="track.decide",
            target=f"study/{number}",
            purpose="S1" if number % 2 else None,
            details={"n": number, "ü": [1.5, None]},
        )


def test_audit_chain_verifies_and_pages(database: Database) -> None:
    log = AuditLog("node", policy_version="p1")
    with database.connect() as connection:
        assert log.head(connection) == (0, GENESIS)
        assert log.verify(connection).valid
    for number in range(1, 8):
        _append(log, database, number)
    with database.connect() as connection:
        verdict = log.verify(connection)
        assert (verdict.valid, verdict.entries, verdict.head_hash) == (True, 7, log.head(connection)[1])
        newest = log.entries(connection, limit=3)
        assert [entry.seq for entry in newest] == [7, 6, 5]
        assert [entry.seq for entry in log.entries(connection, limit=3, before_seq=5)] == [4, 3, 2]
        assert [entry.seq for entry in log.entries(connection, purpose="S1")] == [7, 5, 3, 1]
    assert newest[0].details == {"n": 7, "ü": [1.5, None]}
    assert newest[0].policy_version == "p1"
    assert newest[0].prev_hash == newest[1].hash
    assert abs(clock.from_text(newest[0].time) - clock.now()) < timedelta(minutes=1)


def test_audit_entry_is_lost_with_its_deed(database: Database) -> None:
    log = AuditLog("node")
    with pytest.raises(RuntimeError), database.begin() as connection:  # noqa: PT012 -- the error is raised inside
        log.append(connection, actor="a", actor_role="r", action="x", target="y")
        raise RuntimeError
    _append(log, database, 1)
    with database.connect() as connection:
        assert log.verify(connection) == dataclasses.replace(log.verify(connection), valid=True, entries=1)


def test_audit_writers_in_parallel_make_one_chain(database: Database) -> None:
    log = AuditLog("node")

    def write(base: int) -> None:
        for number in range(15):
            _append(log, database, base + number)

    threads = [threading.Thread(target=write, args=(base,)) for base in (100, 200, 300)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.connect() as connection:
        verdict = log.verify(connection)
    assert (verdict.valid, verdict.entries) == (True, 45)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'x'",
        "UPDATE audit SET details = '{}' WHERE seq = 1",
        "DELETE FROM audit",
        "DELETE FROM audit WHERE seq = 3",
    ],
)
def test_audit_is_append_only(database: Database, statement: str) -> None:
    log = AuditLog("node")
    for number in range(3):
        _append(log, database, number)
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), database.begin() as connection:
        connection.execute(sa.text(statement))
    with database.connect() as connection:
        assert log.verify(connection).entries == 3


def test_audit_cannot_be_replaced_or_truncated(database: Database) -> None:
    log = AuditLog("node")
    _append(log, database, 1)
    statement = {
        "sqlite": "INSERT OR REPLACE INTO audit SELECT * FROM audit",
        "postgresql": "TRUNCATE audit",
    }[database.dialect]
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), database.begin() as connection:
        connection.execute(sa.text(statement))


def _without_triggers(database: Database, statement: str) -> None:
    """Change the table as the database's owner could."""
    with database.begin() as connection:
        if database.dialect == "sqlite":
            for name in ("audit_no_update", "audit_no_delete", "audit_in_order"):
                connection.execute(sa.text(f"DROP TRIGGER {name}"))
        else:
            connection.execute(sa.text("DROP TRIGGER audit_no_change ON audit"))
        connection.exec_driver_sql(statement)


@pytest.mark.parametrize(
    ("statement", "bad_seq", "reason"),
    [
        ("UPDATE audit SET actor = 'x' WHERE seq = 2", 2, "changed"),
        ("UPDATE audit SET details = '{\"n\":99}' WHERE seq = 3", 3, "changed"),
        ("UPDATE audit SET details = 'no json' WHERE seq = 3", 3, "changed"),
        ("DELETE FROM audit WHERE seq = 2", 2, "missing"),
        ("UPDATE audit SET prev_hash = hash WHERE seq = 4", 4, "follow"),
    ],
)
def test_tampering_shows(database: Database, statement: str, bad_seq: int, reason: str) -> None:
    log = AuditLog("node")
    for number in range(5):
        _append(log, database, number)
    _without_triggers(database, statement)
    with database.connect() as connection:
        verdict = log.verify(connection)
    assert (verdict.valid, verdict.bad_seq) == (False, bad_seq)
    assert reason in str(verdict.reason)


def test_cut_off_tail_shows_only_with_an_anchor(database: Database) -> None:
    log = AuditLog("node")
    for number in range(5):
        _append(log, database, number)
    with database.connect() as connection:
        anchor = log.head(connection)
        early = (2, log.entries(connection, before_seq=3)[0].hash)
        assert log.verify(connection, anchor).valid
        assert log.verify(connection, early).valid
        assert not log.verify(connection, (2, "0" * 64)).valid
    _without_triggers(database, "DELETE FROM audit WHERE seq > 3")
    with database.connect() as connection:
        assert log.verify(connection).valid
        verdict = log.verify(connection, anchor)
    assert (verdict.valid, verdict.bad_seq) == (False, 4)


# --------------------------------------------------------------------------------------------- accounts


def test_accounts_on_both_dialects(database: Database) -> None:
    accounts = AccountStore("node")
    accounts.create(database, "rita", "correct horse", ["reader"], "ALPHA")
    user = accounts.verify(database, "rita", "correct horse")
    session = accounts.open_session(database, user)
    assert accounts.user_of_session(database, session.token) == user
    accounts.close_session(database, session.token)
    assert accounts.user_of_session(database, session.token) is None
    for _ in range(5):
        with pytest.raises(WrongCredentials):
            accounts.verify(database, "rita", "x")
    with pytest.raises(LoginThrottled):
        accounts.verify(database, "rita", "x")


# ------------------------------------------------------------------------------------------- migrations

_ENV = """
import sqlalchemy as sa
from racoon.platform.audit import AuditLog
from racoon.platform.database import metadata
from racoon.platform.migration_env import run
import things_{name}

run(things_{name}.TABLES)
"""

_TABLES = """
import sqlalchemy as sa
from racoon.platform.database import Json, UtcDateTime, metadata

TABLES = metadata("central")
if "made_{name}" not in TABLES.tables:
    sa.Table(
        "made_{name}",
        TABLES,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", UtcDateTime),
        sa.Column("facts", Json, nullable=False),
    )
"""


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[str]:
    """A migration history of its own, in a package of its own."""
    name = f"h{abs(hash(request.node.nodeid)):x}"
    package = tmp_path / "code" / f"history_{name}"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "env.py").write_text(_ENV.replace("{name}", name))
    (tmp_path / "code" / f"things_{name}.py").write_text(_TABLES.replace("{name}", name))
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    yield f"history_{name}"
    from racoon.platform.database import metadata

    tables = metadata("central")
    for table in [table for table in tables.tables.values() if name in table.name]:
        tables.remove(table)


def test_history_makes_the_database_the_code_describes(url: str, history: str) -> None:
    from racoon.platform.database import metadata

    first = make_revision(history, "first tables")
    assert first is not None
    assert first.name == "0001_first_tables.py"
    assert make_revision(history, "nothing") is None
    database = Database(url)
    assert current(database) is None
    upgrade(database, history)
    upgrade(database, history)
    assert current(database) == head(history) == "0001"
    assert differences(database, metadata("central")) == []
    log = AuditLog("central")
    with database.begin() as connection:
        log.append(connection, actor="a", actor_role="r", action="x", target="y")
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), database.begin() as connection:
        connection.execute(sa.text("DELETE FROM audit"))
    sa.Table("later_" + history, metadata("central"), sa.Column("id", sa.Integer, primary_key=True))
    assert len(differences(database, metadata("central"))) == 1
    second = make_revision(history, "later")
    assert second is not None
    upgrade(database, history)
    assert differences(database, metadata("central")) == []
    with database.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(NewerDatabase):
        upgrade(database, history)
    database.dispose()


def test_two_supervisors_migrate_at_once(url: str, history: str) -> None:
    make_revision(history, "first tables")
    script = textwrap.dedent("""
        import sys
        sys.path.insert(0, sys.argv[3])
        from racoon.platform.database import Database
        from racoon.platform.migration import upgrade
        database = Database(sys.argv[1])
        upgrade(database, sys.argv[2])
        database.dispose()
    """)
    folder = next(path for path in sys.path if path.endswith("/code"))
    command = [sys.executable, "-c", script, url, history, folder]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(2)]
    for process in processes:
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == 0, stderr.decode()
    database = Database(url)
    assert current(database) == "0001"
    database.dispose()

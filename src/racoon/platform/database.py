"""One database per role: SQLite in a file by default, PostgreSQL by URL, the same code on both.

Contexts register their tables at import with :func:`metadata` and get a :class:`Database` from the
composition root. A transaction that writes starts as a writer (``BEGIN IMMEDIATE`` on SQLite), so two writers
queue up instead of failing half way; a transaction that reads cannot write on either dialect.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import weakref
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.pool import StaticPool

from racoon.errors import Unavailable
from racoon.platform.files import StorageFull, disk_errors

RoleName = Literal["node", "central"]
ROLES: tuple[RoleName, ...] = ("node", "central")

BUSY_TIMEOUT_MS = 30_000
"""How long a writer waits for another: longer than our transactions, shorter than a user's patience."""

_READ_ONLY = "racoon_read_only"

_NAMING = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
"""Every constraint has a name, because SQLite can only change a named one (Alembic batch mode)."""


@functools.cache
def metadata(role: RoleName) -> sa.MetaData:
    """Return the one collection of tables of a role; every ``_store`` registers its tables here at import."""
    if role not in ROLES:
        raise ValueError(f"no such role: {role}")
    return sa.MetaData(naming_convention=_NAMING)


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """An aware UTC time; a naive one is a programming error and fails at once."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Write UTC; SQLite has no zones, so it gets the bare UTC time."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise TypeError("a time without a zone cannot be stored; use racoon.platform.clock.now()")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002 -- SQLAlchemy's signature
        """Read UTC, always aware."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Json(sa.types.TypeDecorator[Any]):
    """A JSON value: ``JSONB`` on PostgreSQL, text on SQLite; Python ``None`` is SQL ``NULL``."""

    impl = sa.JSON(none_as_null=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """Choose the dialect's own JSON type."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.JSONB(none_as_null=True))
        return dialect.type_descriptor(sa.JSON(none_as_null=True))


class DatabaseUnavailable(Unavailable):
    """The database does not answer, is busy for too long, or undid a transaction that may be tried again."""

    code = "database.unavailable"


class Database:
    """Connections to one database.

    Parameters
    ----------
    url
        ``sqlite:////absolute/file``, ``postgresql://user@host/name``.
    synchronous
        SQLite's promise on power loss: ``NORMAL`` never corrupts but may lose the last commits after a power
        cut (not after kill -9); ``FULL`` loses none and costs one fsync per commit.
    pool_size
        Connections kept open per process.
    """

    def __init__(
        self, url: str, *, synchronous: Literal["NORMAL", "FULL"] = "NORMAL", pool_size: int = 5
    ) -> None:
        parsed = sa.make_url(url)
        if parsed.drivername in ("postgresql", "postgres"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        # Parameters may be pseudonyms or worse: no exception text ever shows them.
        options: dict[str, Any] = {"hide_parameters": True}
        options["pool_pre_ping"] = parsed.get_backend_name() == "postgresql"
        if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
            options["poolclass"] = StaticPool
            options["connect_args"] = {"check_same_thread": False}
        else:
            options |= {"pool_size": pool_size, "max_overflow": 15, "pool_timeout": 30}
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        self.url = parsed
        self._writing: set[int] = set()
        self.engine = sa.create_engine(parsed, **options)
        if self.dialect == "sqlite":
            self._prepare_sqlite(synchronous)
            self._reader = self.engine.execution_options(**{_READ_ONLY: True})
        else:
            self._reader = self.engine.execution_options(postgresql_readonly=True)
        _DATABASES.add(self)

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self.engine.dialect.name

    @contextlib.contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """Open a transaction that may write; commit on success, roll back on any exception.

        Raises
        ------
        StorageFull
            The disk under the database is full.
        DatabaseUnavailable
            The server is away, the file stayed locked, or the transaction has to be tried again.
        """
        thread = threading.get_ident()
        if self.dialect == "sqlite" and thread in self._writing:
            # It would wait for itself until the busy timeout, and look like a slow disk.
            raise RuntimeError("a writing transaction inside another: pass the connection on instead")
        with translated_errors(), self.engine.begin() as connection:
            self._writing.add(thread)
            try:
                yield connection
            finally:
                self._writing.discard(thread)

    @contextlib.contextmanager
    def connect(self) -> Iterator[sa.Connection]:
        """Open a transaction that only reads a consistent state; a write in it fails on both dialects."""
        with translated_errors(), self._reader.connect() as connection:
            yield connection

    def forget_deleted_pages(self) -> None:
        """Empty SQLite's write-ahead log: it holds older states of pages, deleted rows among them.

        Deleted rows themselves are overwritten with zeros when they are deleted.  A reader that is busy keeps the log;
        the next call empties it.  PostgreSQL vacuums by itself.
        """
        if self.dialect == "sqlite":
            with translated_errors():
                raw = self.engine.raw_connection()
                try:
                    raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                finally:
                    raw.close()

    def dispose(self) -> None:
        """Close all idle connections; the next use opens new ones."""
        self.engine.dispose()

    def _prepare_sqlite(self, synchronous: str) -> None:
        @sa.event.listens_for(self.engine, "connect")
        def _configure(connection: Any, _record: object) -> None:
            # The driver must not start transactions on its own: we say BEGIN IMMEDIATE ourselves.
            connection.isolation_level = None
            cursor = connection.cursor()
            cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute(f"PRAGMA synchronous={synchronous}")
            cursor.execute("PRAGMA foreign_keys=ON")
            # What is deleted for a person's sake must not stay readable in a free page of the file.
            cursor.execute("PRAGMA secure_delete=ON")
            cursor.close()

        @sa.event.listens_for(self.engine, "begin")
        def _begin(connection: sa.Connection) -> None:
            if connection.get_execution_options().get(_READ_ONLY):
                # Neither statement waits for a lock, so neither needs the toolkit's care for errors, which costs more
                # than they do: a page opens several such transactions.
                raw = connection.connection.cursor()
                raw.execute("PRAGMA query_only=ON")
                raw.execute("BEGIN")
                raw.close()
            else:
                connection.exec_driver_sql("PRAGMA query_only=OFF")
                connection.exec_driver_sql("BEGIN IMMEDIATE")


_DATABASES: weakref.WeakSet[Database] = weakref.WeakSet()


def _before_fork() -> None:
    # A connection must never be open on both sides of a fork.
    for database in list(_DATABASES):
        database.engine.dispose()


def _after_fork_in_child() -> None:
    for database in list(_DATABASES):
        database.engine.dispose(close=False)
        database._writing.clear()  # noqa: SLF001 -- our own class


os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)


@contextlib.contextmanager
def translated_errors() -> Iterator[None]:
    """Turn what a driver says about full disks, locks and lost servers into our error kinds."""
    try:
        with disk_errors():
            yield
    except sa.exc.DBAPIError as error:
        translated = _translate(error)
        if translated is None:
            raise
        raise translated from error
    except sa.exc.TimeoutError as error:
        raise DatabaseUnavailable("The database has no free connection. Try again in a moment.") from error


def _translate(error: sa.exc.DBAPIError) -> Unavailable | None:
    name = str(getattr(error.orig, "sqlite_errorname", "") or "")
    state = str(getattr(error.orig, "sqlstate", "") or "")
    if name.startswith("SQLITE_FULL") or state == "53100":
        return StorageFull(
            "The disk under the database is full. Free some space; the work continues by itself."
        )
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")) or state in ("40001", "40P01", "55P03"):
        return DatabaseUnavailable(
            "The database is busy. Try again in a moment.", details={"state": name or state}
        )
    if name.startswith(("SQLITE_IOERR", "SQLITE_CANTOPEN")):
        return DatabaseUnavailable(
            "The database file cannot be read or written. Check the disk and the file's permissions.",
            details={"state": name},
        )
    lost = state.startswith(("08", "57P")) or state == "53300"
    if lost or error.connection_invalidated or (_is_psycopg_operational(error) and not state):
        return DatabaseUnavailable(
            "The database server does not answer. Check that it runs.", details={"state": state}
        )
    return None


def _is_psycopg_operational(error: sa.exc.DBAPIError) -> bool:
    return isinstance(error, sa.exc.OperationalError) and type(error.orig).__module__.startswith("psycopg")


def create_all(database: Database, role: RoleName) -> None:
    """Create every registered table at once, without a migration history: for unit tests only."""
    with database.begin() as connection:
        metadata(role).create_all(connection)

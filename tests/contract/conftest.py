"""A real PostgreSQL server for the suites that every adapter must pass."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa


def _binary(name: str) -> Path | None:
    found = [Path(path) for path in (shutil.which(name),) if path]
    found += sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return found[0].resolve() if found else None


class PostgresqlServer:
    """A server in its own folder that listens on a Unix socket only."""

    def __init__(self, folder: Path) -> None:
        postgres = _binary("postgres")
        assert postgres is not None
        self.folder = folder
        # The server refuses to run as root, as it is in containers.
        self._user = None
        if os.geteuid() == 0:
            names = {entry.pw_name for entry in pwd.getpwall()}
            self._user = "postgres" if "postgres" in names else "nobody"
            shutil.chown(folder, self._user)
        self._bin = postgres.parent
        self._run(
            "initdb", "-D", str(folder / "data"), "-U", "racoon", "-A", "trust", "-E", "UTF8", "--no-sync"
        )
        options = f"-k {folder} -h '' -c fsync=off -c max_connections=60"
        self._run(
            "pg_ctl", "-D", str(folder / "data"), "-l", str(folder / "log"), "-o", options, "-w", "start"
        )

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self._bin / program), *arguments],
            user=self._user,
            cwd=self.folder,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=60,
        )

    def url(self, name: str) -> str:
        return f"postgresql://racoon@/{name}?host={self.folder}"

    def empty_database(self) -> str:
        """Return the URL of a database without a table; emptying one is cheaper than making many."""
        url = self.url("postgres")
        engine = sa.create_engine(
            sa.make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT"
        )
        with engine.connect() as connection:
            # Connections of processes that a test killed may still be open.
            others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            connection.execute(sa.text(others + " AND datname = current_database()"))
            connection.execute(sa.text("DROP SCHEMA IF EXISTS dbos, public CASCADE"))
            connection.execute(sa.text("CREATE SCHEMA public"))
        engine.dispose()
        return url

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "-w", "stop")


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    if _binary("postgres") is None:
        pytest.skip("POSTGRESQL MISSING: apt-get install postgresql; this suite ran on SQLite only")
    # A Unix socket's path may have about 100 characters, and the server's user must reach it.
    folder = Path(tempfile.mkdtemp(prefix="racoon-pg-"))
    server = PostgresqlServer(folder)
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgresql_url(postgresql_server: PostgresqlServer) -> str:
    """Return the URL of a fresh, empty database."""
    return postgresql_server.empty_database()

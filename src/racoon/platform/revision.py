"""The quick look before a migration: a database at the newest revision is left alone, without loading Alembic."""

from __future__ import annotations

import importlib
from pathlib import Path

import sqlalchemy as sa

from racoon.platform.database import Database, translated_errors


def bring_up_to_date(database: Database, migrations: str) -> None:
    """Upgrade the database if it is not at the newest revision.

    Parameters
    ----------
    database
        Where to.
    migrations
        Package of the history, for example ``racoon.node.migrations``; its files are named
        ``<revision>_<what>.py`` and their revisions ascend.

    Raises
    ------
    racoon.platform.migration.NewerDatabase
        The database has a revision this program does not know.
    """
    package = importlib.import_module(migrations)
    versions = Path(next(iter(package.__path__))) / "versions"
    newest = max((path.name.partition("_")[0] for path in versions.glob("[0-9]*_*.py")), default="")
    with translated_errors(), database.engine.connect() as connection:
        if sa.inspect(connection).has_table("alembic_version"):
            found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalars().all()
            if found == [newest]:
                return
    # Loaded only now: most starts find nothing to do.
    from racoon.platform.migration import upgrade  # noqa: PLC0415

    upgrade(database, migrations)

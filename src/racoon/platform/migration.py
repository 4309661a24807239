"""Run a role's migration history and prove that the database is what the code says.

Only the supervisor migrates, before it starts children; a lock keeps two supervisors apart all the same. The
history lives with the role (``racoon.node.migrations``); its ``env.py`` calls
:func:`racoon.platform.migration_env.run`, after it has registered every table when a revision is to be written.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.operations.ops import MigrationScript
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from racoon.errors import Refused
from racoon.platform.database import Database, translated_errors

MIGRATION_LOCK = 0x7261636F
"""Key of the advisory lock on PostgreSQL: the bytes of "raco"."""

_TEMPLATE = '''"""${message}."""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
'''


class NewerDatabase(Refused):
    """The database was written by a newer program; going back would lose data."""

    code = "database.newer"


def upgrade(database: Database, migrations: str) -> None:
    """Bring the database to the newest revision; do nothing when it is there.

    Parameters
    ----------
    database
        Where to.
    migrations
        Package of the history, for example ``racoon.node.migrations``.

    Raises
    ------
    NewerDatabase
        The database has a revision this program does not know.
    """
    config = _config(migrations)
    with translated_errors(), database.engine.begin() as connection:
        if database.dialect == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        _refuse_newer(connection, config)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def current(database: Database) -> str | None:
    """Return the revision the database is at, ``None`` before the first migration."""
    with database.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def head(migrations: str) -> str | None:
    """Return the newest revision of a history."""
    return ScriptDirectory.from_config(_config(migrations)).get_current_head()


def differences(database: Database, tables: sa.MetaData) -> list[str]:
    """Compare the real database with the registered tables; an empty list means they agree."""
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return [str(difference) for difference in compare_metadata(context, tables)]


def make_revision(migrations: str, message: str) -> Path | None:
    """Write the next revision from the difference between the history and the registered tables.

    Returns
    -------
    Path or None
        The new file; ``None`` when nothing changed.
    """
    config = _config(migrations)
    folder = Path(config.get_main_option("script_location") or "")
    (folder / "versions").mkdir(exist_ok=True)
    if not (folder / "script.py.mako").exists():
        (folder / "script.py.mako").write_text(_TEMPLATE, encoding="utf-8")

    def drop_empty(_context: object, _revision: object, directives: list[MigrationScript]) -> None:
        operations = directives[0].upgrade_ops
        if operations is not None and operations.is_empty():
            directives.clear()

    with tempfile.TemporaryDirectory() as temporary:
        database = Database(f"sqlite:///{temporary}/revision.sqlite")
        try:
            upgrade(database, migrations)
            number = f"{len(list(ScriptDirectory.from_config(config).walk_revisions())) + 1:04d}"
            with database.engine.begin() as connection:
                config.attributes |= {"connection": connection, "comparing": True}
                script = command.revision(
                    config, message, autogenerate=True, rev_id=number, process_revision_directives=drop_empty
                )
        finally:
            database.dispose()
    if script is None or isinstance(script, list):
        return None
    return Path(script.path)


def _refuse_newer(connection: sa.Connection, config: Config) -> None:
    revision = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision is not None and revision not in known:
        raise NewerDatabase(
            "A newer version of the program wrote the database. Install that version or restore a backup.",
            details={"revision": revision},
        )


def _config(migrations: str) -> Config:
    package = importlib.import_module(migrations)
    folder = Path(next(iter(package.__path__)))
    config = Config()
    # Config options are interpolated: a percent sign in the path must be doubled.
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    return config


def main() -> None:
    """Write the next revision of a role: ``python -m racoon.platform.migration node "message"``."""
    parser = argparse.ArgumentParser(description="Write the next database revision of a role.")
    parser.add_argument("role", choices=("node", "central"))
    parser.add_argument("message")
    arguments = parser.parse_args()
    path = make_revision(f"racoon.{arguments.role}.migrations", arguments.message)
    sys.stdout.write(f"{path or 'nothing changed'}\n")


if __name__ == "__main__":
    main()

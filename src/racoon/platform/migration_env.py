"""What every role's ``migrations/env.py`` calls: run revisions on the connection the runner opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import sqlalchemy as sa
from alembic import context

from racoon.platform.audit import install_triggers
from racoon.platform.database import Json, UtcDateTime

if TYPE_CHECKING:
    from alembic.autogenerate.api import AutogenContext


def is_comparing() -> bool:
    """Tell whether the registered tables are needed: only to write a revision, not to apply one."""
    return bool(context.config.attributes.get("comparing", False))


def run(tables: sa.MetaData) -> None:
    """Apply the requested revisions to the connection in ``config.attributes["connection"]``.

    Parameters
    ----------
    tables
        The role's registered tables, ``racoon.platform.database.metadata(role)``.
    """
    connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=tables,
        render_as_batch=True,
        compare_type=True,
        render_item=_render_item,
        user_module_prefix="database.",
    )
    with context.begin_transaction():
        context.run_migrations()
    install_triggers(connection)


def _render_item(kind: str, item: object, autogen: AutogenContext) -> str | Literal[False]:
    if kind == "type" and isinstance(item, (UtcDateTime, Json)):
        autogen.imports.add("from racoon.platform.database import Json, UtcDateTime  # noqa: F401")
        return f"{type(item).__name__}()"
    return False

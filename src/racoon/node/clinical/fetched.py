"""How far fetching is, type by type; written with every page."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from racoon.node.clinical import _store
from racoon.node.clinical._source_tables import fetch
from racoon.node.clinical.import_report import ImportReport
from racoon.platform import clock


@dataclass(frozen=True)
class Checkpoint:
    """How far one type is, or one file of an export.

    Parameters
    ----------
    kind
        Type of resource; ``Type/number`` of a file; ``Type/_history`` of what was deleted.
    is_done
        Whether everything of this round was taken.
    since
        Instant up to which everything was taken in an earlier round.
    started
        When the round that runs began.
    next_page
        Where it goes on.
    line
        Lines of a file that were taken.
    read
        Resources of this round.
    """

    kind: str
    is_done: bool = True
    since: str = ""
    started: str = ""
    next_page: str = ""
    line: int = 0
    read: int = 0


def load(connection: sa.Connection, kind: str) -> Checkpoint:
    """Load a checkpoint; one that was never begun is done and knows no time."""
    row = connection.execute(sa.select(fetch).where(fetch.c.kind == kind)).one_or_none()
    return Checkpoint(kind) if row is None else Checkpoint(**row._mapping)


def load_all(connection: sa.Connection) -> list[dict[str, Any]]:
    """List the types that were fetched, without the addresses of their pages."""
    query = sa.select(fetch).where(fetch.c.kind.not_like("%/%")).order_by(fetch.c.kind)
    shown = ("kind", "is_done", "since", "read")
    return [{name: row._mapping[name] for name in shown} for row in connection.execute(query)]


def save(connection: sa.Connection, point: Checkpoint) -> None:
    """Write a checkpoint."""
    connection.execute(sa.delete(fetch).where(fetch.c.kind == point.kind))
    connection.execute(sa.insert(fetch).values(**asdict(point)))


def forget_files(connection: sa.Connection) -> None:
    """Forget the files of an export."""
    is_file = sa.and_(fetch.c.kind.like("%/%"), fetch.c.kind.not_like("%/\\_history", escape="\\"))
    connection.execute(sa.delete(fetch).where(is_file))


def save_report(connection: sa.Connection, started: datetime, report: ImportReport) -> None:
    """Keep what a fetch took and refused with the other imports."""
    _store.save_report(
        connection, {"started_at": started, "finished_at": clock.now(), "report": report.as_json()}
    )

"""Whose images a person may see: all of them, or only those of the research studies he was let into.

Roles say what somebody may do at all (``domain.permission``); this says to which imaging studies.  A grant names a
person, a research study and the imaging studies of its frozen dataset; it is asked for by one statement on every
route, whether it searches or retrieves.  A grant alone opens nothing: the site's decisions on that study have to
allow looking at its images now, so that a stop or an expired vote closes them at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from racoon.domain.permission import is_permitted
from racoon.node.archive import _store
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.auth import User
from racoon.platform.database import Database
from racoon.platform.prepared import PreparedSelect
from racoon.platform.texts import each_text

MayView = Callable[[sa.Connection, str], bool]
"""Tells whether the site's decisions allow looking at a research study's images now; ``app`` registers it."""

SEES_ALL = "archive.read.all"
"""Action of the permission table: who runs the archive sees all of it."""


def _studies_of_user() -> sa.Select[Any]:
    """Research studies somebody was let into, one step in the index for each: a walk over the grants would grow with
    the images.
    """
    grants = _store.grants
    user = grants.c.user_name == sa.bindparam("user_name")
    found = (
        sa.select(sa.func.min(grants.c.study_id).label("study_id")).where(user).cte("found", recursive=True)
    )
    following = sa.select(sa.func.min(grants.c.study_id)).where(user, grants.c.study_id > found.c.study_id)
    found = found.union_all(sa.select(following.scalar_subquery()).where(found.c.study_id.is_not(None)))
    return sa.select(found.c.study_id).where(found.c.study_id.is_not(None))


_STUDIES_OF_USER = PreparedSelect(_studies_of_user())

GRANTED = sa.exists().where(
    _store.grants.c.user_name == sa.bindparam("granted_user"),
    _store.grants.c.study_id.in_(sa.select(each_text("granted_studies"))),
    _store.grants.c.imaging_study_uid == _store.imaging_studies.c.imaging_study_uid,
)
"""Condition of a statement on the table of imaging studies; its parameters are those of a :class:`Restriction`."""


@dataclass(frozen=True)
class Restriction:
    """What a person is limited to.

    Parameters
    ----------
    parameters
        Of the condition :data:`GRANTED`, which is the same for everybody: a statement with it is compiled once.
    """

    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Grant:
    """A person let into the images of one research study."""

    user_name: str
    study_id: str
    imaging_studies: int
    granted_by: str
    granted_at: datetime


class ImageAccess:
    """Rights per person and research study.

    Parameters
    ----------
    database
        The node's database.
    audit
        Grants and revocations are written here.
    may_view
        Port to the site's decisions on studies.
    """

    def __init__(self, database: Database, audit: AuditLog, may_view: MayView) -> None:
        self._database = database
        self._audit = audit
        self._may_view = may_view

    def is_limited(self, user: User) -> bool:
        """Tell whether a person sees only what was granted."""
        return not is_permitted("node", user.roles, SEES_ALL)

    def may_see(self, user: User, imaging_study_uid: str) -> bool:
        """Tell whether a person may see an imaging study."""
        if not self.is_limited(user):
            return True
        table = _store.grants
        query = sa.select(table.c.study_id).where(
            table.c.user_name == user.name, table.c.imaging_study_uid == imaging_study_uid
        )
        with self._database.connect() as connection:
            studies = connection.execute(query).scalars().all()
            return any(self._may_view(connection, study_id) for study_id in studies)

    def restriction(self, user: User, connection: sa.Connection) -> Restriction | None:
        """Imaging studies that a person is limited to; None for somebody who sees all."""
        if not self.is_limited(user):
            return None
        studies = _STUDIES_OF_USER.scalars(connection, {"user_name": user.name})
        open_studies = [study_id for study_id in studies if self._may_view(connection, study_id)]
        return Restriction({"granted_user": user.name, "granted_studies": json.dumps(open_studies)})

    def grant(
        self, user_name: str, study_id: str, series_uids: Sequence[str], *, actor: str, actor_role: str
    ) -> int:
        """Let a person see the imaging studies of some series; what was granted for this study before is replaced.

        Returns
        -------
        int
            Imaging studies.
        """
        table, series = _store.grants, _store.series
        with self._database.begin() as connection:
            self._remove(connection, user_name, study_id)
            uids: set[str] = set()
            for start in range(0, len(series_uids), _store.MOST_PARAMETERS):
                query = sa.select(series.c.imaging_study_uid).where(
                    series.c.series_uid.in_(series_uids[start : start + _store.MOST_PARAMETERS])
                )
                uids |= set(connection.execute(query).scalars())
            rows = [
                {
                    "user_name": user_name,
                    "study_id": study_id,
                    "imaging_study_uid": uid,
                    "granted_by": actor,
                    "granted_at": clock.now(),
                }
                for uid in sorted(uids)
            ]
            if rows:
                connection.execute(sa.insert(table), rows)
            self._write_audit(connection, "image.grant", user_name, study_id, len(rows), actor, actor_role)
        return len(rows)

    def revoke(self, user_name: str, study_id: str, *, actor: str, actor_role: str) -> int:
        """Take a grant back; tell how many imaging studies it named."""
        with self._database.begin() as connection:
            removed = self._remove(connection, user_name, study_id)
            self._write_audit(connection, "image.revoke", user_name, study_id, removed, actor, actor_role)
        return removed

    def grants(self) -> list[Grant]:
        """List all grants."""
        table = _store.grants
        query = (
            sa.select(
                table.c.user_name,
                table.c.study_id,
                sa.func.count().label("imaging_studies"),
                sa.func.max(table.c.granted_by).label("granted_by"),
                sa.func.max(table.c.granted_at).label("granted_at"),
            )
            .group_by(table.c.user_name, table.c.study_id)
            .order_by(table.c.user_name, table.c.study_id)
        )
        with self._database.connect() as connection:
            return [Grant(*row) for row in connection.execute(query)]

    def open_studies(self, study_ids: Sequence[str]) -> frozenset[str]:
        """Tell of which studies the site's decisions allow looking at images now."""
        with self._database.connect() as connection:
            return frozenset(item for item in study_ids if self._may_view(connection, item))

    def _remove(self, connection: sa.Connection, user_name: str, study_id: str) -> int:
        table = _store.grants
        statement = sa.delete(table).where(table.c.user_name == user_name, table.c.study_id == study_id)
        return int(connection.execute(statement).rowcount)

    def _write_audit(
        self,
        connection: sa.Connection,
        action: str,
        user_name: str,
        study_id: str,
        count: int,
        actor: str,
        actor_role: str,
    ) -> None:
        details: dict[str, Any] = {"user": user_name, "imaging_studies": count}
        self._audit.append(
            connection,
            actor=actor,
            actor_role=actor_role,
            action=action,
            target=f"study/{study_id}/images",
            purpose=study_id,
            details=details,
        )

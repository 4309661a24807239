"""Tables of the site's decisions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from racoon.domain.study import StudyDefinition
from racoon.node.approvals.model import StudyAtSite
from racoon.platform.database import Json, UtcDateTime, metadata
from racoon.platform.prepared import PreparedSelect

study_at_site = sa.Table(
    "study_at_site",
    metadata("node"),
    sa.Column("study_id", sa.String(80), primary_key=True),
    sa.Column("study_hash", sa.String(64), primary_key=True),
    sa.Column("definition", Json, nullable=False),
    sa.Column("requested_by", sa.String(500), nullable=False),
    sa.Column("central_state", sa.String(32), nullable=False),
    sa.Column("track_state", sa.String(32), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("last_actor", sa.String(200)),
    sa.Column("vote", sa.String(20)),
    sa.Column("dataset_hash", sa.String(64)),
    sa.Column("offered_at", UtcDateTime, nullable=False),
    sa.Column("public_reason", sa.String(500), nullable=False, server_default=""),
    sa.Column("reminded_at", UtcDateTime),
    # What CENTRAL was last told about whether work may run; told again only when it changes.
    sa.Column("standing", Json),
)

track_event = sa.Table(
    "track_event",
    metadata("node"),
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("study_id", sa.String(80), nullable=False, index=True),
    sa.Column("study_hash", sa.String(64), nullable=False),
    sa.Column("source", sa.String(32), nullable=False),
    sa.Column("target", sa.String(32), nullable=False),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("actor_role", sa.String(40), nullable=False),
    sa.Column("artefacts", Json, nullable=False),
    sa.Column("decided_at", UtcDateTime, nullable=False),
)

site_approval = sa.Table(
    "site_approval",
    metadata("node"),
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("study_id", sa.String(80), nullable=False, index=True),
    sa.Column("study_hash", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("record", Json, nullable=False),
    sa.Column("signature", sa.String(128), nullable=False),
)

local_decision = sa.Table(
    "local_decision",
    metadata("node"),
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("study_id", sa.String(80), nullable=False, index=True),
    sa.Column("study_hash", sa.String(64), nullable=False),
    sa.Column("step", sa.String(40), nullable=False),
    sa.Column("record", Json, nullable=False),
    sa.Column("signature", sa.String(128), nullable=False),
)


def load(connection: sa.Connection, study_id: str, study_hash: str) -> StudyAtSite | None:
    """Load one version of a study."""
    row = connection.execute(
        sa.select(study_at_site).where(
            study_at_site.c.study_id == study_id, study_at_site.c.study_hash == study_hash
        )
    ).first()
    return _study(row) if row else None


def load_all(connection: sa.Connection) -> list[StudyAtSite]:
    """Load all studies of the site, newest first."""
    statement = sa.select(study_at_site).order_by(study_at_site.c.offered_at.desc())
    return [_study(row) for row in connection.execute(statement)]


def load_versions(connection: sa.Connection, study_id: str) -> list[StudyAtSite]:
    """Load all versions of one study, newest first."""
    return [_study(row) for row in _VERSIONS.rows(connection, {"asked_study": study_id})]


def _records_of(table: sa.Table) -> PreparedSelect:
    return PreparedSelect(
        sa.select(table.c.record, table.c.signature)
        .where(
            table.c.study_id == sa.bindparam("asked_study"), table.c.study_hash == sa.bindparam("asked_hash")
        )
        .order_by(table.c.sequence)
    )


# Every search and every retrieval asks these three; they are put together once.
_APPROVALS, _LOCAL_DECISIONS = _records_of(site_approval), _records_of(local_decision)
_VERSIONS = PreparedSelect(
    sa.select(study_at_site)
    .where(study_at_site.c.study_id == sa.bindparam("asked_study"))
    .order_by(study_at_site.c.offered_at.desc())
)


def _signed(
    connection: sa.Connection, statement: PreparedSelect, study_id: str, study_hash: str
) -> list[tuple[dict[str, Any], str]]:
    values = {"asked_study": study_id, "asked_hash": study_hash}
    return [(row.record, row.signature) for row in statement.rows(connection, values)]


def insert(connection: sa.Connection, study: StudyAtSite, requested_by: str) -> None:
    """Write a newly offered study version."""
    connection.execute(
        study_at_site.insert().values(
            study_id=study.study_id,
            study_hash=study.study_hash,
            definition=study.definition.to_dict(),
            requested_by=requested_by,
            central_state=study.central_state,
            track_state=study.track_state,
            version=study.version,
            last_actor=study.last_actor,
            vote=study.vote,
            dataset_hash=study.dataset_hash,
            offered_at=study.offered_at,
        )
    )


def update(
    connection: sa.Connection, study: StudyAtSite, expected_version: int | None, **values: Any
) -> bool:
    """Change a study's row; with an expected version only if nobody changed it meanwhile."""
    statement = study_at_site.update().where(
        study_at_site.c.study_id == study.study_id, study_at_site.c.study_hash == study.study_hash
    )
    if expected_version is not None:
        statement = statement.where(study_at_site.c.version == expected_version)
    return connection.execute(statement.values(**values)).rowcount == 1


def add_event(
    connection: sa.Connection,
    study: StudyAtSite,
    target: str,
    actor: str,
    actor_role: str,
    artefacts: dict[str, Any],
    decided_at: datetime,
) -> None:
    """Append one step to the history."""
    connection.execute(
        track_event.insert().values(
            study_id=study.study_id,
            study_hash=study.study_hash,
            source=study.track_state,
            target=target,
            actor=actor,
            actor_role=actor_role,
            artefacts=artefacts,
            decided_at=decided_at,
        )
    )


def load_events(connection: sa.Connection, study_id: str) -> list[dict[str, Any]]:
    """Load a study's history, oldest first."""
    statement = (
        sa.select(track_event).where(track_event.c.study_id == study_id).order_by(track_event.c.sequence)
    )
    return [dict(row._mapping) for row in connection.execute(statement)]


def load_entered(connection: sa.Connection) -> dict[tuple[str, str], datetime]:
    """Load since when each version of a study stands where it stands; an approval given again moves nothing."""
    since = {
        (row.study_id, row.study_hash): row.offered_at
        for row in connection.execute(
            sa.select(study_at_site.c.study_id, study_at_site.c.study_hash, study_at_site.c.offered_at)
        )
    }
    statement = (
        sa.select(track_event.c.study_id, track_event.c.study_hash, track_event.c.decided_at)
        .where(track_event.c.source != track_event.c.target)
        .order_by(track_event.c.sequence)
    )
    for row in connection.execute(statement):
        since[row.study_id, row.study_hash] = row.decided_at
    return since


def add_approval(connection: sa.Connection, record: dict[str, Any], signature: str) -> None:
    """Append one signed decision."""
    connection.execute(
        site_approval.insert().values(
            study_id=record["study_id"],
            study_hash=record["study_hash"],
            kind=record["kind"],
            record=record,
            signature=signature,
        )
    )


def load_approvals(
    connection: sa.Connection, study_id: str, study_hash: str
) -> list[tuple[dict[str, Any], str]]:
    """Load the signed decisions on one version of a study with their signatures, oldest first."""
    return _signed(connection, _APPROVALS, study_id, study_hash)


def add_local_decision(connection: sa.Connection, record: dict[str, Any], signature: str) -> None:
    """Append one signed decision of the site's own process."""
    connection.execute(
        local_decision.insert().values(
            study_id=record["study_id"],
            study_hash=record["study_hash"],
            step=record["step"],
            record=record,
            signature=signature,
        )
    )


def load_local_decisions(
    connection: sa.Connection, study_id: str, study_hash: str
) -> list[tuple[dict[str, Any], str]]:
    """Load the decisions of the site's own process on one version of a study with their signatures, oldest first."""
    return _signed(connection, _LOCAL_DECISIONS, study_id, study_hash)


def load_standing(connection: sa.Connection, study: StudyAtSite) -> dict[str, Any] | None:
    """Load what CENTRAL was last told about a version of a study."""
    statement = sa.select(study_at_site.c.standing).where(
        study_at_site.c.study_id == study.study_id, study_at_site.c.study_hash == study.study_hash
    )
    found: dict[str, Any] | None = connection.execute(statement).scalar()
    return found


def _study(row: sa.Row[Any]) -> StudyAtSite:
    return StudyAtSite(
        study_id=row.study_id,
        study_hash=row.study_hash,
        definition=StudyDefinition.from_dict(row.definition),
        central_state=row.central_state,
        track_state=row.track_state,
        version=row.version,
        last_actor=row.last_actor,
        vote=row.vote,
        dataset_hash=row.dataset_hash,
        offered_at=row.offered_at,
        public_reason=row.public_reason,
        reminded_at=row.reminded_at,
    )

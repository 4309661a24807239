"""Tables of studies, their versions and history, and the sites' tracks."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from racoon.central.studies.model import Amendment, SiteTrack, Study
from racoon.domain.study import StudyDefinition
from racoon.platform.database import Json, UtcDateTime, metadata

study = sa.Table(
    "study",
    metadata("central"),
    sa.Column("study_id", sa.String(80), primary_key=True),
    sa.Column("number", sa.Integer, nullable=False, unique=True),
    sa.Column("definition", Json, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column("state", sa.String(32), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("created_by", sa.String(200), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("changed_at", UtcDateTime, nullable=False),
    sa.Column("last_actor", sa.String(200)),
)

study_version = sa.Table(
    "study_version",
    metadata("central"),
    sa.Column("study_id", sa.String(80), sa.ForeignKey("study.study_id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column("definition", Json, nullable=False),
    sa.Column("created_by", sa.String(200), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
)

study_event = sa.Table(
    "study_event",
    metadata("central"),
    sa.Column("study_id", sa.String(80), sa.ForeignKey("study.study_id"), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("source", sa.String(32), nullable=False),
    sa.Column("target", sa.String(32), nullable=False),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("roles", sa.String(400), nullable=False),
    sa.Column("study_hash", sa.String(64), nullable=False),
    sa.Column("artefacts", Json, nullable=False),
    sa.Column("happened_at", UtcDateTime, nullable=False),
)

site_track = sa.Table(
    "site_track",
    metadata("central"),
    sa.Column("study_id", sa.String(80), sa.ForeignKey("study.study_id"), primary_key=True),
    sa.Column("site", sa.String(16), primary_key=True),
    sa.Column("study_hash", sa.String(64), primary_key=True),
    sa.Column("state", sa.String(32), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("since", UtcDateTime, nullable=False),
    sa.Column("public_reason", sa.String(500), nullable=False),
    # What the site says about whether work may run there, as it signed it, and when it was last reminded.
    sa.Column("standing", Json),
    sa.Column("reminded_at", UtcDateTime),
)

site_decision = sa.Table(
    "site_decision",
    metadata("central"),
    sa.Column("sequence", sa.Integer, primary_key=True),
    sa.Column("study_id", sa.String(80), sa.ForeignKey("study.study_id"), nullable=False, index=True),
    sa.Column("site", sa.String(16), nullable=False),
    sa.Column("study_hash", sa.String(64), nullable=False, server_default=""),
    sa.Column("target", sa.String(32), nullable=False),
    sa.Column("decided_at", UtcDateTime, nullable=False),
    # The whole envelope: its signature is the site's signature under the decision and can be checked for
    # ever.
    sa.Column("envelope", Json),
)

amendment = sa.Table(
    "study_amendment",
    metadata("central"),
    sa.Column("study_id", sa.String(80), sa.ForeignKey("study.study_id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column("definition", Json, nullable=False),
    sa.Column("reason", sa.String(2000), nullable=False),
    sa.Column("state", sa.String(32), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("created_by", sa.String(200), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("changed_at", UtcDateTime, nullable=False),
    sa.Column("last_actor", sa.String(200), nullable=False),
)

amendment_event = sa.Table(
    "study_amendment_event",
    metadata("central"),
    sa.Column("study_id", sa.String(80), sa.ForeignKey("study.study_id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("source", sa.String(32), nullable=False),
    sa.Column("target", sa.String(32), nullable=False),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("roles", sa.String(400), nullable=False),
    sa.Column("artefacts", Json, nullable=False),
    sa.Column("happened_at", UtcDateTime, nullable=False),
)


def insert(connection: sa.Connection, definition: StudyDefinition, actor: str, moment: datetime) -> str:
    """Write a new study; its id counts up."""
    number = 1 + (connection.execute(sa.select(sa.func.max(study.c.number))).scalar() or 0)
    study_id = f"RS-{number:04d}"
    connection.execute(
        study.insert().values(
            study_id=study_id,
            number=number,
            definition=definition.to_dict(),
            hash=definition.hash,
            state="concept",
            version=1,
            created_by=actor,
            created_at=moment,
            changed_at=moment,
            last_actor=actor,
        )
    )
    add_version(connection, study_id, 1, definition, actor, moment)
    return study_id


def add_version(
    connection: sa.Connection,
    study_id: str,
    number: int,
    definition: StudyDefinition,
    actor: str,
    moment: datetime,
) -> None:
    """Keep a version of the definition for ever."""
    connection.execute(
        study_version.insert().values(
            study_id=study_id,
            number=number,
            hash=definition.hash,
            definition=definition.to_dict(),
            created_by=actor,
            created_at=moment,
        )
    )


def load_versions(connection: sa.Connection, study_id: str) -> list[dict[str, Any]]:
    """Load number, hash, author and time of all versions, oldest first."""
    columns = [column for column in study_version.c if column.name != "definition"]
    statement = (
        sa.select(*columns).where(study_version.c.study_id == study_id).order_by(study_version.c.number)
    )
    return [dict(row._mapping) for row in connection.execute(statement)]


def load(connection: sa.Connection, study_id: str) -> Study | None:
    """Load one study."""
    row = connection.execute(sa.select(study).where(study.c.study_id == study_id)).first()
    return _study(row) if row else None


def load_all(connection: sa.Connection) -> list[Study]:
    """Load all studies, newest first."""
    return [_study(row) for row in connection.execute(sa.select(study).order_by(study.c.number.desc()))]


def update(connection: sa.Connection, study_id: str, expected_version: int, **values: Any) -> bool:
    """Change a study if nobody changed it meanwhile; the version counts one up."""
    statement = (
        study.update()
        .where(study.c.study_id == study_id, study.c.version == expected_version)
        .values(version=expected_version + 1, **values)
    )
    return connection.execute(statement).rowcount == 1


def add_event(connection: sa.Connection, **values: Any) -> None:
    """Append one step to the history."""
    connection.execute(study_event.insert().values(**values))


def load_events(connection: sa.Connection, study_id: str) -> list[dict[str, Any]]:
    """Load a study's steps, oldest first."""
    statement = (
        sa.select(study_event).where(study_event.c.study_id == study_id).order_by(study_event.c.version)
    )
    return [dict(row._mapping) for row in connection.execute(statement)]


def load_tracks(connection: sa.Connection, study_id: str) -> list[SiteTrack]:
    """Load all tracks of a study, by site and then by age: one per version a site was asked for."""
    statement = (
        sa.select(site_track)
        .where(site_track.c.study_id == study_id)
        .order_by(site_track.c.site, site_track.c.since)
    )
    return [
        SiteTrack(
            row.site,
            row.state,
            row.study_hash,
            row.version,
            row.since,
            row.public_reason,
            row.standing,
            row.reminded_at,
        )
        for row in connection.execute(statement)
    ]


def save_track(connection: sa.Connection, study_id: str, track: SiteTrack) -> None:
    """Write a site's track for one version of a study."""
    values = {
        "state": track.state,
        "version": track.version,
        "since": track.since,
        "public_reason": track.public_reason,
        "standing": track.standing,
        "reminded_at": track.reminded_at,
    }
    key = (
        site_track.c.study_id == study_id,
        site_track.c.site == track.site,
        site_track.c.study_hash == track.study_hash,
    )
    if connection.execute(site_track.update().where(*key).values(**values)).rowcount == 0:
        keys = {"study_id": study_id, "site": track.site, "study_hash": track.study_hash}
        connection.execute(site_track.insert().values(**keys, **values))


def add_decision(
    connection: sa.Connection,
    study_id: str,
    track: SiteTrack,
    envelope: dict[str, Any] | None,
) -> None:
    """Keep a site's signed decision for ever."""
    connection.execute(
        site_decision.insert().values(
            study_id=study_id,
            site=track.site,
            study_hash=track.study_hash,
            target=track.state,
            decided_at=track.since,
            envelope=envelope,
        )
    )


def load_decisions(connection: sa.Connection, study_id: str) -> list[dict[str, Any]]:
    """Load all decisions of sites on a study, oldest first."""
    statement = (
        sa.select(site_decision)
        .where(site_decision.c.study_id == study_id)
        .order_by(site_decision.c.sequence)
    )
    return [dict(row._mapping) for row in connection.execute(statement)]


def insert_amendment(connection: sa.Connection, **values: Any) -> int:
    """Write a new amendment; its number counts up within the study."""
    highest = sa.select(sa.func.max(amendment.c.number)).where(amendment.c.study_id == values["study_id"])
    number = 1 + (connection.execute(highest).scalar() or 0)
    connection.execute(amendment.insert().values(number=number, **values))
    return number


def load_amendments(connection: sa.Connection, study_id: str) -> list[Amendment]:
    """Load a study's amendments, oldest first."""
    statement = sa.select(amendment).where(amendment.c.study_id == study_id).order_by(amendment.c.number)
    return [
        Amendment(
            study_id=row.study_id,
            number=row.number,
            definition=StudyDefinition.from_dict(row.definition),
            hash=row.hash,
            reason=row.reason,
            state=row.state,
            version=row.version,
            created_by=row.created_by,
            created_at=row.created_at,
            changed_at=row.changed_at,
            last_actor=row.last_actor,
        )
        for row in connection.execute(statement)
    ]


def update_amendment(connection: sa.Connection, change: Amendment, **values: Any) -> bool:
    """Change an amendment if nobody changed it meanwhile; the version counts one up."""
    statement = (
        amendment.update()
        .where(
            amendment.c.study_id == change.study_id,
            amendment.c.number == change.number,
            amendment.c.version == change.version,
        )
        .values(version=change.version + 1, **values)
    )
    return connection.execute(statement).rowcount == 1


def add_amendment_event(connection: sa.Connection, **values: Any) -> None:
    """Append one step to an amendment's history."""
    connection.execute(amendment_event.insert().values(**values))


def load_amendment_events(connection: sa.Connection, study_id: str) -> list[dict[str, Any]]:
    """Load the steps of all amendments of a study, oldest first."""
    statement = (
        sa.select(amendment_event)
        .where(amendment_event.c.study_id == study_id)
        .order_by(amendment_event.c.number, amendment_event.c.version)
    )
    return [dict(row._mapping) for row in connection.execute(statement)]


def _study(row: sa.Row[Any]) -> Study:
    return Study(
        study_id=row.study_id,
        definition=StudyDefinition.from_dict(row.definition),
        hash=row.hash,
        state=row.state,
        version=row.version,
        created_by=row.created_by,
        created_at=row.created_at,
        changed_at=row.changed_at,
        last_actor=row.last_actor,
    )

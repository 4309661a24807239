"""Table of the jobs offered to this site."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from racoon.node.jobs.model import FINAL, JobRecord, JobState
from racoon.platform import clock
from racoon.platform.database import Json, UtcDateTime, metadata
from racoon.protocol.messages import JobOffer

site_job = sa.Table(
    "site_job",
    metadata("node"),
    sa.Column("job_id", sa.String(80), primary_key=True),
    sa.Column("run_id", sa.String(80), nullable=False),
    sa.Column("study_id", sa.String(80), nullable=False, index=True),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("offer", Json, nullable=False),
    sa.Column("state", sa.String(20), nullable=False, index=True),
    sa.Column("code", sa.String(80), nullable=False, default=""),
    sa.Column("public_reason", sa.String(500), nullable=False, default=""),
    sa.Column("done", sa.Integer, nullable=False, default=0),
    sa.Column("total", sa.Integer, nullable=False, default=0),
    sa.Column("note", sa.String(500), nullable=False, server_default=""),
    sa.Column("received_at", UtcDateTime, nullable=False),
    sa.Column("finished_at", UtcDateTime),
    sa.Column("paused_at", UtcDateTime),
)


def insert(connection: sa.Connection, offer: JobOffer, state: JobState, code: str, reason: str) -> None:
    """Write a newly offered job."""
    connection.execute(
        site_job.insert().values(
            job_id=offer.job_id,
            run_id=offer.run_id,
            study_id=offer.study_id,
            kind=offer.kind,
            offer=offer.model_dump(mode="json"),
            state=state.value,
            code=code,
            public_reason=reason,
            received_at=clock.now(),
            finished_at=clock.now() if state in FINAL else None,
        )
    )


def load(connection: sa.Connection, job_id: str) -> JobRecord | None:
    """Load one job."""
    row = connection.execute(sa.select(site_job).where(site_job.c.job_id == job_id)).first()
    return _record(row) if row else None


def load_in(connection: sa.Connection, states: Iterable[JobState]) -> list[JobRecord]:
    """Load the jobs in the given states, oldest first."""
    wanted = [state.value for state in states]
    statement = sa.select(site_job).where(site_job.c.state.in_(wanted)).order_by(site_job.c.received_at)
    return [_record(row) for row in connection.execute(statement)]


def load_newest(connection: sa.Connection, limit: int) -> list[JobRecord]:
    """Load the newest jobs."""
    statement = sa.select(site_job).order_by(site_job.c.received_at.desc()).limit(limit)
    return [_record(row) for row in connection.execute(statement)]


def update(connection: sa.Connection, job_id: str, state: JobState, code: str = "", reason: str = "") -> bool:
    """Move a job to a state unless it has ended already."""
    statement = site_job.update().where(
        site_job.c.job_id == job_id, site_job.c.state.not_in([state.value for state in FINAL])
    )
    finished = clock.now() if state in FINAL else None
    return (
        connection.execute(
            statement.values(state=state.value, code=code, public_reason=reason, finished_at=finished)
        ).rowcount
        == 1
    )


def set_paused(connection: sa.Connection, job_id: str, *, is_paused: bool) -> bool:
    """Pause a job that has not ended, or let it go on; tell whether that changed anything."""
    before = site_job.c.paused_at.is_(None) if is_paused else site_job.c.paused_at.is_not(None)
    statement = site_job.update().where(
        site_job.c.job_id == job_id, site_job.c.state.not_in([state.value for state in FINAL]), before
    )
    at = clock.now() if is_paused else None
    return connection.execute(statement.values(paused_at=at)).rowcount == 1


def save_progress(connection: sa.Connection, job_id: str, done: int, total: int, note: str) -> None:
    """Save how far a job is, and how fast."""
    values = {"done": done, "total": total, "note": note[:500]}
    connection.execute(site_job.update().where(site_job.c.job_id == job_id).values(values))


def _record(row: sa.Row[Any]) -> JobRecord:
    return JobRecord(
        offer=JobOffer.model_validate(row.offer),
        state=JobState(row.state),
        received_at=row.received_at,
        finished_at=row.finished_at,
        code=row.code,
        public_reason=row.public_reason,
        done=row.done,
        total=row.total,
        note=row.note,
        paused_at=row.paused_at,
    )

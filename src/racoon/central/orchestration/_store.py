"""Tables of mailboxes, runs, jobs and who may fetch which artefact."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from racoon.central.orchestration.model import Job, JobState, Run, RunState
from racoon.platform.database import Json, UtcDateTime, metadata

mailbox = sa.Table(
    "mailbox",
    metadata("central"),
    sa.Column("site", sa.String(16), primary_key=True),
    # Numbers are given under this row's lock, so a message never appears behind a cursor that has passed it.
    sa.Column("last_number", sa.BigInteger, nullable=False),
    sa.Column("acknowledged", sa.BigInteger, nullable=False),
)

outbox = sa.Table(
    "outbox",
    metadata("central"),
    sa.Column("site", sa.String(16), primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("envelope_id", sa.String(36), nullable=False, unique=True),
    sa.Column("type", sa.String(64), nullable=False),
    sa.Column("envelope", Json, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
)

inbox = sa.Table(
    "inbox",
    metadata("central"),
    sa.Column("envelope_id", sa.String(36), primary_key=True),
    sa.Column("site", sa.String(16), nullable=False),
    sa.Column("type", sa.String(64), nullable=False),
    sa.Column("received_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("rejected", sa.String(500)),
)

run = sa.Table(
    "run",
    metadata("central"),
    sa.Column("run_id", sa.String(80), primary_key=True),
    sa.Column("study_id", sa.String(80), nullable=False, index=True),
    sa.Column("study_hash", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("parent", sa.String(80), index=True),
    sa.Column("state", sa.String(20), nullable=False, index=True),
    sa.Column("quorum", sa.Integer, nullable=False),
    sa.Column("created_by", sa.String(200), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("deadline", UtcDateTime, nullable=False),
    sa.Column("ended_at", UtcDateTime),
)

job = sa.Table(
    "job",
    metadata("central"),
    sa.Column("job_id", sa.String(80), primary_key=True),
    sa.Column("run_id", sa.String(80), sa.ForeignKey("run.run_id"), nullable=False),
    sa.Column("site", sa.String(16), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("parameters", Json, nullable=False),
    sa.Column("content_hash", sa.String(64), nullable=False),
    sa.Column("envelope_id", sa.String(36), nullable=False, index=True),
    sa.Column("reason_code", sa.String(80)),
    sa.Column("public_reason", sa.String(500)),
    sa.Column("done", sa.Integer, nullable=False, default=0),
    sa.Column("total", sa.Integer, nullable=False, default=0),
    sa.Column("result", Json),
    sa.Column("offered_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("run_id", "site"),
)

artifact = sa.Table(
    "artifact",
    metadata("central"),
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
)

artifact_grant = sa.Table(
    "artifact_grant",
    metadata("central"),
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("site", sa.String(16), primary_key=True),
)


# ----------------------------------------------------------------------------------------------------
# mailboxes


def open_mailbox(connection: sa.Connection, site: str) -> None:
    """Make sure a site has a mailbox."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(
        insert(mailbox).values(site=site, last_number=0, acknowledged=0).on_conflict_do_nothing()
    )


def lock_mailbox(connection: sa.Connection, site: str) -> None:
    """Line up what is received from one site, so that two posts of one envelope cannot overtake each
    other.
    """
    open_mailbox(connection, site)
    connection.execute(sa.select(mailbox.c.site).where(mailbox.c.site == site).with_for_update())


def next_number(connection: sa.Connection, site: str) -> int:
    """Take the next number of a site's outbox; the row stays locked until the transaction ends."""
    open_mailbox(connection, site)
    changed = connection.execute(
        mailbox.update()
        .where(mailbox.c.site == site)
        .values(last_number=mailbox.c.last_number + 1)
        .returning(mailbox.c.last_number)
    ).scalar_one()
    return int(changed)


def add_message(
    connection: sa.Connection,
    site: str,
    number: int,
    envelope_id: str,
    message_type: str,
    envelope: dict[str, Any],
    created_at: datetime,
) -> None:
    """Write a signed envelope into a site's outbox."""
    connection.execute(
        outbox.insert().values(
            site=site,
            number=number,
            envelope_id=envelope_id,
            type=message_type,
            envelope=envelope,
            created_at=created_at,
        )
    )


def load_messages(
    connection: sa.Connection, site: str, after: int, limit: int
) -> list[tuple[int, dict[str, Any]]]:
    """Load a site's messages behind a cursor, oldest first."""
    statement = (
        sa.select(outbox.c.number, outbox.c.envelope)
        .where(outbox.c.site == site, outbox.c.number > after)
        .order_by(outbox.c.number)
        .limit(limit)
    )
    return [(row.number, row.envelope) for row in connection.execute(statement)]


def load_mailboxes(connection: sa.Connection) -> dict[str, int]:
    """Load the newest message number per site."""
    return {row.site: row.last_number for row in connection.execute(sa.select(mailbox))}


def acknowledged(connection: sa.Connection, site: str) -> int:
    """Return how far a site has read."""
    value = connection.execute(sa.select(mailbox.c.acknowledged).where(mailbox.c.site == site)).scalar()
    return int(value or 0)


def acknowledge(connection: sa.Connection, site: str, number: int) -> None:
    """Remember how far a site has read."""
    connection.execute(
        mailbox.update()
        .where(mailbox.c.site == site, mailbox.c.acknowledged < number, mailbox.c.last_number >= number)
        .values(acknowledged=number)
    )


def unread(connection: sa.Connection) -> dict[str, int]:
    """Count messages each site has not fetched yet."""
    return {row.site: row.last_number - row.acknowledged for row in connection.execute(sa.select(mailbox))}


def load_received(connection: sa.Connection, envelope_id: str) -> sa.Row[Any] | None:
    """Load what became of a received envelope."""
    return connection.execute(sa.select(inbox).where(inbox.c.envelope_id == envelope_id)).first()


def add_received(
    connection: sa.Connection,
    envelope_id: str,
    site: str,
    message_type: str,
    received_at: datetime,
    expires_at: datetime,
    rejected: str | None,
) -> None:
    """Remember an envelope's id for as long as it could be replayed."""
    connection.execute(
        inbox.insert().values(
            envelope_id=envelope_id,
            site=site,
            type=message_type,
            received_at=received_at,
            expires_at=expires_at,
            rejected=rejected,
        )
    )


def prune(connection: sa.Connection, now: datetime, sent_before: datetime) -> None:
    """Forget ids that can no longer be replayed, and fetched messages older than the retention."""
    connection.execute(inbox.delete().where(inbox.c.expires_at < now, inbox.c.received_at < sent_before))
    read = sa.select(mailbox.c.acknowledged).where(mailbox.c.site == outbox.c.site).scalar_subquery()
    connection.execute(outbox.delete().where(outbox.c.created_at < sent_before, outbox.c.number <= read))


# ---------------------------------------------------------------------------------------------------- runs


def add_run(connection: sa.Connection, **values: Any) -> None:
    """Write a new run."""
    connection.execute(run.insert().values(state=RunState.RUNNING, **values))


def add_job(connection: sa.Connection, **values: Any) -> None:
    """Write a new job."""
    connection.execute(job.insert().values(state=JobState.OFFERED, **values))


def load_run(connection: sa.Connection, run_id: str) -> Run | None:
    """Load a run with its jobs as pure state; locks it on PostgreSQL."""
    row = connection.execute(sa.select(run).where(run.c.run_id == run_id).with_for_update()).first()
    if row is None:
        return None
    jobs = connection.execute(sa.select(job).where(job.c.run_id == run_id))
    return Run(
        run_id=row.run_id,
        state=RunState(row.state),
        deadline=row.deadline,
        quorum=row.quorum,
        jobs={entry.job_id: _job(entry) for entry in jobs},
    )


def find_run_of_job(connection: sa.Connection, job_id: str, site: str) -> str | None:
    """Return the run of a site's job."""
    return connection.execute(
        sa.select(job.c.run_id).where(job.c.job_id == job_id, job.c.site == site)
    ).scalar()


def find_job_of_envelope(connection: sa.Connection, envelope_id: str, site: str) -> str | None:
    """Return the job that an envelope offered."""
    return connection.execute(
        sa.select(job.c.job_id).where(job.c.envelope_id == envelope_id, job.c.site == site)
    ).scalar()


def save_job(
    connection: sa.Connection, changed: Job, moment: datetime, result: Mapping[str, Any] | None
) -> None:
    """Write a job's new state, and its result once."""
    values: dict[str, Any] = {
        "state": changed.state,
        "reason_code": changed.reason_code,
        "public_reason": changed.public_reason,
        "done": changed.done,
        "total": changed.total,
        "updated_at": moment,
    }
    if result is not None:
        values["result"] = dict(result)
    connection.execute(job.update().where(job.c.job_id == changed.job_id).values(**values))


def save_run(connection: sa.Connection, run_id: str, state: RunState, moment: datetime) -> None:
    """Write a run's new state; leaving ``running`` is its end."""
    connection.execute(run.update().where(run.c.run_id == run_id).values(state=state, ended_at=moment))


def load_run_rows(
    connection: sa.Connection,
    *,
    study_id: str | None = None,
    run_id: str | None = None,
    parent: str | None = None,
    kinds: Iterable[str] = (),
    state: RunState | None = None,
) -> list[dict[str, Any]]:
    """Load runs as plain rows with their jobs, newest first."""
    statement = sa.select(run).order_by(run.c.created_at.desc(), run.c.run_id)
    for column, value in (
        (run.c.study_id, study_id),
        (run.c.run_id, run_id),
        (run.c.parent, parent),
        (run.c.state, state),
    ):
        if value is not None:
            statement = statement.where(column == value)
    if kinds:
        statement = statement.where(run.c.kind.in_(list(kinds)))
    rows = [dict(row._mapping) for row in connection.execute(statement)]
    jobs: dict[str, list[dict[str, Any]]] = {row["run_id"]: [] for row in rows}
    if jobs:
        wanted = sa.select(job).where(job.c.run_id.in_(list(jobs))).order_by(job.c.site)
        for entry in connection.execute(wanted):
            jobs[entry.run_id].append(dict(entry._mapping))
    return [{**row, "jobs": jobs[row["run_id"]]} for row in rows]


def overdue_runs(connection: sa.Connection, moment: datetime) -> list[str]:
    """Return runs whose time is over; a run made of other runs ends with them."""
    has_jobs = sa.exists().where(job.c.run_id == run.c.run_id)
    statement = sa.select(run.c.run_id).where(
        run.c.state == RunState.RUNNING, run.c.deadline < moment, has_jobs
    )
    return list(connection.execute(statement).scalars())


def has_open_job(connection: sa.Connection, site: str, kind: str) -> bool:
    """Tell whether a site has an open job of a running run of a kind."""
    statement = (
        sa.select(job.c.job_id)
        .join(run, run.c.run_id == job.c.run_id)
        .where(
            run.c.state == RunState.RUNNING,
            run.c.kind == kind,
            job.c.site == site,
            job.c.state.in_([JobState.OFFERED, JobState.ACCEPTED, JobState.RUNNING]),
        )
    )
    return connection.execute(statement.limit(1)).first() is not None


def open_jobs(connection: sa.Connection) -> dict[str, int]:
    """Count open jobs per site."""
    statement = (
        sa.select(job.c.site, sa.func.count())
        .where(job.c.state.in_([JobState.OFFERED, JobState.ACCEPTED, JobState.RUNNING]))
        .group_by(job.c.site)
    )
    return {row[0]: row[1] for row in connection.execute(statement)}


# ----------------------------------------------------------------------------------------------------
# artefacts


def add_artifact(connection: sa.Connection, sha256: str, size_bytes: int, moment: datetime) -> bool:
    """Register a file; ``False`` when it is known already."""
    if connection.execute(sa.select(artifact.c.sha256).where(artifact.c.sha256 == sha256)).first():
        return False
    connection.execute(artifact.insert().values(sha256=sha256, size_bytes=size_bytes, created_at=moment))
    return True


def grant(connection: sa.Connection, sha256: str, site: str) -> None:
    """Let a site fetch a file."""
    if not is_granted(connection, sha256, site):
        connection.execute(artifact_grant.insert().values(sha256=sha256, site=site))


def is_granted(connection: sa.Connection, sha256: str, site: str) -> bool:
    """Tell whether a site may fetch a file."""
    statement = sa.select(artifact_grant).where(
        artifact_grant.c.sha256 == sha256, artifact_grant.c.site == site
    )
    return connection.execute(statement).first() is not None


def _job(row: sa.Row[Any]) -> Job:
    return Job(
        job_id=row.job_id,
        site=row.site,
        state=JobState(row.state),
        reason_code=row.reason_code,
        public_reason=row.public_reason,
        done=row.done,
        total=row.total,
    )

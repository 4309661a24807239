"""Runs across sites and their jobs: offer, follow, end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from racoon.central.orchestration import _store
from racoon.central.orchestration.model import (
    Happening,
    JobEvent,
    JobOrder,
    JobState,
    Run,
    RunDefect,
    RunState,
    SaveJob,
    SaveRun,
    TellCancelled,
    UnknownRun,
    step,
)
from racoon.central.orchestration.service.mail import Mail
from racoon.domain.canonical import content_hash
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.protocol.envelope import Envelope
from racoon.protocol.messages import (
    EnvelopeRejected,
    JobAccepted,
    JobCancel,
    JobFailed,
    JobKind,
    JobOffer,
    JobProgress,
    JobRefused,
    JobResult,
)


class Runs:
    """All runs and their jobs.

    Parameters
    ----------
    audit
        CENTRAL's audit log.
    mail
        Where offers are posted.
    """

    def __init__(self, audit: AuditLog, mail: Mail) -> None:
        self._audit = audit
        self._mail = mail
        mail.on("job.accepted", self._accepted)
        mail.on("job.refused", self._refused)
        mail.on("job.progress", self._progressed)
        mail.on("job.result", self._finished)
        mail.on("job.failed", self._failed)
        mail.on("envelope.rejected", self._envelope_rejected)

    # ------------------------------------------------------------------------------------------------ start

    def start(  # noqa: PLR0913 -- one run is that many facts, all by name
        self,
        connection: sa.Connection,
        *,
        run_id: str,
        study_id: str,
        study_hash: str,
        kind: JobKind,
        orders: Sequence[JobOrder],
        deadline: datetime,
        quorum: int,
        created_by: str,
        role: str,
        parent: str | None = None,
    ) -> str:
        """Start a run and offer its jobs, in the caller's transaction; the same run id again changes nothing.

        Raises
        ------
        RunDefect
            Without any site.
        """
        if _store.load_run_rows(connection, run_id=run_id):
            return run_id
        if not orders:
            raise RunDefect("There is no site to ask.", code="run.no_sites")
        now = clock.now()
        _store.add_run(
            connection,
            run_id=run_id,
            study_id=study_id,
            study_hash=study_hash,
            kind=kind,
            parent=parent,
            quorum=quorum,
            created_by=created_by,
            created_at=now,
            deadline=deadline,
        )
        for order in sorted(orders, key=lambda item: item.site):
            parameters = dict(order.parameters)
            offer = JobOffer(
                job_id=f"{run_id}.{order.site}",
                run_id=run_id,
                study_id=study_id,
                study_hash=study_hash,
                kind=kind,
                plan_hash=order.plan_hash,
                content_hash=content_hash({"kind": kind, "parameters": parameters}),
                parameters=parameters,
                not_after=deadline,
            )
            for sha256 in order.artifacts:
                _store.grant(connection, sha256, order.site)
            envelope_id = self._mail.send(
                connection, order.site, "job.offer", offer, lifetime=max(deadline - now, _SHORTEST)
            )
            _store.add_job(
                connection,
                job_id=offer.job_id,
                run_id=run_id,
                site=order.site,
                parameters=parameters,
                content_hash=offer.content_hash,
                envelope_id=envelope_id,
                offered_at=now,
                updated_at=now,
            )
        self._audit.append(
            connection,
            actor=created_by,
            actor_role=role,
            action="run.start",
            target=f"run/{run_id}",
            purpose=study_id,
            details={"kind": kind, "sites": [order.site for order in orders]},
        )
        return run_id

    def open_parent(
        self,
        connection: sa.Connection,
        *,
        run_id: str,
        study_id: str,
        study_hash: str,
        kind: str,
        deadline: datetime,
        created_by: str,
        role: str,
    ) -> str:
        """Start a run that consists of other runs; who drives them ends it with :meth:`close_parent`."""
        if _store.load_run_rows(connection, run_id=run_id):
            return run_id
        _store.add_run(
            connection,
            run_id=run_id,
            study_id=study_id,
            study_hash=study_hash,
            kind=kind,
            parent=None,
            quorum=0,
            created_by=created_by,
            created_at=clock.now(),
            deadline=deadline,
        )
        self._audit.append(
            connection,
            actor=created_by,
            actor_role=role,
            action="run.start",
            target=f"run/{run_id}",
            purpose=study_id,
            details={"kind": kind},
        )
        return run_id

    def close_parent(self, connection: sa.Connection, run_id: str, state: RunState) -> None:
        """End a run that consists of other runs."""
        row = self.run(connection, run_id)
        if row["state"] != RunState.RUNNING:
            return
        _store.save_run(connection, run_id, state, clock.now())
        self._audit.append(
            connection,
            actor="CENTRAL",
            actor_role="central",
            action="run.end",
            target=f"run/{run_id}",
            purpose=row["study_id"],
            details={"kind": row["kind"], "state": state.value},
        )

    def cancel(self, connection: sa.Connection, run_id: str, actor: str, role: str, reason: str) -> None:
        """Take a run and its parts back; jobs that have not ended are cancelled at their sites."""
        for part in self.runs(connection, parent=run_id, state=RunState.RUNNING):
            self.cancel(connection, part["run_id"], actor, role, reason)
        run = self._load(connection, run_id)
        happening = Happening(JobEvent.CANCEL, code="cancelled", public_reason=reason[:500], ends_run=True)
        self._apply(connection, run, happening, "run.cancel", actor, role)

    def cancel_study(
        self, connection: sa.Connection, study_id: str, actor: str, role: str, reason: str
    ) -> None:
        """Take back every running run of a study."""
        for row in self.runs(connection, study_id=study_id, state=RunState.RUNNING):
            self.cancel(connection, row["run_id"], actor, role, reason)

    def overdue(self, connection: sa.Connection) -> list[str]:
        """Return the ids of runs whose time is over."""
        return _store.overdue_runs(connection, clock.now())

    def end_overdue(self, connection: sa.Connection) -> int:
        """End runs whose time is over; silent sites stay named in the account."""
        overdue = self.overdue(connection)
        for run_id in overdue:
            self._apply(
                connection,
                self._load(connection, run_id),
                Happening(JobEvent.TIME_OVER),
                "run.time_over",
                "CENTRAL",
                "central",
            )
        return len(overdue)

    def finish_job(
        self, connection: sa.Connection, job_id: str, site: str, result: Mapping[str, Any]
    ) -> None:
        """Record a result that reached CENTRAL by another way than a message (the training engine)."""
        run_id = _store.find_run_of_job(connection, job_id, site)
        if run_id is not None:
            happening = Happening(JobEvent.RESULT, job_id, result=result)
            self._apply(
                connection, self._load(connection, run_id), happening, "job.result", "CENTRAL", "central"
            )

    def fail_job(self, connection: sa.Connection, job_id: str, site: str, code: str, reason: str) -> None:
        """Record that a job cannot end well, as CENTRAL knows (the training engine failed)."""
        run_id = _store.find_run_of_job(connection, job_id, site)
        if run_id is not None:
            happening = Happening(JobEvent.FAILED, job_id, code=code, public_reason=reason[:500])
            self._apply(
                connection, self._load(connection, run_id), happening, "job.failed", "CENTRAL", "central"
            )

    # ------------------------------------------------------------------------------------------------ look

    def runs(
        self,
        connection: sa.Connection,
        *,
        study_id: str | None = None,
        parent: str | None = None,
        kinds: Iterable[str] = (),
        state: RunState | None = None,
    ) -> list[dict[str, Any]]:
        """Return runs with their jobs, newest first."""
        return _store.load_run_rows(connection, study_id=study_id, parent=parent, kinds=kinds, state=state)

    def run(self, connection: sa.Connection, run_id: str) -> dict[str, Any]:
        """Return one run with its jobs.

        Raises
        ------
        UnknownRun
        """
        found = _store.load_run_rows(connection, run_id=run_id)
        if not found:
            raise UnknownRun("There is no such run.")
        return found[0]

    def find(self, connection: sa.Connection, run_id: str) -> dict[str, Any] | None:
        """Return one run with its jobs, or ``None``."""
        found = _store.load_run_rows(connection, run_id=run_id)
        return found[0] if found else None

    def has_open_job(self, connection: sa.Connection, site: str, kind: str) -> bool:
        """Tell whether a run of a kind lasts in which a site has not answered, refused or failed yet."""
        return _store.has_open_job(connection, site, kind)

    def open_jobs(self, connection: sa.Connection) -> dict[str, int]:
        """Count open jobs per site."""
        return _store.open_jobs(connection)

    # ------------------------------------------------------------------------------------------------
    # messages

    def _accepted(self, connection: sa.Connection, site: str, message: JobAccepted, _: Envelope) -> None:
        self._happen(connection, site, message.run_id, Happening(JobEvent.ACCEPTED, message.job_id))

    def _progressed(self, connection: sa.Connection, site: str, message: JobProgress, _: Envelope) -> None:
        happening = Happening(JobEvent.PROGRESS, message.job_id, done=message.done, total=message.total)
        self._happen(connection, site, message.run_id, happening)

    def _refused(self, connection: sa.Connection, site: str, message: JobRefused, _: Envelope) -> None:
        happening = Happening(
            JobEvent.REFUSED, message.job_id, code=message.code, public_reason=message.public_reason
        )
        self._happen(connection, site, message.run_id, happening)

    def _failed(self, connection: sa.Connection, site: str, message: JobFailed, _: Envelope) -> None:
        happening = Happening(
            JobEvent.FAILED, message.job_id, code=message.code, public_reason=message.public_message
        )
        self._happen(connection, site, message.run_id, happening)

    def _finished(self, connection: sa.Connection, site: str, message: JobResult, _: Envelope) -> None:
        for sha256 in message.artifacts.values():
            if not _store.is_granted(connection, sha256, site):
                raise RunDefect("A result names a file that this site did not send.", code="run.artifact")
        result = message.model_dump(mode="json", exclude={"job_id", "run_id", "kind"})
        self._happen(
            connection, site, message.run_id, Happening(JobEvent.RESULT, message.job_id, result=result)
        )

    def _envelope_rejected(
        self, connection: sa.Connection, site: str, message: EnvelopeRejected, _: Envelope
    ) -> None:
        self._audit.append(
            connection,
            actor=site,
            actor_role="node",
            action="message.rejected_by_site",
            target=f"envelope/{message.envelope_id}",
            outcome="refused",
            details={"code": message.code, "reason": message.public_reason},
        )
        job_id = _store.find_job_of_envelope(connection, message.envelope_id, site)
        # A replayed copy is refused while the genuine one runs: that says nothing about the job.
        if job_id is not None and not message.code.endswith("replayed"):
            happening = Happening(
                JobEvent.REFUSED, job_id, code=message.code, public_reason=message.public_reason
            )
            self._happen(connection, site, None, happening)

    def _happen(self, connection: sa.Connection, site: str, run_id: str | None, happening: Happening) -> None:
        assert happening.job_id is not None
        found = _store.find_run_of_job(connection, happening.job_id, site)
        if found is None or run_id not in (None, found):
            raise RunDefect("CENTRAL did not offer this job to this site.", code="run.unknown_job")
        self._apply(
            connection, self._load(connection, found), happening, f"job.{happening.event.value}", site, "node"
        )

    # ------------------------------------------------------------------------------------------------ inner

    def _load(self, connection: sa.Connection, run_id: str) -> Run:
        run = _store.load_run(connection, run_id)
        if run is None:
            raise UnknownRun("There is no such run.")
        return run

    def _apply(
        self, connection: sa.Connection, run: Run, happening: Happening, action: str, actor: str, role: str
    ) -> None:
        now = clock.now()
        _, instructions = step(run, happening)
        ended = [
            i.job for i in instructions if isinstance(i, SaveJob) and i.job.state is not JobState.RUNNING
        ]
        for instruction in instructions:
            if isinstance(instruction, SaveJob):
                _store.save_job(connection, instruction.job, now, instruction.result)
            elif isinstance(instruction, TellCancelled):
                message = JobCancel(job_id=instruction.job.job_id, reason=instruction.job.public_reason or "")
                self._mail.send(connection, instruction.job.site, "job.cancel", message)
            elif isinstance(instruction, SaveRun):
                _store.save_run(connection, instruction.run_id, instruction.state, now)
        is_ended = any(isinstance(instruction, SaveRun) for instruction in instructions)
        if ended or is_ended:  # progress alone is no deed
            study_id = _store.load_run_rows(connection, run_id=run.run_id)[0]["study_id"]
            self._audit.append(
                connection,
                actor=actor,
                actor_role=role,
                action=action,
                target=f"run/{run.run_id}",
                purpose=study_id,
                outcome="refused" if happening.event is JobEvent.REFUSED else "success",
                details={
                    "jobs": {job.site: job.state.value for job in ended},
                    "code": happening.code,
                    "reason": happening.public_reason,
                },
            )


_SHORTEST = timedelta(minutes=1)
"""A signature must outlive the clocks' differences."""

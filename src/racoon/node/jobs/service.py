"""Receive, run and end jobs; what a handler produced leaves only through ``release``."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar

import sqlalchemy as sa

from racoon.errors import RacoonError, Refused, Unavailable
from racoon.node.approvals.service import Approvals
from racoon.node.jobs import _store
from racoon.node.jobs.model import FINAL, TRAINING, Handler, JobRecord, JobState, Outcome
from racoon.platform.audit import AuditLog
from racoon.platform.audit import Outcome as AuditOutcome
from racoon.platform.database import Database
from racoon.protocol.messages import (
    JobAccepted,
    JobCancel,
    JobFailed,
    JobOffer,
    JobProgress,
    JobRefused,
    Message,
)

_log = logging.getLogger(__name__)

PROGRESS_EVERY_S = 2.0
"""Progress is for people; more often it would only fill the line."""

Announce = Callable[[sa.Connection, str, Message], None]
"""Hands a status message without data to the outgoing line; ``app`` registers it."""

Submit = Callable[[sa.Connection, JobOffer, Outcome], object]
"""The release gate: protects an outcome and lets through what may leave; ``app`` registers it."""


class JobCancelled(Refused):
    """The job was cancelled, here or at CENTRAL."""

    code: ClassVar[str] = "jobs.cancelled"


class Jobs:
    """The jobs of this site.

    Parameters
    ----------
    database, audit
        The node's own.
    approvals
        Asked when a job arrives, when it starts, and when its outcome wants to leave.
    announce, submit
        Ports to the outgoing line and to the release gate.
    handlers
        Who does the work, by job kind; more may be registered before the first job arrives.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        approvals: Approvals,
        announce: Announce,
        submit: Submit,
        handlers: Mapping[str, Handler] | None = None,
    ) -> None:
        self._database = database
        self._audit = audit
        self._approvals = approvals
        self._announce = announce
        self._submit = submit
        self._handlers = dict(handlers or {})
        approvals.on_change(self.end_forbidden)

    def register(self, kind: str, handler: Handler) -> None:
        """Say who does the work of a kind; a kind nobody does is refused when it is offered."""
        self._handlers[kind] = handler

    def receive(self, connection: sa.Connection, offer: JobOffer) -> None:
        """Verify an offered job and put it on record; answer CENTRAL in the same transaction.

        A job offered twice is answered once.
        """
        if _store.load(connection, offer.job_id) is not None:
            return
        try:
            if offer.kind not in self._handlers:
                raise Refused(
                    "This site has not installed what the job needs.", code="jobs.kind_not_installed"
                )
            self._approvals.authorise(connection, offer)
        except Refused as error:
            _store.insert(connection, offer, JobState.REFUSED, error.error_code, error.public_message)
            self._write_audit(connection, offer, "job.receive", "refused", code=error.error_code)
            self._announce(connection, "job.refused", _refusal(offer, error))
            return
        _store.insert(connection, offer, JobState.ACCEPTED, "", "")
        self._write_audit(connection, offer, "job.receive", "success")
        self._announce(connection, "job.accepted", JobAccepted(job_id=offer.job_id, run_id=offer.run_id))

    def receive_cancel(self, connection: sa.Connection, cancel: JobCancel) -> None:
        """CENTRAL no longer wants a job."""
        job = _store.load(connection, cancel.job_id)
        if job is not None and _store.update(connection, cancel.job_id, JobState.CANCELLED, "jobs.cancelled"):
            self._write_audit(connection, job.offer, "job.cancel", "success")

    def cancel(self, connection: sa.Connection, job_id: str, actor: str, role: str) -> None:
        """Somebody at this site stops a job; it works in every state and at once."""
        job = _store.load(connection, job_id)
        if job is None:
            raise Refused("There is no such job at this site.", code="jobs.unknown")
        if not _store.update(
            connection, job_id, JobState.CANCELLED, "jobs.stopped_by_site", "The site stopped it."
        ):
            return
        refusal = JobRefused(
            job_id=job_id,
            run_id=job.offer.run_id,
            code="jobs.stopped_by_site",
            public_reason="The site stopped this job.",
        )
        self._announce(connection, "job.refused", refusal)
        self._write_audit(connection, job.offer, "job.cancel", "success", actor=actor, role=role)

    def pause(self, connection: sa.Connection, job_id: str, actor: str, role: str) -> None:
        """Somebody at this site lets a training wait; it gives its machine free within a second.

        Raises
        ------
        Refused
            ``jobs.unknown``, or ``jobs.not_a_training`` for other work, which is short.
        """
        self._set_paused(connection, job_id, actor, role, is_paused=True)

    def go_on(self, connection: sa.Connection, job_id: str, actor: str, role: str) -> None:
        """Somebody at this site lets a paused training go on, from its last finished round."""
        self._set_paused(connection, job_id, actor, role, is_paused=False)

    def is_paused(self, job_id: str) -> bool:
        """Tell whether a job is paused here."""
        with self._database.connect() as connection:
            job = _store.load(connection, job_id)
        return job is not None and job.paused_at is not None

    def _set_paused(
        self, connection: sa.Connection, job_id: str, actor: str, role: str, *, is_paused: bool
    ) -> None:
        job = _store.load(connection, job_id)
        if job is None:
            raise Refused("There is no such job at this site.", code="jobs.unknown")
        if not job.offer.kind.startswith(TRAINING):
            raise Refused("Only trainings can be paused; other work is stopped.", code="jobs.not_a_training")
        if _store.set_paused(connection, job_id, is_paused=is_paused):
            action = "job.pause" if is_paused else "job.go_on"
            self._write_audit(connection, job.offer, action, "success", actor=actor, role=role)

    def end_forbidden(self, connection: sa.Connection, study_id: str) -> None:
        """End every waiting or running job of a study that is no longer allowed, with the reason."""
        for job in _store.load_in(connection, (JobState.ACCEPTED, JobState.RUNNING)):
            if job.offer.study_id != study_id:
                continue
            try:
                self._approvals.authorise(connection, job.offer)
            except Refused as error:
                self._end(connection, job.offer, JobState.REFUSED, error)

    def stop_for_subject(self, connection: sa.Connection, studies: Collection[str]) -> None:
        """End the running trainings of some studies: one of their subjects withdrew, and a training reads copies."""
        for job in _store.load_in(connection, (JobState.ACCEPTED, JobState.RUNNING)):
            if job.offer.study_id in studies and job.offer.kind.startswith(TRAINING):
                stopped = Refused(
                    "The data of this site changed while the job ran. Start it again.",
                    code="jobs.data_changed",
                )
                self._end(connection, job.offer, JobState.REFUSED, stopped)

    def is_ended(self, job_id: str) -> bool:
        """Tell whether a job was cancelled or has ended; long work asks now and then."""
        with self._database.connect() as connection:
            job = _store.load(connection, job_id)
        return job is None or job.state in FINAL

    def pending(self) -> list[JobRecord]:
        """Return the jobs that have to be in the queue: accepted or interrupted."""
        with self._database.connect() as connection:
            return _store.load_in(connection, (JobState.ACCEPTED, JobState.RUNNING))

    def newest(self, connection: sa.Connection, limit: int = 200) -> list[JobRecord]:
        """Return the newest jobs of this site."""
        return _store.load_newest(connection, limit)

    def run(self, job_id: str) -> None:
        """Do one job from wherever it stands; called by the queue, again after a crash.

        Raises
        ------
        Unavailable
            When something needed is not there now; the queue tries again.
        """
        with self._database.begin() as connection:
            job = _store.load(connection, job_id)
            if job is None or job.state in FINAL:
                return
            offer = job.offer
            try:
                study = self._approvals.authorise(connection, offer)
            except Refused as error:
                self._end(connection, offer, JobState.REFUSED, error)
                return
            _store.update(connection, job_id, JobState.RUNNING)
            self._write_audit(connection, offer, "job.start", "success")
        try:
            outcome = self._handlers[offer.kind](offer, study, _Reporter(self, offer))
            with self._database.begin() as connection:
                # Consent, holds and the site's stop may have changed while the work went on.
                self._approvals.authorise(connection, offer)
                if _store.update(connection, job_id, JobState.SUCCEEDED):
                    self._submit(connection, offer, outcome)
        except Unavailable:
            raise
        except RacoonError as error:
            _log.warning("job ended with an error", extra={"job_id": job_id, "code": error.error_code})
            with self._database.begin() as connection:
                refused = isinstance(error, Refused)
                self._end(connection, offer, JobState.REFUSED if refused else JobState.FAILED, error)
        except Exception as error:
            _log.exception("job failed", extra={"job_id": job_id})
            unknown = RacoonError(
                "The site's program failed on this job; its log names the place.", code="jobs.defect"
            )
            with self._database.begin() as connection:
                self._end(connection, offer, JobState.FAILED, unknown)
            raise unknown from error

    def report(self, offer: JobOffer, done: int, total: int, note: str) -> None:
        """Save and announce progress; raises when the job was cancelled meanwhile.

        Raises
        ------
        JobCancelled
        """
        with self._database.begin() as connection:
            job = _store.load(connection, offer.job_id)
            if job is None or job.state in FINAL:
                raise JobCancelled("The job was cancelled.")
            _store.save_progress(connection, offer.job_id, done, total, note)
            progress = JobProgress(
                job_id=offer.job_id, run_id=offer.run_id, done=done, total=total, note=note[:500]
            )
            self._announce(connection, "job.progress", progress)

    def _end(self, connection: sa.Connection, offer: JobOffer, state: JobState, error: RacoonError) -> None:
        if not _store.update(connection, offer.job_id, state, error.error_code, error.public_message[:500]):
            return
        outcome: AuditOutcome = "refused" if state is JobState.REFUSED else "failure"
        self._write_audit(connection, offer, "job.end", outcome, code=error.error_code)
        if state is JobState.REFUSED:
            self._announce(connection, "job.refused", _refusal(offer, error))
        else:
            failed = JobFailed(
                job_id=offer.job_id,
                run_id=offer.run_id,
                code=error.error_code,
                public_message=error.public_message[:500],
            )
            self._announce(connection, "job.failed", failed)

    def _write_audit(
        self,
        connection: sa.Connection,
        offer: JobOffer,
        action: str,
        outcome: AuditOutcome,
        *,
        actor: str = "CENTRAL",
        role: str = "central",
        **details: Any,
    ) -> None:
        self._audit.append(
            connection,
            actor=actor,
            actor_role=role,
            action=action,
            target=f"job/{offer.job_id}",
            purpose=offer.study_id,
            outcome=outcome,
            details={"kind": offer.kind, "content_hash": offer.content_hash, **details},
        )


def trainings(connection: sa.Connection, study_id: str) -> list[str]:
    """Return the runs that trained on this site's data for a study, sorted."""
    done = (JobState.ACCEPTED, JobState.RUNNING, JobState.SUCCEEDED)
    return sorted(
        {
            job.offer.run_id
            for job in _store.load_in(connection, done)
            if job.offer.study_id == study_id and job.offer.kind.startswith(TRAINING)
        }
    )


def ended_jobs(connection: sa.Connection, studies: Collection[str]) -> list[str]:
    """Return the ids of the jobs of some studies that have ended."""
    return [job.offer.job_id for job in _store.load_in(connection, FINAL) if job.offer.study_id in studies]


class _Reporter:
    """Reports progress, not more often than people can read."""

    def __init__(self, jobs: Jobs, offer: JobOffer) -> None:
        self._jobs = jobs
        self._offer = offer
        self._next_at = 0.0

    def __call__(self, done: int, total: int, note: str) -> None:
        if time.monotonic() >= self._next_at or done == total:
            self._jobs.report(self._offer, done, total, note)
            self._next_at = time.monotonic() + PROGRESS_EVERY_S


def _refusal(offer: JobOffer, error: RacoonError) -> JobRefused:
    return JobRefused(
        job_id=offer.job_id,
        run_id=offer.run_id,
        code=error.error_code,
        public_reason=error.public_message[:500],
    )

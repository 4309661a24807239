"""Runs and jobs as pure state: events in, new state and instructions out.  No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from racoon.errors import Defect


class JobState(StrEnum):
    """Where one site's unit of work stands."""

    OFFERED = "offered"
    ACCEPTED = "accepted"
    RUNNING = "running"
    REFUSED = "refused"
    FAILED = "failed"
    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"


class RunState(StrEnum):
    """Where one execution across sites stands."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class JobEvent(StrEnum):
    """What can happen to a job."""

    ACCEPTED = "accepted"
    PROGRESS = "progress"
    REFUSED = "refused"
    FAILED = "failed"
    RESULT = "result"
    CANCEL = "cancel"
    TIME_OVER = "time_over"


OPEN_STATES = frozenset({JobState.OFFERED, JobState.ACCEPTED, JobState.RUNNING})
"""States in which a job may still change."""

JOB_TABLE: Mapping[tuple[JobState, JobEvent], JobState] = {
    (JobState.OFFERED, JobEvent.ACCEPTED): JobState.ACCEPTED,
    (JobState.OFFERED, JobEvent.PROGRESS): JobState.RUNNING,
    (JobState.ACCEPTED, JobEvent.PROGRESS): JobState.RUNNING,
    (JobState.RUNNING, JobEvent.PROGRESS): JobState.RUNNING,
    # A site may say no at any time, also while it works: its approvals are checked again before anything
    # leaves.
    **{(state, JobEvent.REFUSED): JobState.REFUSED for state in OPEN_STATES},
    **{(state, JobEvent.FAILED): JobState.FAILED for state in OPEN_STATES},
    **{(state, JobEvent.RESULT): JobState.SUCCEEDED for state in OPEN_STATES},
    **{(state, JobEvent.CANCEL): JobState.CANCELLED for state in OPEN_STATES},
    **{(state, JobEvent.TIME_OVER): JobState.CANCELLED for state in OPEN_STATES},
}
"""Every step a job can take; an event without a row changes nothing, so the first result wins and stays."""

SILENT = "no_answer"
"""Reason code of a job whose site had not answered when the run's time was over."""


class RunDefect(Defect):
    """The run or job does not exist, or is asked to do what it cannot."""

    code: ClassVar[str] = "run.invalid"


class UnknownRun(RunDefect):
    """There is no such run."""

    code: ClassVar[str] = "run.unknown"
    status: ClassVar[int] = 404


@dataclass(frozen=True)
class JobOrder:
    """One job to offer.

    Parameters
    ----------
    site
        To whom.
    parameters
        What to do, by kind.
    plan_hash
        Hash of the plan in the parameters; ``None`` for count and freeze.
    artifacts
        SHA-256 of files that the site will have to fetch for it.
    """

    site: str
    parameters: Mapping[str, Any]
    plan_hash: str | None = None
    artifacts: Sequence[str] = field(default=())


@dataclass(frozen=True)
class Job:
    """One unit of work at one site.

    Parameters
    ----------
    job_id, site
        Whose work it is.
    state
        See :class:`JobState`.
    reason_code, public_reason
        Why it ended without a result, in the site's public words.
    done, total
        Progress, in steps of the job's own.
    """

    job_id: str
    site: str
    state: JobState = JobState.OFFERED
    reason_code: str | None = None
    public_reason: str | None = None
    done: int = 0
    total: int = 0

    @property
    def is_open(self) -> bool:
        """Whether the job may still change."""
        return self.state in OPEN_STATES


@dataclass(frozen=True)
class Run:
    """One execution across sites.

    Parameters
    ----------
    run_id
        Identifies the run.
    state
        See :class:`RunState`.
    deadline
        Aware time after which nobody is waited for.
    quorum
        Smallest number of results that make the run a completed one.
    jobs
        One per site, by job id.
    """

    run_id: str
    state: RunState
    deadline: datetime
    quorum: int
    jobs: Mapping[str, Job]

    @property
    def succeeded(self) -> int:
        """Number of sites whose result is here."""
        return sum(job.state is JobState.SUCCEEDED for job in self.jobs.values())


@dataclass(frozen=True)
class SaveJob:
    """Instruction: write the job's new state."""

    job: Job
    result: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class TellCancelled:
    """Instruction: tell the site that the job is no longer wanted."""

    job: Job


@dataclass(frozen=True)
class SaveRun:
    """Instruction: write the run's new state."""

    run_id: str
    state: RunState


Instruction = SaveJob | TellCancelled | SaveRun


@dataclass(frozen=True)
class Happening:
    """An event with what it carries.

    Parameters
    ----------
    event
        See :class:`JobEvent`.
    job_id
        Which job; ``None`` for all jobs of the run (cancel, time over).
    code, public_reason
        For refused, failed, cancel.
    done, total
        For progress.
    result
        For results: what is stored.
    """

    event: JobEvent
    job_id: str | None = None
    code: str | None = None
    public_reason: str | None = None
    done: int = 0
    total: int = 0
    result: Mapping[str, Any] | None = None
    ends_run: bool = field(default=False)


def step(run: Run, happening: Happening) -> tuple[Run, list[Instruction]]:
    """Let one event happen to a run.

    Parameters
    ----------
    run
        Present state.
    happening
        What happened.

    Returns
    -------
    tuple
        The new state, and what has to be written and sent for it; no instructions when the event changes
        nothing.

    Notes
    -----
    Applying the same event twice gives no second instruction.
    """
    instructions: list[Instruction] = []
    jobs = dict(run.jobs)
    touched = [happening.job_id] if happening.job_id is not None else sorted(jobs)
    for job_id in touched:
        job = jobs.get(job_id)
        target = JOB_TABLE.get((job.state, happening.event)) if job else None
        if job is None or target is None:
            continue
        changed = replace(job, state=target, **_carried(happening))
        if changed == job:
            continue
        jobs[job_id] = changed
        instructions.append(SaveJob(changed, happening.result))
        if target is JobState.CANCELLED:
            instructions.append(TellCancelled(changed))
    changed_run = replace(run, jobs=jobs)
    state = _run_state(changed_run, happening)
    if state is not run.state:
        instructions.append(SaveRun(run.run_id, state))
    return replace(changed_run, state=state), instructions


def _carried(happening: Happening) -> dict[str, Any]:
    if happening.event is JobEvent.PROGRESS:
        # Messages of a site arrive in order and once; a job counts anew in each of its phases.
        return {"done": happening.done, "total": happening.total}
    if happening.event in (JobEvent.REFUSED, JobEvent.FAILED, JobEvent.CANCEL):
        return {"reason_code": happening.code, "public_reason": happening.public_reason}
    if happening.event is JobEvent.TIME_OVER:
        return {"reason_code": SILENT, "public_reason": "No result before the run's time was over."}
    return {}


def _run_state(run: Run, happening: Happening) -> RunState:
    if run.state is not RunState.RUNNING or any(job.is_open for job in run.jobs.values()):
        return run.state
    if happening.event is JobEvent.CANCEL and happening.ends_run:
        return RunState.CANCELLED
    return RunState.COMPLETED if run.succeeded >= run.quorum else RunState.FAILED

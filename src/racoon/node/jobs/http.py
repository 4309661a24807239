"""Routes of the site's jobs."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from racoon.node.jobs.model import JobRecord
from racoon.node.jobs.service import Jobs
from racoon.platform.auth import User, require

router = APIRouter(prefix="/api/jobs", tags=["jobs"])

Reader = Annotated[User, Depends(require("job.read"))]
Stopper = Annotated[User, Depends(require("job.cancel"))]


@router.get("")
def list_jobs(request: Request, user: Reader) -> list[dict[str, Any]]:
    """List the newest jobs of this site, newest first."""
    jobs: Jobs = request.app.state.jobs
    with request.app.state.database.connect() as connection:
        return [describe(job) for job in jobs.newest(connection)]


@router.post("/{job_id}/cancel")
def cancel_job(job_id: str, request: Request, user: Stopper) -> dict[str, str]:
    """Stop a job of this site at once; CENTRAL is told."""
    jobs: Jobs = request.app.state.jobs
    with request.app.state.database.begin() as connection:
        jobs.cancel(connection, job_id, user.name, user.main_role)
    return {"job_id": job_id, "state": "cancelled"}


@router.post("/{job_id}/pause")
def pause_job(job_id: str, request: Request, user: Stopper) -> dict[str, str]:
    """Let a training of this site wait; its processes end, and nothing that was finished is lost."""
    jobs: Jobs = request.app.state.jobs
    with request.app.state.database.begin() as connection:
        jobs.pause(connection, job_id, user.name, user.main_role)
    return {"job_id": job_id, "state": "paused"}


@router.post("/{job_id}/go-on")
def go_on_with_job(job_id: str, request: Request, user: Stopper) -> dict[str, str]:
    """Let a paused training go on from its last finished round."""
    jobs: Jobs = request.app.state.jobs
    with request.app.state.database.begin() as connection:
        jobs.go_on(connection, job_id, user.name, user.main_role)
    return {"job_id": job_id, "state": "running"}


def describe(job: JobRecord) -> dict[str, Any]:
    """Return what a list shows of a job."""
    return {
        "job_id": job.offer.job_id,
        "run_id": job.offer.run_id,
        "study_id": job.offer.study_id,
        "kind": job.offer.kind,
        "state": job.shown_state,
        "code": job.code,
        "public_reason": job.public_reason,
        "done": job.done,
        "total": job.total,
        "received_at": job.received_at.isoformat(),
        "finished_at": job.finished_at.isoformat() if job.finished_at else None,
    }

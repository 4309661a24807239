"""Pages of a site's own people."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Depends, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from racoon.domain.application import FIELDS
from racoon.domain.governance.approval import ApprovalKind
from racoon.domain.governance.machine import TransitionRefused
from racoon.domain.governance.site_track import SITE_TRACK_PATH, SITE_TRACK_TABLE
from racoon.errors import Refused
from racoon.node.approvals.service import Approvals
from racoon.node.compute.limits import BadLimits, Limits
from racoon.node.jobs.model import JobRecord
from racoon.node.jobs.service import Jobs
from racoon.node.portal import checks, comorbidome, diagnostics, values
from racoon.node.portal.model import Facts, first_blocked, renewals_open_to, steps_open_to, tasks_for
from racoon.node.release import counting
from racoon.node.release.service import ReleaseGate
from racoon.platform import clock
from racoon.platform.auth import User, require
from racoon.web.deeds import AUDIT_PAGE, AuditQuestion, audit_words
from racoon.web.pages import render
from racoon.web.words import NAMES

router = APIRouter(include_in_schema=False)
router.include_router(checks.router)
router.include_router(comorbidome.router)
router.include_router(diagnostics.router)
router.include_router(values.router)


class NoPictures(Refused):
    """A job without pictures of its worst cases."""

    code: ClassVar[str] = "portal.no_pictures"


Anyone = Annotated[User, Depends(require("overview.read"))]
StudyReader = Annotated[User, Depends(require("study.read"))]
Decider = Annotated[User, Depends(require("track.decide"))]
JobReader = Annotated[User, Depends(require("job.read"))]
ArchiveReader = Annotated[User, Depends(require("archive.read.all"))]
JobStopper = Annotated[User, Depends(require("job.cancel"))]
ReleaseReader = Annotated[User, Depends(require("release.read"))]
AuditReader = Annotated[User, Depends(require("audit.read"))]


@router.get("/")
def show_today(request: Request, user: Anyone) -> Response:
    """Show what needs this person today."""
    state = request.app.state
    status = state.intake.status()
    with state.database.connect() as connection:
        legal = state.consent_status(connection, clock.now())
        facts = Facts(
            now=clock.now(),
            last_contact=state.last_contact(connection),
            certificate_expires_at=state.certificate_expires_at(),
            disk_free_bytes=status.free_bytes,
            intake_waiting=status.waiting,
            oldest_waiting_s=status.oldest_waiting_s,
            quarantined=status.in_quarantine,
            studies=tuple(state.approvals.studies(connection)),
            jobs=tuple(state.jobs.newest(connection, 50)),
            standings=tuple(
                state.approvals.standing(connection, study) for study in state.approvals.studies(connection)
            ),
            since=state.approvals.waiting_since(connection),
            local={
                (study.study_id, study.study_hash): item.step
                for study in state.approvals.studies(connection)
                for item in state.approvals.local_standing(connection, study)
                if item.is_next
            },
            reviews_waiting=state.release.reviews.waiting(connection),
            strangers=tuple(state.pooling.letters.strangers(connection)),
            counts_held=tuple(item["project"] for item in counting.holds(connection)),
            silent_recipients=legal.overdue,
            not_erased=legal.not_erased,
        )
    return render(
        request,
        "node/portal/today.html",
        facts=facts,
        tasks=tasks_for(facts, user.roles),
        counts=state.archive.counts(),
        intake=status,
    )


@router.get("/studies")
def show_studies(request: Request, user: StudyReader) -> Response:
    """Show all studies this site was asked for."""
    approvals: Approvals = request.app.state.approvals
    with request.app.state.database.connect() as connection:
        studies = approvals.studies(connection)
    return render(request, "node/portal/studies.html", studies=studies)


@router.get("/studies/{study_id}")
def show_study(
    study_id: str,
    request: Request,
    user: StudyReader,
    version: Annotated[str, Query(max_length=64)] = "",
) -> Response:
    """Show everything needed to decide on a version of a study, on one page."""
    return _study_page(study_id, request, user, version)


def _study_page(study_id: str, request: Request, user: User, version: str, problem: str = "") -> Response:
    approvals: Approvals = request.app.state.approvals
    with request.app.state.database.connect() as connection:
        study = approvals.current(connection, study_id, version)
        history = [
            event
            for event in approvals.history(connection, study_id)
            if event["study_hash"] == study.study_hash
        ]
        standing = approvals.standing(connection, study)
        versions = approvals.versions(connection, study_id)
        local = approvals.local_standing(connection, study)
    open_steps = set(steps_open_to(study, user.roles))
    steps = [row for row in SITE_TRACK_TABLE.transitions if row.source == study.track_state]
    return render(
        request,
        "node/portal/study.html",
        status_code=409 if problem else 200,
        study=study,
        standing=standing,
        versions=versions,
        renewals=renewals_open_to(user.roles),
        field_labels={name: field.label for name, field in FIELDS.items()},
        choice_names=NAMES,
        today=clock.now().date(),
        history=history,
        steps=[(row, row.target in open_steps) for row in steps],
        was_me=study.last_actor == user.name,
        path=SITE_TRACK_PATH,
        policy=request.app.state.release.policy,
        problem=problem,
        local=local,
        local_name=approvals.process.name,
        local_first=first_blocked(local),
    )


@router.post("/studies/{study_id}/decide")
async def decide(study_id: str, request: Request, user: Decider) -> Response:
    """Take a step with the form of the study page."""
    form = {key: str(value) for key, value in (await request.form()).items()}
    approvals: Approvals = request.app.state.approvals
    target, version = form.pop("target", ""), _number(form.pop("version", ""))
    study_hash = form.pop("study_hash", "")
    artefacts: dict[str, Any] = {key: value for key, value in form.items() if value}
    database = request.app.state.database
    try:
        with database.begin() as connection:
            study = approvals.current(connection, study_id, study_hash)
            approvals.decide(
                connection,
                study,
                target,
                actor=user.name,
                roles=user.roles,
                artefacts=artefacts,
                version=version,
            )
    except TransitionRefused as refusal:
        with database.begin() as connection:
            study = approvals.current(connection, study_id, study_hash)
            approvals.record_refusal(connection, study, target, user.name, user.roles)
        return _study_page(study_id, request, user, study_hash, refusal.public_message)
    return _back_to(study_id, study_hash)


@router.post("/studies/{study_id}/renew")
async def renew(study_id: str, request: Request, user: Decider) -> Response:
    """Give an approval again with the form of the study page."""
    form = {key: str(value) for key, value in (await request.form()).items()}
    approvals: Approvals = request.app.state.approvals
    kind, version, study_hash = (
        form.pop("kind", ""),
        _number(form.pop("version", "")),
        form.pop("study_hash", ""),
    )
    database = request.app.state.database
    try:
        with database.begin() as connection:
            study = approvals.current(connection, study_id, study_hash)
            if kind not in set(ApprovalKind):
                raise TransitionRefused("There is no such approval to renew here.", code="track.renew")
            approvals.renew(
                connection,
                study,
                ApprovalKind(kind),
                actor=user.name,
                roles=user.roles,
                artefacts={key: value for key, value in form.items() if value},
                version=version,
            )
    except TransitionRefused as refusal:
        with database.begin() as connection:
            study = approvals.current(connection, study_id, study_hash)
            approvals.record_refusal(connection, study, kind, user.name, user.roles)
        return _study_page(study_id, request, user, study_hash, refusal.public_message)
    return _back_to(study_id, study_hash)


@router.post("/studies/{study_id}/local")
async def decide_local(study_id: str, request: Request, user: Decider) -> Response:
    """Take a step of the site's own process with the form of the study page."""
    form = {key: str(value) for key, value in (await request.form()).items()}
    approvals: Approvals = request.app.state.approvals
    step, study_hash = form.pop("step", ""), form.pop("study_hash", "")
    positive, last = form.pop("decision", "") == "yes", form.pop("valid_until", "")
    database = request.app.state.database
    try:
        with database.begin() as connection:
            approvals.decide_local(
                connection,
                approvals.current(connection, study_id, study_hash),
                step,
                actor=user.name,
                roles=user.roles,
                positive=positive,
                handed_in={key: value for key, value in form.items() if value},
                valid_until=last,
            )
    except TransitionRefused as refusal:
        with database.begin() as connection:
            study = approvals.current(connection, study_id, study_hash)
            approvals.record_refusal(connection, study, f"local:{step[:40]}", user.name, user.roles)
        return _study_page(study_id, request, user, study_hash, refusal.public_message)
    return _back_to(study_id, study_hash)


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0


def _back_to(study_id: str, study_hash: str) -> Response:
    version = f"?version={study_hash}" if study_hash else ""
    return RedirectResponse(f"/studies/{study_id}{version}", status_code=303)


@router.get("/jobs")
def show_jobs(request: Request, user: JobReader) -> Response:
    """Show what CENTRAL asked and what became of it."""
    jobs: Jobs = request.app.state.jobs
    with request.app.state.database.connect() as connection:
        newest = jobs.newest(connection)
        limits = request.app.state.training_limits.current(connection)
    pictured = {
        job.offer.job_id
        for job in newest
        if job.offer.kind == "evaluate" and request.app.state.pictures_of(job.offer.job_id)
    }
    return render(request, "node/portal/jobs.html", jobs=newest, limits=limits, pictured=pictured)


@router.get("/jobs/{job_id}/worst")
def show_worst(job_id: str, request: Request, user: ArchiveReader) -> Response:
    """Show the cases a model failed most on; they never leave this site."""
    job = _pictured_job(job_id, request)
    with request.app.state.database.begin() as connection:
        request.app.state.audit.append(
            connection,
            actor=user.name,
            actor_role=user.main_role,
            action="evaluation.look",
            target=f"job/{job_id}",
            purpose=job.offer.study_id,
        )
    failures = request.app.state.pictures_of(job_id)
    return render(request, "node/portal/worst.html", job=job, failures=failures)


@router.get("/jobs/{job_id}/worst/{number:int}.png")
def show_worst_picture(job_id: str, number: int, request: Request, user: ArchiveReader) -> Response:
    """Return one of these pictures."""
    _pictured_job(job_id, request)
    pictures = request.app.state.pictures_of(job_id)
    if not 0 <= number < len(pictures):
        raise NoPictures("There is no such picture of this job.")
    return Response(
        pictures[number].picture.read_bytes(),
        media_type="image/png",
        headers={"Cache-Control": "private, no-store"},
    )


def _pictured_job(job_id: str, request: Request) -> JobRecord:
    jobs: Jobs = request.app.state.jobs
    with request.app.state.database.connect() as connection:
        # Only a job on record: what stands in the address never becomes a path by itself.
        found = next((job for job in jobs.newest(connection) if job.offer.job_id == job_id), None)
    if found is None or found.offer.kind != "evaluate":
        raise NoPictures("There are no pictures of this job.")
    return found


@router.post("/jobs/{job_id}/stop")
def stop_job(job_id: str, request: Request, user: JobStopper) -> Response:
    """Stop a job of this site at once."""
    jobs: Jobs = request.app.state.jobs
    with request.app.state.database.begin() as connection:
        jobs.cancel(connection, job_id, user.name, user.main_role)
    return RedirectResponse("/jobs", status_code=303)


@router.post("/jobs/{job_id}/pause")
def pause_job(job_id: str, request: Request, user: JobStopper) -> Response:
    """Let a training of this site wait."""
    jobs: Jobs = request.app.state.jobs
    with request.app.state.database.begin() as connection:
        jobs.pause(connection, job_id, user.name, user.main_role)
    return RedirectResponse("/jobs", status_code=303)


@router.post("/jobs/{job_id}/go-on")
def go_on_with_job(job_id: str, request: Request, user: JobStopper) -> Response:
    """Let a paused training of this site go on."""
    jobs: Jobs = request.app.state.jobs
    with request.app.state.database.begin() as connection:
        jobs.go_on(connection, job_id, user.name, user.main_role)
    return RedirectResponse("/jobs", status_code=303)


@router.post("/jobs/limits")
def set_limits(
    request: Request,
    user: JobStopper,
    hours: Annotated[str, Form()] = "",
    trainings: Annotated[str, Form()] = "",
    opens: Annotated[str, Form()] = "",
    closes: Annotated[str, Form()] = "",
) -> Response:
    """Set when and how long trainings may run at this site; an empty field is no limit."""
    try:
        limits = Limits(
            float(hours.replace(",", ".")) if hours.strip() else None,
            int(trainings) if trainings.strip() else None,
            opens.strip(),
            closes.strip(),
        )
    except ValueError as error:
        raise BadLimits("Write hours and trainings as numbers.") from error
    with request.app.state.database.begin() as connection:
        request.app.state.training_limits.change(connection, limits, user.name, user.main_role)
    return RedirectResponse("/jobs", status_code=303)


@router.get("/releases")
def show_releases(request: Request, user: ReleaseReader) -> Response:
    """Show everything that left this site, as it left."""
    gate: ReleaseGate = request.app.state.release
    with request.app.state.database.connect() as connection:
        releases = gate.releases(connection)
    return render(request, "node/portal/releases.html", releases=releases, policy=gate.policy)


@router.get("/audit")
def show_audit(
    request: Request,
    user: AuditReader,
    asked: Annotated[AuditQuestion, Query()],
) -> Response:
    """Show the audit log in plain words, newest first."""
    with request.app.state.database.connect() as connection:
        entries = request.app.state.audit.entries(connection, AUDIT_PAGE, asked.before, **asked.wanted())
    return render(request, "node/portal/audit.html", entries=entries, **audit_words(asked, entries))

"""Routes of messages, artefacts and runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from racoon.central.access import actor_role
from racoon.central.orchestration.service import Artifacts, Mail, Runs
from racoon.central.sites.service import Sites
from racoon.platform.auth import User, require
from racoon.platform.database import Database
from racoon.platform.http import peer_certificate
from racoon.protocol.exchange import Delivery, Post, Receipt

LOOK_S = 0.2
"""How often waiting polls look for messages of other processes: one small query for all sites together."""


Summary = Callable[[sa.Connection, str], dict[str, Any]]
"""What may be shown of a run's results, by run id; ``app`` registers one per kind."""


class JobView(BaseModel):
    """One site's job as people see it."""

    job_id: str
    run_id: str
    site: str
    state: str
    reason_code: str | None
    public_reason: str | None
    done: int
    total: int
    offered_at: datetime
    updated_at: datetime
    release_id: str | None
    policy_version: str | None


class RunView(BaseModel):
    """A run as people see it; ``summary`` is what its kind may show, never what a site sent as it is."""

    run_id: str
    study_id: str
    kind: str
    parent: str | None
    state: str
    quorum: int
    created_by: str
    created_at: datetime
    deadline: datetime
    ended_at: datetime | None
    jobs: list[JobView]
    summary: dict[str, Any] | None = None


class Cancellation(BaseModel):
    """Why a run is taken back."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, Field(min_length=3, max_length=200)]


def view(row: dict[str, Any]) -> RunView:
    """Show a run without parameters and results."""
    jobs = [
        JobView(
            **{name: job[name] for name in JobView.model_fields if name in job},
            release_id=(job["result"] or {}).get("release_id"),
            policy_version=(job["result"] or {}).get("policy_version"),
        )
        for job in row["jobs"]
    ]
    return RunView(
        **{name: row[name] for name in RunView.model_fields if name in row and name != "jobs"}, jobs=jobs
    )


def with_parts(rows: Sequence[dict[str, Any]]) -> list[RunView]:
    """Show runs; one that consists of other runs shows their jobs as its own, in the order they were
    offered.
    """
    views = []
    for row in rows:
        parts = [job for part in rows if part["parent"] == row["run_id"] for job in part["jobs"]]
        shown = row["jobs"] or sorted(parts, key=lambda job: (job["offered_at"], job["job_id"]))
        views.append(view({**row, "jobs": shown}))
    return views


class MailWatch:
    """Wakes waiting polls when a message lies in their outbox, whichever process wrote it.

    Parameters
    ----------
    database, mail
        Where to look.
    """

    def __init__(self, database: Database, mail: Mail) -> None:
        self._database = database
        self._mail = mail
        self._waiting: set[tuple[str, int, asyncio.Event]] = set()
        self._nudge = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def nudge(self) -> None:
        """Look now: this process has just written messages."""
        self._nudge.set()

    async def wait(self, site: str, after: int, timeout_s: float) -> None:
        """Return when a message behind the cursor is there, or the time is over."""
        arrived = asyncio.Event()
        waiting = (site, after, arrived)
        self._waiting.add(waiting)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look())
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(arrived.wait(), timeout_s)
        finally:
            self._waiting.discard(waiting)

    async def _look(self) -> None:
        while self._waiting:
            self._nudge.clear()
            newest = await run_in_threadpool(self._newest)
            for site, after, arrived in list(self._waiting):
                if newest.get(site, 0) > after:
                    arrived.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._nudge.wait(), LOOK_S)

    def _newest(self) -> dict[str, int]:
        with self._database.connect() as connection:
            return self._mail.newest(connection)


def node_routes(
    database: Database, sites: Sites, mail: Mail, artifacts: Artifacts, *, long_poll_s: float
) -> APIRouter:
    """Make the routes of the nodes' listener; ``request.state.site`` is the authenticated site."""
    routes = APIRouter(tags=["messages"])
    watch = MailWatch(database, mail)

    def deliver(request: Request, after: int) -> Delivery:
        with database.connect() as connection:
            # Asked again after a wait: a site suspended meanwhile gets nothing.
            site = sites.authenticate(connection, peer_certificate(request))
            delivery = mail.fetch(connection, site.code, after)
            is_news = after > mail.acknowledged(connection, site.code)
        if is_news:
            with database.begin() as connection:
                mail.acknowledge(connection, site.code, after)
        return delivery

    @routes.post("/node/v1/messages")
    async def receive(body: Post, request: Request) -> Receipt:
        """Take a node's envelopes; each is processed once, ever."""

        def process() -> Receipt:
            with database.begin() as connection:
                return mail.receive(connection, request.state.site, body)

        receipt = await run_in_threadpool(process)
        watch.nudge()
        return receipt

    @routes.get("/node/v1/messages")
    async def poll(
        request: Request,
        after: Annotated[int, Query(ge=0)] = 0,
        wait_s: Annotated[float, Query(ge=0, le=60)] = 25.0,
    ) -> Delivery:
        """Deliver a node's messages behind its cursor; wait for the next one when there is none."""
        delivery = await run_in_threadpool(deliver, request, after)
        if delivery.envelopes or wait_s == 0:
            return delivery
        stopping: asyncio.Event | None = getattr(request.app.state, "stopping", None)
        waits = [asyncio.create_task(watch.wait(request.state.site.code, after, min(wait_s, long_poll_s)))]
        if stopping is not None:
            waits.append(asyncio.create_task(_stopped(stopping)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()
        return await run_in_threadpool(deliver, request, after)

    @routes.put("/node/v1/artifacts/{sha256}", status_code=204)
    async def upload(sha256: str, request: Request) -> Response:
        """Store a file under its hash; the same file again is fine."""
        size_bytes = await artifacts.write(sha256, request.stream())

        def register() -> None:
            with database.begin() as connection:
                artifacts.register(connection, sha256, size_bytes, request.state.site.code)

        await run_in_threadpool(register)
        return Response(status_code=204)

    @routes.get("/node/v1/artifacts/{sha256}")
    def download(sha256: str, request: Request) -> FileResponse:
        """Send a file that one of the site's jobs names, or that the site sent itself."""
        with database.connect() as connection:
            path = artifacts.path_for(connection, sha256, request.state.site.code)
        return FileResponse(path, media_type="application/octet-stream")

    return routes


def people_routes(database: Database, runs: Runs, summaries: Mapping[str, Summary]) -> APIRouter:
    """Make the routes of people's listener; ``summaries`` says by run kind what may be shown."""
    routes = APIRouter(tags=["runs"])

    @routes.get("/api/studies/{study_id}/runs")
    def list_runs(study_id: str, _user: Annotated[User, Depends(require("run.read"))]) -> list[RunView]:
        """List a study's runs, newest first."""
        with database.connect() as connection:
            return with_parts(runs.runs(connection, study_id=study_id))

    @routes.get("/api/runs/{run_id}")
    def show_run(run_id: str, _user: Annotated[User, Depends(require("run.read"))]) -> RunView:
        """Show a run: each site's state and public reason."""
        with database.connect() as connection:
            run = runs.run(connection, run_id)
            shown = with_parts([run, *runs.runs(connection, parent=run_id)])[0]
            summarise = summaries.get(run["kind"])
            summary = summarise(connection, run_id) if summarise else None
            return shown.model_copy(update={"summary": summary})

    @routes.post("/api/runs/{run_id}/cancellation")
    def cancel_run(
        run_id: str, body: Cancellation, user: Annotated[User, Depends(require("run.start"))]
    ) -> RunView:
        """Take a run back; sites stop jobs that have not ended."""
        with database.begin() as connection:
            runs.cancel(connection, run_id, user.name, actor_role(user, "run.start"), body.reason)
            return view(runs.run(connection, run_id))

    return routes


async def _stopped(stopping: asyncio.Event) -> None:
    await stopping.wait()

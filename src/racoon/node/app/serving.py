"""The node's processes and what the command line asks of the node.

``racoon node serve`` is a tree of three processes: ``http`` (pages and API for people), ``worker`` (intake, jobs, the
outgoing line) and ``dicom`` (the listener).  Everything is imported before the fork, so they share their memory.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from fastapi import FastAPI

from racoon import __version__
from racoon.errors import RacoonError
from racoon.node.app.handlers import register_handlers
from racoon.node.app.rooms import Rooms
from racoon.node.approvals import http as approvals_http
from racoon.node.archive import http as archive_http
from racoon.node.intake import http as intake_http
from racoon.node.intake.service import run_listener
from racoon.node.jobs import http as jobs_http
from racoon.node.link import identity as node_identity
from racoon.node.link.service import Line, last_contact
from racoon.node.measuring import http as measuring_http
from racoon.node.portal import http as portal_http
from racoon.node.reading import http as reading_http
from racoon.node.release import http as release_http
from racoon.node.settings import NodeSettings, load_node_settings
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.auth import AccountExists, AccountStore, install_accounts
from racoon.platform.certificates import TlsFiles
from racoon.platform.database import Database
from racoon.platform.http import Listener, create_app
from racoon.platform.http import serve as serve_http
from racoon.platform.jobs import DbosJobQueue, prepare_jobs
from racoon.platform.logs import configure_logging
from racoon.platform.migration import upgrade
from racoon.platform.supervise import Supervisor, mark_ready, stopping
from racoon.web.pages import NavigationItem, Site, install_pages

_log = logging.getLogger(__name__)

MIGRATIONS = "racoon.node.migrations"

QUICK, HEAVY = "quick", "heavy"
QUEUES = {QUICK: 2, HEAVY: 2}
"""Counts and freezes must not wait behind a training; two heavy jobs, because a federation mostly waits."""

QUICK_KINDS = frozenset({"count", "freeze"})

NAVIGATION = (
    NavigationItem("/", "Today", "overview.read"),
    NavigationItem("/studies", "Studies", "study.read"),
    NavigationItem("/archive", "Archive", "archive.read"),
    NavigationItem("/values", "Values", "measurement.read"),
    NavigationItem("/intake", "Intake", "intake.read"),
    NavigationItem("/jobs", "Jobs", "job.read"),
    NavigationItem("/releases", "Releases", "release.read"),
    NavigationItem("/audit", "Audit", "audit.read"),
)

LOOK_FOR_JOBS_S = 1.0
"""A job that was accepted just before a crash is found and queued again within this time."""


def serve(config: Path, only: str | None = None) -> int:
    """Run the node until it is stopped.

    Parameters
    ----------
    config
        The node's TOML file.
    only
        ``"http"``, ``"worker"`` or ``"dicom"`` to run one part; all by default.

    Returns
    -------
    int
        Exit code of the process tree.

    Raises
    ------
    ConfigurationError, NotEnrolled
    """
    settings = load_node_settings(config)
    node_identity.load_identity(settings.identity_folder, settings.site)
    prepare(settings)
    people = people_listener(settings)
    if only in (None, "http"):
        people.bind()
    children: dict[str, Callable[[], None]] = {
        "http": lambda: run_http(settings, people),
        "worker": lambda: run_worker(settings),
        "dicom": lambda: run_listener(settings),
    }
    if only is not None:
        children = {only: children[only]}
    run_directory = settings.data_directory / ("run" if only is None else f"run-{only}")
    logs = settings.data_directory / "logs"
    return Supervisor(
        "node",
        children,
        run_directory,
        prepare=lambda name: configure_logging(name, logs / f"{name}.log", settings.log_level),
    ).run()


def enrol(config: Path, join_code: str) -> dict[str, Any]:
    """Join a network with a one-time code; keys are made here and stay here."""
    settings = load_node_settings(config)
    identity = node_identity.enrol(settings.identity_folder, settings.site, join_code)
    prepare(settings)
    return {
        "site": identity.site,
        "network": identity.network,
        "central": identity.nodes_url,
        "certificate_expires_at": identity.expires_at.isoformat(),
    }


def prepare(settings: NodeSettings) -> None:
    """Make the data directory and bring the databases to their newest revision."""
    settings.data_directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = Database(settings.database)
    try:
        upgrade(database, MIGRATIONS)
    finally:
        database.dispose()
    prepare_jobs(settings.system_database)


def import_accounts(config: Path, accounts: list[dict[str, Any]]) -> dict[str, Any]:
    """Create accounts; one that exists keeps its password and gets the given roles.

    Parameters
    ----------
    config
        The node's TOML file.
    accounts
        ``username``, ``password`` and ``roles`` of each.
    """
    settings = load_node_settings(config)
    prepare(settings)
    database, store = Database(settings.database), AccountStore("node")
    try:
        for account in accounts:
            try:
                store.create(
                    database, account["username"], account["password"], account["roles"], settings.site
                )
            except AccountExists:
                store.set_roles(database, account["username"], account["roles"])
    finally:
        database.dispose()
    return {"accounts": [account["username"] for account in accounts]}


def audit_verify(config: Path) -> dict[str, Any]:
    """Check the whole audit chain."""
    database = Database(load_node_settings(config).database)
    try:
        with database.connect() as connection:
            verdict = AuditLog("node").verify(connection)
    finally:
        database.dispose()
    return {
        "valid": verdict.valid,
        "entries": verdict.entries,
        "head": verdict.head_hash,
        "bad_sequence": verdict.bad_seq,
        "reason": verdict.reason,
    }


def build_app(rooms: Rooms) -> FastAPI:
    """Build the application of pages and API for people at the site."""
    app = create_app(f"RACOON node {rooms.settings.site}", __version__, login_path="/login")
    app.state.settings = rooms.settings
    app.state.database = rooms.database
    app.state.audit = rooms.audit
    app.state.approvals = rooms.approvals
    app.state.archive = rooms.archive
    app.state.intake = rooms.intake
    app.state.jobs = rooms.jobs
    app.state.release = rooms.gate
    app.state.last_contact = last_contact
    app.state.certificate_expires_at = lambda: rooms.identity.expires_at
    install_accounts(
        app, "node", rooms.database, audit=rooms.audit, cookie=f"racoon_{rooms.settings.site.lower()}"
    )
    install_pages(app, site=Site(rooms.settings.site, rooms.settings.display_name), navigation=NAVIGATION)
    for module in (
        approvals_http,
        archive_http,
        intake_http,
        jobs_http,
        measuring_http,
        portal_http,
        reading_http,
        release_http,
    ):
        app.include_router(module.router)
    _watch(app, rooms)
    return app


def people_listener(settings: NodeSettings) -> Listener:
    """Make the listener for browsers; bound before the fork it keeps its port while the http process restarts."""
    http = settings.http
    tls = TlsFiles(http.certificate, http.key) if http.certificate and http.key else None
    return Listener(FastAPI(), http.host, http.port, tls, name="people")


def run_http(settings: NodeSettings, people: Listener) -> None:
    """Be the http process."""
    people.app = build_app(Rooms(settings))
    serve_http([people], mark_ready)


def run_worker(settings: NodeSettings) -> None:
    """Be the worker process: intake, jobs and the outgoing line."""
    stop = stopping()
    rooms = Rooms(settings)
    queue = DbosJobQueue(settings.system_database, "worker", QUEUES)
    queue.register("site_job", lambda job_id, _payload: rooms.jobs.run(job_id))

    def enqueue_pending() -> None:
        for job in rooms.jobs.pending():
            queue_name = QUICK if job.offer.kind in QUICK_KINDS else HEAVY
            queue.enqueue("site_job", job.offer.job_id, {}, queue_name)

    line = Line(
        rooms.database,
        rooms.identity,
        rooms.outbox,
        rooms.audit,
        {
            "study.offer": rooms.approvals.receive_offer,
            "study.state": rooms.approvals.receive_state,
            "job.offer": rooms.jobs.receive,
            "job.cancel": rooms.jobs.receive_cancel,
            "audit.anchor.central": lambda connection, anchor: _keep_anchor(connection, rooms.audit, anchor),
        },
        settings.artifacts_folder,
        enqueue_pending,
    )
    register_handlers(rooms, line)
    queue.launch()
    loop = rooms.ingest_loop()
    ingest = threading.Thread(target=loop.run, args=(stop,), name="ingest", daemon=True)
    ingest.start()
    line.start()
    mark_ready()
    next_beat = 0.0
    waited_s = 0.0
    while not stop.wait(LOOK_FOR_JOBS_S):
        waited_s += LOOK_FOR_JOBS_S
        try:
            enqueue_pending()
            if waited_s >= next_beat:
                with rooms.database.begin() as connection:
                    rooms.gate.announce(connection, "heartbeat", rooms.heartbeat())
                next_beat = waited_s + settings.heartbeat_s
        except RacoonError as error:
            _log.warning("the worker waits", extra={"code": error.error_code})
    line.stop()
    ingest.join(5)
    queue.shutdown()


def _keep_anchor(connection: sa.Connection, audit: AuditLog, anchor: Any) -> None:
    """Keep the head of CENTRAL's audit chain in ours: neither side can rewrite its past unseen."""
    audit.append(
        connection,
        actor="CENTRAL",
        actor_role="central",
        action="audit.anchor",
        target="audit/central",
        details={"sequence": anchor.sequence, "hash": anchor.hash},
    )


def _watch(app: FastAPI, rooms: Rooms) -> None:
    """Register health checks and gauges."""

    def database_answers() -> None:
        with rooms.database.connect() as connection:
            connection.execute(sa.text("SELECT 1"))

    app.state.health.register("database", database_answers)

    def seconds_since_contact() -> float:
        with rooms.database.connect() as connection:
            contact = last_contact(connection)
        return (clock.now() - contact).total_seconds() if contact else float("inf")

    app.state.metrics.gauge(
        "racoon_central_contact_age_seconds", "Seconds since CENTRAL last answered", seconds_since_contact
    )
    app.state.metrics.gauge(
        "racoon_intake_waiting_objects",
        "Received objects not yet processed",
        lambda: rooms.intake.status(1).waiting,
    )

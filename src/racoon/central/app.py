"""The composition root of CENTRAL: the only file that plugs in routes and workers, and starts the
processes.
"""

from __future__ import annotations

import functools
import logging
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, FastAPI, Request

from racoon import __version__
from racoon.central.administration import load_central_settings, make_first_account, open_database
from racoon.central.analyses import http as analyses_http
from racoon.central.analyses.worker import Comparisons, FederatedModel
from racoon.central.analysing import http as analysing_http
from racoon.central.analysing import worker as analysing_worker
from racoon.central.cohorts import http as cohorts_http
from racoon.central.cohorts import pages as cohorts_pages
from racoon.central.composition import Central, build, load_authority
from racoon.central.learning.service import Training
from racoon.central.library import http as library_http
from racoon.central.monitoring import http as monitoring_http
from racoon.central.monitoring import worker as monitoring_worker
from racoon.central.orchestration import http as orchestration_http
from racoon.central.orchestration import worker as orchestration_worker
from racoon.central.portal import http as portal_http
from racoon.central.portal.views import Rooms
from racoon.central.relay import engine_door
from racoon.central.relay import http as relay_http
from racoon.central.relay import worker as relay_worker
from racoon.central.results import http as results_http
from racoon.central.settings import CentralSettings
from racoon.central.sites import http as sites_http
from racoon.central.studies import http as studies_http
from racoon.central.studies import worker as studies_worker
from racoon.central.withdrawals import http as withdrawals_http
from racoon.domain.plan import TrainingPlan
from racoon.errors import Refused, Unavailable
from racoon.learning.flare.central_side import FlareEngine
from racoon.platform import clock
from racoon.platform.auth import install_accounts
from racoon.platform.auth.oidc import install_providers
from racoon.platform.certificates import TlsFiles, remaining_days
from racoon.platform.http import Listener, create_app, peer_certificate
from racoon.platform.http import serve as serve_http
from racoon.platform.logs import configure_logging
from racoon.platform.supervise import Supervisor, mark_ready, stopping
from racoon.protocol.exchange import MAX_BODY_BYTES, EngineMembership

SESSION_COOKIE = "racoon_central"

TICK_S = 0.2
"""How often the worker looks what to do next: bounds the pause between two steps of a comparison."""

UPKEEP_S = 3600.0
"""How often old messages are forgotten and audit anchors sent."""

LOW_DISK_BYTES = 500 * 2**20
"""Below it CENTRAL says that it is not ready, before a write fails."""

SERVER_RENEWAL_DAYS = 30.0

_log = logging.getLogger(__name__)


# ------------------------------------------------------------------------------------------------------
# applications


def people_app(central: Central) -> FastAPI:
    """Make the application of people's listener: pages and JSON API."""
    uploads = dict.fromkeys(("/library", "/api/library"), library_http.MAXIMUM_UPLOAD)
    app = create_app("RACOON CENTRAL", __version__, login_path="/login", body_limits=uploads)
    install_accounts(
        app,
        "central",
        central.database,
        audit=central.audit,
        cookie=SESSION_COOKIE,
        second_factor=central.settings.people.second_factor,
    )
    install_providers(app, central.settings.oidc, base_url=central.settings.people_url)
    summaries = {
        "count": central.cohorts.feasibility,
        "measure": central.results.measuring_summary,
    }
    for routes in (
        sites_http.people_routes(central.database, central.sites),
        studies_http.routes(central.database, central.studies, central.amendments),
        orchestration_http.people_routes(central.database, central.runs, summaries),
        cohorts_http.routes(central.database, central.cohorts),
        analyses_http.routes(central.database, central.cohorts, central.analyses),
        analysing_http.routes(central.database, central.analysis_runs),
        results_http.routes(central.database, central.results),
        withdrawals_http.routes(central.database, central.withdrawals),
        relay_http.people_routes(central.database, central.relay),
        library_http.routes(central.database, central.library),
        monitoring_http.routes(
            central.database, central.sites, central.mail, central.runs, central.monitoring
        ),
    ):
        app.include_router(routes)
    portal_http.install_pages(
        app,
        Rooms(
            database=central.database,
            audit=central.audit,
            network=central.settings.network,
            language=central.settings.language,
            sites=central.sites,
            studies=central.studies,
            amendments=central.amendments,
            runs=central.runs,
            cohorts=central.cohorts,
            analyses=central.analyses,
            analysis_runs=central.analysis_runs,
            results=central.results,
            monitoring=central.monitoring,
            onboardings=central.onboardings,
            has_public_page=central.settings.people.public_page,
        ),
    )
    app.include_router(analysing_http.pages(central.database, central.analysis_runs, central.monitoring))
    app.include_router(cohorts_pages.pages(central.database, central.cohorts))
    app.include_router(library_http.pages(central.database, central.library))
    _register_health(app, central)
    if central.engine_door is not None:
        engine_door.register_metrics(app, central.engine_door)
    return app


def nodes_app(central: Central) -> FastAPI:
    """Make the application of the nodes' listener: every route needs the certificate of an enrolled site."""
    limit = central.settings.artifact_limit_mb * 2**20
    app = create_app(
        "RACOON CENTRAL, nodes",
        __version__,
        body_limits={
            "/node/v1/messages": MAX_BODY_BYTES,
            "/node/v1/parcels/": MAX_BODY_BYTES,
            "/node/v1/artifacts/": limit,
        },
    )

    def authenticate(request: Request) -> None:
        with central.database.connect() as connection:
            request.state.site = central.sites.authenticate(connection, peer_certificate(request))

    guarded = APIRouter(dependencies=[Depends(authenticate)])
    for routes in (
        sites_http.node_routes(central.database, central.sites),
        orchestration_http.node_routes(
            central.database,
            central.sites,
            central.mail,
            central.artifacts,
            long_poll_s=central.settings.long_poll_s,
        ),
        analyses_http.node_routes(central.database, central.audit, engine_signer(central.settings)),
        library_http.node_routes(central.database, central.library),
        relay_http.node_routes(central.database, central.relay),
        engine_door.node_routes(central.engine_door),
    ):
        guarded.include_router(routes)
    app.include_router(guarded)
    _register_health(app, central)
    return app


def _register_health(app: FastAPI, central: Central) -> None:
    def check_database() -> None:
        with central.database.connect() as connection:
            central.audit.head(connection)

    def check_disk() -> None:
        if shutil.disk_usage(central.settings.data_directory).free < LOW_DISK_BYTES:
            raise Unavailable("The disk is almost full. Free some space.", code="storage.low")

    app.state.health.register("database", check_database)
    app.state.health.register("disk", check_disk)


# ------------------------------------------------------------------------------------------------------
# training engine


def engine_signer(settings: CentralSettings) -> Callable[[str, str], EngineMembership]:
    """Return the function that signs a site's request for the training engine."""

    def sign(site: str, request_pem: str) -> EngineMembership:
        identity = _training_of(settings).sign_site(site, request_pem)
        return EngineMembership(
            certificate_pem=identity.certificate_pem,
            authority_pem=identity.authority_pem,
            identity=identity.address.identity,
            signer=identity.signer,
        )

    return sign


def _training_of(settings: CentralSettings) -> Training:
    if not settings.engine.enabled:
        raise Refused(
            "This CENTRAL runs no training engine (engine.enabled = false).", code="learning.disabled"
        )
    return _open_training(settings.data_directory / "engine", settings.engine.port)


@functools.cache
def _open_training(folder: Path, port: int) -> Training:
    # One engine per process: several trainings share its server.
    return Training(FlareEngine(folder, "127.0.0.1", port), folder / "runs")


def federated_training(settings: CentralSettings) -> Callable[..., FederatedModel]:
    """Return the adapter from a comparison's federated step to the training engine."""

    def train(
        run_id: str,
        plan: TrainingPlan,
        sites: Sequence[str],
        _min_sites: int,
        is_wanted: Callable[[], bool],
        on_rounds: Callable[[Sequence[Mapping[str, Any]]], None],
    ) -> FederatedModel:
        result = _training_of(settings).run_federated(
            run_id, plan, sites, on_rounds=on_rounds, is_cancelled=lambda: not is_wanted()
        )
        return FederatedModel(result.weights.read_bytes(), result.rounds)

    return train


# ------------------------------------------------------------------------------------------------------
# processes


def serve(config_path: Path | None, only: Literal["http", "worker"] | None = None) -> int:
    """Run CENTRAL's process tree until it is stopped.

    Parameters
    ----------
    config_path
        TOML file.
    only
        One part of the tree, to spread the load over several hosts.

    Returns
    -------
    int
        Exit code: 0 after a clean stop, 78 for a wrong configuration.
    """
    settings = load_central_settings(config_path)
    logs = settings.data_directory / "logs" / "central.jsonl"
    configure_logging("central", logs, settings.log_level)
    database = open_database(settings)
    central = build(settings, database)
    make_first_account(central)
    children: dict[str, Callable[[], None]] = {}
    if only in (None, "http"):
        listeners = _listeners(central)
        for listener in listeners:
            listener.bind()
        children["http"] = lambda: serve_http(listeners, mark_ready)
    if only in (None, "worker"):
        children["worker"] = lambda: work(central)
    database.dispose()
    supervisor = Supervisor(
        "central",
        children,
        settings.data_directory / "run",
        prepare=lambda child: configure_logging(f"central.{child}", logs, settings.log_level),
    )
    return supervisor.run()


def work(central: Central) -> None:
    """Be the worker: carry on what waits, end what is overdue, look after what ages."""
    stop = stopping()
    engine = federated_training(central.settings) if central.settings.engine.enabled else None
    comparisons = Comparisons(central.database, central.analyses, engine)
    retention = timedelta(days=central.settings.retention_days)
    often: Sequence[Callable[[], None]] = (
        lambda: orchestration_worker.end_overdue(central.database, central.runs),
        comparisons.tick,
        lambda: analysing_worker.drive(central.database, central.analysis_runs),
    )
    seldom: Sequence[Callable[[], None]] = (
        lambda: orchestration_worker.prune(central.database, central.mail, retention),
        lambda: relay_worker.prune(
            central.database, central.relay, timedelta(days=central.settings.parcel_days)
        ),
        lambda: monitoring_worker.prune(central.database, central.monitoring, retention),
        lambda: studies_worker.watch(central.database, central.watch),
        lambda: monitoring_worker.send_anchors(central.database, central.monitoring),
        lambda: _renew_server_certificate(central),
    )
    next_upkeep = clock.now() + timedelta(seconds=UPKEEP_S / 60)
    mark_ready()
    while not stop.wait(TICK_S):
        _run_all(often)
        if clock.now() >= next_upkeep:
            next_upkeep = clock.now() + timedelta(seconds=UPKEEP_S)
            _run_all(seldom)
    comparisons.stop()


def _run_all(steps: Iterable[Callable[[], None]]) -> None:
    for step in steps:
        try:
            step()
        except Unavailable as error:
            _log.warning("worker step postponed", extra={"code": error.error_code})
        except Exception:  # noqa: BLE001 -- one step that fails must not keep the others from their work
            _log.exception("worker step failed")


def _listeners(central: Central) -> list[Listener]:
    people, nodes = central.settings.people, central.settings.nodes
    tls = (
        TlsFiles(people.tls_certificate, people.tls_key)
        if people.tls_certificate and people.tls_key
        else None
    )
    return [
        Listener(people_app(central), people.host, people.port, tls, name="people"),
        Listener(
            nodes_app(central),
            nodes.host,
            nodes.port,
            _issue_server_certificate(central),
            client_certificate=True,
            name="nodes",
        ),
    ]


def _issue_server_certificate(central: Central) -> TlsFiles:
    settings = central.settings
    names = [
        urlsplit(settings.nodes_url).hostname or "localhost",
        *settings.nodes.server_names,
        settings.nodes.host,
    ]
    authority = load_authority(settings)
    return authority.issue_server(central.keys / "server", list(dict.fromkeys(names)))


def _renew_server_certificate(central: Central) -> None:
    if remaining_days(central.keys / "server" / "server.pem") < SERVER_RENEWAL_DAYS:
        _issue_server_certificate(central)

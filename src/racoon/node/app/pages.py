"""The http process: pages and API for people at the site, every room's routes plugged in."""

from __future__ import annotations

from functools import partial

import sqlalchemy as sa
from fastapi import FastAPI

from racoon import __version__
from racoon.node.analysing import http as analysing_http
from racoon.node.app.messages import open_desk
from racoon.node.app.neighbours import open_neighbours
from racoon.node.app.permission import usable_series
from racoon.node.app.pooling import open_pooling
from racoon.node.app.reviewing import open_review
from racoon.node.app.rooms import Rooms, open_pseudonyms
from racoon.node.app.tables import open_tables
from racoon.node.approvals import http as approvals_http
from racoon.node.archive import http as archive_http
from racoon.node.archive.derived import DerivedObjects, made_here
from racoon.node.clinical import http as clinical_http
from racoon.node.clinical import matching_pages, outgoing_pages, source_pages, table_pages
from racoon.node.clinical.hl7 import pages as message_pages
from racoon.node.clinical.neighbours import pages as neighbour_pages
from racoon.node.clinical.uploads import LARGEST_BYTES
from racoon.node.compute.failures import pictures_of
from racoon.node.compute.limits import TrainingLimits
from racoon.node.consent import http as consent_http
from racoon.node.consent import pages as consent_pages
from racoon.node.consent.looking import status as consent_status
from racoon.node.curation import http as curation_http
from racoon.node.curation.gallery import Gallery
from racoon.node.intake import http as intake_http
from racoon.node.jobs import http as jobs_http
from racoon.node.link.service import last_contact
from racoon.node.measuring import http as measuring_http
from racoon.node.pooling import http as pooling_http
from racoon.node.portal import http as portal_http
from racoon.node.pseudonyms import http as pseudonyms_http
from racoon.node.pseudonyms.model import is_pseudonym
from racoon.node.pseudonyms.requests import Reidentifications
from racoon.node.reading import http as reading_http
from racoon.node.reading.reports.asking import Answers
from racoon.node.release import http as release_http
from racoon.node.settings import NodeSettings
from racoon.platform import clock
from racoon.platform.auth import install_accounts
from racoon.platform.auth.oidc import install_providers
from racoon.platform.http import Listener, create_app
from racoon.platform.http import serve as serve_http
from racoon.platform.supervise import mark_ready
from racoon.web.accounts import router as accounts_pages
from racoon.web.pages import NavigationItem, Site, install_pages

NAVIGATION = (
    NavigationItem("/", "Today", "overview.read"),
    NavigationItem("/studies", "Studies", "study.read"),
    NavigationItem("/reading/worklist", "Worklist", "report.write"),
    NavigationItem("/reading/lists", "Reading lists", "reading.assign"),
    NavigationItem("/reading/templates", "Report templates", "template.read"),
    NavigationItem("/archive", "Archive", "archive.read"),
    NavigationItem("/gallery", "Gallery", "archive.read"),
    NavigationItem("/consent", "Consent", "consent.read"),
    NavigationItem("/deletions", "Deletions", "image.delete.confirm"),
    NavigationItem("/values", "Values", "measurement.read"),
    NavigationItem("/intake", "Intake", "intake.read"),
    NavigationItem("/jobs", "Jobs", "job.read"),
    NavigationItem("/releases", "Releases", "release.read"),
    NavigationItem("/reviews", "Reviews", "release.read"),
    NavigationItem("/pool", "Pool", "pool.read"),
    NavigationItem("/reidentifications", "Re-identification", "subject.reidentify"),
    NavigationItem("/audit", "Audit", "audit.read"),
    NavigationItem("/accounts", "Accounts", "account.manage"),
    NavigationItem("/confirmations", "Confirm accounts", "account.confirm"),
)


LARGEST_UPLOAD_BYTES = 64 << 30
"""A whole examination in one request; each object in it has its own limit, and none is held together."""


def run_http(settings: NodeSettings, people: Listener) -> None:
    """Be the http process."""
    people.app = build_app(Rooms(settings))
    serve_http([people], mark_ready)


def build_app(rooms: Rooms) -> FastAPI:
    """Build the application of pages and API for people at the site."""
    app = create_app(
        f"RACOON node {rooms.settings.site}",
        __version__,
        login_path="/login",
        body_limits={
            **dict.fromkeys(("/dicom-web/studies", "/dicom-web/derived/studies"), LARGEST_UPLOAD_BYTES),
            **dict.fromkeys((table_pages.router.prefix, neighbour_pages.router.prefix), LARGEST_BYTES),
        },
    )
    app.state.settings = rooms.settings
    app.state.database = rooms.database
    app.state.audit = rooms.audit
    app.state.approvals = rooms.approvals
    app.state.archive = rooms.archive
    app.state.consent = rooms.consent
    app.state.consent_status = consent_status
    app.state.is_pseudonym = is_pseudonym
    app.state.image_grants = rooms.image_access
    app.state.image_access = rooms.image_access if rooms.settings.archive.readers == "granted" else None
    app.state.series_of_study = rooms.series_of_study
    app.state.study_choices = rooms.study_choices
    app.state.thumbnails = rooms.thumbnails
    app.state.usable_series = usable_series(rooms.consent)
    app.state.answers = Answers(rooms.database, rooms.audit, rooms.consent.condition)
    app.state.gallery = Gallery(
        rooms.database, rooms.audit, rooms.archive, rooms.consent.condition, app.state.image_access
    )
    app.state.deletions = rooms.deletions
    app.state.reidentifications = Reidentifications(
        rooms.database, rooms.audit, lambda: open_pseudonyms(rooms.settings)
    )
    app.state.derived = rooms.derived_objects()
    app.state.own_objects = DerivedObjects(rooms.archive, made_here, rooms.audit)
    app.state.intake = rooms.intake
    app.state.jobs = rooms.jobs
    app.state.training_limits = TrainingLimits(rooms.audit)
    app.state.pictures_of = partial(pictures_of, rooms.settings.data_directory / "compute")
    app.state.pull = rooms.pull
    app.state.release = rooms.gate
    app.state.pooling = open_pooling(rooms)
    app.state.peers = rooms.peers
    app.state.people = rooms.people
    app.state.fhir = rooms.fhir
    app.state.messages = open_desk(rooms.settings, rooms.database, rooms.audit)
    app.state.neighbours = open_neighbours(rooms.settings, rooms.database, rooms.audit, rooms.consent)
    app.state.tables = open_tables(rooms.settings, rooms.database, rooms.audit)
    app.state.review = open_review(rooms.settings, rooms.database, rooms.audit)
    app.state.last_contact = last_contact
    app.state.certificate_expires_at = lambda: rooms.identity.expires_at
    install_accounts(
        app,
        "node",
        rooms.database,
        audit=rooms.audit,
        cookie=f"racoon_{rooms.settings.site.lower()}",
        second_factor=rooms.settings.http.second_factor,
    )
    install_providers(
        app, rooms.settings.oidc, base_url=rooms.settings.http.address, site=rooms.settings.site
    )
    install_pages(app, site=Site(rooms.settings.site, rooms.settings.display_name), navigation=NAVIGATION)
    for module in (
        # Viewers ask this one hundreds of times a minute, and routes are tried in this order.
        archive_http,
        analysing_http,
        approvals_http,
        clinical_http,
        consent_http,
        curation_http,
        intake_http,
        jobs_http,
        measuring_http,
        pooling_http,
        portal_http,
        pseudonyms_http,
        reading_http,
        release_http,
    ):
        app.include_router(module.router)
    app.include_router(accounts_pages)
    app.include_router(consent_pages.router)
    app.include_router(intake_http.dicomweb)
    app.include_router(intake_http.pages)
    app.include_router(message_pages.router)
    app.include_router(pooling_http.pages)
    app.include_router(source_pages.router)
    app.include_router(table_pages.router)
    app.include_router(neighbour_pages.router)
    app.include_router(matching_pages.router)
    app.include_router(outgoing_pages.router)
    _watch(app, rooms)
    return app


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
    app.state.metrics.gauge(
        "racoon_hl7_messages", "HL7 messages that are not finished", app.state.messages.open_counts
    )

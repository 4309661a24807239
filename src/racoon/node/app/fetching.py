"""Fetching the clinical course from the DIZ, put together from the settings: for the command line and the worker."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from racoon.errors import RacoonError, Refused
from racoon.node.app.administration import prepare
from racoon.node.app.clinic import open_importer
from racoon.node.app.operation import OPERATOR, person
from racoon.node.app.permission import open_consent, take_consents
from racoon.node.app.rooms import open_pseudonyms
from racoon.node.app.trusting import open_service
from racoon.node.clinical import sources
from racoon.node.clinical.calling import BREAK_S
from racoon.node.clinical.fetching import Fetcher, Wish
from racoon.node.intake.pull.service import only_one
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.node.settings import NodeSettings, load_node_settings
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database

_log = logging.getLogger(__name__)

DIZ = "diz"
WORKER, ROLE = "fetch", "system"

Progress = Callable[[str, int], None]


class NotConfigured(Refused):
    """The settings name no server, or somebody fetches already."""

    code: ClassVar[str] = "clinical.fetch_not_configured"


def fetch(config: Path, *, progress: Progress | None = None) -> dict[str, Any]:
    """Fetch what is new, from the command line.

    Raises
    ------
    NotConfigured
        If no server is named, or the worker fetches.
    RacoonError
        As :meth:`racoon.node.clinical.fetching.Fetcher.run`.
    """
    settings = load_node_settings(config)
    prepare(settings)
    database, names = Database(settings.database), open_pseudonyms(settings)
    try:
        return run_once(settings, database, names, person(), OPERATOR, progress=progress)
    finally:
        names.close()
        database.dispose()


def run_once(
    settings: NodeSettings,
    database: Database,
    names: Pseudonymiser,
    actor: str,
    role: str,
    *,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> dict[str, Any]:
    """Fetch once; how it ended is kept for the page, and consents that came take effect."""
    options = settings.diz
    if not options.url:
        raise NotConfigured("No server is named. Set diz.url to the root of the DIZ's FHIR server.")
    audit = AuditLog("node")
    with only_one(settings.data_directory / "fetch") as is_only:
        if not is_only:
            raise NotConfigured("Somebody is fetching already; the page of clinical sources shows how far.")
        fetcher = Fetcher(
            open_service("The FHIR server of the DIZ", options),
            database,
            open_importer(settings, database, names),
            stop.wait if stop is not None else None,
        )
        wish = Wish(options.types, options.filters, options.method, options.page)
        try:
            facts = fetcher.run(wish, progress=progress)
        except RacoonError as error:
            with database.begin() as connection:
                sources.note_problem(connection, DIZ, options.method, error)
            raise
        counts = {
            name: facts[name] for name in ("read", "stored", "unchanged", "refused", "left_out", "removed")
        }
        with database.begin() as connection:
            sources.note_success(connection, DIZ, options.method, counts)
            audit.append(
                connection,
                actor=actor,
                actor_role=role,
                action="clinical.import",
                target="clinical/diz",
                details=counts,
            )
        if settings.trust.consent.kind == "embedded":
            consent = open_consent(settings, database, audit, names=names)
            with database.begin() as connection:
                facts["consents"] = take_consents(connection, consent, actor, role)
    return facts


def run_in_background(
    settings: NodeSettings, database: Database, names: Pseudonymiser, stop: threading.Event
) -> None:
    """Start fetching in a thread, where the site says how often."""
    if not (settings.diz.url and settings.diz.every_hours):
        return

    def run() -> None:
        while not stop.is_set():
            pause_s = settings.diz.every_hours * 3600
            try:
                run_once(settings, database, names, WORKER, ROLE, stop=stop)
            except RacoonError as error:
                # What was fetched stays; the next try goes on from there.
                pause_s = min(pause_s, 10 * BREAK_S)
                _log.warning("fetching from the DIZ waits", extra={"code": error.error_code})
            stop.wait(pause_s)

    threading.Thread(target=run, name="fetch", daemon=True).start()

"""Doubtful identities in the node's processes: looked for by the worker, decided on a page."""

from __future__ import annotations

import logging
import threading

from racoon.errors import RacoonError
from racoon.node.app.messages import open_merger
from racoon.node.app.rooms import open_pseudonyms
from racoon.node.clinical.reviewing import Review, look_for_doubts
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.node.settings import NodeSettings
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database

_log = logging.getLogger(__name__)

PAUSE_S = 10.0


def open_review(settings: NodeSettings, database: Database, audit: AuditLog) -> Review:
    """Make what the page shows and decides."""
    return Review(
        database,
        audit,
        lambda: open_pseudonyms(settings),
        lambda names: open_merger(settings, database, audit, names),
        compares_names=settings.trust.identity.compare_names,
    )


def look_in_background(
    settings: NodeSettings, database: Database, names: Pseudonymiser, stop: threading.Event
) -> None:
    """Start to compare what is said of patients, where the site wants it."""

    def run() -> None:
        while not stop.wait(PAUSE_S):
            try:
                look_for_doubts(database, names)
            except RacoonError as error:
                _log.warning("doubtful identities wait", extra={"code": error.error_code})

    if settings.trust.identity.compare_names:
        threading.Thread(target=run, name="doubts", daemon=True).start()

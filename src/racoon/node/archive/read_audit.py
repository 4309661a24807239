"""Audits who looked at whose images: one entry per user and series in ten minutes, not one per slice."""

from __future__ import annotations

import threading
from collections import OrderedDict
from time import monotonic

from starlette.requests import Request

from racoon.platform.audit import AuditLog
from racoon.platform.auth import User
from racoon.platform.database import Database

INTERVAL_S = 600.0
"""A reader scrolls through hundreds of slices; what matters is that he opened the series, and for how
long."""

REMEMBERED = 10_000


class ImageReadAudit:
    """Writes ``image.read`` entries.

    Parameters
    ----------
    database, audit
        Where the entries go.
    """

    def __init__(self, database: Database, audit: AuditLog) -> None:
        self._database = database
        self._audit = audit
        self._lock = threading.Lock()
        self._written: OrderedDict[tuple[str, str], float] = OrderedDict()

    def record(self, user: User, series_uid: str, pseudonym: str, client: str | None) -> None:
        """Record that a user reads a series, unless that was recorded within the last ten minutes.

        The entry is committed before the image is given out: an image that cannot be audited is not shown.
        """
        key = (user.name, series_uid)
        with self._lock:
            last = self._written.get(key)
            if last is not None and monotonic() - last < INTERVAL_S:
                return
            with self._database.begin() as connection:
                self._audit.append(
                    connection,
                    actor=user.name,
                    actor_role=user.main_role,
                    action="image.read",
                    target=f"series/{series_uid}",
                    client=client,
                    details={"pseudonym": pseudonym},
                )
            self._written[key] = monotonic()
            self._written.move_to_end(key)
            while len(self._written) > REMEMBERED:
                self._written.popitem(last=False)


def record_image_read(request: Request, user: User, series_uid: str, pseudonym: str) -> None:
    """Record that the user of a request reads a series; the application needs ``database`` and ``audit``."""
    state = request.app.state
    found: ImageReadAudit | None = getattr(state, "image_read_audit", None)
    if found is None:
        found = state.image_read_audit = ImageReadAudit(state.database, state.audit)
    found.record(user, series_uid, pseudonym, request.client.host if request.client else None)

"""Who may read: names to choose from, and whether somebody may be given a case."""

from __future__ import annotations

from fastapi import Request

from racoon.domain.permission import is_permitted
from racoon.node.reading.http._rooms import may_see
from racoon.node.reading.work.model import BadAssignment
from racoon.platform.auth import AccountStore, User


def _people(request: Request) -> dict[str, User]:
    accounts: AccountStore = request.app.state.accounts
    return {
        item.user.name: item.user
        for item in accounts.accounts(request.app.state.database)
        if not item.is_disabled and is_permitted("node", item.user.roles, "report.write")
    }


def readers_of(request: Request) -> list[str]:
    """Name the people who may write reports."""
    return sorted(_people(request))


def require_reader(request: Request, name: str, imaging_study_uid: str = "") -> None:
    """Refuse to give work to somebody who may not read, or may not see the images.

    Raises
    ------
    BadAssignment
    """
    person = _people(request).get(name)
    if person is None:
        raise BadAssignment("A reader is somebody whose account has the role of a reader.")
    if imaging_study_uid and not may_see(request, person, imaging_study_uid):
        raise BadAssignment("This person was not let into the images of the case.")

"""Who may read: names to choose from, and whether somebody may be given a case."""

from __future__ import annotations

from fastapi import Request

from racoon.domain.permission import is_permitted
from racoon.node.reading.http._rooms import may_see, practice_of
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


def require_calibrated(request: Request, calibration: str, name: str) -> None:
    """Refuse a study's case to a reader who has not passed the calibration that its protocol asks for.

    Parameters
    ----------
    calibration
        Name of the reference set, empty where the protocol asks for none.

    Raises
    ------
    BadAssignment
    """
    if calibration and not practice_of(request).may_read(calibration, name):
        raise BadAssignment("A reader has not passed the calibration that the protocol asks for.")


def require_no_practice(request: Request, name: str, imaging_study_uid: str) -> None:
    """Refuse to give a case to somebody who reads it against a reference just now.

    Raises
    ------
    BadAssignment
    """
    if practice_of(request).open_attempt(name, imaging_study_uid):
        raise BadAssignment("A reader has this case in an open attempt at a reference set.")

"""Routes of withdrawals."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from racoon.central.withdrawals.service import Withdrawals
from racoon.platform.auth import User, require
from racoon.platform.database import Database


def routes(database: Database, withdrawals: Withdrawals) -> APIRouter:
    """Make the routes of people's listener."""
    routes = APIRouter(tags=["withdrawals"])

    @routes.get("/api/studies/{study_id}/withdrawals")
    def show_withdrawals(
        study_id: str, _user: Annotated[User, Depends(require("run.read"))]
    ) -> dict[str, Any]:
        """Say how many subjects of a study withdrew, and which of its trainings used their data."""
        with database.connect() as connection:
            return withdrawals.of_study(connection, study_id)

    return routes

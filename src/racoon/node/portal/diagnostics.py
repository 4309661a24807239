"""The diagnostics bundle from the browser: what somebody elsewhere needs to help, and nothing of any person."""

from __future__ import annotations

import io
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from racoon.node.settings import NodeSettings
from racoon.platform.auth import User, require
from racoon.platform.database import Database
from racoon.platform.diagnosis.bundle import write_bundle

router = APIRouter(include_in_schema=False)


@router.get("/diagnostics.zip")
def make_diagnostics(
    request: Request, user: Annotated[User, Depends(require("diagnostics.read"))]
) -> Response:
    """Make a diagnostics bundle."""
    state = request.app.state
    settings: NodeSettings = state.settings
    with state.database.begin() as connection:
        state.audit.append(
            connection,
            actor=user.name,
            actor_role=user.main_role,
            action="diagnostics.make",
            target="site/diagnostics",
        )
    written = io.BytesIO()
    write_bundle(
        written,
        findings=[],
        settings=settings.model_dump(mode="json", exclude_unset=True),
        data_folder=settings.data_directory,
        database=Database(settings.database),
    )
    return Response(
        written.getvalue(),
        media_type="application/zip",
        headers={
            "Content-Disposition": f'attachment; filename="racoon-{settings.site.lower()}-diagnostics.zip"',
            "Cache-Control": "private, no-store",
        },
    )

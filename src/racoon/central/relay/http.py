"""Routes of the relay: closed parcels in pieces, and what was carried for a study."""

from __future__ import annotations

import contextlib
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, Response
from starlette.requests import ClientDisconnect

from racoon.central.relay.service import Relay
from racoon.platform.auth import User, require
from racoon.platform.database import Database
from racoon.protocol.exchange import ParcelOffer, ParcelState

Digest = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]


def node_routes(database: Database, relay: Relay) -> APIRouter:
    """Make the routes of the nodes' listener."""
    routes = APIRouter(prefix="/node/v1/parcels", tags=["relay"])

    @routes.post("")
    def open_parcel(body: ParcelOffer, request: Request) -> ParcelState:
        """Announce a parcel, or ask how far it came after a cut."""
        with database.begin() as connection:
            return relay.open_parcel(connection, request.state.site.code, body)

    @routes.put("/{sha256}")
    async def append(sha256: Digest, request: Request, offset: Annotated[int, Query(ge=0)]) -> ParcelState:
        """Take the next bytes of a parcel; what arrived before a cut is kept."""
        site = request.state.site.code

        def find() -> Any:
            with database.connect() as connection:
                return relay.sent_parcel(connection, sha256, site)

        row = await run_in_threadpool(find)
        state = ParcelState(offset=offset, is_whole=False)
        # Cut on the way: nobody is there to hear an answer, and what came is on disk.
        with contextlib.suppress(ClientDisconnect):
            state = await relay.append(row, offset, request.stream())
        if state.is_whole:

            def finish() -> None:
                with database.begin() as connection:
                    relay.finish(connection, sha256)

            await run_in_threadpool(finish)
        return state

    @routes.get("/{sha256}")
    def fetch(sha256: Digest, request: Request) -> FileResponse:
        """Send a parcel to its recipient; a range of bytes goes on after a cut."""
        with database.connect() as connection:
            path = relay.path_for(connection, sha256, request.state.site.code)
        return FileResponse(path, media_type="application/octet-stream")

    @routes.delete("/{sha256}", status_code=204)
    def forget(sha256: Digest, request: Request) -> Response:
        """Delete a parcel that its recipient has, or that its sender takes back."""
        with database.begin() as connection:
            relay.forget(connection, sha256, request.state.site.code)
        return Response(status_code=204)

    return routes


def people_routes(database: Database, relay: Relay) -> APIRouter:
    """Make the routes of people's listener."""
    routes = APIRouter(tags=["relay"])

    @routes.get("/api/studies/{study_id}/parcels")
    def show_traffic(
        study_id: str, _user: Annotated[User, Depends(require("run.read"))]
    ) -> list[dict[str, Any]]:
        """Say how many closed parcels CENTRAL carried for a study, from whom to whom; nobody here can open one."""
        with database.connect() as connection:
            return relay.traffic(connection, study_id)

    return routes

"""Routes of the library: people's API and page, and what nodes ask."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, Request, UploadFile
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import RedirectResponse, Response

from racoon.central.access import actor_role
from racoon.central.library.model import Entry, site_metrics
from racoon.central.library.service import Library
from racoon.errors import RacoonError
from racoon.platform.auth import User, require
from racoon.platform.database import Database
from racoon.protocol.library import LibraryList
from racoon.web.pages import render

MAXIMUM_UPLOAD = 512 * 2**20
"""Largest package file; the networks of the registry stay far below."""


class ModelView(BaseModel):
    """A model as people see it."""

    hash: str
    name: str
    version: str
    study_id: str
    signer: str
    size: int
    state: str
    offered_by: str
    offered_at: datetime
    decided_by: str
    decided_at: datetime | None
    reason: str
    architecture: str
    intended_use: str
    licence: str
    use: str
    mode: str
    sites: list[str]
    metrics: list[dict[str, Any]]
    trivial: float | None


class Withdrawal(BaseModel):
    """Why a model is taken back."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, Field(min_length=3, max_length=500)]


def view(entry: Entry) -> ModelView:
    """Show an entry with the evidence its card brings."""
    own = {name: getattr(entry, name) for name in ModelView.model_fields if hasattr(entry, name)}
    card = entry.card
    trivial = card["metrics"].get("trivial")
    return ModelView(
        **own,
        architecture=card["architecture"]["name"],
        intended_use=card["intended_use"],
        licence=card["licence"],
        use=card["use"],
        mode=str(card["training"].get("mode", "")),
        sites=[str(site) for site in card["training"].get("sites", ())],
        metrics=site_metrics(card),
        trivial=trivial if isinstance(trivial, int | float) else None,
    )


def routes(database: Database, library: Library) -> APIRouter:
    """Make the routes of people's listener: the API and the page."""
    routes = APIRouter(tags=["library"])

    @routes.get("/api/library")
    def list_models(_user: Annotated[User, Depends(require("model.read"))]) -> list[ModelView]:
        """List all models, also those withdrawn."""
        with database.connect() as connection:
            return [view(entry) for entry in library.entries(connection)]

    @routes.post("/api/library", status_code=201)
    async def offer_model(
        user: Annotated[User, Depends(require("model.offer"))],
        study_id: Annotated[str, Form(max_length=80)],
        package: Annotated[UploadFile, File()],
    ) -> ModelView:
        """Promote a study's model package to the library."""
        data = await package.read(MAXIMUM_UPLOAD)
        with database.begin() as connection:
            role = actor_role(user, "model.offer")
            return view(library.offer(connection, data, study_id, user.name, role))

    @routes.post("/api/library/{digest}/approval")
    def approve_model(digest: str, user: Annotated[User, Depends(require("model.approve"))]) -> ModelView:
        """Let nodes fetch a model; not by who offered it."""
        with database.begin() as connection:
            library.approve(connection, digest, user.name, actor_role(user, "model.approve"))
            return view(library.entry(connection, digest))

    @routes.post("/api/library/{digest}/withdrawal")
    def withdraw_model(
        digest: str, body: Withdrawal, user: Annotated[User, Depends(require("model.approve"))]
    ) -> ModelView:
        """Take a model back."""
        with database.begin() as connection:
            library.withdraw(connection, digest, body.reason, user.name, actor_role(user, "model.approve"))
            return view(library.entry(connection, digest))

    return routes


def pages(database: Database, library: Library) -> APIRouter:
    """Make the routes of the page."""
    routes = APIRouter(include_in_schema=False)

    def show(request: Request, status_code: int = 200, failure: str | None = None) -> Response:
        with database.connect() as connection:
            models = [view(entry) for entry in library.entries(connection)]
        return render(
            request, "central/library.html", status_code=status_code, models=models, failure=failure
        )

    @routes.get("/library")
    def show_library(request: Request, _user: Annotated[User, Depends(require("model.read"))]) -> Response:
        """Show the models with their evidence."""
        return show(request)

    @routes.post("/library")
    async def offer(
        request: Request,
        user: Annotated[User, Depends(require("model.offer"))],
        study_id: Annotated[str, Form(max_length=80)],
        package: Annotated[UploadFile, File()],
    ) -> Response:
        """Promote a study's model."""
        data = await package.read(MAXIMUM_UPLOAD)
        try:
            with database.begin() as connection:
                library.offer(connection, data, study_id, user.name, actor_role(user, "model.offer"))
        except RacoonError as error:
            return show(request, 422, error.public_message)
        return RedirectResponse("/library", status_code=303)

    @routes.post("/library/{digest}/approval")
    def approve(
        digest: str, request: Request, user: Annotated[User, Depends(require("model.approve"))]
    ) -> Response:
        """Approve a model."""
        try:
            with database.begin() as connection:
                library.approve(connection, digest, user.name, actor_role(user, "model.approve"))
        except RacoonError as error:
            return show(request, 422, error.public_message)
        return RedirectResponse("/library", status_code=303)

    @routes.post("/library/{digest}/withdrawal")
    def withdraw(
        digest: str,
        request: Request,
        user: Annotated[User, Depends(require("model.approve"))],
        reason: Annotated[str, Form(max_length=500)] = "",
    ) -> Response:
        """Take a model back."""
        try:
            with database.begin() as connection:
                library.withdraw(connection, digest, reason, user.name, actor_role(user, "model.approve"))
        except RacoonError as error:
            return show(request, 422, error.public_message)
        return RedirectResponse("/library", status_code=303)

    return routes


def node_routes(database: Database, library: Library) -> APIRouter:
    """Make the routes of the nodes' listener."""
    routes = APIRouter(tags=["library"])

    @routes.get("/node/v1/library")
    def list_for_nodes() -> LibraryList:
        """List approved and withdrawn models."""
        with database.connect() as connection:
            return library.for_nodes(connection)

    @routes.get("/node/v1/library/{digest}")
    def download(digest: str) -> FileResponse:
        """Send an approved package."""
        with database.connect() as connection:
            path = library.file_for_nodes(connection, digest)
        return FileResponse(path, media_type="application/octet-stream")

    return routes

"""Routes of studies."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from racoon.central.access import actor_role
from racoon.central.studies.model import Amendment, Study
from racoon.central.studies.service import Amendments, Studies
from racoon.domain.governance.amendment import AMENDMENT_TABLE
from racoon.domain.governance.study import FHIR_STATUS, STUDY_TABLE
from racoon.errors import Refused
from racoon.platform.auth import User, require
from racoon.platform.database import Database

RowVersion = Annotated[int, Field(ge=-1, le=2**31 - 1)]
"""Version of a row, as the database can hold it."""


class StudySummary(BaseModel):
    """A study in a list."""

    study_id: str
    title: str
    state: str
    fhir_status: str
    mode: str
    version: RowVersion
    hash: str
    created_by: str
    created_at: datetime
    changed_at: datetime


class NextStep(BaseModel):
    """A step the table knows from the present state; ``obstacle`` is why it is not possible for you yet."""

    target: str
    roles: list[str]
    artefacts: list[str]
    optional: list[str]
    four_eyes: bool
    obstacle: str | None


class SiteRow(BaseModel):
    """One site of the matrix; ``days`` per state.

    ``can_run`` and ``blocked`` are what the site itself says about running work now; ``last_days`` when which of its
    approvals ends. ``waits_days`` and ``is_overdue`` say how long the site's own decision waits, and whether too long.
    """

    site: str
    state: str
    since: datetime
    public_reason: str
    days: dict[str, float]
    can_run: bool | None = None
    blocked: str = ""
    last_days: dict[str, str] = {}
    reminded_at: datetime | None = None
    waits_days: float | None = None
    is_overdue: bool = False


class AmendmentView(BaseModel):
    """A new version of a study on its way, with the sites that vote on it."""

    number: int
    hash: str
    reason: str
    state: str
    version: RowVersion
    created_by: str
    created_at: datetime
    changed_at: datetime
    next_states: list[str]
    sites: list[SiteRow]


class NewAmendment(BaseModel):
    """A new version of a study to submit, and what changes and why."""

    model_config = ConfigDict(extra="forbid")

    definition: dict[str, Any]
    reason: Annotated[str, Field(max_length=2000)]


class Reminder(BaseModel):
    """A site to remind."""

    model_config = ConfigDict(extra="forbid")

    site: Annotated[str, Field(max_length=16)]


class StudyView(StudySummary):
    """A study with everything people see on its page."""

    definition: dict[str, Any]
    last_actor: str | None
    next_states: list[str]
    next_steps: list[NextStep]
    sites: list[SiteRow]
    history: list[dict[str, Any]]
    versions: list[dict[str, Any]]
    amendments: list[AmendmentView]


class NewStudy(BaseModel):
    """A study to create: the document sites will approve, without a hash yet."""

    model_config = ConfigDict(extra="forbid")

    definition: dict[str, Any]


class Revision(BaseModel):
    """A new version of the definition."""

    model_config = ConfigDict(extra="forbid")

    definition: dict[str, Any]
    version: RowVersion


class Step(BaseModel):
    """A step to take."""

    model_config = ConfigDict(extra="forbid")

    target: Annotated[str, Field(max_length=32)]
    artefacts: dict[str, Any] = {}
    version: RowVersion | None = None


class SiteRequest(BaseModel):
    """Sites to ask."""

    model_config = ConfigDict(extra="forbid")

    sites: Annotated[list[str], Field(min_length=1, max_length=100)]


def summary(study: Study) -> dict[str, Any]:
    """Show a study in a list."""
    return {
        "study_id": study.study_id,
        "title": study.definition.title,
        "state": study.state,
        "fhir_status": FHIR_STATUS[study.state],
        "mode": study.definition.mode,
        "version": study.version,
        "hash": study.hash,
        "created_by": study.created_by,
        "created_at": study.created_at,
        "changed_at": study.changed_at,
    }


def _rows(
    studies: Studies, connection: sa.Connection, study_id: str, study_hash: str | None = None
) -> list[SiteRow]:
    return [
        SiteRow(**{name: getattr(row, name) for name in SiteRow.model_fields})
        for row in studies.matrix(connection, study_id, study_hash)
    ]


def _show_amendment(studies: Studies, connection: sa.Connection, change: Amendment) -> AmendmentView:
    plain = set(AmendmentView.model_fields) - {"next_states", "sites"}
    return AmendmentView(
        **{name: getattr(change, name) for name in plain},
        next_states=list(AMENDMENT_TABLE.targets(change.state)),
        sites=_rows(studies, connection, change.study_id, change.hash),
    )


def routes(database: Database, studies: Studies, amendments: Amendments) -> APIRouter:
    """Make the routes of people's listener."""
    routes = APIRouter(tags=["studies"])

    def show(connection: sa.Connection, study: Study, user: User) -> StudyView:
        return StudyView(
            **summary(study),
            definition=study.definition.to_dict(),
            last_actor=study.last_actor,
            next_states=list(STUDY_TABLE.targets(study.state)),
            next_steps=[
                NextStep(**step) for step in studies.next_steps(connection, study, user.name, user.roles)
            ],
            sites=_rows(studies, connection, study.study_id),
            history=studies.history(connection, study.study_id),
            versions=studies.versions(connection, study.study_id),
            amendments=[
                _show_amendment(studies, connection, change)
                for change in amendments.amendments(connection, study.study_id)
            ],
        )

    @routes.get("/api/studies")
    def list_studies(_user: Annotated[User, Depends(require("study.read"))]) -> list[StudySummary]:
        """List all studies, newest first."""
        with database.connect() as connection:
            return [StudySummary(**summary(study)) for study in studies.studies(connection)]

    @routes.post("/api/studies", status_code=201)
    def create_study(body: NewStudy, user: Annotated[User, Depends(require("study.create"))]) -> StudyView:
        """Create a study from its definition document; it starts as a concept."""
        with database.begin() as connection:
            study = studies.create(connection, body.definition, user.name, actor_role(user, "study.create"))
            return show(connection, study, user)

    @routes.get("/api/studies/{study_id}")
    def show_study(study_id: str, user: Annotated[User, Depends(require("study.read"))]) -> StudyView:
        """Show a study: definition, state with possible next steps, sites, history."""
        with database.connect() as connection:
            return show(connection, studies.study(connection, study_id), user)

    @routes.put("/api/studies/{study_id}/definition")
    def revise_study(
        study_id: str, body: Revision, user: Annotated[User, Depends(require("study.create"))]
    ) -> StudyView:
        """Replace the definition by a new version (concept and rework only)."""
        with database.begin() as connection:
            study = studies.revise(
                connection,
                study_id,
                body.definition,
                body.version,
                user.name,
                actor_role(user, "study.create"),
            )
            return show(connection, study, user)

    @routes.post("/api/studies/{study_id}/transitions")
    def take_step(
        study_id: str, body: Step, user: Annotated[User, Depends(require("study.transition"))]
    ) -> StudyView:
        """Take one step of the study's state table."""
        try:
            with database.begin() as connection:
                study = studies.transition(
                    connection,
                    study_id,
                    body.target,
                    artefacts=body.artefacts,
                    version=body.version,
                    actor=user.name,
                    roles=user.roles,
                )
                return show(connection, study, user)
        except Refused as refusal:
            with database.begin() as connection:
                studies.record_refusal(
                    connection, study_id, body.target, user.name, user.main_role, refusal.error_code
                )
            raise

    @routes.post("/api/studies/{study_id}/sites")
    def request_sites(
        study_id: str, body: SiteRequest, user: Annotated[User, Depends(require("study.request_sites"))]
    ) -> StudyView:
        """Ask sites to consider the study; each decides by itself."""
        with database.begin() as connection:
            role = actor_role(user, "study.request_sites")
            studies.request_sites(connection, study_id, body.sites, user.name, role)
            return show(connection, studies.study(connection, study_id), user)

    @routes.post("/api/studies/{study_id}/reminders")
    def remind_site(
        study_id: str, body: Reminder, user: Annotated[User, Depends(require("study.request_sites"))]
    ) -> StudyView:
        """Remind a site that one of its own decisions waits."""
        with database.begin() as connection:
            studies.remind(
                connection, study_id, body.site, user.name, actor_role(user, "study.request_sites")
            )
            return show(connection, studies.study(connection, study_id), user)

    routes.include_router(_amendment_routes(database, studies, amendments))
    return routes


def _amendment_routes(database: Database, studies: Studies, amendments: Amendments) -> APIRouter:
    routes = APIRouter()

    @routes.post("/api/studies/{study_id}/amendments", status_code=201)
    def submit_amendment(
        study_id: str, body: NewAmendment, user: Annotated[User, Depends(require("study.amend"))]
    ) -> AmendmentView:
        """Submit a new version of a study that is under way; the old one stays in force meanwhile."""
        with database.begin() as connection:
            role = actor_role(user, "study.amend")
            change = amendments.submit(connection, study_id, body.definition, body.reason, user.name, role)
            return _show_amendment(studies, connection, change)

    @routes.post("/api/studies/{study_id}/amendments/{number}/transitions")
    def take_amendment_step(
        study_id: str, number: int, body: Step, user: Annotated[User, Depends(require("study.transition"))]
    ) -> AmendmentView:
        """Take one step of an amendment's state table."""
        try:
            with database.begin() as connection:
                change = amendments.transition(
                    connection,
                    study_id,
                    number,
                    body.target,
                    artefacts=body.artefacts,
                    version=body.version,
                    actor=user.name,
                    roles=user.roles,
                )
                return _show_amendment(studies, connection, change)
        except Refused as refusal:
            with database.begin() as connection:
                studies.record_refusal(
                    connection, study_id, body.target, user.name, user.main_role, refusal.error_code
                )
            raise

    return routes

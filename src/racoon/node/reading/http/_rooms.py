"""Services of the reading room, furnished once per application, and what its routes have in common."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import Path, Request

from racoon.domain.labels import Label
from racoon.domain.questionnaire import Template
from racoon.node.archive.access import ImageAccess
from racoon.node.archive.derived import DerivedObjects, made_here
from racoon.node.archive.model import SeriesNotFound
from racoon.node.archive.service import Archive
from racoon.node.reading.adjudication.service import Adjudication
from racoon.node.reading.agreement.service import ListAgreements
from racoon.node.reading.drawing.service import Drawings, drawn_by, drawn_by_others, superseded
from racoon.node.reading.findings.foreign import ForeignFindings
from racoon.node.reading.findings.masks import MaskFindings
from racoon.node.reading.findings.service import Findings
from racoon.node.reading.layers import Layers
from racoon.node.reading.model import SeriesView
from racoon.node.reading.practice.service import Practice
from racoon.node.reading.proposals.service import Proposals
from racoon.node.reading.protocols.service import Protocols
from racoon.node.reading.queries.service import Queries
from racoon.node.reading.reports.authoring import Authoring
from racoon.node.reading.reports.catalogue import newest_template, templates
from racoon.node.reading.reports.published import PublishedReports, Sight
from racoon.node.reading.reports.service import Reports
from racoon.node.reading.service import Reading
from racoon.node.reading.work.service import Work
from racoon.platform.auth import User

Uid = Annotated[str, Path(pattern=r"^[0-9]+(\.[0-9]+)*$", max_length=64)]


def reading_of(request: Request) -> Reading:
    """Return the viewer's questions to the archive."""
    state = request.app.state
    archive: Archive = state.archive
    found: Reading | None = getattr(state, "reading", None)
    if found is None:
        found = state.reading = Reading(archive, lambda series: superseded(state.database, series))
    return found


def layers_of(request: Request) -> Layers:
    """Return what can be laid over images; the volumes it loaded last stay at hand."""
    state = request.app.state
    found: Layers | None = getattr(state, "reading_layers", None)
    if found is None:
        found = state.reading_layers = Layers(state.archive)
    return found


def findings_of(request: Request) -> Findings:
    """Return the findings; the application needs ``database``, ``audit`` and ``archive``."""
    state = request.app.state
    return Findings(state.database, state.audit, state.archive)


def foreign_of(request: Request) -> ForeignFindings:
    """Return the findings that structured reports from elsewhere brought."""
    state = request.app.state
    return ForeignFindings(state.database, state.audit, state.archive)


def drawings_of(request: Request) -> Drawings:
    """Return the drawings."""
    state = request.app.state
    return Drawings(
        state.database,
        state.audit,
        state.archive,
        reading_of(request),
        made_objects(request, "drawn here"),
        follow=mask_findings_of(request).follow,
    )


def mask_findings_of(request: Request) -> MaskFindings:
    """Return the findings that are volumes of drawn masks."""
    state = request.app.state
    return MaskFindings(state.database, state.audit, state.archive)


def made_objects(request: Request, source: str = "signed here") -> DerivedObjects:
    """Return the way into the archive for what this node makes of archived images and words of its own."""
    state = request.app.state
    return DerivedObjects(state.archive, lambda data: made_here(data, source), state.audit)


def reports_of(request: Request) -> Reports:
    """Return the reports."""
    state = request.app.state
    return Reports(state.database, state.audit, state.archive, findings_of(request))


def may_see(request: Request, user: User, imaging_study_uid: str) -> bool:
    """Tell whether somebody was let into an imaging study."""
    access: ImageAccess | None = getattr(request.app.state, "image_access", None)
    return access is None or access.may_see(user, imaging_study_uid)


def require_sight(request: Request, user: User, imaging_study_uid: str) -> None:
    """Refuse what somebody was not let into, with the words for what does not exist.

    Raises
    ------
    SeriesNotFound
    """
    if not may_see(request, user, imaging_study_uid):
        raise SeriesNotFound("There is no such series in this archive.")


def forms_of(request: Request) -> dict[str, Template]:
    """Return every version of every template that answers may be given to here, by canonical name."""
    with request.app.state.database.connect() as connection:
        return templates(connection)


def newest_form(request: Request, url: str) -> Template:
    """Return the newest version of a template."""
    with request.app.state.database.connect() as connection:
        return newest_template(url, connection)


def published_of(request: Request) -> PublishedReports:
    """Return the signed reports."""
    state = request.app.state
    return PublishedReports(state.database, state.archive, findings_of(request))


def work_of(request: Request) -> Work:
    """Return the reading lists."""
    state = request.app.state
    return Work(state.database, state.audit, state.archive)


def protocols_of(request: Request) -> Protocols:
    """Return the reading protocols."""
    state = request.app.state
    return Protocols(state.database, state.audit, state.archive)


def labels_of(request: Request) -> tuple[Label, ...]:
    """Return the labels of every reading protocol of this node."""
    return tuple(label for saved in protocols_of(request).all() for label in saved.protocol.labels)


def authoring_of(request: Request) -> Authoring:
    """Return the templates that are written here."""
    state = request.app.state
    return Authoring(state.database, state.audit)


def queries_of(request: Request) -> Queries:
    """Return the queries at fields of reports."""
    state = request.app.state
    return Queries(state.database, state.audit, state.archive)


def proposals_of(request: Request) -> Proposals:
    """Return the automatic values as proposed answers."""
    return Proposals(request.app.state.database, request.app.state.archive)


def decisions_of(request: Request) -> Adjudication:
    """Return the decisions between readings."""
    state = request.app.state
    return Adjudication(state.database, state.audit, state.archive)


def practice_of(request: Request) -> Practice:
    """Return the reference sets and attempts."""
    state = request.app.state
    return Practice(state.database, state.audit, state.archive, drawings_of(request))


def writing(request: Request, user: User, imaging_study_uid: str) -> User:
    """Return under which name somebody writes on an imaging study: while an attempt at a reference set is open there,
    all of it belongs to the attempt and nothing to a study.
    """
    return practice_of(request).writer(user, imaging_study_uid)


def agreements_of(request: Request) -> ListAgreements:
    """Return the agreement over reading lists."""
    state = request.app.state
    return ListAgreements(
        state.database, state.archive, findings_of(request), work_of(request), decisions_of(request)
    )


def sight_of(request: Request, user: User) -> Sight:
    """Say where somebody may see what other readers signed: nowhere on a subject while a case of it is read blinded.

    An earlier opinion on the same person is an opinion on this case.
    """

    def in_sight(imaging_study_uids: frozenset[str]) -> frozenset[str]:
        if work_of(request).is_blinded_on_any(user, imaging_study_uids):
            return frozenset()
        return frozenset(uid for uid in imaging_study_uids if may_see(request, user, uid))

    return in_sight


def hidden_masks(request: Request, user: User, view: SeriesView) -> frozenset[str]:
    """Return the segmentations that a reader of an open blinded double reading must not see."""
    work, database = work_of(request), request.app.state.database
    hidden: frozenset[str] = frozenset()
    if work.is_blinded(user, view.imaging_study_uid):
        hidden |= drawn_by_others(database, view.series_uid, user.name)
    if work.is_blinded_to_machines(user, view.imaging_study_uid):
        there = {entry.key.partition(":")[0] for entry in view.segments}
        hidden |= there - drawn_by(database, view.series_uid, user.name)
    return hidden


def seen_by(request: Request, user: User, view: SeriesView) -> SeriesView:
    """Return a series without the masks that a user must not see."""
    hidden = hidden_masks(request, user, view)
    kept = tuple(entry for entry in view.segments if entry.key.partition(":")[0] not in hidden)
    return replace(view, segments=kept) if len(kept) < len(view.segments) else view


def client_of(request: Request) -> str | None:
    """Return the address of the other side, for the audit."""
    return request.client.host if request.client else None

"""Pages of what comes in: today's flow, the quarantine and its decisions, the work list of the PACS."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Depends, Form, Query, Request
from pydantic import BaseModel, StringConstraints
from starlette.responses import RedirectResponse, Response

from racoon.errors import Refused
from racoon.node.deid.model import PLAIN_WORDS, RELEASABLE, Correction, QuarantineReason
from racoon.node.intake.model import (
    Decision,
    DecisionOutcome,
    MinuteCounts,
    QuarantineState,
)
from racoon.node.intake.pull.desk import PullDesk, lines_of
from racoon.node.intake.pull.model import REASONS, BadProtocol, PullProtocol, PullState
from racoon.node.intake.service import Intake
from racoon.platform import clock
from racoon.platform.auth import User, require
from racoon.web.pages import render

router = APIRouter(prefix="/intake", include_in_schema=False)

Reader = Annotated[User, Depends(require("intake.read"))]
Decider = Annotated[User, Depends(require("quarantine.decide"))]
Puller = Annotated[User, Depends(require("pull.manage"))]
Note = Annotated[str, Form(max_length=500)]
Word = Annotated[str, Query(max_length=64)]
Field = Annotated[str, Form(max_length=128)]
Short = Annotated[str, StringConstraints(max_length=128, strip_whitespace=True)]

PAGE_SIZE = 50
RATE_MINUTES = 5
"""Rates are means of so many whole minutes: one minute alone jumps."""

CHART_MINUTES = 60
LISTED_ITEMS = 500


class CorrectionForm(BaseModel):
    """What the form of a quarantined object sends; empty fields say nothing."""

    note: Annotated[str, StringConstraints(max_length=500)] = ""
    subject: Short = ""
    patient_id: Short = ""
    make_uids: bool = False
    imaging_study_uid: Short = ""
    series_uid: Short = ""
    instance_uid: Short = ""
    sop_class_uid: Short = ""

    def correction(self) -> Correction:
        """Give what is to be set right."""
        uids = {
            "StudyInstanceUID": self.imaging_study_uid,
            "SeriesInstanceUID": self.series_uid,
            "SOPInstanceUID": self.instance_uid,
            "SOPClassUID": self.sop_class_uid,
        }
        # The page suggests a subject; a number that somebody typed replaces the suggestion.
        subject = "" if self.patient_id else self.subject
        return Correction(subject, self.patient_id, {name: uid for name, uid in uids.items() if uid})


@router.get("")
def show_intake(request: Request, user: Reader) -> Response:
    """Show today's flow: what waits, rates, the latest senders."""
    intake: Intake = request.app.state.intake
    minutes = intake.minutes(CHART_MINUTES)
    return render(
        request,
        "node/intake/flow.html",
        status=intake.status(),
        listener=request.app.state.settings.dicom,
        watched=request.app.state.settings.intake.watched_folder is not None,
        transfers=intake.transfers(20),
        minutes=minutes,
        received_per_minute=_rate([item.received for item in minutes]),
        processed_per_minute=_rate([item.processed for item in minutes]),
        chart=_chart(minutes),
    )


@router.get("/quarantine")
def show_quarantine(
    request: Request,
    user: Reader,
    state: Word = "waiting",
    reason: Word = "",
    before: Annotated[str, Query(max_length=128)] = "",
) -> Response:
    """Show quarantined objects with their reasons, newest first."""
    return _quarantine(request, state, reason, before)


@router.post("/quarantine")
def decide(
    request: Request,
    user: Decider,
    decision: Annotated[Decision, Form()],
    ids: Annotated[list[str] | None, Form()] = None,
    note: Note = "",
    reason: Field = "",
) -> Response:
    """Release or delete the chosen objects."""
    intake: Intake = request.app.state.intake
    if not ids:
        return _quarantine(request, "waiting", reason, "", problem="Choose at least one object.")
    try:
        outcomes = intake.decide_many(ids, decision, actor=user.name, actor_role=user.main_role, note=note)
    except Refused as refusal:
        return _quarantine(request, "waiting", reason, "", problem=refusal.public_message, chosen=ids)
    return _quarantine(request, "waiting", reason, "", outcomes=outcomes)


@router.get("/quarantine/{quarantine_id}")
def show_object(quarantine_id: str, request: Request, user: Reader) -> Response:
    """Show one quarantined object: its evidence, and what can be done."""
    return _object(request, quarantine_id)


@router.post("/quarantine/{quarantine_id}/decision")
def decide_object(
    quarantine_id: str,
    request: Request,
    user: Decider,
    decision: Annotated[Decision, Form()],
    note: Note = "",
) -> Response:
    """Release or delete one object."""
    intake: Intake = request.app.state.intake
    try:
        (outcome,) = intake.decide_many(
            [quarantine_id], decision, actor=user.name, actor_role=user.main_role, note=note
        )
    except Refused as refusal:
        return _object(request, quarantine_id, problem=refusal.public_message)
    if outcome.problem:
        return _object(request, quarantine_id, problem=outcome.problem)
    return RedirectResponse(f"/intake/quarantine/{quote(quarantine_id)}", status_code=303)


@router.post("/quarantine/{quarantine_id}/correction")
def correct_object(
    quarantine_id: str, request: Request, user: Decider, form: Annotated[CorrectionForm, Form()]
) -> Response:
    """Set an object right and send it through all rules again."""
    intake: Intake = request.app.state.intake
    try:
        intake.correct(
            quarantine_id,
            form.correction(),
            actor=user.name,
            actor_role=user.main_role,
            note=form.note,
            make_uids=form.make_uids,
        )
    except Refused as refusal:
        return _object(request, quarantine_id, problem=refusal.public_message)
    return RedirectResponse(f"/intake/quarantine/{quote(quarantine_id)}", status_code=303)


@router.get("/quarantine/{quarantine_id}/picture")
def show_picture(quarantine_id: str, request: Request, user: Decider) -> Response:
    """Show the object's first frame to somebody who has to decide; each look is audited."""
    intake: Intake = request.app.state.intake
    picture = intake.picture(quarantine_id, actor=user.name, actor_role=user.main_role)
    return Response(picture, media_type="image/png", headers={"Cache-Control": "no-store"})


@router.get("/pull")
def show_pull(request: Request, user: Puller, state: Word = "") -> Response:
    """Show what is fetched from the PACS, examination by examination."""
    return _pull(request, state)


@router.post("/pull/add")
def add_accession_numbers(
    request: Request, user: Puller, numbers: Annotated[str, Form(max_length=500_000)] = ""
) -> Response:
    """Put accession numbers on the work list."""
    wanted = lines_of(numbers)
    if not wanted:
        return _pull(request, "", problem="Write at least one accession number.")
    return _done(request, lambda desk: desk.add(wanted, actor=user.name, actor_role=user.main_role), numbers)


@router.post("/pull/protocols")
def add_protocol(
    request: Request,
    user: Puller,
    name: Field = "",
    modalities: Field = "",
    first_day: Field = "",
    last_day: Field = "",
    description: Field = "",
) -> Response:
    """Keep a study protocol for which the worker searches."""

    def keep(desk: PullDesk) -> None:
        try:
            days = date.fromisoformat(first_day), date.fromisoformat(last_day)
        except ValueError as error:
            raise BadProtocol("A day is written as 2024-01-31.") from error
        words = tuple(modalities.upper().replace(",", " ").split())
        protocol = PullProtocol(name.strip(), words, *days, description.strip())
        desk.add_protocol(protocol, actor=user.name, actor_role=user.main_role)

    return _done(request, keep)


@router.post("/pull/protocols/remove")
def remove_protocol(request: Request, user: Puller, name: Field = "") -> Response:
    """Remove a study protocol; what it found stays on the list."""
    return _done(request, lambda desk: desk.remove_protocol(name, actor=user.name, actor_role=user.main_role))


@router.post("/pull/retry")
def retry(request: Request, user: Puller) -> Response:
    """Let partial and refused items wait again."""
    return _done(request, lambda desk: desk.retry(actor=user.name, actor_role=user.main_role))


@router.post("/pull/clear")
def clear(request: Request, user: Puller) -> Response:
    """Remove fetched items, so that their accession numbers are no longer kept."""
    return _done(request, lambda desk: desk.clear(actor=user.name, actor_role=user.main_role))


def _quarantine(
    request: Request,
    state: str,
    reason: str,
    before: str,
    *,
    problem: str = "",
    chosen: Sequence[str] = (),
    outcomes: Sequence[DecisionOutcome] = (),
) -> Response:
    intake: Intake = request.app.state.intake
    wanted = QuarantineState(state) if state in set(QuarantineState) else None
    code = reason if reason in set(QuarantineReason) else ""
    page = intake.quarantine_page(state=wanted, code=code, before=before, limit=PAGE_SIZE)
    kept = {"state": wanted.value if wanted else "all", "reason": code}
    following = f"/intake/quarantine?{urlencode(kept | {'before': page.next_before})}"
    return render(
        request,
        "node/intake/quarantine.html",
        status_code=400 if problem else 200,
        page=page,
        state=kept["state"],
        reason=code,
        states=[item.value for item in QuarantineState],
        plain=_plain_words(),
        total=sum(page.reasons.values()),
        first_page=f"/intake/quarantine?{urlencode(kept)}" if before else "",
        next_page=following if page.next_before else "",
        problem=problem,
        chosen=frozenset(chosen),
        decided=[item for item in outcomes if item.item is not None],
        failed=[item for item in outcomes if item.item is None],
    )


def _object(request: Request, quarantine_id: str, *, problem: str = "") -> Response:
    intake: Intake = request.app.state.intake
    item, summary = intake.quarantined_object(quarantine_id)
    return render(
        request,
        "node/intake/object.html",
        status_code=400 if problem else 200,
        item=item,
        summary=summary,
        evidence=intake.evidence(quarantine_id),
        correctable=intake.correctable(item),
        is_suspicion=item.code in {reason.value for reason in RELEASABLE},
        address=f"/intake/quarantine/{quote(quarantine_id)}",
        problem=problem,
    )


def _done(request: Request, deed: Any, numbers: str = "") -> Response:
    """Do something with the work list and show it; a refusal stands beside the form, with what was typed."""
    desk: PullDesk = request.app.state.pull
    try:
        deed(desk)
    except Refused as refusal:
        return _pull(request, "", problem=refusal.public_message, numbers=numbers)
    return RedirectResponse("/intake/pull", status_code=303)


def _pull(request: Request, state: str, *, problem: str = "", numbers: str = "") -> Response:
    desk: PullDesk = request.app.state.pull
    wanted = PullState(state) if state in set(PullState) else None
    options = desk.options
    return render(
        request,
        "node/intake/pull.html",
        status_code=400 if problem else 200,
        source=options.source,
        window=options.window,
        is_open=desk.window.holds(clock.now().astimezone()),
        daily_limit=options.daily_limit,
        objects_today=desk.objects_today(),
        counts={key.value: number for key, number in desk.counts().items()},
        state=wanted.value if wanted else "",
        items=desk.items(wanted, LISTED_ITEMS),
        listed=LISTED_ITEMS,
        reasons=REASONS,
        protocols=desk.protocols(),
        problem=problem,
        numbers=numbers,
    )


def _plain_words() -> dict[str, tuple[str, str]]:
    return {reason.value: words for reason, words in PLAIN_WORDS.items()}


def _rate(numbers: Sequence[int]) -> float:
    """Mean of the latest whole minutes; the present one has only begun."""
    whole = numbers[:-1][-RATE_MINUTES:]
    return sum(whole) / len(whole) if whole else 0.0


def _chart(minutes: Sequence[MinuteCounts]) -> dict[str, Any]:
    """Bars of what came and a line of what was finished, in a box of 600 by 100."""
    top = max([1, *(item.received for item in minutes), *(item.processed for item in minutes)])
    step = 600 / max(len(minutes), 1)
    bars = [
        {
            "x": round(index * step + 1, 1),
            "width": round(step - 2, 1),
            "height": round(100 * item.received / top, 1),
        }
        for index, item in enumerate(minutes)
    ]
    line = " ".join(
        f"{(index + 0.5) * step:.1f},{100 - 100 * item.processed / top:.1f}"
        for index, item in enumerate(minutes)
    )
    return {"bars": bars, "line": line, "top": top}

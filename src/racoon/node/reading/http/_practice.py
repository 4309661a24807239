"""Reading against a reference: sets and their readers for who runs lists, attempts and results for readers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Form, Path, Request
from pydantic import BaseModel, Field
from starlette.responses import RedirectResponse, Response

from racoon.domain.labels import LABEL_MAPS
from racoon.domain.permission import is_permitted
from racoon.domain.questionnaire import items_to_fhir
from racoon.errors import RacoonError
from racoon.node.reading.http._people import readers_of, require_reader
from racoon.node.reading.http._rooms import (
    Uid,
    forms_of,
    labels_of,
    may_see,
    newest_form,
    practice_of,
    require_sight,
    work_of,
)
from racoon.node.reading.practice.model import Attempt, NewSet, PassMark, Shown, TriedCase
from racoon.node.reading.practice.scoring import is_scored
from racoon.node.reading.reports.choosing import DEFAULT_TEMPLATE
from racoon.node.reading.reports.reading_aloud import lines_of
from racoon.node.reading.work.model import BadAssignment
from racoon.platform.auth import User, require
from racoon.web.pages import render
from racoon.web.translation import language_of
from racoon.web.words import words_of

router = APIRouter()

Planner = Annotated[User, Depends(require("reading.assign"))]
Reader = Annotated[User, Depends(require("report.write"))]
Asker = Annotated[User, Depends(require("finding.read"))]
Name = Annotated[str, Path(min_length=1, max_length=60)]
AttemptId = Annotated[str, Path(max_length=36)]
Short = Annotated[str, Field(max_length=80)]
Field80 = Annotated[str, Form(max_length=80)]


class Mark(BaseModel):
    """What an attempt must reach: ``answers``, a link id or a label, and the least share, kappa, ICC or Dice."""

    what: Short
    at_least: Annotated[float, Field(ge=-1, le=1)]


class SetDocument(BaseModel):
    """A reference set: cases that one person signed with a template."""

    name: Annotated[str, Field(min_length=1, max_length=60)]
    kind: Literal["calibration", "teaching"]
    template: Annotated[str, Field(max_length=200)] = DEFAULT_TEMPLATE
    series: Annotated[list[Annotated[str, Field(pattern=r"^[0-9.]{1,64}$")]], Field(max_length=500)]
    reference: Short
    marks: Annotated[list[Mark], Field(max_length=50)] = []


class People(BaseModel):
    """Readers to invite."""

    readers: Annotated[list[Short], Field(max_length=50)]


class WaiverDocument(BaseModel):
    """Who is let off a calibration, and why."""

    reader: Short
    reason: Annotated[str, Field(max_length=500)]


def open_cases(request: Request, user: User) -> list[TriedCase]:
    """List the cases of a reader's open attempts, in their order."""
    return [
        case
        for attempt in practice_of(request).attempts(reader=user.name)
        for case in attempt.cases
        if case.submitted_at is None and may_see(request, user, case.imaging_study_uid)
    ]


def _invite(request: Request, user: User, name: str, readers: list[str]) -> int:
    practice = practice_of(request)
    found = practice.get(name)
    for reader in readers:
        for case in found.cases:
            require_reader(request, reader, case.imaging_study_uid)
            if any(task.reader == reader for task in work_of(request).tasks_of_case(case.imaging_study_uid)):
                raise BadAssignment("A reader has a case of the set in a reading list already.")
    return practice.invite(user, name, readers)


@router.get("/api/reading/reference-sets", dependencies=[Depends(require("reading.assign"))])
def list_sets(request: Request) -> dict[str, Any]:
    """List the reference sets."""
    return {"sets": [item.to_dict() for item in practice_of(request).sets()]}


@router.post("/api/reading/reference-sets")
def make_set(request: Request, user: Planner, wanted: SetDocument) -> dict[str, Any]:
    """Make a reference set; it is never changed."""
    marks = tuple(PassMark(mark.what, mark.at_least) for mark in wanted.marks)
    new = NewSet(wanted.name, wanted.kind, wanted.template, tuple(wanted.series), wanted.reference, marks)
    return practice_of(request).make(user, new).to_dict()


@router.get("/api/reading/reference-sets/{name}")
def read_set(request: Request, name: Name, user: Planner) -> dict[str, Any]:
    """Return a set with every attempt at it, scores, and who was let off."""
    practice = practice_of(request)
    return practice.get(name).to_dict() | {
        "attempts": [item.to_dict() for item in practice.attempts(name=name)],
        "waivers": [item.to_dict() for item in practice.waivers(name)],
    }


@router.post("/api/reading/reference-sets/{name}/readers")
def invite_readers(request: Request, name: Name, user: Planner, people: People) -> dict[str, int]:
    """Let readers begin; from now on the reference is hidden from them."""
    return {"invited": _invite(request, user, name, people.readers)}


@router.post("/api/reading/reference-sets/{name}/waivers")
def waive_calibration(request: Request, name: Name, user: Planner, waiver: WaiverDocument) -> dict[str, Any]:
    """Let a reader off a calibration, with a reason; audited."""
    require_reader(request, waiver.reader)
    return practice_of(request).waive(user, name, waiver.reader, waiver.reason).to_dict()


@router.get("/api/reading/practice")
def read_practice(request: Request, user: Reader) -> dict[str, Any]:
    """Return the reader's own attempts with their scores."""
    return {"attempts": [item.to_dict() for item in practice_of(request).attempts(reader=user.name)]}


@router.post("/api/reading/practice/{name}/again")
def begin_again(request: Request, name: Name, user: Reader) -> dict[str, Any]:
    """Begin another attempt at a set."""
    return practice_of(request).again(user, name).to_dict()


def _plans(request: Request, user: User) -> bool:
    return is_permitted(request.app.state.accounts.role, user.roles, "reading.assign")


def _shown(request: Request, attempt: str, study: str, user: User) -> Shown:
    require_sight(request, user, study)
    return practice_of(request).shown(user, attempt, study, plans=_plans(request, user))


def _side_by_side(shown: Shown, language: str) -> list[dict[str, Any]]:
    """Put the own answers beside the reference's, question by question; the reference only where it may be seen."""

    def said(items: Any) -> dict[str, tuple[str, str]]:
        document = items_to_fhir(shown.template, items)
        lines = lines_of(shown.template, document, language)
        return {line.path: (line.question, line.text) for line in lines if line.text}

    own, reference = said(shown.own), said(shown.reference) if shown.reference is not None else None
    wrong = set((shown.case.score or {}).get("different", ()))
    asked = {item.link_id: item for item in shown.template.walk()}

    def is_equal(path: str) -> bool | None:
        """Tell whether an answer is the reference's; what is not scored, such as free text, is neither."""
        is_known = reference is not None and is_scored(asked[path.rpartition("/")[2].partition("[")[0]])
        return path not in wrong if is_known else None

    return [
        {
            "path": path,
            "question": (own.get(path) or (reference or {})[path])[0],
            "own": own.get(path, ("", ""))[1],
            "reference": reference.get(path, ("", ""))[1] if reference is not None else None,
            "equal": is_equal(path),
        }
        for path in dict.fromkeys([*own, *(reference or ())])
    ]


@router.get("/api/reading/practice/{attempt}/cases/{study}")
def read_result(request: Request, attempt: AttemptId, study: Uid, user: Asker) -> dict[str, Any]:
    """Return a submitted case with its score, the reference beside it as soon as it may be seen."""
    shown = _shown(request, attempt, study, user)
    score = dict(shown.case.score or {})
    if shown.reference is None:
        score.pop("different", None)
    return shown.case.to_dict() | {"score": score, "answers": _side_by_side(shown, language_of(request))}


@router.get("/reading/practice", include_in_schema=False)
def show_practice(request: Request, user: Reader) -> Response:
    """Show the reader's attempts, the newest first."""
    practice = practice_of(request)
    rows = [(practice.get(item.set_name), item) for item in reversed(practice.attempts(reader=user.name))]
    last = {item.set_name: item.attempt_id for _, item in reversed(rows)}
    return render(
        request,
        "node/reading/practice.html",
        rows=[
            (found, item, _score_lines(request, item), last[item.set_name] == item.attempt_id)
            for found, item in rows
        ],
        say_mark=_mark_words(request),
    )


def _mark_words(request: Request) -> Callable[[str, str], str]:
    """Return the function that says what a pass mark of a set is about: a question or a label, in words."""
    language = language_of(request)
    words = words_of(language)
    shipped = [label for entry in LABEL_MAPS for label in entry.labels]
    labels = {label.code.key: label for label in [*shipped, *labels_of(request)]}

    def say(template_url: str, what: str) -> str:
        if what == "answers":
            return words("Answers")
        if found := labels.get(what):
            return found.german if language == "de" and found.german else words(found.code.meaning)
        asked = next(
            (item for item in newest_form(request, template_url).walk() if item.link_id == what), None
        )
        return asked.words.in_language(language) if asked else what

    return say


def _score_lines(request: Request, attempt: Attempt) -> list[tuple[str, str, float | None, str]]:
    """List what was scored over an attempt: name, measure, value, cases."""
    if attempt.score is None:
        return []
    form = newest_form(request, practice_of(request).get(attempt.set_name).template_url)
    names = {item.link_id: item.words.in_language(language_of(request)) for item in form.walk()}
    words = words_of(language_of(request))
    lines = [
        (
            names.get(item["link_id"], item["link_id"]),
            words(item["measure"]),
            item["value"],
            f"{item['equal']} / {item['cases']}",
        )
        for item in attempt.score["items"]
    ]
    lines += [
        (words(mask["meaning"]), words("Dice"), mask["dice"], f"{mask['cases']}")
        for mask in attempt.score["masks"]
    ]
    return lines


@router.post("/reading/practice/again", include_in_schema=False)
def begin_again_from_form(request: Request, user: Reader, name: Field80) -> Response:
    """Begin another attempt at a set."""
    practice_of(request).again(user, name)
    return RedirectResponse("/reading/practice", status_code=303)


@router.get("/reading/practice/{attempt}/{study}", include_in_schema=False)
def show_result(request: Request, attempt: AttemptId, study: Uid, user: Asker) -> Response:
    """Show a submitted case: own answers, the reference beside them, masks, and what comes next."""
    shown = _shown(request, attempt, study, user)
    following = next((case for case in shown.attempt.cases if case.submitted_at is None), None)
    return render(
        request,
        "node/reading/practice_case.html",
        shown=shown,
        lines=_side_by_side(shown, language_of(request)),
        following=following if shown.attempt.reader == user.name else None,
    )


@router.get("/reading/reference-sets", include_in_schema=False)
def show_sets(request: Request, user: Planner) -> Response:
    """Show all reference sets with their attempts, and the form for another one."""
    return _sets_page(request)


def _sets_page(request: Request, problem: str = "") -> Response:
    practice = practice_of(request)
    return render(
        request,
        "node/reading/reference_sets.html",
        status_code=400 if problem else 200,
        problem=problem,
        sets=[
            (item, practice.attempts(name=item.name), practice.waivers(item.name)) for item in practice.sets()
        ],
        lists=work_of(request).names(),
        people=readers_of(request),
        templates=sorted({form.url for form in forms_of(request).values()}),
        say_mark=_mark_words(request),
    )


@router.post("/reading/reference-sets", include_in_schema=False)
def make_set_from_form(
    request: Request,
    user: Planner,
    name: Annotated[str, Form(max_length=60)] = "",
    kind: Annotated[str, Form(max_length=12)] = "",
    list_name: Field80 = "",
    reference: Field80 = "",
    share: Annotated[float, Form(ge=0, le=100)] = 0,
) -> Response:
    """Make a set of the cases of a reading list that one person signed."""
    try:
        tasks = work_of(request).tasks(list_name)
        series = tuple(dict.fromkeys(task.series_uid for task in tasks if task.reader == reference))
        marks = (PassMark("answers", share / 100),) if share else ()
        practice_of(request).make(user, NewSet(name, kind, tasks[0].template_url, series, reference, marks))
    except RacoonError as error:
        return _sets_page(request, error.public_message)
    return RedirectResponse("/reading/reference-sets", status_code=303)


@router.post("/reading/reference-sets/invite", include_in_schema=False)
def invite_from_form(request: Request, user: Planner, name: Field80, reader: Field80 = "") -> Response:
    """Let a reader begin."""
    try:
        _invite(request, user, name, [reader])
    except RacoonError as error:
        return _sets_page(request, error.public_message)
    return RedirectResponse("/reading/reference-sets", status_code=303)


@router.post("/reading/reference-sets/waive", include_in_schema=False)
def waive_from_form(
    request: Request,
    user: Planner,
    name: Field80,
    reader: Field80 = "",
    reason: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    """Let a reader off a calibration."""
    try:
        require_reader(request, reader)
        practice_of(request).waive(user, name, reader, reason)
    except RacoonError as error:
        return _sets_page(request, error.public_message)
    return RedirectResponse("/reading/reference-sets", status_code=303)

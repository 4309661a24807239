"""Questions to the answers of all signed reports, for those who run a study: a page, JSON and files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from pydantic import StringConstraints
from starlette.responses import Response, StreamingResponse

from racoon.domain.questionnaire import Item
from racoon.errors import RacoonError
from racoon.node.archive.model import SeriesFacts
from racoon.node.reading.http._rooms import forms_of, reading_of
from racoon.node.reading.reports.answer_cases import AT_ONCE, AnsweredCase, Behind
from racoon.node.reading.reports.answer_files import MEDIA_TYPES, pieces
from racoon.node.reading.reports.asking import Answers, Counted, Question
from racoon.platform.auth import User, require
from racoon.web.pages import render
from racoon.web.translation import language_of
from racoon.web.words import axis_number, unit_text, words_of

router = APIRouter()

Asker = Annotated[User, Depends(require("reading.assign"))]
Number = Annotated[int, Query(ge=1, le=2**31 - 1)]
Chosen = Annotated[int, Query(ge=0, le=2**31 - 1)]
Bound = Annotated[float | None, Query(allow_inf_nan=False)]
Word = Annotated[str, Query(max_length=20)]
Keys = Annotated[list[Annotated[str, StringConstraints(max_length=800)]], Query(max_length=100)]
"""Answers as ``system|code``, or ``|words`` where they have no code."""


def answers_of(request: Request) -> Answers:
    """Return the answers that the application holds; what was signed before the table was there comes in first."""
    found: Answers = request.app.state.answers
    found.catch_up()
    return found


@router.get("/reading/answers", include_in_schema=False)
def show_answers(
    request: Request,
    user: Asker,
    first: Chosen = 0,
    second: Chosen = 0,
) -> Response:
    """Show the answers to one question, or two crossed."""
    asked, problem = answers_of(request), ""
    counted: list[Counted] = []
    spread, table = None, None
    try:
        if first and second:
            table = asked.cross(first, second)
        elif first:
            counted, spread = asked.count(first), asked.spread(first)
    except RacoonError as error:
        problem = error.public_message
    questions = asked.questions()
    said = _Said(request, {item.id: item for item in questions})
    return render(
        request,
        "node/reading/answers.html",
        status_code=404 if problem else 200,
        problem=problem,
        questions=questions,
        chosen=(first, second),
        asked={item.id: item for item in questions},
        counted=counted,
        spread=spread if spread and spread.count else None,
        table=_table(table, lambda item: said.answer(first, item), lambda item: said.answer(second, item))
        if table is not None
        else None,
        said=said,
        behind=lambda **more: f"/reading/answers/cases?{urlencode({'first': first, **more}, doseq=True)}",
        key_of=_key_of,
    )


@router.get("/reading/answers/cases", include_in_schema=False)
def show_cases(
    request: Request,
    user: Asker,
    *,
    first: Chosen,
    answer: Keys = [],  # noqa: B006 - the framework copies it
    second: Chosen = 0,
    also: Keys = [],  # noqa: B006 - as above
    low: Annotated[Bound, Query(alias="from")] = None,
    high: Annotated[Bound, Query(alias="to")] = None,
    skip: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
) -> Response:
    """Show the reports that a number of the answers counts; each answer opens the image it was given on."""
    asked, reading = answers_of(request), reading_of(request)
    wanted = Behind(first, _keys(answer), second, _keys(also), low, high)
    found = asked.cases(wanted, skip)
    questions = {item.id: item for item in asked.questions()}
    said, language = _Said(request, questions), language_of(request)
    series = {study: reading.picture_series(study) for study in {case.imaging_study_uid for case in found}}
    unit = unit_text(questions[first].unit)

    def say(case: AnsweredCase) -> str:
        if case.number is not None:
            return f"{axis_number(case.number, language, '.6g')} {unit}".strip()
        return said.answer(first, Counted(case.system, case.code, case.text, 1))

    return render(
        request,
        "node/reading/cases.html",
        back=(f"/reading/answers?first={first}" + (f"&second={second}" if second else "")),
        back_name="Answers",
        title=said.question(first) + (f" × {said.question(second)}" if second else ""),
        cases=[
            {
                "pseudonym": case.pseudonym,
                "items": [
                    {
                        "who": case.reader,
                        "text": say(case),
                        "link": link_to(case.finding_id, series[case.imaging_study_uid][:1]),
                    }
                ],
                "when": case.signed_at,
            }
            for case in found
        ],
        more=str(request.url.include_query_params(skip=skip + AT_ONCE).query)
        if len(found) == AT_ONCE
        else "",
    )


def link_to(finding_id: str, series: Sequence[SeriesFacts]) -> str:
    """Return where an answer is seen: the finding it was taken from, else the first series of the examination."""
    if finding_id:
        return f"/reading/findings/{finding_id}"
    return f"/reading/series/{series[0].series_uid}" if series else ""


def _key_of(given: Counted) -> str:
    return f"{given.system}|{given.code or given.text}"


def _keys(given: Sequence[str]) -> tuple[tuple[str, str], ...]:
    return tuple((system, code) for system, _, code in (key.partition("|") for key in given))


class _Said:
    """Questions and coded answers in the words of their template, in the reader's language."""

    def __init__(self, request: Request, asked: Mapping[int, Question]) -> None:
        self._language = language_of(request)
        self._words = words_of(self._language)
        self._asked = asked
        self._forms = {
            name: {item.link_id: item for item in form.walk()} for name, form in forms_of(request).items()
        }

    def question(self, number: int) -> str:
        """Return what a question asks; its link id where its template is not known."""
        asked = self._asked[number]
        item = self._item(asked)
        return item.words.in_language(self._language) if item else asked.text or asked.link_id

    def answer(self, number: int, given: Counted) -> str:
        """Return a coded answer to a question in words."""
        if not given.system and given.code in ("true", "false"):
            return self._words("choice.yes" if given.code == "true" else "choice.no")
        item = self._item(self._asked[number])
        options = item.options if item else ()
        found = next((option for option in options if option.coding.key == (given.system, given.code)), None)
        return found.words.in_language(self._language) if found else given.text or given.code

    def _item(self, asked: Question) -> Item | None:
        return self._forms.get(asked.template, {}).get(asked.link_id)


def _table(
    found: Sequence[tuple[Counted, Counted, int]],
    say_line: Callable[[Counted], str],
    say_column: Callable[[Counted], str],
) -> dict[str, Any]:
    columns = sorted({say_column(b) for _, b, _ in found})
    lines: dict[str, dict[str, dict[str, Any]]] = {}
    for a, b, number in found:
        line = lines.setdefault(say_line(a), {})
        cell = line.setdefault(say_column(b), {"number": 0, "answer": [], "also": []})
        cell["number"] += number
        cell["answer"].append(_key_of(a))
        cell["also"].append(_key_of(b))
    return {"columns": columns, "lines": sorted(lines.items())}


@router.get("/api/reading/answers/questions")
def read_questions(request: Request, user: Asker) -> dict[str, Any]:
    """List the questions that were answered, with how often."""
    return {"questions": [vars(item) for item in answers_of(request).questions()]}


@router.get("/api/reading/answers/count")
def count_answers(
    request: Request,
    user: Asker,
    question: Number,
    low: Annotated[float | None, Query(alias="from")] = None,
    high: Annotated[float | None, Query(alias="to")] = None,
) -> dict[str, Any]:
    """Count the coded answers to a question, and describe its numbers; ``from`` and ``to`` bound the numbers."""
    asked = answers_of(request)
    return {
        "answers": [vars(item) for item in asked.count(question, low, high)],
        "numbers": vars(asked.spread(question, low, high)),
    }


@router.get("/api/reading/answers/cross")
def cross_answers(request: Request, user: Asker, first: Number, second: Number) -> dict[str, Any]:
    """Cross two questions of the same reports."""
    found = answers_of(request).cross(first, second)
    return {
        "cells": [
            {"first": {"system": a.system, "code": a.code, "text": a.text},
             "second": {"system": b.system, "code": b.code, "text": b.text}, "number": number}
            for a, b, number in found
        ]
    }  # fmt: skip


@router.get("/api/reading/answers/rows")
def read_rows(
    request: Request,
    user: Asker,
    question: Annotated[list[Number], Query(max_length=100)] = [],  # noqa: B006 - the framework copies it
    low: Annotated[float | None, Query(alias="from")] = None,
    high: Annotated[float | None, Query(alias="to")] = None,
    form: Annotated[Literal["csv", "json", "parquet"], Query(alias="as")] = "csv",
) -> Response:
    """Give answers as rows, for use inside the hospital; CSV and JSON lines come piece by piece."""
    rows: Iterator[dict[str, Any]] = answers_of(request).rows(user.name, user.main_role, question, low, high)
    headers = {"Content-Disposition": f'attachment; filename="answers.{form}"'}
    found = pieces(rows, form)
    # The first piece comes before the answer begins: what is refused is refused in words.
    first = next(found, b"")

    def whole() -> Iterator[bytes]:
        yield first
        yield from found

    return StreamingResponse(whole(), media_type=MEDIA_TYPES[form], headers=headers)

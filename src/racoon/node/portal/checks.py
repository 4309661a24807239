"""Pages about the quality of values: what to look at, sign-off, and manual against automatic masks."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlencode

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Form, Query, Request
from markupsafe import Markup
from starlette.responses import RedirectResponse, Response

from racoon.domain.plan import PromotionRule
from racoon.node.approvals.model import StudyAtSite
from racoon.node.archive.read_audit import record_image_read
from racoon.node.archive.service import Archive
from racoon.node.measuring import service as measuring
from racoon.node.measuring.comparing import Comparison, Verdict
from racoon.node.measuring.model import StoredValue
from racoon.node.portal.values import choose_study, scanners_of, title_of_row
from racoon.platform.auth import User, require
from racoon.web.differences import differences_figure
from racoon.web.pages import render
from racoon.web.translation import language_of
from racoon.web.words import unit_text

router = APIRouter(include_in_schema=False)

ValueReader = Annotated[User, Depends(require("measurement.read"))]
Decider = Annotated[User, Depends(require("measurement.decide"))]
Annotator = Annotated[User, Depends(require("derived.store"))]
ImageReader = Annotated[User, Depends(require("image.read"))]
Id = Annotated[str, Query(max_length=80)]
FormId = Annotated[str, Form(max_length=80)]


@router.get("/values/checks")
def show_checks(request: Request, user: ValueReader, study: Id = "") -> Response:
    """Show everything a person should look at before values are used."""
    archive: Archive = request.app.state.archive
    language = language_of(request)
    with request.app.state.database.connect() as connection:
        studies, chosen, loaded = choose_study(request, connection, user, study)
        hidden = archive.series_without_values(connection, user.name)
        checks = measuring.checks(connection, chosen) if chosen else []
        checks = [check for check in checks if check.series_uid not in hidden]
        findings = measuring.load_findings(connection, study_id=chosen) if chosen else []
        findings = [item for item in findings if item.series_uid not in hidden]
        decisions = measuring.decisions(connection, chosen) if chosen else []
        queries = measuring.queries(connection, chosen) if chosen else []
    dataset = _dataset(studies, chosen)
    titles = {value.measurement: title_of_row(measuring.describe(value), language) for _, value in loaded}
    return render(
        request,
        "node/portal/checks.html",
        studies=studies,
        chosen=chosen,
        dataset=dataset,
        checks=[
            {
                "check": check,
                "sentence": check.sentence(language),
                "about": titles.get(check.about, check.about.replace("_", " ")),
            }
            for check in checks
            if archive.is_readable(check.pseudonym)
        ],
        findings=findings,
        queries=[
            query
            for query in queries
            if query.series_uid not in hidden and archive.is_readable(query.pseudonym)
        ],
        open_checks=sum(check.state == "open" for check in checks),
        sign_offs=[decision for decision in decisions if decision.kind == "sign_off"],
    )


@router.post("/values/checks/{number:int}")
def decide_check(
    number: int,
    request: Request,
    user: Decider,
    state: Annotated[Literal["open", "kept", "excluded"], Form()],
    study: FormId = "",
    note: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    """Keep or exclude what a check is about."""
    with request.app.state.database.begin() as connection:
        measuring.decide(connection, request.app.state.audit, user, number, state, note)
    return _back("/values/checks", study)


@router.get("/values/checks/{number:int}/picture.png")
def draw_check(number: int, request: Request, user: ImageReader) -> Response:
    """Draw the slice a check is about, with its mask."""
    archive: Archive = request.app.state.archive
    with request.app.state.database.connect() as connection:
        hidden = archive.series_without_values(connection, user.name)
        found = [
            check
            for check in measuring.checks(connection)
            if check.number == number and check.series_uid not in hidden
        ]
    if not found or not archive.is_readable(found[0].pseudonym):
        raise measuring.ValueMissing("There is no such check; open the list again.")
    record_image_read(request, user, found[0].series_uid, found[0].pseudonym)
    return Response(
        measuring.draw_check(found[0], archive),
        media_type="image/png",
        headers={"Cache-Control": "private, max-age=300"},
    )


@router.post("/values/checks/{number:int}/ask")
def ask_annotator(
    number: int,
    request: Request,
    user: Decider,
    note: Annotated[str, Form(min_length=3, max_length=500)],
    study: FormId = "",
) -> Response:
    """Ask who drew the mask of a check."""
    with request.app.state.database.begin() as connection:
        measuring.ask(connection, request.app.state.audit, user, number, note)
    return _back("/values/checks", study)


@router.post("/values/queries/{number:int}")
def answer_query(
    number: int,
    request: Request,
    user: Annotator,
    answer: Annotated[str, Form(min_length=1, max_length=500)],
    study: FormId = "",
) -> Response:
    """Answer a question about a mask."""
    with request.app.state.database.begin() as connection:
        measuring.answer(connection, request.app.state.audit, user, number, answer)
    return _back("/values/checks", study)


@router.post("/values/sign-off")
def sign_off(request: Request, user: Decider, study: Annotated[str, Form(max_length=80)]) -> Response:
    """Sign the study's frozen dataset off."""
    with request.app.state.database.begin() as connection:
        studies, chosen, _ = choose_study(request, connection, user, study)
        dataset = _dataset(studies, chosen)
        if not dataset:
            raise measuring.ValueMissing("This study has no frozen dataset here; nothing can be signed off.")
        measuring.sign_off(connection, request.app.state.audit, user, chosen, dataset)
    return _back("/values/checks", study)


@router.get("/values/agreement")
def show_agreement(request: Request, user: ValueReader, study: Id = "") -> Response:
    """Show how far values from masks by hand and by a program agree, and which limits the protocol set."""
    language = language_of(request)
    archive: Archive = request.app.state.archive
    with request.app.state.database.connect() as connection:
        studies, chosen, verdicts, comparisons = _judged(request, connection, user, study)
        decisions = measuring.decisions(connection, chosen) if chosen else []
    return render(
        request,
        "node/portal/agreement.html",
        studies=studies,
        chosen=chosen,
        comparisons=[
            {
                "title": title_of_row(
                    measuring.describe(item.pairs[0].manual) | {"parameters": {}}, language
                ),
                "item": item,
                "figure": Markup(_differences(item, language)),  # noqa: S704 - escaped there
                "scanners": _by_scanner(item, archive),
                "verdict": next((verdict for verdict in verdicts if verdict.comparison is item), None),
            }
            for item in comparisons
        ],
        waiting=[verdict for verdict in verdicts if verdict.comparison is None],
        promotions=[decision for decision in decisions if decision.kind == "promotion"],
    )


@router.post("/values/promote")
def promote(
    request: Request,
    user: Decider,
    study: Annotated[str, Form(max_length=80)],
    key: Annotated[str, Form(max_length=300)],
) -> Response:
    """Let the automatic version of a biomarker into routine, when the protocol's limits are reached."""
    with request.app.state.database.begin() as connection:
        studies, chosen, verdicts, _ = _judged(request, connection, user, study)
        verdict = next((item for item in verdicts if item.key == key), None)
        if verdict is None:
            raise measuring.ValueMissing(
                "The protocol sets no limits for this biomarker; nothing can be promoted."
            )
        place = (chosen, _dataset(studies, chosen))
        measuring.promote(connection, request.app.state.audit, user, place, verdict)
    return _back("/values/agreement", study)


def _differences(item: Comparison, language: str) -> str:
    pairs = [(pair.automatic.value or 0.0, pair.manual.value or 0.0) for pair in item.pairs]
    lines = (item.lower.value, item.bias.value, item.upper.value)
    return differences_figure(item.key, pairs, lines, unit_text(item.unit), language)


def _by_scanner(item: Comparison, archive: Archive) -> list[tuple[str, Comparison]]:
    """The same comparison for each scanner with enough pairs: a bias of one of them hides in the whole."""
    names = scanners_of(archive, {pair.manual.series_uid for pair in item.pairs})
    groups: dict[str, list[StoredValue]] = {}
    for pair in item.pairs:
        members = groups.setdefault(names.get(pair.manual.series_uid, ""), [])
        members += [pair.manual, pair.automatic]
    if len(groups) < 2:
        return []
    return [
        (name or "–", found) for name, values in sorted(groups.items()) for found in measuring.compare(values)
    ]


def _judged(
    request: Request, connection: sa.Connection, user: User, study: str
) -> tuple[list[StudyAtSite], str, tuple[Verdict, ...], tuple[Any, ...]]:
    studies, chosen, _ = choose_study(request, connection, user, study)
    archive: Archive = request.app.state.archive
    dataset = _dataset(studies, chosen)
    loaded = (
        measuring.load_values(connection, study_id=chosen, dataset_hash=dataset, limit=None) if chosen else []
    )
    hidden = archive.series_without_values(connection, user.name)
    comparisons = measuring.compare(
        value
        for _, value in loaded
        if value.series_uid not in hidden and archive.is_readable(value.pseudonym)
    )
    return studies, chosen, measuring.judge(_rules(studies, chosen), comparisons), comparisons


def _dataset(studies: list[StudyAtSite], chosen: str) -> str:
    """Hash of the dataset the study is measured on now."""
    return next((item.dataset_hash or "" for item in studies if item.study_id == chosen), "")


def _rules(studies: list[StudyAtSite], chosen: str) -> tuple[PromotionRule, ...]:
    for item in studies:
        if item.study_id == chosen and item.definition.measuring is not None:
            return item.definition.measuring.promotions
    return ()


def _back(path: str, study: str) -> Response:
    query = f"?{urlencode({'study': study})}" if study else ""
    return RedirectResponse(path + query, status_code=303)

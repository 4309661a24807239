"""Agreement of a reading list as it is read: a page, JSON, and pictures of the worst disagreements."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Depends, Path, Query, Request
from markupsafe import Markup
from starlette.responses import Response

from racoon.domain.permission import is_permitted
from racoon.domain.questionnaire import Answer, Coding, Item, Template
from racoon.node.reading.agreement.model import Disagreement, LabelAgreement, ListAgreement
from racoon.node.reading.comparing.model import ItemAgreement
from racoon.node.reading.http._rooms import agreements_of, may_see, newest_form, require_sight, work_of
from racoon.node.reading.reports.reading_aloud import say_answer
from racoon.node.reading.work.model import StillBlinded
from racoon.platform.auth import User, require
from racoon.web.differences import differences_figure
from racoon.web.pages import render
from racoon.web.translation import language_of
from racoon.web.words import unit_text, words_of

router = APIRouter()

Asker = Annotated[User, Depends(require("finding.read"))]
ListName = Annotated[str, Path(min_length=1, max_length=80)]
Segment = Annotated[str, Query(max_length=80)]


def plans_lists(request: Request, user: User) -> bool:
    """Tell whether somebody runs reading lists."""
    return is_permitted(request.app.state.accounts.role, user.roles, "reading.assign")


def sees_agreement(request: Request, user: User, name: str) -> bool:
    """Tell whether nothing of what the readers of a list said must be kept from somebody who runs lists."""
    try:
        agreements_of(request).require_open_eyes(user, name, plans=True)
    except StillBlinded:
        return False
    return True


def require_open_eyes(request: Request, user: User, name: str) -> None:
    """Refuse what the readers of a list said to one of them who still reads.

    Raises
    ------
    StillBlinded
    """
    agreements_of(request).require_open_eyes(user, name, plans=plans_lists(request, user))


def figure_of(item: ItemAgreement, language: str) -> Markup | None:
    """Draw the differences of two readers on a measured number (Bland, Altman)."""
    if item.limits is None or item.words is None:
        return None
    title = f"{item.words.in_language(language)}: {item.readers[0]} − {item.readers[1]}"
    return Markup(differences_figure(title, item.pairs, item.limits, unit_text(item.unit), language))  # noqa: S704 - escaped there


def _volumes_figure(item: LabelAgreement, language: str) -> Markup | None:
    if item.limits is None:
        return None
    title = f"{words_of(language)(item.meaning)}: {item.readers[0]} − {item.readers[1]}"
    return Markup(differences_figure(title, item.volumes_ml, item.limits, "ml", language))  # noqa: S704 - escaped there


def _state(request: Request, user: User, name: str) -> ListAgreement:
    return agreements_of(request).of_list(user, name, plans=plans_lists(request, user))


@router.get("/api/reading/worklists/{name}/agreement")
def read_agreement(request: Request, name: ListName, user: Asker) -> dict[str, Any]:
    """Say how the readers of a list agree, on the cases that all of them are done with.

    Questions for each pair of readers and, from three readers on, together; masks; sums for each reader; the widest
    disagreements.  Whoever reads blinded in the list is refused until the whole list is read.
    """
    found = _state(request, user, name)
    if not found.complete:
        raise StillBlinded("No case is read by all readers yet.")
    seen = [item for item in found.worst if may_see(request, user, item.imaging_study_uid)]
    return found.to_dict(language_of(request)) | {
        "worst": [item.to_dict(language_of(request)) for item in seen]
    }


@router.get("/reading/lists/{name}/agreement", include_in_schema=False)
def show_agreement(
    request: Request, name: ListName, user: Asker, reader: Annotated[str, Query(max_length=80)] = ""
) -> Response:
    """Show agreement as it is now; the page keeps itself fresh while readings come in."""
    found = _state(request, user, name)
    language = language_of(request)
    items = [item for item in found.items if reader in ("", *item.readers)]
    masks = [item for item in found.masks if reader in ("", *item.readers)]
    form = newest_form(request, work_of(request).tasks(name)[0].template_url)
    return render(
        request,
        "node/reading/agreement.html",
        name=name,
        link=f"/reading/lists/{quote(name, safe='')}",
        plans=plans_lists(request, user),
        found=found,
        reader=reader,
        items=[(item, item.to_dict(language), figure_of(item, language)) for item in items],
        together=[item.to_dict(language) for item in found.together],
        masks=[(item, _volumes_figure(item, language)) for item in masks],
        worst=[
            _shown(name, item, form, language)
            for item in found.worst
            if may_see(request, user, item.imaging_study_uid)
            and reader in ("", *(who for who, _ in item.said))
        ],
    )


@router.get("/reading/lists/{name}/agreement/cases", include_in_schema=False)
def show_compared_cases(
    request: Request,
    name: ListName,
    user: Asker,
    question: Annotated[str, Query(max_length=200)] = "",
    label: Segment = "",
    reader: Annotated[str, Query(max_length=80)] = "",
) -> Response:
    """Show the cases behind a number of agreement; what each reader said opens the image it was said of."""
    language = language_of(request)
    agreements, plans = agreements_of(request), plans_lists(request, user)
    found = agreements.cases(user, name, link_id=question, label=label, plans=plans)
    form = newest_form(request, work_of(request).tasks(name)[0].template_url)
    asked = next((item for item in form.walk() if item.link_id == question), None)
    meaning = next((case.meaning for case in found), "") or "Cases"

    def say(value: Answer | float | None) -> str:
        if isinstance(value, Answer):
            return say_answer(asked, value, language) if asked else ""
        return "" if value is None else say_volume(value, language)

    return render(
        request,
        "node/reading/cases.html",
        back=f"/reading/lists/{quote(name, safe='')}/agreement",
        back_name="Agreement",
        title=asked.words.in_language(language) if asked else words_of(language)(meaning),
        cases=[
            {
                "pseudonym": case.pseudonym,
                "items": [
                    {"who": who, "text": say(value), "link": case.link(who)}
                    for who, value in case.said.items()
                ],
                "dice": case.dice,
                "hd95_mm": case.hd95_mm,
                "when": None,
            }
            for case in found
            if may_see(request, user, case.imaging_study_uid) and reader in ("", *case.said)
        ],
        more="",
    )


def _shown(name: str, item: Disagreement, form: Template, language: str) -> dict[str, Any]:
    kinds = {asked.link_id: asked for asked in form.walk()}
    words = words_of(language)
    if item.kind == "mask":
        query = urlencode({"first": item.segments[0], "second": item.segments[1]})
        picture = f"/reading/lists/{quote(name, safe='')}/agreement/picture?{query}"
        title = words(item.meaning)
    else:
        place = f"/dicom-web/studies/{item.imaging_study_uid}/series/{item.series_uid}"
        picture = (
            f"{place}/instances/{item.instance_uid}/frames/{item.frame}/thumbnail"
            if item.instance_uid
            else f"{place}/thumbnail"
        )
        title = item.words.in_language(language) if item.words else item.link_id
    return {
        "item": item,
        "title": title,
        "picture": picture if item.kind != "mask" or item.instance_uid else "",
        "said": [(who, _said(kinds.get(item.link_id), value, language)) for who, value in item.said],
    }


def _said(asked: Item | None, value: object, language: str) -> str:
    """Say an answer in words; without a question it is a volume in ml."""
    if asked is None:
        return say_volume(float(str(value)), language)
    if isinstance(value, tuple):
        coding = next((option.coding for option in asked.options if option.coding.key == value), None)
        return say_answer(asked, Answer(coding or Coding(value[0], value[1])), language)
    return say_answer(asked, Answer(value), language)  # type: ignore[arg-type] # what an answer held before


def say_volume(volume_ml: float, language: str) -> str:
    """Say a volume with two digits behind the point."""
    text = f"{volume_ml:.2f}"
    return f"{text.replace('.', ',') if language == 'de' else text} ml"


@router.get("/reading/lists/{name}/agreement/picture", include_in_schema=False)
def draw_disagreement(
    request: Request, name: ListName, user: Asker, first: Segment = "", second: Segment = ""
) -> Response:
    """Draw the slice on which two masks of a case differ most, with both rims."""
    agreements = agreements_of(request)
    data, study = agreements.picture(user, name, (first, second), plans=plans_lists(request, user))
    require_sight(request, user, study)
    return Response(data, media_type="image/png", headers={"Cache-Control": "private, max-age=3600"})

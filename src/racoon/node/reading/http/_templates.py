"""Templates for their authors: list, editor with live preview, import with lint report, signatures of experts."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Query, Request
from starlette.responses import Response

from racoon.domain.canonical import canonical_json
from racoon.domain.permission import is_permitted
from racoon.domain.questionnaire import (
    evaluate,
    initial_items,
    items_of,
    items_to_fhir,
    normal_items,
    title_of,
)
from racoon.domain.questionnaire.normalising import NOTES
from racoon.errors import Defect
from racoon.node.reading.http._reports import describe_problems
from racoon.node.reading.http._rooms import authoring_of
from racoon.node.reading.reports.authoring import LONGEST_TEXT, read_foreign, read_text
from racoon.node.reading.reports.catalogue import shipped, shipped_draft
from racoon.node.reading.reports.drafts import LEVELS, RELEASED, Draft, NoSuchDraft
from racoon.node.reading.reports.model import form_of
from racoon.platform.auth import User, require
from racoon.web.pages import render
from racoon.web.translation import language_of
from racoon.web.words import words_of

router = APIRouter()

Reader = Annotated[User, Depends(require("template.read"))]
Writer = Annotated[User, Depends(require("template.write"))]
Expert = Annotated[User, Depends(require("template.sign"))]
Url = Annotated[str, Query(max_length=200)]
Version = Annotated[str, Query(max_length=40)]
Text = Annotated[str, Body(max_length=LONGEST_TEXT)]

EXAMPLE: dict[str, Any] = {
    "resourceType": "Questionnaire",
    "url": "urn:racoon:questionnaire:own-template",
    "version": "1",
    "title": "Own template",
    "status": "draft",
    "item": [
        {
            "linkId": "findings",
            "type": "group",
            "text": "Findings",
            "item": [{"linkId": "present", "type": "boolean", "text": "Finding present", "required": True}],
        }
    ],
}

EDITOR_WORDS = (
    "yes",
    "no",
    "Saved",
    "Line",
    "Open questions",
    "Complete: it can be signed.",
    "It can be read.",
    *LEVELS,
    *NOTES.values(),
)
"""What the editor's script says."""


def _summary(draft: Draft, language: str = "en") -> dict[str, Any]:
    return draft.to_dict() | {
        "title": title_of(json.loads(draft.text)).in_language(language),
        "shipped": _is_shipped(draft),
    }


def _is_shipped(draft: Draft) -> bool:
    return f"{draft.url}|{draft.version}" in shipped()


@router.get("/api/reading/templates", dependencies=[Depends(require("template.read"))])
def list_templates(request: Request) -> dict[str, Any]:
    """List the templates there are: shipped ones, drafts and released versions, with their quality level."""
    language = language_of(request)
    mine = [_summary(draft, language) for draft in authoring_of(request).all()]
    signed = {(item["url"], item["version"]) for item in mine}
    ours = [
        {
            "url": form.url,
            "version": form.version,
            "title": form.words.in_language(language),
            "state": "shipped",
            "shipped": True,
            "level": LEVELS[0],
        }
        for form in shipped().values()
        if (form.url, form.version) not in signed
    ]
    return {"templates": [*mine, *ours]}


@router.get("/api/reading/templates/text", dependencies=[Depends(require("template.read"))])
def read_template(request: Request, url: Url, version: Version) -> dict[str, Any]:
    """Return one version with its text."""
    draft = _draft_of(request, url, version)
    return _summary(draft) | {"text": draft.text}


def _draft_of(request: Request, url: str, version: str) -> Draft:
    """Return a version written or signed here, or a shipped one that nobody has signed yet."""
    try:
        return authoring_of(request).get(url, version)
    except NoSuchDraft:
        found = shipped_draft(url, version)
        if found is None:
            raise
        return found


@router.post("/api/reading/templates/preview", dependencies=[Depends(require("template.read"))])
def preview_template(
    request: Request,
    text: Text,
    items: Annotated[list[dict[str, Any]] | None, Body()] = None,
    *,
    normal: Annotated[bool, Body()] = False,
) -> dict[str, Any]:
    """Say how a form looks and what it does with some answers, or what is wrong with it; nothing is stored.

    Half-written text is no error here: ``problem`` says what cannot be read, and at which line where it is no JSON.
    """
    language = language_of(request)
    try:
        _, template = read_text(text)
        answers = items_of(template, items) if items is not None else initial_items(template)
    except Defect as error:
        return {
            "problem": words_of(language)(error.public_message),
            "code": error.code,
            "line": error.details.get("line", 0),
        }
    found = evaluate(template, normal_items(template, answers) if normal else answers)
    return {
        "form": form_of(template, language),
        "items": items_to_fhir(template, found.items),
        "hidden": sorted(found.hidden),
        "problems": describe_problems(found.problems, language),
        "doubts": describe_problems(found.doubts, language),
    }


@router.put("/api/reading/templates")
def save_template(
    request: Request, user: Writer, text: Text, based_on: Annotated[int, Body(ge=0)]
) -> dict[str, Any]:
    """Save a draft; signatures of an earlier state are gone."""
    return _summary(authoring_of(request).save(user, text, based_on))


@router.post("/api/reading/templates/import")
def import_template(
    request: Request, user: Writer, text: Text, name: Annotated[str, Body(min_length=1, max_length=60)]
) -> dict[str, Any]:
    """Read a FHIR Questionnaire or an IHE MRRT file into a new draft, with everything that was changed or lost."""
    found = read_foreign(text.encode(), name)
    authoring = authoring_of(request)
    document = found.document | {"version": authoring.next_version(found.document["url"])}
    draft = authoring.save(user, canonical_json(document).decode(), 0, found.notes)
    words = words_of(language_of(request))
    return _summary(draft) | {
        "text": draft.text,
        "report": [note.to_dict() | {"words": words(NOTES[note.code])} for note in found.notes],
    }


@router.post("/api/reading/templates/sign")
def sign_template(
    request: Request,
    user: Expert,
    url: Annotated[str, Body(max_length=200)],
    version: Annotated[str, Body(max_length=40)],
    sha256: Annotated[str, Body(max_length=64)],
) -> dict[str, Any]:
    """Sign a draft or a shipped template as an expert; the second signature releases it."""
    return _summary(authoring_of(request).sign(user, url, version, sha256))


@router.get("/reading/templates", include_in_schema=False)
def show_templates(request: Request, user: Reader) -> Response:
    """Show every template with its quality level."""
    return render(
        request,
        "node/reading/templates.html",
        templates=list_templates(request)["templates"],
        may_write=_may(request, user, "template.write"),
    )


@router.get("/reading/templates/edit", include_in_schema=False)
def show_editor(
    request: Request, user: Reader, url: Url = "", version: Version = "", *, copy: bool = False
) -> Response:
    """Show the editor: a new template, a draft, the next version of one that is there, or a version that is fixed."""
    authoring = authoring_of(request)
    draft: Draft | None = None
    document = EXAMPLE | {"version": authoring.next_version(EXAMPLE["url"])}
    if url:
        draft = _draft_of(request, url, version)
        document = json.loads(draft.text)
    if url and copy:
        document |= {"version": authoring.next_version(url)}
        draft = None
    is_shipped = draft is not None and _is_shipped(draft)
    is_fixed = is_shipped or (draft is not None and draft.state == RELEASED)
    words = words_of(language_of(request))
    script = {
        "revision": draft.revision if draft else 0,
        "sha256": draft.sha256 if draft else "",
        "url": draft.url if draft else "",
        "version": draft.version if draft else "",
        "language": language_of(request),
        "words": {text: words(text) for text in EDITOR_WORDS},
    }
    return render(
        request,
        "node/reading/template.html",
        text=json.dumps(_for_people(document), ensure_ascii=False, indent=1),
        draft=draft,
        notes=[note | {"words": NOTES[note["code"]]} for note in (draft.notes if draft else ())],
        is_shipped=is_shipped,
        is_fixed=is_fixed,
        may_write=_may(request, user, "template.write"),
        may_sign=_may(request, user, "template.sign")
        and draft is not None
        and draft.state != RELEASED
        and user.name not in {*draft.authors, *(item.person for item in draft.signatures)},
        script=json.dumps(script).replace("<", "\\u003c"),
    )


_FIRST = ("resourceType", "url", "version", "title", "linkId", "type", "text", "system", "code", "display")
_LAST = ("answerOption", "item")


def _for_people(value: Any) -> Any:
    """Put what names a thing first and what it holds last; the canonical text has the alphabet's order."""
    if isinstance(value, list):
        return [_for_people(item) for item in value]
    if not isinstance(value, dict):
        return value
    names = [name for name in _FIRST if name in value]
    names += [name for name in value if name not in (*_FIRST, *_LAST)]
    names += [name for name in _LAST if name in value]
    return {name: _for_people(value[name]) for name in names}


def _may(request: Request, user: User, action: str) -> bool:
    return is_permitted(request.app.state.accounts.role, user.roles, action)

"""Reading protocols: a page to write them in, with what is wrong in words, and the same as JSON."""

from __future__ import annotations

from typing import Annotated, Any

import yaml
from fastapi import APIRouter, Body, Depends, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from racoon.domain.reading_protocol import MESSAGES, BadProtocol, ReadingProtocol
from racoon.errors import RacoonError
from racoon.node.reading.http._choices import template_choices
from racoon.node.reading.http._rooms import protocols_of
from racoon.node.reading.protocols.service import LONGEST_FILE, SavedProtocol
from racoon.node.reading.reports.choosing import DEFAULT_TEMPLATE
from racoon.platform.auth import User, require
from racoon.web.pages import render
from racoon.web.translation import language_of
from racoon.web.words import words_of

router = APIRouter()

Planner = Annotated[User, Depends(require("reading.assign"))]
Text = Annotated[str, Form(max_length=LONGEST_FILE)]
Key = Annotated[str, Query(max_length=80)]

EXAMPLE = ReadingProtocol(
    name="lung-pilot",
    version=1,
    title="Lung, two readers and a decision",
    template=DEFAULT_TEMPLATE,
    readers=2,
    adjudication=True,
)


def as_yaml(protocol: ReadingProtocol) -> str:
    """Write a protocol as people edit it."""
    text: str = yaml.safe_dump(_plain(protocol.to_dict()), sort_keys=False, allow_unicode=True)
    return text


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _sentences(error: RacoonError, language: str) -> list[str]:
    words = words_of(language)
    if not isinstance(error, BadProtocol):
        line = error.details.get("line")
        return [words(error.public_message) + (f" ({words('Line')} {line})" if line else "")]
    return [
        words(MESSAGES[problem.code]) % {"place": problem.place, "expected": problem.expected}
        for problem in error.problems
    ]


def _to_json(saved: SavedProtocol) -> dict[str, Any]:
    return saved.protocol.to_dict() | {
        "sha256": saved.sha256,
        "made_by": saved.made_by,
        "made_at": saved.made_at.isoformat(),
    }


@router.get("/reading/protocols/new", include_in_schema=False)
def show_editor(request: Request, user: Planner, begin: Key = "") -> Response:
    """Show a protocol to write on: an example, or a version that is there."""
    protocols = protocols_of(request)
    shown = protocols.get(begin) if begin else EXAMPLE
    return render(
        request,
        "node/reading/protocol.html",
        text=as_yaml(shown),
        problems=[],
        base=begin,
        templates=template_choices(request),
    )


@router.post("/reading/protocols/new", include_in_schema=False)
def save_from_editor(request: Request, user: Planner, text: Text = "") -> Response:
    """Save a version, or say everything that is wrong with it."""
    try:
        protocols_of(request).save(user, text)
    except RacoonError as error:
        problems = _sentences(error, language_of(request))
        return render(
            request,
            "node/reading/protocol.html",
            status_code=400,
            text=text,
            problems=problems,
            base="",
            templates=template_choices(request),
        )
    return RedirectResponse("/reading/lists", status_code=303)


@router.get("/api/reading/protocols", dependencies=[Depends(require("reading.assign"))])
def list_protocols(request: Request) -> dict[str, Any]:
    """List every version of every reading protocol."""
    return {"protocols": [_to_json(saved) for saved in protocols_of(request).all()]}


@router.post("/api/reading/protocols")
def save_protocol(
    request: Request, user: Planner, document: Annotated[str, Body(embed=True, max_length=LONGEST_FILE)]
) -> dict[str, Any]:
    """Save a version from YAML or JSON text; a version that is there is never changed."""
    return protocols_of(request).save(user, document).to_dict()

"""Every error a client meets has one shape: RFC 9457 problem details, without a word of data in it.

The text of a response comes from a :class:`racoon.errors.RacoonError`'s public message or from the tables
below, never from an exception's own text, a path, or the input that failed: those may quote a patient.
"""

from __future__ import annotations

import http
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, RedirectResponse, Response

from racoon.errors import RacoonError, Unavailable

_log = logging.getLogger(__name__)

SENTENCES = {
    400: "The request cannot be understood.",
    401: "Sign in first.",
    403: "You may not do this.",
    404: "There is nothing at this address.",
    405: "This address does not support this method.",
    409: "The request conflicts with the present state.",
    413: "The request is too large.",
    415: "This kind of content is not supported here.",
    422: "The request has values that are not valid.",
    429: "Too many requests. Wait a moment.",
    500: "Something went wrong here. Give the request id to the person who runs this server.",
    503: "This is not available now. Try again in a moment.",
}
"""What a refusal without words of its own says, by HTTP status; pages show it in the reader's language."""

_SPEAKING_ERRORS = frozenset({
    "missing", "extra_forbidden", "string_type", "string_too_short", "string_too_long", "int_type",
    "int_parsing", "int_from_float", "float_type", "float_parsing", "bool_type", "bool_parsing",
    "greater_than", "greater_than_equal", "less_than", "less_than_equal", "list_type", "dict_type",
    "too_short", "too_long", "enum", "literal_error", "uuid_parsing", "date_type", "datetime_type",
    "model_type", "model_attributes_type", "string_pattern_mismatch", "finite_number", "timezone_aware",
    "none_required",
})  # fmt: skip
"""Kinds of validation error whose text is made from our schema alone and never quotes the input."""

CLIENT_WENT_AWAY = 499
"""No status of HTTP: servers write it into their logs for a client that did not wait."""

RETRY_AFTER_S = 5
"""What a client is told to wait when something is unavailable and nobody knows for how long."""


@dataclass(frozen=True)
class Problem:
    """Problem details of RFC 9457 with our stable ``code``; ``instance`` is the request id."""

    status: int
    code: str
    title: str
    detail: str
    instance: str
    headers: Mapping[str, str] = field(default_factory=dict)
    errors: Sequence[Mapping[str, str]] = ()

    def document(self) -> dict[str, Any]:
        """Return the JSON document."""
        document: dict[str, Any] = {
            "type": f"urn:racoon:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "instance": self.instance,
        }
        if self.errors:
            document["errors"] = [dict(error) for error in self.errors]
        return document


def request_id(request: Request) -> str:
    """Return the id of this request, as a URN."""
    return str(request.scope.get("racoon.request_id", "urn:uuid:00000000-0000-0000-0000-000000000000"))


def phrase(status: int) -> str:
    """Return the standard phrase of a status code."""
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def problem_of(request: Request, error: BaseException) -> Problem:
    """Translate any exception into what may be told."""
    if isinstance(error, RacoonError):
        headers = dict(getattr(error, "headers", {}))
        if isinstance(error, Unavailable):
            headers.setdefault("Retry-After", str(RETRY_AFTER_S))
        return Problem(
            error.status,
            error.error_code,
            phrase(error.status),
            error.public_message,
            request_id(request),
            headers,
        )
    if isinstance(error, RequestValidationError):
        errors = _validation_errors(request, error)
        return Problem(
            422, "request.invalid", phrase(422), SENTENCES[422], request_id(request), errors=errors
        )
    if isinstance(error, HTTPException):
        return plain_problem(request, error.status_code, headers=error.headers or {})
    return plain_problem(request, 500, code="defect")


def plain_problem(
    request: Request, status: int, *, code: str | None = None, headers: Mapping[str, str] | None = None
) -> Problem:
    """Describe a bare status code in our own words."""
    detail = SENTENCES.get(status, f"{phrase(status)}.")
    code = code or "http." + phrase(status).lower().replace(" ", "_").replace("'", "")
    return Problem(status, code, phrase(status), detail, request_id(request), dict(headers or {}))


def respond(request: Request, problem: Problem) -> Response:
    """Write a problem: JSON for programs, the role's own page or its login page for a browser."""
    state = request.app.state
    if request.method in ("GET", "HEAD") and "text/html" in request.headers.get("accept", ""):
        if problem.status == 401 and (login := getattr(state, "login_path", None)):
            here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"{login}?next={quote(here, safe='/')}", status_code=303)
        if render := getattr(state, "render_problem", None):
            page: Response = render(request, problem)
            return page
    return JSONResponse(
        problem.document(),
        status_code=problem.status,
        headers=dict(problem.headers),
        media_type="application/problem+json",
    )


def install_problems(app: FastAPI) -> None:
    """Answer every error of an application with problem details."""

    async def answer(request: Request, error: Exception) -> Response:
        problem = problem_of(request, error)
        level = logging.WARNING if problem.status >= 500 else logging.INFO
        _log.log(level, "request refused", extra=_log_fields(request, problem))
        return respond(request, problem)

    app.add_exception_handler(RacoonError, answer)
    app.add_exception_handler(HTTPException, answer)
    app.add_exception_handler(RequestValidationError, answer)
    app.add_exception_handler(ClientDisconnect, _gone)


async def _gone(request: Request, _error: Exception) -> Response:
    """End a request whose client went away in the middle of its body; the answer reaches nobody."""
    _log.info("client went away", extra={"request_id": request_id(request)})
    return Response(status_code=CLIENT_WENT_AWAY)


def answer_unhandled(request: Request, error: Exception) -> Response:
    """Log an exception nobody expected, by type and place, and tell the client nothing but the request id."""
    problem = problem_of(request, error)
    _log.error("request failed", exc_info=error, extra=_log_fields(request, problem))
    return respond(request, problem)


def _log_fields(request: Request, problem: Problem) -> dict[str, object]:
    return {
        "request_id": problem.instance,
        "code": problem.code,
        "status": problem.status,
        "method": request.method,
    }


def _validation_errors(request: Request, error: RequestValidationError) -> list[dict[str, str]]:
    known = _schema_names(request.app)
    described = []
    for item in error.errors():
        # A key in the body is input too: only names that our own schema has are repeated.
        place = ".".join(
            str(part) if isinstance(part, int) or part in known else "?" for part in item.get("loc", ())
        )
        kind = str(item.get("type", ""))
        message = str(item["msg"]) if kind in _SPEAKING_ERRORS else "is not valid"
        described.append(
            {"at": place, "code": kind if kind in _SPEAKING_ERRORS else "invalid", "message": message}
        )
    return described


def _schema_names(app: FastAPI) -> frozenset[str]:
    cached: frozenset[str] | None = getattr(app.state, "schema_names", None)
    if cached is None:
        names = {"body", "query", "path", "header", "cookie"}
        _collect_names(app.openapi(), names)
        cached = app.state.schema_names = frozenset(names)
    return cached


def _collect_names(node: object, names: set[str]) -> None:
    if isinstance(node, dict):
        properties = node.get("properties")
        if isinstance(properties, dict):
            names.update(str(key) for key in properties)
        if "in" in node and isinstance(node.get("name"), str):
            names.add(node["name"])
        for value in node.values():
            _collect_names(value, names)
    elif isinstance(node, list):
        for value in node:
            _collect_names(value, names)

"""Routes of the FHIR facade below ``/fhir``: read, search, metadata and bulk export.

They expect ``app.state.fhir``, ``database`` and ``audit``.  Each type needs the action that the routes of the same
data in DICOMweb and lists need, or that of the data integration centre, and a subject who may not be read now is
nowhere.  Every request for data is audited before anything is given out.  Errors are OperationOutcomes in words.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from racoon import __version__
from racoon.errors import RacoonError
from racoon.node.clinical.disclosing import Disclosing
from racoon.node.clinical.model import (
    ACTION_OF_TYPE,
    TYPES,
    BadSearch,
    NoSuchResource,
    Search,
    page_token,
    parse_search,
)
from racoon.node.clinical.rights import may_read, sees_reports, subject_of
from racoon.node.clinical.service import Facade, load_reports
from racoon.platform import clock
from racoon.platform.auth import User, current_user, require
from racoon.platform.auth.model import Forbidden
from racoon.platform.http.gathered import GatheredResponse
from racoon.platform.http.problem import problem_of
from racoon.standards.fhir.answers import (
    FHIR_JSON,
    NDJSON,
    bundle_entry,
    capability_statement,
    issue_code,
    outcome,
    search_set,
)
from racoon.standards.fhir.building import ID_PATTERN, Resource, fhir_instant

ROOT = "/fhir"


class _FhirRoute(APIRoute):
    """A route whose errors are OperationOutcomes."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except (RacoonError, HTTPException, RequestValidationError) as error:
                problem = problem_of(request, error)
                return JSONResponse(
                    outcome(issue_code(problem.status), problem.detail),
                    status_code=problem.status,
                    headers=dict(problem.headers),
                    media_type=FHIR_JSON,
                )

        return answer


router = APIRouter()
fhir = APIRouter(prefix=ROOT, tags=["fhir"], route_class=_FhirRoute)

Anybody = Annotated[User, Depends(current_user)]


def _facade(request: Request) -> Facade:
    found: Facade = request.app.state.fhir
    return found


def _base(request: Request) -> str:
    return str(request.base_url).rstrip("/") + ROOT


def _seen(search: Search, user: User) -> Search:
    return replace(search, seen_by=user.name, with_reports=sees_reports(user))


def _require(user: User, kind: str) -> None:
    if kind not in TYPES:
        raise NoSuchResource("This server has no resources of this type. Its metadata list what it has.")
    if not may_read(user, kind):
        raise Forbidden("Your roles do not allow this.", details={"action": ACTION_OF_TYPE[kind]})


def _audit(request: Request, user: User, action: str, target: str, details: Mapping[str, Any]) -> None:
    """Commit the entry before anything is given out: what cannot be audited is not read."""
    state = request.app.state
    with state.database.begin() as connection:
        state.audit.append(
            connection,
            actor=user.name,
            actor_role=user.main_role,
            action=action,
            target=target,
            client=request.client.host if request.client else None,
            details=details,
        )


def _answer(resource: Resource, headers: Mapping[str, str] | None = None) -> Response:
    body = json.dumps(resource, separators=(",", ":"), ensure_ascii=False)
    return Response(body, media_type=FHIR_JSON, headers=dict(headers or {}))


@fhir.get("/metadata", response_class=Response)
def read_metadata(request: Request, user: Anybody) -> Response:
    """Return the CapabilityStatement: types, profiles, search parameters."""
    statement = capability_statement(
        TYPES, software="RACOON node", version=__version__, base=_base(request), when=clock.now()
    )
    return _answer(statement)


# Bulk export


@fhir.get(
    "/$export",
    response_class=Response,
    responses={202: {"description": "Accepted; look at Content-Location"}},
)
def start_export(request: Request, user: Anybody) -> Response:
    """Start a bulk export (FHIR Bulk Data Access): the answer says where its state is.

    Nothing is prepared or stored: the files are written while they are read, as of the time of this request.
    """
    kinds, since = _export_scope(request, user)
    token = _encode({"t": kinds, "s": since, "u": fhir_instant(clock.now())})
    _audit(request, user, "fhir.export", "fhir/export", {"types": kinds, "since": since})
    return Response(status_code=202, headers={"Content-Location": f"{_base(request)}/$export-status/{token}"})


@fhir.get("/$export-status/{token}", response_class=Response)
def read_export_state(request: Request, token: str, user: Anybody) -> Response:
    """Return the manifest of an export: one NDJSON address per type."""
    document = _decode(token)
    output = [
        {"type": kind, "url": f"{_base(request)}/$export-file/{kind}/{token}"}
        for kind in document["t"]
        if may_read(user, kind)
    ]
    manifest = {
        "transactionTime": document["u"],
        "request": f"{_base(request)}/$export",
        "requiresAccessToken": True,
        "output": output,
        "error": [],
    }
    return JSONResponse(manifest)


@fhir.get("/$export-file/{kind}/{token}", response_class=Response)
def read_export_file(request: Request, kind: str, token: str, user: Anybody) -> Response:
    """Stream all resources of one type as NDJSON."""
    _require(user, kind)
    document = _decode(token)
    parameters = [("_lastUpdated", f"lt{document['u']}")]
    if document["s"]:
        parameters.append(("_lastUpdated", f"ge{document['s']}"))
    if "_lastUpdated" not in TYPES[kind].parameters:
        parameters = []
    search = _seen(parse_search(kind, parameters), user)
    _audit(request, user, "fhir.export", f"fhir/{kind}", {"since": document["s"], "until": document["u"]})
    told = _disclosing(request, user)
    found = (resource for _, resource in _facade(request).iterate(search))
    given = told.stream(request.app.state.database, f"fhir/{kind}", found)
    return GatheredResponse(_lines(given), media_type=NDJSON)


def _disclosing(request: Request, user: User) -> Disclosing:
    client = request.client.host if request.client else None
    return Disclosing(request.app.state.audit, user.name, user.main_role, client)


def _lines(resources: Iterable[Resource]) -> Iterator[bytes]:
    for resource in resources:
        yield json.dumps(resource, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def _export_scope(request: Request, user: User) -> tuple[list[str], str]:
    kinds = [kind for kind in TYPES if may_read(user, kind)]
    since = ""
    for name, value in request.query_params.multi_items():
        if name == "_type":
            asked = value.split(",")
            for kind in asked:
                _require(user, kind)
            kinds = asked
        elif name == "_since":
            parse_search("ImagingStudy", [("_lastUpdated", f"ge{value}")])
            since = value.replace(" ", "+")
        elif name != "_outputFormat":
            raise BadSearch("$export takes _type, _since and _outputFormat.")
        elif value not in (NDJSON, "application/ndjson", "ndjson"):
            raise BadSearch("$export gives NDJSON only.")
    if not kinds:
        raise Forbidden("Your roles do not allow this.")
    return kinds, since


def _encode(document: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(document, separators=(",", ":")).encode()).decode().rstrip("=")


def _decode(token: str) -> dict[str, Any]:
    try:
        document = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        kinds, since, until = document["t"], str(document["s"]), str(document["u"])
        for moment in filter(None, (since, until)):
            datetime.fromisoformat(moment)
        known = isinstance(kinds, list) and all(isinstance(kind, str) and kind in TYPES for kind in kinds)
    except (ValueError, KeyError, TypeError) as error:
        raise NoSuchResource("There is no such export. Start it again.") from error
    if not known:
        raise NoSuchResource("There is no such export. Start it again.")
    return {"t": kinds, "s": since, "u": until}


# Reading and searching


@fhir.get("/{kind}/{identity}", response_class=Response)
def read_resource(request: Request, kind: str, identity: str, user: Anybody) -> Response:
    """Return one resource."""
    _require(user, kind)
    if not ID_PATTERN.fullmatch(identity):
        raise NoSuchResource("There is no such resource here.")
    resource = _facade(request).read(kind, identity, seen_by=user.name, with_reports=sees_reports(user))
    subject = subject_of(resource)
    _audit(request, user, "fhir.read", f"fhir/{kind}/{identity}", {"pseudonym": subject} if subject else {})
    return _answer(resource)


@fhir.get("/{kind}", response_class=Response)
def search_resources(request: Request, kind: str, user: Anybody) -> Response:
    """Search the resources of one type; the ``self`` link says what was searched for."""
    _require(user, kind)
    search = _seen(parse_search(kind, request.query_params.multi_items()), user)
    facade, base = _facade(request), _base(request)
    _audit(request, user, "fhir.search", f"fhir/{kind}", {"parameters": sorted({n for n, _ in search.given})})
    links = {"self": _self_link(base, search)}
    if search.is_count_only:
        return _answer(search_set([], links, total=sum(1 for _ in facade.iterate(search))))
    found, has_more = facade.page(search)
    matches = [resource for _, resource in found]
    entries = [bundle_entry(resource, base, is_match=True) for resource in matches]
    entries += [
        bundle_entry(resource, base, is_match=False)
        for resource in facade.included(
            matches, search.includes, seen_by=user.name, with_reports=search.with_reports
        )
        if may_read(user, resource["resourceType"])
    ]
    with request.app.state.database.begin() as connection:
        given = [entry["resource"] for entry in entries]
        _disclosing(request, user).record(connection, f"fhir/{kind}", given)
    if has_more and found:
        links["next"] = f"{base}/{kind}?_page={page_token(search, found[-1][0])}"
    return _answer(search_set(entries, links))


def _self_link(base: str, search: Search) -> str:
    query = urlencode(search.given)
    return f"{base}/{search.kind}" + (f"?{query}" if query else "")


router.include_router(fhir)


# Imports


@router.get("/api/clinical/imports", tags=["clinical"], dependencies=[Depends(require("intake.read"))])
def list_imports(request: Request) -> list[dict[str, Any]]:
    """List the last imports of clinical data: what was read, stored, refused and why; counts only."""
    with request.app.state.database.connect() as connection:
        return load_reports(connection)

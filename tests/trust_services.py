"""Stand-ins for services that German hospitals run: gICS, gPAS, MII pseudonymisation, E-PIX, Mainzelliste.

Ours, not theirs: they follow the published operations and examples (FHIR gateway guides of the THS Greifswald, MII
interface 2026.1, Mainzelliste's interface 3.1) as far as the adapters use them, and refuse what these do not name.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response

from racoon.platform.http import create_app
from racoon.platform.http.serving import Listener, serve_in_thread

POLICY = "2.16.840.1.113883.3.1937.777.24.5.3"
NUMBERS = "http://hospital.example/mrn"
API_KEY = "api-key-of-the-test"


@dataclass
class Hospital:
    """What the stand-ins know; a test changes it.

    Parameters
    ----------
    permits
        By number the last part of the policies that are permitted; others of 6, 7, 8 and 9 are denied.
    papers
        By number the Consents that ``$allConsentsForPerson`` gives.
    people
        Of E-PIX and Mainzelliste: family name to verdict and number.
    status
        Answer everything with this status, when it is not 0.
    headers
        With these headers then.
    asked
        Paths in order.
    """

    permits: dict[str, tuple[int, ...]] = field(default_factory=dict)
    papers: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    people: dict[str, tuple[str, str]] = field(default_factory=dict)
    domains: set[str] = field(default_factory=lambda: {"study-a", "study-b"})
    pseudonyms: dict[tuple[str, str], str] = field(default_factory=dict)
    sessions: dict[str, str] = field(default_factory=dict)
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)

    def name(self, domain: str, number: str) -> str:
        """Give the same pseudonym whenever asked."""
        return self.pseudonyms.setdefault((domain, number), f"psn_{secrets.token_hex(6)}")


@contextlib.contextmanager
def serving(hospital: Hospital) -> Iterator[str]:
    """Serve all of them on a loopback port; yields its root."""
    app = build_app(hospital)
    with serve_in_thread([Listener(app, "127.0.0.1", 0)]) as (listener,):
        yield f"http://127.0.0.1:{listener.port}"


def build_app(hospital: Hospital) -> FastAPI:
    """Build the application."""
    app = create_app("stand-ins", "0")

    @app.middleware("http")
    async def watch(request: Request, call_next: Any) -> Response:
        hospital.asked.append(f"{request.method} {request.url.path}")
        if hospital.status:
            return JSONResponse({}, status_code=hospital.status, headers=hospital.headers)
        found: Response = await call_next(request)
        return found

    for place in ("gics", "gpas", "mii", "epix"):
        app.add_api_route(
            f"/{place}/metadata", lambda: {"resourceType": "CapabilityStatement"}, methods=["GET"]
        )
    _gics(app, hospital)
    _gpas(app, hospital)
    _mii(app, hospital)
    _epix(app, hospital)
    _mainzelliste(app, hospital)
    return app


def _values(document: dict[str, Any], name: str) -> list[Any]:
    items = document.get("parameter", document.get("part", []))
    return [
        next((value for key, value in item.items() if key.startswith("value") or key == "resource"), item)
        for item in items
        if item["name"] == name
    ]


def _refusal(status: int, code: str) -> JSONResponse:
    issue = {"severity": "error", "code": code}
    return JSONResponse({"resourceType": "OperationOutcome", "issue": [issue]}, status_code=status)


def _gics(app: FastAPI, hospital: Hospital) -> None:
    def states(number: str) -> dict[str, Any]:
        consents = [_policy(number, part, part in hospital.permits[number]) for part in (6, 7, 8, 9)]
        return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": c} for c in consents]}

    def papers(number: str) -> dict[str, Any]:
        found = hospital.papers.get(number, [])
        return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": c} for c in found]}

    @app.post("/gics")
    async def batch(request: Request) -> Any:
        document = await request.json()
        assert document["type"] == "batch"
        entries = []
        for entry in document["entry"]:
            operation = entry["request"]["url"]
            (person,) = _values(entry["resource"], "personIdentifier")
            number = person["value"]
            known = number in hospital.permits and person["system"] == NUMBERS
            if _values(entry["resource"], "domain") != ["MII"]:
                entries.append({"response": {"status": "404 Not Found"}})
            elif not known:
                entries.append(
                    {"resource": {"resourceType": "Bundle", "entry": []}, "response": {"status": "200 OK"}}
                )
            else:
                answer = {"$currentPolicyStatesForPerson": states, "$allConsentsForPerson": papers}[operation]
                entries.append({"resource": answer(number), "response": {"status": "200 OK"}})
        return {"resourceType": "Bundle", "type": "batch-response", "entry": entries}

    @app.post("/gics/$isConsented")
    async def is_consented(request: Request) -> Any:
        document = await request.json()
        (person,), (policy,) = _values(document, "personIdentifier"), _values(document, "policy")
        _ = _values(document, "version")[0]
        said = int(policy["code"].rpartition(".")[2]) in hospital.permits.get(person["value"], ())
        return {"resourceType": "Parameters", "parameter": [{"name": "consented", "valueBoolean": said}]}


def _policy(number: str, part: int, is_permit: bool) -> dict[str, Any]:
    years = 5 if part == 6 else 30
    return {
        "resourceType": "Consent",
        "id": f"{number}-{part}",
        "status": "active",
        "scope": {"coding": [{"code": "research"}]},
        "patient": {"reference": "Patient/cf39df7c", "display": f"Pseudonym {number}"},
        "dateTime": "2024-01-13T13:55:12+01:00",
        "provision": {
            "type": "permit" if is_permit else "deny",
            "period": {"start": "2024-01-13T13:55:12+01:00", "end": f"{2024 + years}-01-13T13:55:12+01:00"},
            "code": [
                {
                    "coding": [
                        {"system": "https://ths-greifswald.de/fhir/CodeSystem/gics/Policy", "code": "X"}
                    ]
                },
                {"coding": [{"system": f"urn:oid:{POLICY}", "code": f"{POLICY}.{part}"}]},
            ],
        },
    }


def paper(number: str, version: str, given: str = "2024-01-13") -> dict[str, Any]:
    """Write a Consent of the MII profile that permits collecting, storing and using."""
    inner = [
        {
            "type": "permit",
            "period": {"start": given, "end": f"{int(given[:4]) + 30}{given[4:]}"},
            "code": [{"coding": [{"system": f"urn:oid:{POLICY}", "code": f"{POLICY}.{part}"}]}],
        }
        for part in (6, 7, 8)
    ]
    return {
        "resourceType": "Consent",
        "id": f"paper-{number}-{version}",
        "status": "active",
        "patient": {"reference": f"Patient/of-{number}"},
        "dateTime": given,
        "policy": [{"uri": f"urn:oid:2.16.840.1.113883.3.1937.777.24.2.{version}"}],
        "provision": {"type": "deny", "provision": inner},
    }


def _gpas(app: FastAPI, hospital: Hospital) -> None:
    @app.post("/gpas/$pseudonymizeAllowCreate")
    async def create(request: Request) -> Any:
        document = await request.json()
        (target,) = _values(document, "target")
        if target not in hospital.domains:
            return _refusal(404, "not-found")
        found = [
            {
                "name": "pseudonym",
                "part": [
                    {"name": "target", "valueIdentifier": {"value": target}},
                    {"name": "original", "valueIdentifier": {"value": original}},
                    {"name": "pseudonym", "valueIdentifier": {"value": hospital.name(target, original)}},
                ],
            }
            for original in _values(document, "original")
        ]
        return {"resourceType": "Parameters", "parameter": found}


def _mii(app: FastAPI, hospital: Hospital) -> None:
    @app.post("/mii")
    async def batch(request: Request) -> Any:
        entries = []
        for entry in (await request.json())["entry"]:
            assert entry["request"] == {"method": "POST", "url": "$pseudonymize"}
            (context,), (original,) = (
                _values(entry["resource"], "context"),
                _values(entry["resource"], "original"),
            )
            if context["value"] not in hospital.domains or original["system"] != NUMBERS:
                entries.append({"resource": {}, "response": {"status": "404 Not Found"}})
                continue
            name = {
                "system": "http://psn.example",
                "value": hospital.name(context["value"], original["value"]),
            }
            parameters = [{"name": "pseudonym", "valueIdentifier": name}]
            resource = {"resourceType": "Parameters", "parameter": parameters}
            entries.append({"resource": resource, "response": {"status": "200 OK"}})
        return {"resourceType": "Bundle", "type": "batch-response", "entry": entries}


def _epix(app: FastAPI, hospital: Hospital) -> None:
    @app.post("/epix/$addPatient")
    async def add(request: Request) -> Any:
        document = await request.json()
        if _values(document, "domain") != ["Demo"] or not _values(document, "saveAction"):
            return _refusal(400, "invalid")
        results = []
        for patient in _values(document, "identity"):
            verdict, number = hospital.people.get(patient["name"][0]["family"], ("none", ""))
            status = {"match": "MATCH", "possible": "POSSIBLE_MATCH", "none": "NO_MATCH"}[verdict]
            part: list[dict[str, Any]] = [
                {"name": "sourceIdentity", "resource": patient},
                {"name": "matchStatus", "valueCoding": {"code": status}},
                {"name": "mpiPerson", "resource": {"resourceType": "Person", "id": "52"}},
            ]
            if verdict == "match":
                identifier = [{"system": NUMBERS, "value": number}]
                part.append(
                    {"name": "identity", "resource": {"resourceType": "Patient", "identifier": identifier}}
                )
            results.append({"name": "matchResult", "part": part})
        return {"resourceType": "Parameters", "parameter": results}


def _mainzelliste(app: FastAPI, hospital: Hospital) -> None:
    def is_let_in(request: Request) -> bool:
        return request.headers.get("mainzellisteApiKey") == API_KEY

    @app.post("/mainzelliste/sessions", status_code=201)
    async def open_session(request: Request) -> Any:
        if not is_let_in(request):
            return JSONResponse({}, status_code=401)
        session = secrets.token_hex(4)
        hospital.sessions[session] = ""
        return {"sessionId": session, "uri": f"/sessions/{session}/"}

    @app.post("/mainzelliste/sessions/{session}/tokens", status_code=201)
    async def open_token(session: str, request: Request) -> Any:
        document = await request.json()
        assert document["type"] == "addPatient"
        token = secrets.token_hex(4)
        hospital.sessions[session] = token
        return {"id": token, "type": "addPatient", "allowedUses": document["allowedUses"]}

    @app.delete("/mainzelliste/sessions/{session}", status_code=204)
    async def close_session(session: str) -> Response:
        hospital.sessions.pop(session, None)
        return Response(status_code=204)

    @app.post("/mainzelliste/patients", status_code=201)
    async def add(request: Request, tokenId: str) -> Any:  # noqa: N803 -- their name
        if tokenId not in hospital.sessions.values():
            return JSONResponse({}, status_code=401)
        form = await request.form()
        verdict, number = hospital.people.get(str(form["nachname"]), ("match", secrets.token_hex(4)))
        if verdict == "possible":
            return JSONResponse({}, status_code=409)
        return [{"idType": "mrn", "idString": number, "tentative": False}]
